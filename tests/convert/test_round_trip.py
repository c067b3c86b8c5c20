"""From diffusers to ours and out again: the same bits, and folders that diffusers loads."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel

from animatrix_jax.convert import files, to_diffusers, to_orbax
from animatrix_jax.errors import UserError
from animatrix_jax.training.weights import load_component


@pytest.fixture(scope="session")
def back(converted, tmp_path_factory):
    """Out of ours again."""
    out = tmp_path_factory.mktemp("back") / "diffusers"
    to_diffusers.convert(str(converted), out)
    return out


@pytest.mark.parametrize("name", ["transformer", "vae", "text_encoder"])
def test_in_and_out_gives_the_same_bits(name, pipeline_folder, back):
    before = files.read_folder(pipeline_folder / name)
    after = files.read_folder(back / name)
    extra = {"encoder.embed_tokens.weight"} & before.keys()
    assert after.keys() == before.keys() - extra
    for key, tensor in after.items():
        assert tensor.dtype == before[key].dtype
        assert np.asarray(tensor).tobytes() == np.asarray(before[key]).tobytes(), key


def test_tags_come_out_and_in_again(converted, back, tmp_path):
    ours = load_component(str(converted), "generator", form="stored")
    assert (back / "animatrix_tags" / "config.json").exists()
    to_orbax.convert(back, tmp_path / "again")
    again = load_component(str(tmp_path / "again"), "generator", form="stored")
    assert again.config == ours.config

    def same(a, b):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))

    import jax

    jax.tree.map(same, ours.params, again.params)
    assert "encoder" in again.params["tags"]


def test_a_folder_whose_tags_are_in_another_order_is_not_sampled(back, tmp_path):
    folder = shutil.copytree(back, tmp_path / "back")
    path = folder / "animatrix_tags" / "config.json"
    config = json.loads(path.read_text())
    config["encoder"]["taxonomy"] = "0" * 16
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="tags 0000"):
        to_orbax.open_pipeline(folder)


def test_wan_pipeline_loads_what_comes_out(back, wan_model):
    pipeline = WanPipeline.from_pretrained(back, dtype=torch.float32)
    assert pipeline.scheduler.config.flow_shift == 3.0
    expected = wan_model.state_dict()
    for name, tensor in pipeline.transformer.state_dict().items():
        assert torch.equal(tensor, expected[name].to(torch.bfloat16).float()), name
    video = pipeline(
        "a girl runs",
        height=16,
        width=16,
        num_frames=5,
        num_inference_steps=2,
        output_type="np",
        max_sequence_length=16,
    ).frames
    assert video.shape == (1, 5, 16, 16, 3) and np.isfinite(video).all()


def test_a_transformer_alone(converted, tmp_path):
    to_diffusers.convert(str(converted), tmp_path, components=["generator"])
    model = WanTransformer3DModel.from_pretrained(tmp_path / "transformer")
    assert model.config.num_layers == 3
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["vae"] == [None, None]
    with pytest.raises(UserError, match="is there already"):
        to_diffusers.convert(str(converted), tmp_path, components=["generator"])


def test_shards_come_out_with_their_index(converted, tmp_path):
    component = load_component(str(converted), "generator", form="stored")
    tensors = {
        path: component.params["dit"][path]["kernel"]
        for path in ("head", "patch_embed")
    }
    files.write_folder(tmp_path, "model", tensors, shard_bytes=1024)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    again = files.read_folder(tmp_path)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(np.asarray(again[name]), np.asarray(tensor))
