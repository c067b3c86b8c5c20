"""Wan 2.2 A14B's two transformers: in and out together, sampled and trained each in its
part of the noise levels."""

import json
import shutil

import jax
import numpy as np
import pytest
import torch
from absl.testing import flagsaver
from diffusers import WanPipeline, WanTransformer3DModel

from animatrix_jax.cli import sample, stages
from animatrix_jax.convert import files, to_diffusers, to_orbax
from animatrix_jax.errors import UserError
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.training.config import base_config
from animatrix_jax.training.weights import load_component
from benchmarks import references

pytestmark = pytest.mark.usefixtures("quick_compile")
BOTH = ("generator", "generator_low")


@pytest.fixture(scope="module")
def folder(tiny_experts, pipeline_folder, tmp_path_factory):
    """The tiny pipeline with a second transformer, of other weights."""
    folder = tmp_path_factory.mktemp("experts") / "source"
    shutil.copytree(pipeline_folder, folder)
    second = references.transformer(tiny_experts.dit, seed=2)
    second.to(torch.bfloat16).save_pretrained(folder / "transformer_2")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"transformer_2": index["transformer"], "boundary_ratio": 0.7}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def ours(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("experts") / "ours"
    sizes = to_orbax.convert(folder, out)
    assert list(sizes) == [*BOTH, "vae", "text"]
    return out


def test_both_come_in_and_go_back(folder, ours, tmp_path):
    for name in BOTH:
        config = load_component(str(ours), name, form="stored").config
        assert config["preset"] == "tiny_experts"
        assert config["model"]["experts"] == {"boundary": 0.7, "guidance_high": 4.0}
    to_diffusers.convert(str(ours), tmp_path / "back")
    differ = []
    for name in ("transformer", "transformer_2"):
        before = files.read_folder(folder / name)
        after = files.read_folder(tmp_path / "back" / name)
        assert after.keys() == before.keys()
        for key, tensor in after.items():
            assert np.asarray(tensor).tobytes() == np.asarray(before[key]).tobytes()
        differ.append(np.asarray(after["proj_out.weight"]))
    assert np.abs(differ[0] - differ[1]).max() > 0.1
    for name in ("animatrix_tags", "animatrix_tags_2"):
        assert (tmp_path / "back" / name / "tags.safetensors").is_file()
    pipeline = WanPipeline.from_pretrained(tmp_path / "back")
    assert pipeline.config.boundary_ratio == 0.7
    assert isinstance(pipeline.transformer_2, WanTransformer3DModel)


def test_one_at_a_time_into_one_folder(folder, ours, tmp_path):
    """From a component's own folder, as Wan's own release has them, or a pipeline."""
    to_orbax.convert(folder / "transformer_2", tmp_path / "out", expert="low")
    to_orbax.convert(folder, tmp_path / "out", components=["generator", "vae", "text"])
    for name in BOTH:
        one = load_component(str(tmp_path / "out"), name, form="stored").params
        both = load_component(str(ours), name, form="stored").params
        kernel, other = (p["dit"]["blocks"]["ffn"]["up"]["kernel"] for p in (one, both))
        assert np.asarray(kernel).tobytes() == np.asarray(other).tobytes()
    to_orbax.convert(folder, tmp_path / "low", expert="low")
    assert not (tmp_path / "low" / "generator").exists()
    for name, place in zip(BOTH, ("transformer", "transformer_2")):
        out = tmp_path / "back"
        to_diffusers.convert(str(ours), out, components=[name])
        assert (out / place / "config.json").is_file()


def test_sample_takes_either_folder_alike(folder, ours, pipeline_folder):
    request = GenerateRequest(prompt="a girl runs", steps=4, frames=3)
    videos = []
    for checkpoint in (folder, ours, pipeline_folder):
        with flagsaver.flagsaver(checkpoint=str(checkpoint)):
            pipeline = sample._pipeline(sample._Clock())
        # Of two, each waits off the device for its turn.
        leaves = jax.tree.leaves(pipeline.params["generator"])
        placed = [isinstance(leaf, jax.Array) for leaf in leaves]
        assert (all if checkpoint == pipeline_folder else any)(placed) == (
            checkpoint == pipeline_folder
        )
        videos.append(pipeline.generate(request).astype(int))
    np.testing.assert_array_equal(videos[0], videos[1])
    assert np.abs(videos[0] - videos[2]).max() > 2


def test_equal_to_wan_pipeline(folder):
    """Latents of 6 steps of UniPC, two of them the high-noise expert's, and the pixels."""
    reference = WanPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline = to_orbax.open_pipeline(folder)
    request = GenerateRequest(
        prompt="a girl runs", negative_prompt="rain", steps=6, solver="unipc"
    )
    config = pipeline.sampler_config(request)
    assert (config.guidance_high, config.guidance.text) == (4.0, 5.0)
    seen = []
    for name in ("transformer", "transformer_2"):
        module = getattr(reference, name)
        module.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: seen.append(name), with_kwargs=True
        )
    noise = references.noise_of(pipeline, seed=3)
    latents = pipeline.sample_latents_for(
        [()],
        [request.prompt],
        seed=3,
        config=config,
        negative_prompt=request.negative_prompt,
    )
    common = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "height": 16,
        "width": 16,
        "num_frames": 5,
        "num_inference_steps": 6,
        "guidance_scale": 4.0,
        "guidance_scale_2": 5.0,
        "max_sequence_length": 16,
        "latents": references.channels_first(noise),
    }
    theirs = reference(**common, output_type="latent").frames
    assert seen == ["transformer"] * 8 + ["transformer_2"] * 4
    theirs = references.channels_last(theirs)
    assert references.relative_error(latents, theirs) <= 1e-5
    pixels = reference(**common, output_type="np").frames
    ours = pipeline.decode(latents).astype(np.float32) / 255
    assert np.abs(ours - pixels).max() <= 0.51 / 255


def test_an_expert_missing_is_named(folder, tmp_path):
    to_orbax.convert(folder, tmp_path / "high", expert="high")
    to_orbax.convert(folder, tmp_path / "low", expert="low")
    with pytest.raises(UserError, match="has no generator_low; .*two experts") as error:
        Pipeline.load(str(tmp_path / "high"))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="has no generator; it has generator_low"):
        Pipeline.load(str(tmp_path / "low"))
    with pytest.raises(UserError, match="--components=generator writes what there is"):
        to_diffusers.convert(str(tmp_path / "high"), tmp_path / "out")
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    index = json.loads((alone / "model_index.json").read_text())
    index["transformer_2"] = [None, None]
    (alone / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="takes generator, generator_low, vae, text"):
        to_orbax.open_pipeline(alone)
    with pytest.raises(UserError, match="has no generator_low"):
        to_orbax.convert(alone, tmp_path / "out", expert="low")


def run_config(ours, expert, **init):
    """A step of one expert's own noise levels, from converted weights."""
    config = base_config("tiny_experts", "ct", stages={"ct": {}})
    config.update(
        {
            "data": {"clips": 4, "held_out": 2, "workers": 0},
            "batch": {"size": 2},
            "loop": {"steps": 1, "checkpoint_every": 1},
            "optimizer": {"ema_decay": 0.0, "warmup_steps": 0},
        }
    )
    config.model.experts.boundary = 0.7
    config.flow.update({"high": {"low": 0.7}, "low": {"high": 0.7}}[expert])
    config.init.update(dict.fromkeys((*BOTH, "vae", "text"), str(ours)) | init)
    return config


def test_each_is_trained_alone_and_both_go_out(ours, folder, tmp_path):
    """The low-noise run samples with the trained high-noise one, and exports both."""
    high, low = tmp_path / "high", tmp_path / "low"
    stages.run(run_config(ours, "high"), workdir=high)
    stages.run(run_config(ours, "low", generator=str(high)), workdir=low)
    assert (low / "ct" / "samples" / "step_000001.mp4").is_file()
    before = {name: load_component(str(ours), name).params for name in BOTH}
    trained = [
        ("generator", load_component(str(high), "generator")),
        ("generator_low", load_component(str(low), "generator_low")),
    ]
    for name, part in trained:
        moved = part.params["dit"]["head"]["bias"] - before[name]["dit"]["head"]["bias"]
        assert np.abs(moved).max() > 0, name
    other = load_component(str(low), "generator")
    assert other.source == str(high / "ct")
    to_diffusers.convert(str(low), tmp_path / "out")
    for (_, part), place in zip(trained, ("transformer", "transformer_2")):
        bias = files.read_folder(tmp_path / "out" / place)["proj_out.bias"]
        np.testing.assert_array_equal(bias, part.params["dit"]["head"]["bias"])
    pipeline = WanPipeline.from_pretrained(tmp_path / "out")
    assert pipeline.transformer_2 is not None
    video = Pipeline.load(str(low)).generate(GenerateRequest(steps=2, frames=3))
    assert video.std() > 1


def test_noise_levels_of_both_are_refused(ours, tmp_path):
    config = run_config(ours, "high")
    config.flow.low = 0.0
    with pytest.raises(UserError, match="two experts, above and below noise level 0.7"):
        stages.run(config, workdir=tmp_path)
