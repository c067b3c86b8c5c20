"""Specs: pure, the same everywhere, with valid tags that do as demanded."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from animatrix_jax.cels.casting import SERIES, USUAL
from animatrix_jax.cels.narrative import narrate
from animatrix_jax.cels.odds import ODDS
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rarities import WEIGHTS
from animatrix_jax.cels.shows import FEW_DRAWINGS, SEEN_IN, unseen
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.cels.tagging import draw_tags, join_tags
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.tags import parse_tags

# A clip of a seed must never change: data sets, caches and papers lean on it. If it
# has to, say so in the changelog and record the digest anew.
DIGEST = "dc67e864480b6ade2ea7cb3033b1937a5d8e88f9351d04d8b0c00b90a7cbc5f1"


def _plain(spec) -> str:
    return json.dumps(dataclasses.asdict(spec), sort_keys=True)


def test_recorded_digest():
    text = "".join(_plain(draw_spec(seed=0, index=i)) for i in range(24))
    text += "".join(
        _plain(draw_spec(seed=0, index=i, defects="random")) for i in range(8)
    )
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


def test_pure_in_any_order():
    forward = [draw_spec(seed=3, index=i) for i in range(12)]
    backward = [draw_spec(seed=3, index=i) for i in reversed(range(12))]
    assert forward == backward[::-1]


def test_seeds_and_splits_differ():
    specs = {
        _plain(draw_spec(seed=s, index=0, split=split))
        for s in range(3)
        for split in ("train", "test")
    }
    assert len(specs) == 6


def test_tags_are_canonical():
    for index in range(40):
        tags = draw_spec(seed=5, index=index).tags
        assert parse_tags(tags) == tags


def test_a_plain_world_has_the_same_words_and_bigger_figures():
    for field, factors in ODDS["plain"].items():
        assert factors.keys() <= WEIGHTS[field].keys()
        assert min(factors.values()) > 0
    share = {}
    for odds in ODDS:
        sizes = [
            draw_spec(seed=8, index=i, odds=odds).value("camera.shot_size")
            for i in range(300)
        ]
        near = ("close_up", "bust", "waist", "knee", "full")
        share[odds] = np.mean([size in near for size in sizes])
    assert share["broad"] < 0.9
    assert share["plain"] > 0.95
    demanded = ("camera.shot_size=extreme_long", "vfx.impact=impact_frame")
    assert set(demanded) <= set(
        draw_spec(seed=8, index=0, odds="plain", tags=demanded).tags
    )


def test_every_drawn_field_is_stated():
    for index in range(30):
        spec = draw_spec(seed=6, index=index)
        stated = {tag.split("=")[0] for tag in spec.tags}
        unstated = set(WEIGHTS) - stated
        allowed = {"motion.idiom"}
        if spec.value("motion.motion_style") == "still":
            allowed |= {"motion.spacing"}
        values = {field: spec.values(field) for field in stated}
        allowed |= {field for field in SEEN_IN if unseen(field, values)}
        if set(values["motion.timing"]) <= set(FEW_DRAWINGS):
            allowed |= {"motion.spacing"}
        assert unstated | {"motion.idiom"} == allowed


@pytest.mark.parametrize(
    "tag", [f"{field}={value}" for field, table in WEIGHTS.items() for value in table]
)
def test_any_tag_can_be_demanded(tag):
    for index in range(2):
        tags = draw_spec(seed=1, index=index, tags=(tag,)).tags
        assert tag in tags and parse_tags(tags) == tags


def test_several_tags_can_be_demanded():
    demanded = (
        "style.rendering=tiedown",
        "motion.motion_style=run",
        "camera.camera_motion=pan_left",
        "camera.camera_motion=shake",
        "vfx.lines=speed_lines",
    )
    spec = draw_spec(seed=0, index=0, tags=demanded)
    assert set(demanded) <= set(spec.tags)


@pytest.mark.parametrize(
    "tags",
    [
        ("style.video_style=2d_donghua",),
        ("motion.motion_style=mecha",),
        ("motion.motion_style=dialogue", "camera.camera_motion=follow_pan"),
        ("style.video_style=3d_cg", "style.line=rough"),
        ("motion.idiom=limited", "motion.timing=ones"),
        ("motion.idiom=full", "motion.motion_style=still"),
        ("motion.motion_style=walk", "motion.timing=held"),
        ("style.rendering=mono_manga", "style.palette=vivid"),
        ("motion.motion_style=dialogue", "camera.camera_motion=follow"),
        ("camera.camera_motion=fix", "camera.camera_speed=quick"),
        ("camera.camera_motion=follow", "camera.camera_speed=quick"),
        ("camera.camera_motion=roll", "camera.depth=multiplane"),
        ("style.background=white", "camera.depth=multiplane"),
        ("vfx.vfx_level=none", "vfx.impact=flash"),
        ("motion.motion_style=walk", "motion.motion_style=run"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_of_one_line(tags):
    with pytest.raises(UserError) as error:
        draw_spec(seed=0, index=0, tags=tags)
    assert "\n" not in str(error.value)


def test_values_are_reasonably_frequent():
    count = 600
    found = [
        tag
        for i in range(count)
        for tag in join_tags(draw_tags(Draws(9, "tags", i), {}))
    ]
    for field, table in WEIGHTS.items():
        for value in table:
            assert found.count(f"{field}={value}") >= 2, (field, value)


def test_defects_come_to_half_of_the_clips_and_leave_the_tags_alone():
    count = 80
    with_defects = [draw_spec(seed=2, index=i, defects="random") for i in range(count)]
    clean = [draw_spec(seed=2, index=i) for i in range(count)]
    assert [s.tags for s in with_defects] == [s.tags for s in clean]
    share = sum(bool(s.defects) for s in with_defects) / count
    assert 0.35 < share < 0.65
    assert all(len({d.family for d in s.defects}) <= 2 for s in with_defects)
    deformed = [bool(s.deform.kinds) for s in with_defects if s.defects]
    usual = np.mean([bool(s.deform.kinds) for s in clean])
    assert 0.25 < usual < 0.75 and abs(np.mean(deformed) - usual) < 0.2


@pytest.mark.parametrize("odds", SERIES)
def test_the_characters_of_a_series_return(odds):
    """A few people on two model sheets each, in any split and of any seed."""
    series = SERIES[odds]
    members = [series.member(n, cast=USUAL) for n in range(series.members)]
    looks = {dataclasses.replace(m, facing=1, turn=0.0) for m in members}
    assert len(looks) == series.members
    seen, art, turns, told = set(), set(), set(), set()
    for i in range(160):
        spec = draw_spec(seed=i % 3, index=i, split=("train", "test")[i % 2], odds=odds)
        who = dataclasses.replace(spec.character, facing=1, turn=0.0, place="")
        seen.add(who)
        art.add(spec.set_art)
        told.add(narrate(spec).summary)
        turns.add(spec.character.turn)
    assert seen == looks
    assert len(art) == series.sets
    assert turns == {0.2, 0.8}
    assert len(told) > 100  # what is said of a clip is its own


def test_in_a_held_out_series_everyone_is_new():
    specs = [
        draw_spec(seed=1, index=i, odds="series", held_out=True) for i in range(40)
    ]
    assert len({spec.character for spec in specs}) == 40
    assert {spec.character.hair_style for spec in specs}.isdisjoint(
        {style for styles in USUAL.hair_styles.values() for style in styles}
    )
