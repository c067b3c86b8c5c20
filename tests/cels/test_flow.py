"""True flow explains the pixels."""

import cv2
import numpy as np
import pytest

from animatrix_jax.cels.flow import true_flow
from animatrix_jax.cels.spec import draw_spec

SIZE = 128
CASES = [
    ("motion.motion_style=run", "camera.camera_motion=follow"),
    ("motion.motion_style=dance", "camera.camera_motion=fix"),
    ("motion.motion_style=still", "camera.camera_motion=truck_up"),
    ("motion.motion_style=daily_acting", "camera.camera_motion=pan_right"),
    ("motion.motion_style=jump_fly", "camera.camera_motion=roll"),
    ("motion.motion_style=melee", "camera.angle=low"),
]


PLAIN = (
    "vfx.vfx_level=none",
    "vfx.composite=none",
    "style.era=modern_digital",
)


@pytest.mark.parametrize("index, tags", list(enumerate(CASES)))
def test_warping_by_the_flow_explains_the_frame(index, tags):
    spec = draw_spec(seed=0, index=index, tags=(*PLAIN, *tags), frames=9)
    truth = true_flow(spec, height=SIZE, width=SIZE)
    video = truth.video.astype(np.float32)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    errors, still = [], []
    for t in range(len(truth.flow)):
        goal_x, goal_y = x + truth.flow[t, ..., 0], y + truth.flow[t, ..., 1]
        warped = cv2.remap(video[t + 1], goal_x, goal_y, cv2.INTER_LINEAR)
        seen = truth.visible[t]
        errors.append(np.abs(warped - video[t])[seen].mean())
        still.append(np.abs(video[t + 1] - video[t])[seen].mean())
    assert np.mean(errors) < 6
    assert np.mean(errors) < 0.75 * np.mean(still)
    assert truth.visible.mean() > 0.4


def test_effects_hide_what_they_cover():
    tags = ("vfx.impact=flash", "camera.camera_motion=fix", "vfx.elemental=none")
    tags += ("vfx.lines=none", "vfx.manpu=none", "vfx.energy=none")
    tags += ("style.background=painted",)  # white stays white under a flash
    spec = draw_spec(seed=0, index=1, tags=(*tags, *PLAIN[1:]))
    truth = true_flow(spec, height=48, width=48)
    hit = spec.effects.hit
    assert truth.visible[hit].mean() < 0.1
    assert truth.visible[hit - 1].mean() < 0.1
    assert truth.visible[0].mean() > 0.4


def test_a_pan_over_a_still_is_one_vector():
    spec = draw_spec(
        seed=0,
        index=3,
        tags=(
            "motion.motion_style=still",
            "camera.camera_motion=pan_left",
            "camera.camera_speed=slow",
            "camera.depth=single_plane",
            "camera.angle=eye",
            "vfx.vfx_level=none",
        ),
    )
    truth = true_flow(spec, height=64, width=64)
    vectors = truth.flow[truth.visible]
    assert vectors[:, 0].min() > 0 and np.ptp(vectors[:, 0]) < 0.01
    assert np.abs(vectors[:, 1]).max() < 0.01
