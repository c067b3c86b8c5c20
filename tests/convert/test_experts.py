"""Wan 2.2 A14B's two transformers: each converts on its own, and both go back as one."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from diffusers import WanPipeline

from animatrix_jax.convert import files, to_diffusers, to_orbax
from animatrix_jax.errors import UserError
from animatrix_jax.models import presets
from animatrix_jax.models.presets import Experts
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.training.lazy import lazy
from animatrix_jax.training.weights import load_component


@pytest.fixture(scope="module")
def folder(tiny, pipeline_folder, tmp_path_factory):
    """The tiny pipeline with a second transformer, whose head is another."""
    folder = tmp_path_factory.mktemp("experts") / "source"
    shutil.copytree(pipeline_folder, folder)
    shutil.copytree(folder / "transformer", folder / "transformer_2")
    held = files.read_folder(folder / "transformer")
    held["proj_out.bias"] = lazy(np.asarray(held["proj_out.bias"]) * 2)
    for path in (folder / "transformer_2").glob("*.safetensors*"):
        path.unlink()
    files.write_folder(folder / "transformer_2", "diffusion_pytorch_model", held)
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"transformer_2": index["transformer"], "boundary_ratio": 0.875}
    (folder / "model_index.json").write_text(json.dumps(index))
    model = dataclasses.replace(
        tiny, experts=Experts(boundary=0.875, guidance_high=4.0)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny_experts", lambda: model)
        yield folder


def test_one_must_be_named(folder, tmp_path):
    with pytest.raises(
        UserError, match="two transformers.*--expert=high or --expert=low"
    ):
        to_orbax.convert(folder, tmp_path / "out")
    sizes = to_orbax.convert(folder, tmp_path / "out", components=["vae"])
    assert list(sizes) == ["vae"]
    with pytest.raises(UserError, match="sampling with two experts is not there yet"):
        to_orbax.open_pipeline(folder)


def test_each_on_its_own_and_both_back(folder, tmp_path):
    heads = {}
    for expert in ("high", "low"):
        out = tmp_path / expert
        components = ["generator"] if expert == "low" else []
        to_orbax.convert(folder, out, expert=expert, components=components)
        part = load_component(str(out), "generator")
        assert part.config["expert"] == expert
        assert part.config["preset"] == "tiny_experts"
        assert part.config["model"]["experts"]["boundary"] == 0.875
        heads[expert] = part.params["dit"]["head"]["bias"]
        to_diffusers.convert(str(out), tmp_path / "back", components=components)
    np.testing.assert_array_equal(heads["low"], 2 * heads["high"])
    with pytest.raises(UserError, match="the high-noise one of two experts"):
        Pipeline.load(str(tmp_path / "high"))
    for name in ("transformer", "transformer_2"):
        before = files.read_folder(folder / name)
        after = files.read_folder(tmp_path / "back" / name)
        assert after.keys() == before.keys()
        for key, tensor in after.items():
            assert np.asarray(tensor).tobytes() == np.asarray(before[key]).tobytes()
    for name in ("animatrix_tags", "animatrix_tags_2"):
        assert (tmp_path / "back" / name / "tags.safetensors").is_file()
    pipeline = WanPipeline.from_pretrained(tmp_path / "back")
    assert pipeline.config.boundary_ratio == 0.875
    assert pipeline.transformer_2 is not None
