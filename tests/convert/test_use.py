"""What was converted is sampled and trained from, and so is a folder of diffusers."""

import jax
import numpy as np
import pytest
from absl.testing import flagsaver

from animatrix_jax.cli import sample
from animatrix_jax.parallel import sharding
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.training.config import base_config
from animatrix_jax.training.stages.towers import Towers
from animatrix_jax.training.weights import load_component


def test_sample_takes_either_folder_alike(pipeline_folder, converted):
    request = GenerateRequest(
        prompt="a girl runs", tags=("motion.motion_style=run",), steps=1, frames=3
    )
    videos = []
    for folder in (pipeline_folder, converted):
        with flagsaver.flagsaver(checkpoint=str(folder)):
            videos.append(sample._pipeline(sample._Clock()).generate(request))
    np.testing.assert_array_equal(*videos)
    assert videos[0].std() > 1


def test_training_starts_from_converted_weights(tiny, converted, tmp_path):
    """Straight onto the mesh in fp32: only what a device holds is read for it."""
    config = base_config("tiny", "ct", stages={"ct": {}})
    config.init.update(dict.fromkeys(("generator", "vae", "text"), str(converted)))
    towers = Towers(config, workdir=tmp_path)
    assert towers.vae_config == tiny.vae
    tokens = towers.tokenizer.encode(["a girl runs"], 8).tokens
    assert 0 < tokens.max() < tiny.text.vocab_size
    start = towers.initial("generator")
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    placed = sharding.put(start, sharding.tree_shardings(start, mesh))
    expected = load_component(str(converted), "generator").params
    jax.tree.map(np.testing.assert_array_equal, placed["generator"], expected)
    kernel = placed["generator"]["dit"]["blocks"]["ffn"]["up"]["kernel"]
    assert kernel.dtype == np.float32 and kernel.shape == (3, 32, 64)
    assert set(towers.digests()) == {"generator", "vae", "text"}


@pytest.mark.parametrize("part", ["generator", "vae", "text"])
def test_a_part_that_is_not_there_is_named(part, converted, tmp_path):
    (tmp_path / "some").mkdir()
    for name in {"generator", "vae", "text"} - {part}:
        (tmp_path / "some" / name).symlink_to(converted / name)
    with pytest.raises(ValueError, match=f"has no {part}; it has"):
        load_component(str(tmp_path / "some"), part)
