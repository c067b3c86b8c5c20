"""The truth of a clip: layers that tile it, a cadence that is its tags', defects."""

import dataclasses

import numpy as np
import pytest

from animatrix_jax.cels.defects import Defect
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.cels.truth import EFFECT_LAYER, FIGURE_LAYER, true_clip
from animatrix_jax.cels.world import CelWorld

SIZE = {"height": 48, "width": 64}
QUIET = (
    "vfx.vfx_level=none",
    "vfx.composite=none",
    "style.era=modern_digital",
    "camera.shot_size=full",
    "camera.angle=eye",
)


def clip(*tags, index=2, frames=9, defects=()):
    spec = draw_spec(seed=0, index=index, tags=(*QUIET, *tags), frames=frames)
    return true_clip(dataclasses.replace(spec, defects=defects), **SIZE)


def test_a_world_gives_it_only_where_it_is_asked():
    plain, told = (CelWorld(frames=3, truth=truth)[1] for truth in (False, True))
    assert plain.truth is None and plain.flow is None
    assert (plain.video == told.video).all()
    truth = told.truth
    assert (truth.flow == told.flow).all() and (truth.visible == told.visible).all()
    assert truth.layers.shape == (3, 32, 32) and truth.energy.shape == (2,)
    with pytest.raises(ValueError, match="still"):
        CelWorld(still=True, truth=True)


def test_layers_cover_the_picture():
    _, truth = clip("style.background=painted", "motion.deformation=none")
    found = set(np.unique(truth.layers))
    assert FIGURE_LAYER in found and len(found - {0, FIGURE_LAYER, EFFECT_LAYER}) >= 1
    assert (truth.layers == 0).mean() < 0.1
    assert 0.02 < (truth.layers == FIGURE_LAYER).mean() < 0.6
    _, rainy = true_clip(
        draw_spec(seed=0, index=2, tags=("vfx.elemental=rain",), frames=3), **SIZE
    )
    assert (rainy.layers == EFFECT_LAYER).mean() > 0.01


@pytest.mark.parametrize(
    ("timing", "stay"), [("ones", 1), ("twos", 2), ("threes", 3), ("fours_plus", 4)]
)
def test_cadence_is_the_timing(timing, stay):
    _, truth = clip(f"motion.timing={timing}", frames=12)
    assert truth.exposure.tolist() == [stay] * 12
    assert np.flatnonzero(truth.new_drawing).tolist() == list(range(0, 12, stay))


def test_a_held_drawing_does_not_deform_and_a_camera_is_no_deformation():
    _, still = clip(
        "motion.motion_style=still",
        "style.background=painted",
        "camera.camera_motion=pan_left",
        "camera.depth=multiplane",
    )
    assert np.abs(still.flow).max() > 0.3
    assert still.energy.max() < 1e-3 and still.deformation.max() < 0.05
    assert still.new_drawing.tolist() == [True] + [False] * 8
    _, dance = clip(
        "motion.motion_style=dance", "motion.timing=ones", "motion.amplitude=extreme"
    )
    assert dance.energy.mean() > 5e-3


def test_deformed_frames_are_the_smeared_ones():
    _, none = clip("motion.deformation=none")
    assert not none.deformed.any()
    _, smear = clip("motion.deformation=smear", "motion.motion_style=dash")
    assert 0 < smear.deformed.sum() < 9 and not smear.deformed[0]


def test_defects_are_where_they_are():
    sound = clip("motion.motion_style=dialogue", frames=5)[1]
    assert not sound.defects.any()
    lost = Defect(
        family="limb_structure", kind="missing_limb", severity=1.0, start=2, key=3
    )
    video, truth = clip("motion.motion_style=dialogue", frames=5, defects=(lost,))
    assert not truth.defects[:2].any()
    share = truth.defects[2:].mean()
    assert 0.001 < share < 0.2
    assert video.shape == (5, 48, 64, 3)
