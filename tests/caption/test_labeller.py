"""Captions, and the label lines that are made of them."""

import sys

import pytest

from animatrix_jax.caption.labeller import Caption, agreeing, load_labeller
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.directive import parse_directive
from animatrix_jax.knowledge.labels import parse_label

CAPTION = Caption(
    tags=("motion.timing=twos", "camera.camera_motion=pan_left"),
    confidence={
        "motion.timing": 0.91,
        "camera.camera_motion": 0.8,
        "motion.spacing": 0.3,
    },
    summary='A girl says "おはよう" <here>.',
    description="She & he.",
)


def test_a_line_is_read_back_as_the_label():
    read = parse_label(CAPTION.line(video="a.mp4", start=0.5, end=1.5))
    assert read == CAPTION.label(video="a.mp4", start=0.5, end=1.5)


def test_what_is_not_claimed_is_said_to_be_unknown():
    assert CAPTION.unknown == ("motion.spacing",)
    assert '"motion.spacing=unknown"' in CAPTION.line()
    assert parse_label(CAPTION.line()).confidence["motion.spacing"] == 0.3


def test_a_caption_is_a_directive():
    read = parse_directive(CAPTION.directive())
    assert (read.tags, read.summary) == (CAPTION.tags, CAPTION.summary)


def test_of_claims_that_exclude_each_other_the_surer_stays():
    still = ("vfx.impact=none", 0.4), ("vfx.impact=flash", 0.7)
    assert agreeing((*still, ("motion.timing=ones", 0.5))) == (
        "motion.timing=ones",
        "vfx.impact=flash",
    )


def test_a_name_of_nothing_is_refused():
    with pytest.raises(UserError, match="no labeller"):
        load_labeller("")


def test_a_missing_extra_is_one_line(monkeypatch):
    """Whichever of its packages is not there."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    for name in ("vlm", "vlm_schema"):
        monkeypatch.delitem(sys.modules, f"animatrix_jax.caption.{name}", raising=False)
    with pytest.raises(UserError, match=r"vlm:some needs the extra vlm: pip install"):
        load_labeller("vlm:some")
