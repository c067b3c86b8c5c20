"""Wan's image-to-video models against diffusers' pipeline of them, from one folder.

Wan 2.1: reference channels and CLIP's view. Wan 2.2 A14B: reference channels and two
experts, a last frame too. Wan 2.2 5B: the first frame clean, at noise level 0.
"""

import json
import shutil

import jax
import numpy as np
import PIL.Image
import pytest
import torch
from absl.testing import flagsaver
from diffusers import WanImageToVideoPipeline

from animatrix_jax.cli import sample, stages
from animatrix_jax.convert import configs, files, to_diffusers, to_orbax
from animatrix_jax.errors import UserError
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.training.config import base_config
from animatrix_jax.training.stages.flow import FlowStage
from animatrix_jax.training.stages.towers import Towers
from animatrix_jax.training.weights import load_component
from benchmarks import references

pytestmark = pytest.mark.usefixtures("quick_compile")
PROMPT, NEGATIVE = "a girl runs", "rain"


@pytest.fixture(scope="module")
def folder(tiny_i2v, write_image_pipeline, tmp_path_factory):
    return write_image_pipeline(tiny_i2v, tmp_path_factory.mktemp("i2v") / "diffusers")


@pytest.fixture(scope="module")
def ours(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("i2v") / "ours"
    assert list(to_orbax.convert(folder, out)) == ["generator", "vae", "text", "image"]
    return out


@pytest.fixture(scope="module")
def back(ours, tmp_path_factory):
    out = tmp_path_factory.mktemp("i2v") / "back"
    to_diffusers.convert(str(ours), out)
    return out


def picture(model, seed=0):
    """A picture of the model's size, smooth enough to be one."""
    cells = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    image = PIL.Image.fromarray(cells).resize((model.width, model.height))
    return np.asarray(image)


def errors(folder, *, last=None, guidance=(5.0, 5.0)):
    """How far latents and pixels are from diffusers', after the same steps from the same
    noise: relative, and of 255."""
    pipeline = to_orbax.open_pipeline(folder)
    model = pipeline.preset
    reference = WanImageToVideoPipeline.from_pretrained(folder, dtype=torch.float32)
    first = picture(model)
    given = pipeline.given(first[None], None if last is None else last[None])
    config = pipeline.sampler_config(GenerateRequest(steps=5, solver="unipc"))
    low, high = config.guidance.text, config.guidance_high or config.guidance.text
    assert (low, high) == guidance
    latents = pipeline.sample_latents_for(
        [()], [PROMPT], seed=3, config=config, given=given, negative_prompt=NEGATIVE
    )
    noise = references.noise_of(pipeline, seed=3)
    run = {
        "image": PIL.Image.fromarray(first),
        "last_image": None if last is None else PIL.Image.fromarray(last),
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "height": model.height,
        "width": model.width,
        "num_frames": model.frames,
        "num_inference_steps": 5,
        "guidance_scale": high,
        "guidance_scale_2": low if model.experts else None,
        "max_sequence_length": model.text_length,
        "latents": references.channels_first(noise),
    }
    theirs = reference(**run, output_type="latent").frames
    pixels = reference(**run, output_type="np").frames
    ours = pipeline.decode(latents).astype(np.float32)
    latent_error = references.relative_error(latents, references.channels_last(theirs))
    print(f"{folder.name}: latents {latent_error:.2g}")
    return latent_error, np.abs(ours - 255 * pixels).max()


def test_wan21_equals_diffusers(folder):
    latents, pixels = errors(folder)
    assert latents <= 1e-5 and pixels <= 0.51


@pytest.mark.parametrize("last", [False, True], ids=["first", "first_and_last"])
def test_wan22_a14b_equals_diffusers(
    last, tiny_experts_i2v, write_image_pipeline, tmp_path
):
    folder = write_image_pipeline(tiny_experts_i2v, tmp_path / "a14b")
    end = picture(tiny_experts_i2v, seed=1) if last else None
    latents, pixels = errors(folder, last=end, guidance=(5.0, 4.0))
    assert latents <= 1e-5 and pixels <= 0.51


def test_wan22_5b_equals_diffusers(tiny_5b, write_image_pipeline, tmp_path):
    folder = write_image_pipeline(tiny_5b, tmp_path / "5b", expand_timesteps=True)
    latents, pixels = errors(folder)
    assert latents <= 1e-5 and pixels <= 0.51


@pytest.mark.parametrize(
    "name", ["transformer", "vae", "text_encoder", "image_encoder"]
)
def test_in_and_out_gives_the_same_bits(name, folder, back):
    def named(place):
        """CLIP's files have their names under "vision_model." or bare."""
        held = files.read_folder(place / name)
        return {key.removeprefix("vision_model."): held[key] for key in held}

    before, after = named(folder), named(back)
    assert after.keys() == before.keys() - {"encoder.embed_tokens.weight"}
    for key, tensor in after.items():
        assert tensor.dtype == before[key].dtype
        assert np.asarray(tensor).tobytes() == np.asarray(before[key]).tobytes(), key


def test_what_comes_out_is_loaded_whole(folder, back):
    """By diffusers, and by ours, where it is what went in."""
    before, after = (
        WanImageToVideoPipeline.from_pretrained(place, dtype=torch.float32)
        for place in (folder, back)
    )
    for name in ("image_encoder", "transformer"):
        states = [getattr(each, name).state_dict() for each in (before, after)]
        assert states[0].keys() == states[1].keys()
        for key, tensor in states[0].items():
            assert torch.equal(tensor, states[1][key]), key
    image = PIL.Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    )
    prepared = [each.image_processor(image).pixel_values for each in (before, after)]
    np.testing.assert_array_equal(*prepared)
    index = json.loads((back / "model_index.json").read_text())
    assert index["image_encoder"] == ["transformers", "CLIPVisionModel"]


def test_sample_takes_either_folder_alike(folder, ours, tiny_i2v, tmp_path):
    path = tmp_path / "first.png"
    PIL.Image.fromarray(picture(tiny_i2v)).save(path)
    videos = []
    for checkpoint in (folder, ours):
        out = tmp_path / checkpoint.name / "clip.png"
        flags = {"image": str(path), "steps": 2, "frames": 3, "out": str(out)}
        with flagsaver.flagsaver(checkpoint=str(checkpoint), **flags):
            sample.main(["sample"])
        videos.append(np.asarray(PIL.Image.open(out)))
    np.testing.assert_array_equal(*videos)
    assert videos[0].std() > 1


def one_line(match):
    return pytest.raises(UserError, match=f"^[^\n]*{match}[^\n]*$")


def test_without_a_picture_is_refused(ours, tmp_path):
    out = str(tmp_path / "clip.png")
    with (
        flagsaver.flagsaver(checkpoint=str(ours), out=out),
        one_line("image-to-video model.*--image=PICTURE"),
    ):
        sample.main(["sample"])


def test_pictures_that_a_model_cannot_take(ours, converted, tiny_i2v):
    first = picture(tiny_i2v)[None]
    pipeline = Pipeline.load(str(ours))
    with one_line("a last frame needs a first one"):
        pipeline.generate(GenerateRequest(last_image=first[0]))
    with one_line("models without an image branch"):
        pipeline.given(first, first)
    with one_line("uint8 of shape .16, 32, 3."):
        pipeline.given(first[:, :, :16])
    small = np.zeros((1, 16, 16, 3), np.uint8)
    with one_line("takes a first frame alone"):
        Pipeline.load(str(converted)).given(small, small)


def test_an_image_encoder_missing_or_of_another_kind(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "source")
    source = tmp_path / "source"
    index = json.loads((source / "model_index.json").read_text())
    without = index | {"image_encoder": [None, None]}
    (source / "model_index.json").write_text(json.dumps(without))
    with one_line("takes generator, vae, text, image to sample; there is no image"):
        to_orbax.open_pipeline(source)
    to_orbax.convert(source, tmp_path / "out")
    with one_line("has no image; it has generator, text, vae"):
        Pipeline.load(str(tmp_path / "out"))
    (source / "model_index.json").write_text(json.dumps(index))
    path = source / "image_processor" / "preprocessor_config.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"resample": 2}))
    with one_line("image_processor: resample 2 has no form here, expected 3"):
        to_orbax.convert(source, tmp_path / "again")
    path.write_text(json.dumps(held))
    path = source / "image_encoder" / "config.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"hidden_act": "quick_gelu"}))
    with one_line("hidden_act 'quick_gelu' has no form here, expected 'gelu'"):
        to_orbax.convert(source, tmp_path / "again")
    path.write_text(json.dumps(held | {"num_hidden_layers": 3}))
    with one_line("is not a CLIP image encoder: left over .*layers.3."):
        to_orbax.convert(source, tmp_path / "again")


def test_configs_of_clip_go_both_ways():
    values = configs.clip_to_transformers(references.CLIP)
    assert configs.clip_from_transformers(values) == references.CLIP


def run_config(preset, ours, names):
    config = base_config(preset, "ct", stages={"ct": {}})
    config.update(
        {
            "data": {"clips": 2, "held_out": 2, "workers": 0},
            "batch": {"size": 2},
            "tasks": {"t2i": (0.0,), "t2v": (0.0,), "i2v": (1.0,)},
            "loop": {"steps": 1, "checkpoint_every": 1},
            "optimizer": {"ema_decay": 0.0, "warmup_steps": 0},
        }
    )
    config.init.update(dict.fromkeys(names, str(ours)))
    return config


NETWORKS = ("generator", "vae", "text", "image")


def test_training_sees_what_sampling_sees(ours, tmp_path):
    config = run_config("tiny_i2v", ours, NETWORKS)
    stage = FlowStage(config, workdir=tmp_path)
    (batch,) = stage.held_out()
    assert batch["given"][:, 0].all() and batch["video"].shape == (2, 5, 16, 32, 3)
    towers = Towers(config, workdir=tmp_path)
    assert not towers.held(batch).any()
    frozen = jax.tree.map(np.asarray, stage.frozen())
    seen = jax.jit(towers.conditioning)(
        frozen, {k: np.asarray(v) for k, v in batch.items()}
    )
    given = Pipeline.load(str(ours)).given(batch["video"][:, 0])
    for name in ("reference", "image"):
        error = references.relative_error(getattr(seen, name), getattr(given, name))
        assert error <= 1e-5, name


def test_training_goes_on_from_converted_weights_and_goes_out(ours, tmp_path):
    stages.run(run_config("tiny_i2v", ours, NETWORKS), workdir=tmp_path / "run")
    before = load_component(str(ours), "generator").params["dit"]
    after = load_component(str(tmp_path / "run"), "generator").params["dit"]
    changes = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, after)
    assert changes["image_embed"]["mlp"]["up"]["kernel"] > 0
    # Of a patch's four cells, each with its 4 latents, 2 of the mask and 4 given latents.
    rows = np.abs(before["patch_embed"]["kernel"] - after["patch_embed"]["kernel"])
    assert (rows.reshape(4, 10, -1).max((0, 2)) > 0).all()
    assert (tmp_path / "run" / "ct" / "samples" / "step_000001.png").is_file()
    to_diffusers.convert(str(tmp_path / "run"), tmp_path / "out")
    pipeline = WanImageToVideoPipeline.from_pretrained(tmp_path / "out")
    kernel = pipeline.transformer.patch_embedding.weight.detach().numpy()
    np.testing.assert_array_equal(
        kernel.transpose(2, 3, 4, 1, 0).reshape(40, -1), after["patch_embed"]["kernel"]
    )


def test_clips_without_their_first_frame_are_refused(ours, tmp_path):
    config = run_config("tiny_i2v", ours, NETWORKS)
    config.tasks.t2v = (0.5,)
    with one_line("an image-to-video model .* expected tasks.t2i and tasks.t2v of"):
        stages.run(config, workdir=tmp_path)
    config.tasks.t2v = (0.0,)
    config.stage = "preference"
    with one_line("has no first frames to give to an image-to-video model"):
        stages.build(config, workdir=tmp_path)
    config.stage = "ct"
    config.init.image = ""
    with one_line("stage 'ct' needs --config.init.image"):
        stages.run(config, workdir=tmp_path)
