"""The stage that learns to read the measures, at toy size."""

import dataclasses
import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.cli import stages
from animatrix_jax.curation import measuring
from animatrix_jax.data.measures import evidence_of, readout
from animatrix_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]


def _config():
    spec = importlib.util.spec_from_file_location("c", ROOT / "configs/measures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("smoke")
    config.loop.compile_cache = False
    return config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a few steps: its folder and summary."""
    folder = tmp_path_factory.mktemp("measures")
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    summary = stages.run(_config(), workdir=folder)
    jax.config.update("jax_disable_most_optimizations", before)
    return folder, summary


def test_the_loop_trains_it_and_it_leaves_its_weights(trained):
    folder, summary = trained
    assert summary["loss_last"] < summary["loss_first"]
    params = readout.load(folder / "measures" / "readout.npz")
    fresh = readout.init(np.random.default_rng(0))
    assert {k: set(v) for k, v in params.items()} == {
        k: set(v) for k, v in fresh.items()
    }
    assert np.abs(params["say"]["kernel"]).max() > 0


def test_a_batch_has_the_shapes_that_it_says(trained):
    folder, _ = trained
    stage = stages.build(_config(), workdir=folder)
    said = stage.step_shapes().batch
    batch = next(iter(stage.batches()))
    assert {k: (v.shape, v.dtype) for k, v in said.items()} == {
        k: (v.shape, v.dtype) for k, v in batch.items()
    }


def test_evidence_in_the_mirror_is_that_of_the_mirrored_clip():
    tags = "camera.camera_motion=pan_left,style.background=painted,vfx.vfx_level=none"
    world = CelWorld(seed=3, size=4, height=96, width=96, frames=5, tags=tags)
    gaps = []
    for clip in (world[index] for index in range(4)):
        ours, theirs = (
            dataclasses.asdict(evidence_of(np.ascontiguousarray(v)))
            for v in (clip.video, clip.video[:, :, ::-1])
        )
        made = {"mirrored": readout.mirrored(ours), "plain": ours}
        gaps.append(
            {
                (name, way): np.abs(found[name] - theirs[name]).mean()
                for way, found in made.items()
                for name in ("cells", "pairs")
            }
        )
    for name in ("cells", "pairs"):
        # The flow of a mirrored picture is the mirrored flow but for its own noise.
        mirrored, plain = (
            np.mean([gap[name, way] for gap in gaps]) for way in ("mirrored", "plain")
        )
        assert mirrored < 0.5 * plain, name


def test_the_truth_is_in_frame_heights_a_frame():
    tags = "camera.camera_motion=pan_left,motion.motion_style=still,vfx.vfx_level=none"
    size = {"height": measuring.TRUTH_HEIGHT, "width": measuring.TRUTH_HEIGHT}
    clip = CelWorld(seed=1, size=4, frames=9, tags=tags, truth=True, **size)[0]
    true = measuring.true_measures(clip)
    across = np.abs(clip.truth.flow[..., 0])[clip.truth.visible].mean() / 64
    assert true.motion.mean() == pytest.approx(across, rel=0.5)
    assert true.deformation.max() < 0.2 * true.motion.mean() + 1e-3


def test_it_may_begin_with_weights_that_are_there(tmp_path):
    config = _config()
    config.measuring.begin = str(readout.WEIGHTS)
    begun = stages.build(config, workdir=tmp_path).initial()["readout"]
    kept = readout.packaged()
    jax.tree.map(np.testing.assert_array_equal, begun, kept)
    (tmp_path / "empty.npz").touch()
    readout.save(tmp_path / "part.npz", {"where": kept["where"]})
    for name, said in (
        ("none.npz", "cannot read"),
        ("empty.npz", "cannot read"),
        ("part.npz", "holds no weights of this readout"),
    ):
        config.measuring.begin = str(tmp_path / name)
        with pytest.raises(UserError, match=f"measuring.begin: .*{said}|{said}"):
            stages.build(config, workdir=tmp_path).initial()
