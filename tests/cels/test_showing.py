"""A defect counts where it can be seen: in the frame, from when it begins."""

import dataclasses

import numpy as np
import pytest

from animatrix_jax.cels.defects import FAMILIES, UNASKED, Defect
from animatrix_jax.cels.render import render
from animatrix_jax.cels.showing import showing
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.cels.world import CelWorld

SIZE = {"height": 48, "width": 48}
FAMILY = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
LEGS = 1  # the key of a defect of the legs


def clip(shot, *defects):
    tags = (f"camera.shot_size={shot}", "motion.motion_style=walk")
    spec = draw_spec(seed=0, index=3, frames=9, tags=tags)
    return dataclasses.replace(spec, defects=defects)


def defect(kind, *, start=0, key=LEGS):
    family = FAMILY.get(kind, "motion_coherence")
    return Defect(family=family, kind=kind, severity=0.9, start=start, key=key)


def seen(spec):
    return [found.kind for found in showing(spec, render(spec, **SIZE))]


def test_a_leg_is_missed_where_legs_are_in_the_frame():
    assert seen(clip("full", defect("missing_limb"))) == ["missing_limb"]
    assert seen(clip("close_up", defect("missing_limb"))) == []
    both = (defect("displaced_eye"), defect("missing_limb"))
    assert seen(clip("close_up", *both)) == ["displaced_eye"]


def test_motion_and_tags_show_anywhere():
    shown = ("teleport", "jitter", UNASKED)
    for shot in ("close_up", "full"):
        assert seen(clip(shot, *map(defect, shown))) == list(shown)


@pytest.mark.parametrize("number, found", [(2, []), (8, ["missing_limb"])])
def test_a_still_shows_what_has_begun(number, found):
    spec = clip("full", defect("missing_limb", start=4))
    still = render(spec, **SIZE, only=number)
    kinds = [one.kind for one in showing(spec, still, numbers=(number,))]
    assert kinds == found


def test_the_world_scores_what_shows():
    tags = ("camera.shot_size=close_up",)
    world = CelWorld(defects="random", seed=2, tags=tags, frames=9, **SIZE)
    hidden = 0
    for index in range(40):
        clip = world[index]
        seen = showing(clip.spec, clip.video)
        expected = np.full(4, 5.0)
        for one in seen:
            expected[list(FAMILIES).index(one.family)] = 5 - 4 * one.severity
        np.testing.assert_allclose(clip.scores, expected, rtol=1e-6)
        hidden += len(clip.defects) - len(seen)
    assert hidden >= 3
