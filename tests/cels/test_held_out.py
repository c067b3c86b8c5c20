"""A held-out world shares no character, colour, body or place with the default one."""

import dataclasses

import numpy as np
import pytest

from animatrix_jax.cels import backgrounds, casting, coiffures, elsewhere, wardrobe
from animatrix_jax.cels.garments import DETAILS
from animatrix_jax.cels.hair import FRINGES
from animatrix_jax.cels.narrative import HAIR, narrate
from animatrix_jax.cels.palettes import to_oklab
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import STATURES, make_body
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.cels.world import CelWorld

CASTS = (casting.USUAL, casting.HELD_OUT)
COUNT = 300


def _all(table):
    return {name for names in table.values() for name in names}


def _apart(spans, others):
    """Whether no number lies in a span of both."""
    return all(a[1] <= b[0] or b[1] <= a[0] for a in spans for b in others)


def _builds(cast):
    """Spans of the breadth of a body."""
    return [
        (build * low, build * high)
        for build in cast.builds.values()
        for low, high in cast.statures.values()
    ]


@pytest.mark.parametrize(
    "parts",
    [
        lambda cast: _all(cast.hair_styles),
        lambda cast: _all(cast.bangs),
        lambda cast: _all(cast.clothes),
        lambda cast: set(cast.eyes),
        lambda cast: set(cast.statures),
        lambda cast: set(cast.pigments.hair),
        lambda cast: set(cast.pigments.cloth),
        lambda cast: set(cast.pigments.hair.values()),
        lambda cast: set(cast.pigments.eye.values()),
        lambda cast: set(cast.pigments.cloth.values()),
        lambda cast: set(cast.pigments.skin),
        lambda cast: set(cast.pigments.accents),
        lambda cast: set(cast.pigments.grounds),
        lambda cast: set(cast.pigments.tones),
        lambda cast: set(cast.pigments.sky),
    ],
)
def test_the_tables_share_nothing(parts):
    usual, held_out = (parts(cast) for cast in CASTS)
    assert usual and held_out and not usual & held_out


def test_the_measures_share_nothing():
    usual, held_out = CASTS
    assert _apart(usual.volumes, held_out.volumes)
    assert _apart(usual.eye_sizes, held_out.eye_sizes)
    assert _apart(usual.eye_tilts, held_out.eye_tilts)
    assert _apart(_builds(usual), _builds(held_out))
    assert not STATURES["usual"]
    for stature in held_out.statures:
        lengths = make_body("standard", build=1.0, turn=0.0, stature=stature)
        plain = make_body("standard", build=1.0, turn=0.0)
        for name in ("leg", "torso", "neck", "arm", "limb"):
            assert getattr(lengths, name) != getattr(plain, name), (stature, name)


def test_colours_of_one_world_are_none_of_the_other():
    """Not by name alone: no colour of one is within a small step of one of the other."""
    for part in ("hair", "cloth"):
        usual, held_out = (
            np.array([to_oklab(c) for c in getattr(cast.pigments, part).values()])
            for cast in CASTS
        )
        apart = np.linalg.norm(usual[:, None] - held_out[None], axis=-1)
        assert apart.min() > 0.055, part


def test_places_and_the_boards_they_are_built_of_share_nothing():
    assert backgrounds.PLACES.keys() == backgrounds.HELD_OUT_PLACES.keys()
    usual, held_out = (
        [place for table in places.values() for place in table.items()]
        for places in (backgrounds.PLACES, backgrounds.HELD_OUT_PLACES)
    )
    assert not {name for name, _ in usual} & {name for name, _ in held_out}
    assert {p.build.__module__ for _, p in held_out} == {elsewhere.__name__}
    assert elsewhere.__name__ not in {p.build.__module__ for _, p in usual}


def test_every_part_is_drawn_and_spoken_of():
    for cast in CASTS:
        assert _all(cast.hair_styles) <= HAIR.keys()
        assert _all(cast.bangs) <= FRINGES.keys()
        assert _all(cast.clothes) <= DETAILS.keys()
        assert set(cast.statures) <= STATURES.keys()
    assert _all(casting.HELD_OUT.hair_styles) == set(coiffures.STYLES)
    assert set(wardrobe.SKIRTED) <= _all(casting.HELD_OUT.clothes)


def test_clips_of_both_worlds_share_nothing():
    """What is sampled stays within the tables, under any odds and demands."""
    found = {}
    for held_out in (False, True):
        specs = [
            draw_spec(
                seed=i % 3,
                index=i,
                split=("train", "test")[i % 2],
                odds=("broad", "plain")[i % 2],
                held_out=held_out,
            )
            for i in range(COUNT)
        ]
        people = [spec.character for spec in specs]
        assert all(spec.held_out is held_out for spec in specs)
        found[held_out] = {
            name: {getattr(who, name) for who in people}
            for name in (
                "hair_style",
                "hair_colour",
                "eye_colour",
                "cloth_kind",
                "cloth_colour",
                "bangs",
                "stature",
                "place",
                "hair_volume",
                "eye_size",
                "eye_tilt",
                "build",
            )
        }
    for name, usual in found[False].items():
        assert not usual & found[True][name], name
    for name, table in (("hair_style", "hair_styles"), ("cloth_kind", "clothes")):
        for held_out, cast in zip((False, True), CASTS, strict=True):
            assert found[held_out][name] == _all(getattr(cast, table)), name


def test_held_out_clips_have_streams_of_their_own():
    """The same number in both worlds is another action too, not a clip redressed."""
    same = [
        draw_spec(seed=0, index=i).tags
        == draw_spec(seed=0, index=i, held_out=True).tags
        for i in range(20)
    ]
    assert not any(same)


def test_a_held_out_world_draws_and_tells():
    world = CelWorld(held_out=True, frames=3, defects="paired", tags="camera.angle=eye")
    clip = world[4]
    assert clip.spec.held_out and clip.video.shape == (3, 32, 32, 3)
    assert (
        clip.video
        == CelWorld(held_out=True, frames=3, defects="paired", tags="camera.angle=eye")[
            4
        ].video
    ).all()
    assert (
        clip.video
        != CelWorld(frames=3, defects="paired", tags="camera.angle=eye")[4].video
    ).any()
    told = narrate(
        dataclasses.replace(
            clip.spec,
            character=dataclasses.replace(
                clip.spec.character,
                hair_style="afro",
                hair_colour="orange",
                cloth_kind="raincoat",
            ),
        )
    )
    text = f"{told.summary} {told.description}"
    assert " a orange" not in text and " a olive" not in text


def test_the_default_cast_is_what_is_drawn_by_default():
    who = casting.draw_character(
        Draws(0, "who"), cast=casting.USUAL, chibi=False, moving=False
    )
    assert who.stature == "usual" and who.hair_style in _all(casting.USUAL.hair_styles)
