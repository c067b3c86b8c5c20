"""Label lines are read whole or refused in one line."""

import json
import os

import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.labels import HEADS, Label, parse_label

LINE = {
    "video": "a.mp4",
    "start": 0,
    "end": 1.5,
    "tags": ["vfx.lines=unknown", "motion.deformation=obake"],
    "confidence": {"motion.deformation": 0.9},
    "summary": "A cat.",
    "description": "It leaps.",
    "scores": dict(zip(HEADS, (5, 4.5, 4, 2))),
}


def test_a_whole_line():
    assert parse_label(json.dumps(LINE)) == Label(
        tags=("motion.deformation=multiples",),
        video="a.mp4",
        start=0.0,
        end=1.5,
        confidence={"motion.deformation": 0.9},
        summary="A cat.",
        description="It leaps.",
        scores=(5.0, 4.5, 4.0, 2.0),
        unknown=("vfx.lines",),
    )


def test_tags_alone_will_do():
    assert parse_label('{"tags": []}') == Label(tags=())
    assert parse_label('{"tags": [], "clip": 3}') == Label(tags=())
    assert parse_label('{"tags": [], "scores": null, "source": "x"}') == Label(tags=())


def test_fields_of_which_nothing_is_known():
    tags = ["Motion.Timing = Unknown", "vfx.lines=unknown", "vfx.lines=speed_lines"]
    label = parse_label(json.dumps({"tags": tags}))
    assert label.unknown == ("motion.timing",)
    assert label.tags == ("vfx.lines=speed_lines",)


def test_scores_go_by_name_or_in_order():
    turned = dict(reversed(LINE["scores"].items()))
    for scores in (turned, [5, 4.5, 4, 2]):
        label = parse_label(json.dumps({"tags": [], "scores": scores}))
        assert label.scores == (5.0, 4.5, 4.0, 2.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tags": ["motion.timing=two"]}, "motion.timing=twos"),
        ({"tags": "motion.timing=twos"}, "tags: expected a list"),
        ({"tags": None}, "tags: expected a list"),
        ({"tags": [3]}, "tags: expected a list"),
        ({"start": 2}, "end must come after start, got 2 to 1.5"),
        ({"end": "late"}, "end: expected seconds"),
        ({"start": -1}, "start: expected seconds"),
        ({"start": True}, "start: expected seconds"),
        ({"end": float("nan")}, "end: expected seconds"),
        ({"confidence": {"motion.timming": 1}}, "no field 'motion.timming'"),
        ({"confidence": {"motion.timing": 1.1}}, "expected 0 to 1, got 1.1"),
        ({"confidence": [1]}, "expected an object by field"),
        ({"summary": 5}, "summary: expected text"),
        ({"scores": [1, 2, 3]}, "expected 4 numbers from 1 to 5, got [1, 2, 3]"),
        ({"scores": [1, 2, 3, 5.1]}, "expected 4 numbers from 1 to 5"),
        ({"scores": [0.9, 2, 3, 5]}, "expected 4 numbers from 1 to 5"),
        ({"scores": [1, 2, 3, True]}, "expected 4 numbers from 1 to 5"),
        ({"scores": 4}, "expected 4 numbers from 1 to 5, got 4"),
        ({"scores": dict.fromkeys(HEADS, float("nan"))}, "from 1 to 5"),
        ({"scores": {"face": 5}}, "line_continuity, motion_coherence, got 'face'"),
        ({"score": [1, 2, 3, 4]}, "unknown key 'score'; nearest: scores"),
        ({"summary": "a \ud800 b"}, "summary: no text: half of a surrogate pair at"),
        ({"description": "\udce9"}, "description: no text"),
        ({"video": "a\0.mp4"}, "video: no file can have the name 'a\\x00.mp4'"),
        ({"video": "\ud800.mp4"}, "video: no file can have the name '\\ud800.mp4'"),
        ({"start": 10**400}, "start: expected seconds from 0 on, got 1000"),
        ({"end": 10**4000}, "end: expected seconds from 0 on, got 1000"),
        ({"confidence": {"motion.timing": 10**400}}, "expected 0 to 1, got 1000"),
        ({"scores": [10**400, 2, 3, 4]}, "expected 4 numbers from 1 to 5"),
        ({"scores": {"\ud800": 5}}, "got '\\ud800'"),
        ({"tags": ["\ud800"]}, "unknown tag '\\ud800'"),
        ({"descripton": "x"}, "unknown key 'descripton'; nearest: description"),
    ],
)
def test_bad_lines(change, expected):
    with pytest.raises(UserError) as caught:
        parse_label(json.dumps(LINE | change))
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value).encode("utf-8")) < 400


def test_a_file_name_that_is_not_utf8_is_one():
    label = parse_label('{"video": "caf\\udce9.mp4", "tags": []}')
    assert os.fsencode(label.video) == b"caf\xe9.mp4"


@pytest.mark.parametrize("line", ["{", "[]", "3", ""])
def test_not_an_object(line):
    with pytest.raises(UserError):
        parse_label(line)
