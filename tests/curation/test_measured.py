"""What measures alone may say."""

import dataclasses

import pytest

from animatrix_jax.curation.measured import measured_tags
from animatrix_jax.data.measures import STILL


@pytest.mark.parametrize(
    ("camera", "grounded", "claimed"),
    [
        (("pan_left",), 0.9, True),
        (("fix",), 0.7, True),
        (("fix",), 0.5, False),
        (("follow",), 0.9, False),
        (("pan_up", "shake"), 0.9, False),
    ],
)
def test_a_camera_is_claimed_where_it_is_sure(camera, grounded, claimed):
    found = dataclasses.replace(STILL, cadence="twos", camera=camera, grounded=grounded)
    moves = [f"camera.camera_motion={move}" for move in camera] if claimed else []
    assert measured_tags(found) == ["motion.timing=twos", *moves]
