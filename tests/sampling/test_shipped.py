"""`nano` as it ships: small enough, whole, and its tags do what they say."""

import numpy as np
import pytest

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.evaluation.run import encode_clips
from animatrix_jax.judge.scoring import Scorer
from animatrix_jax.knowledge.tags import parse_tags
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.training.weights import PACKAGED, load_component

PROMPT = "A girl with pink twintails talks against a plain white background."
ASKED = {
    "still": "camera.camera_motion=fix,vfx.elemental=none",
    "left": "camera.camera_motion=pan_left,vfx.elemental=none",
    "right": "camera.camera_motion=pan_right,vfx.elemental=none",
    "fire": "camera.camera_motion=fix,vfx.elemental=fire",
    "full": "camera.camera_motion=fix,vfx.elemental=none,camera.shot_size=full",
}


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline.load("nano")


@pytest.fixture(scope="module")
def clips(pipeline):
    """One noise and one sentence under other tags, in fewer steps than its own."""
    config = pipeline.sampler_config(GenerateRequest(steps=12))
    latents = [
        pipeline.sample_latents_for([parse_tags(tags)], [PROMPT], seed=3, config=config)
        for tags in ASKED.values()
    ]
    return dict(zip(ASKED, pipeline.decode(np.concatenate(latents)).astype(float)))


def _centre(frame):
    """Where the figure stands on white, in columns."""
    ink = (255 - frame).sum(axis=-1)
    return float((ink.sum(axis=0) * np.arange(frame.shape[1])).sum() / ink.sum())


def test_all_of_it_is_in_32_megabytes():
    files = [path for path in (PACKAGED / "nano").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 32e6
    for name in ("vae", "text", "generator", "judge", "caption"):
        assert load_component("nano", name).params
    assert (PACKAGED / "nano" / "README.md").stat().st_size > 1000


def test_a_pan_moves_the_scene_the_other_way(clips):
    moved = {name: _centre(clip[-1]) - _centre(clip[0]) for name, clip in clips.items()}
    assert moved["left"] > 4 and moved["right"] < -4
    assert abs(moved["still"]) < min(moved["left"], -moved["right"])


def test_fire_burns_and_a_full_shot_leaves_more_white(clips):
    def orange(clip):
        red, green, blue = np.moveaxis(clip, -1, 0)
        return float(np.mean((red > 180) & (red - blue > 80) & (green > blue)))

    def white(clip):
        return float(np.mean(clip.min(axis=-1) > 235))

    assert orange(clips["fire"]) > 3 * orange(clips["still"]) + 0.02
    assert white(clips["full"]) > white(clips["still"]) + 0.1


def test_its_code_keeps_a_drawing(pipeline):
    world = CelWorld(
        seed=5, size=6, height=64, width=64, frames=17, split="test", odds="series"
    )
    clips = np.stack([world[n].video for n in range(6)])
    kept = pipeline.decode(encode_clips(pipeline, clips))
    error = np.square(clips.astype(float) - kept).mean(axis=(1, 2, 3, 4))
    assert np.mean(10 * np.log10(255**2 / error)) > 22


def test_its_judge_tells_a_broken_drawing(pipeline):
    world = CelWorld(
        seed=9, size=32, height=64, width=64, frames=17, split="test", odds="series",
        defects="paired",
    )  # fmt: skip
    drawn = [world[n] for n in range(32)]
    latents = encode_clips(pipeline, np.stack([clip.video for clip in drawn]))
    told = Scorer.load("nano")(latents, [clip.tags for clip in drawn]).mean(axis=1)
    truth = np.array([clip.scores.mean() for clip in drawn])
    gap, found = truth[::2] - truth[1::2], told[::2] - told[1::2]
    clear = np.abs(gap) > 0.5
    assert clear.sum() > 5
    assert np.mean(np.sign(gap[clear]) == np.sign(found[clear])) > 0.6
