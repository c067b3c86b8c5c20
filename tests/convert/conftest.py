"""A tiny WanPipeline, written by diffusers itself, that all tests of the room convert."""

import contextlib
import dataclasses
import logging

import pytest
import torch
from diffusers import (
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
)
from tiny_model import TEXT, tiny_preset
from transformers import CLIPImageProcessorPil, T5TokenizerFast

from animatrix_jax.data.tokenizer import train_tokenizer
from animatrix_jax.models import presets
from benchmarks import references

torch.set_num_threads(1)
logging.getLogger("diffusers").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def tiny():
    """A preset of Wan's structure, known as "tiny" while the room is tested."""
    base = tiny_preset()
    model = dataclasses.replace(
        base,
        dit=dataclasses.replace(base.dit, num_layers=3),
        text=dataclasses.replace(base.text, num_layers=2, num_decoder_layers=0),
    )
    with known("tiny", model):
        yield model


EXPERTS = presets.Experts(boundary=0.875, guidance_high=4.0)


@pytest.fixture(scope="session")
def tiny_experts(tiny):
    """The same with two experts."""
    with known("tiny_experts", dataclasses.replace(tiny, experts=EXPERTS)) as model:
        yield model


@pytest.fixture(scope="session")
def tiny_i2v(tiny):
    """The same with reference channels and an image branch, as Wan 2.1's is; a wide clip.

    diffusers takes the last 512 tokens of such a model's context for the text.
    """
    dit = concatenating(tiny, image_dim=references.CLIP.dim)
    changes = {"dit": dit, "image": references.CLIP, "text_length": 512, "width": 32}
    with known("tiny_i2v", dataclasses.replace(tiny, **changes)) as model:
        yield model


@pytest.fixture(scope="session")
def tiny_experts_i2v(tiny):
    """The same with two experts and reference channels, as Wan 2.2 A14B's is."""
    changes = {"dit": concatenating(tiny), "experts": EXPERTS, "width": 32}
    with known("tiny_experts_i2v", dataclasses.replace(tiny, **changes)) as model:
        yield model


@pytest.fixture(scope="session")
def tiny_5b(tiny):
    """The same with Wan 2.2's VAE, whose given frames are held clean."""
    channels = references.VAE22.latent_channels
    dit = dataclasses.replace(tiny.dit, in_channels=channels, out_channels=channels)
    changes = {"dit": dit, "vae": references.VAE22, "height": 32, "width": 48}
    with known("tiny_5b", dataclasses.replace(tiny, **changes)) as model:
        yield model


def concatenating(model, **changes):
    """Its transformer with a channel a frame of pixels, and the latents, beside its own."""
    stride, channels = model.vae.stride[0], model.vae.latent_channels
    return dataclasses.replace(
        model.dit,
        in_channels=2 * channels + stride,
        frame_conditioning="concat",
        **changes,
    )


@contextlib.contextmanager
def known(name, model):
    """A preset for as long as this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, name, lambda: model)
        yield model


@pytest.fixture(scope="session")
def write_image_pipeline(tiny, pipeline_folder):
    """Writes the WanImageToVideoPipeline of a model, random but for its text tower."""

    def write(model, folder, **options):
        names = ("transformer", "transformer_2")[: len(model.generators)]
        parts = {
            name: references.transformer(model.dit, seed=seed)
            for seed, name in enumerate(names, 5)
        }
        if model.image is not None:
            size = model.image.image_size
            parts["image_encoder"] = references.clip(model.image)
            parts["image_processor"] = CLIPImageProcessorPil(
                size={"shortest_edge": size}, crop_size={"height": size, "width": size}
            )
        WanImageToVideoPipeline(
            tokenizer=T5TokenizerFast.from_pretrained(pipeline_folder / "tokenizer"),
            text_encoder=references.t5(tiny.text, "EncoderModel"),
            vae=references.vae(model.vae),
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
            ),
            boundary_ratio=model.experts and model.experts.boundary,
            **parts,
            **options,
        ).save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def wan_model(tiny):
    """diffusers' transformer of the tiny preset."""
    return references.transformer(tiny.dit).eval()


@pytest.fixture(scope="session")
def pipeline_folder(tiny, wan_model, tmp_path_factory):
    """As a person downloads it; the transformer in bf16 and in shards."""
    folder = tmp_path_factory.mktemp("diffusers")
    words = TEXT.split()
    corpus = [" ".join(words[i:] + words[:i]) for i in range(len(words))]
    train_tokenizer(corpus, tiny.text.vocab_size, folder / "made.json")
    pipeline = WanPipeline(
        tokenizer=T5TokenizerFast(tokenizer_file=str(folder / "made.json")),
        text_encoder=references.t5(tiny.text, "EncoderModel"),
        vae=references.vae(tiny.vae),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        transformer=wan_model,
    )
    pipeline.save_pretrained(folder)
    (folder / "made.json").unlink()
    sharded = references.transformer(tiny.dit).to(torch.bfloat16)
    for path in (folder / "transformer").iterdir():
        path.unlink()
    sharded.save_pretrained(folder / "transformer", max_shard_size="40KB")
    assert len(list((folder / "transformer").glob("*.safetensors"))) > 1
    return folder


@pytest.fixture(scope="session")
def converted(pipeline_folder, tmp_path_factory):
    """The same, converted."""
    from animatrix_jax.convert import to_orbax

    out = tmp_path_factory.mktemp("converted") / "wan"
    to_orbax.convert(pipeline_folder, out)
    return out
