"""The benchmark of the measures: its truth, and its codec."""

import numpy as np
import pytest

from animatrix_jax.cels.world import CelWorld
from benchmarks import measures


def _clip(tags: str):
    world = CelWorld(
        seed=3, size=4, height=64, width=64, frames=9, tags=tags, truth=True
    )
    return world[0]


def test_a_held_drawing_has_no_true_motion():
    tags = "motion.motion_style=still,camera.camera_motion=fix,vfx.vfx_level=none"
    found = measures.truth(_clip(tags))
    assert found.motion < 1e-9 and found.deformation < 1e-9


def test_a_pan_over_a_held_drawing_is_true_motion_and_no_deformation():
    clip = _clip(
        "motion.motion_style=still,camera.camera_motion=pan_left,vfx.vfx_level=none,"
        "camera.depth=single_plane,camera.camera_speed=slow"
    )
    found = measures.truth(clip)
    speed = clip.spec.camera.distance / (clip.spec.frames - 1)
    assert found.motion == pytest.approx(speed, rel=0.05)
    assert found.deformation < 0.02 * found.motion


def test_the_codec_gives_the_frames_back_at_a_low_bitrate():
    clean = "vfx.vfx_level=none,vfx.composite=none,style.era=modern_digital"
    video = _clip(f"motion.motion_style=dance,{clean}").video
    low, high = (measures.compress(video, crf=crf) for crf in (40, 20))
    assert low.video.shape == high.video.shape == video.shape
    assert low.kilobits < 0.6 * high.kilobits
    error = [np.abs(c.video.astype(int) - video).mean() for c in (low, high)]
    assert error[1] < error[0] < 20
