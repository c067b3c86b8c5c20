"""The same clip under other directives: what changes, what it is worth, what is left."""

import numpy as np
import pytest

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.knowledge.counterfactual import (
    DIRECTIVES,
    asking_for,
    directives,
    others,
    shown,
)
from animatrix_jax.knowledge.tags import field_of, parse_tags

SMEAR = parse_tags("motion.deformation=smear,motion.deform_level=2,motion.timing=twos")
FINE = np.array([5.0, 4.0, 5.0, 5.0])


def test_a_smear_under_other_directives():
    found = directives(SMEAR, FINE)
    asked = [shown(tags) for tags in found.tags[:5]]
    assert asked == [
        ("smear",),
        ("multiples",),
        ("squash_stretch",),
        ("chibi_shift",),
        (),
    ]
    assert found.tags[0] == SMEAR and found.tags[5] == SMEAR
    np.testing.assert_allclose(found.weights, [1, 0.25, 0.25, 0.25, 0.25, 0])
    motion = 5 - 4 * 0.7  # level 2
    np.testing.assert_allclose(found.scores[:, 3], [5, *4 * [motion], 5], rtol=1e-6)
    np.testing.assert_array_equal(
        found.scores[:, :3], np.tile(FINE[:3], (DIRECTIVES, 1))
    )
    assert "motion.deform_level=0" in found.tags[4]


def test_a_level_is_said_where_the_clip_says_one():
    """Else whoever reads it would know which directive is the clip's own."""
    found = directives(("motion.deformation=smear",), FINE)
    assert found.tags[1] == ("motion.deformation=multiples",)
    assert {len(tags) for tags in found.tags} == {1}


def test_a_worse_defect_stays_the_worse():
    broken = np.array([5.0, 5.0, 5.0, 1.5])
    assert directives(SMEAR, broken).scores[1, 3] == pytest.approx(1.5)


@pytest.mark.parametrize("tags", ["", "motion.deformation=none,motion.timing=twos"])
def test_what_shows_no_deformation_has_its_own_directive_alone(tags):
    own = parse_tags(tags)
    found = directives(own, FINE)
    np.testing.assert_array_equal(found.weights, np.eye(DIRECTIVES)[0])
    assert set(found.tags) == {own}


def test_every_deformation_of_the_world_can_be_asked_otherwise():
    """Nothing but the deformation changes, and the tags stay possible together."""
    world = CelWorld(seed=3, size=200, odds="bending")
    kinds = set()
    for index in range(len(world)):
        tags = world.spec(index).tags
        kinds |= set(shown(tags))
        for kind in others(tags):
            asked = asking_for(tags, kind)
            assert parse_tags(asked) == asked and shown(asked) != shown(tags)
            changed = {field_of(tag) for tag in set(asked) ^ set(tags)}
            assert changed <= {"motion.deformation", "motion.deform_level"}
    assert {"smear", "multiples", "squash_stretch", "chibi_shift"} <= kinds


def test_what_no_clip_shows_is_not_asked_for_in_place_of_another():
    smear = ("motion.deformation=smear", "motion.deform_level=2")
    assert "chibi_shift" in others(smear)
    assert "chibi_shift" not in others((*smear, "camera.camera_motion=orbit"))
    assert "multiples" not in others((*smear, "camera.shot_size=extreme_close_up"))
