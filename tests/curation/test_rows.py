"""Who is heard of a field, and how sure the row then is of it."""

import numpy as np
import pytest

from animatrix_jax.curation.labels import Line
from animatrix_jax.curation.rows import columns, tell
from animatrix_jax.data.split import file_code
from animatrix_jax.knowledge.labels import Label

MEASURED = ["motion.timing=twos", "camera.camera_motion=fix"]


def _told(label=None, caption=None):
    line = None if label is None else Line(name="l:1", label=label)
    if caption is not None:
        tags, confidence = caption
        caption = {"tags": tags, "confidence": confidence}
        caption |= {"summary": "", "description": ""}
    return tell(MEASURED, line, caption, captioner="machine")


def test_a_confidence_is_of_who_claims_the_tag():
    """What the captioner was unsure of, the measures claim, and by their own word."""
    told = _told(
        caption=(["style.line=thin_clean"], {"motion.timing": 0.1, "style.line": 0.9})
    )
    assert "motion.timing=twos" in told.tags
    assert told.confidence == {"style.line": 0.9}
    label = Label(tags=("style.line=thin_clean",), confidence={"motion.timing": 0.2})
    assert _told(label).confidence == {"style.line": 1.0}


def test_how_sure_a_clip_is_of_counts_what_is_not_claimed():
    """A captioner claims what it is sure of: the mean of its claims would say nothing."""
    fields = {"style.line": 0.9, "motion.spacing": 0.3}
    assert _told(caption=(["style.line=thin_clean"], fields)).sure == pytest.approx(0.6)
    label = Label(tags=("motion.spacing=linear",), confidence={})
    assert _told(label, (["style.line=thin_clean"], fields)).sure == pytest.approx(0.95)
    assert _told().sure == 0.0


def test_of_a_field_that_two_claim_the_better_one_is_heard():
    label = Label(tags=("motion.timing=held",), confidence={"motion.timing": 0.6})
    caption = (["motion.timing=ones"], {"motion.timing": 0.9})
    told = _told(label, caption)
    assert "motion.timing=held" in told.tags
    assert told.confidence == {"motion.timing": 0.6}


@pytest.mark.parametrize("caption", [None, (["motion.timing=ones"], {})])
def test_what_a_label_says_unknown_of_nobody_claims(caption):
    label = Label(tags=(), unknown=("motion.timing",))
    told = _told(label, caption)
    assert not any(tag.startswith("motion.timing") for tag in told.tags)
    assert "camera.camera_motion=fix" in told.tags


def test_where_a_labeller_was_not_sure_the_measures_may_speak():
    """As a line that `animatrix caption` writes, and as the captioner's own abstention."""
    line = Label(tags=(), unknown=("motion.timing",), confidence={"motion.timing": 0.3})
    for told in (_told(line), _told(None, ([], {"motion.timing": 0.3}))):
        assert any(tag.startswith("motion.timing=") for tag in told.tags)


def test_columns_say_which_file_a_clip_is_of():
    """In 64 bits of its name, whatever bytes that has, and in the order of the rows."""
    names = ["a.mp4", "deep/b.mp4", "a.mp4", "not \udcff UTF-8.mp4"]
    clip = {"motion": 0.1, "deformation": 0.2, "start": 1.0, "end": 3.0, "aspect": 1.5}
    clip |= {"tier": "B", "tags": ["motion.timing=twos"], "style_cluster": ""}
    found = columns({"source": name} | clip for name in names)["source"]
    assert found.dtype == np.uint64
    assert found.tolist() == [file_code(name) for name in names]
