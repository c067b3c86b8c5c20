"""A tiny WanPipeline, written by diffusers itself, that all tests of the room convert."""

import dataclasses
import logging

import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline
from tiny_model import TEXT, tiny_preset
from transformers import T5TokenizerFast

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
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny", lambda: model)
        yield model


@pytest.fixture(scope="session")
def tiny_experts(tiny):
    """The same with two experts."""
    experts = presets.Experts(boundary=0.875, guidance_high=4.0)
    model = dataclasses.replace(tiny, experts=experts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny_experts", lambda: model)
        yield model


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
