"""Backgrounds of Cel World: from the `style.background` tag and a place to planes.

A background is a stack of static planes, back to front, each with its parallax, as the
background department delivers painted boards and books for a multiplane stand. Sets
are in `exteriors`, `streets` and `interiors`, moods and abstractions in `patterns`;
those of held-out worlds in `elsewhere`.
"""

import dataclasses
from collections.abc import Callable

from animatrix_jax.cels import elsewhere, exteriors, interiors, patterns, streets
from animatrix_jax.cels.palettes import Palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.scenery import Plane, Setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """How a place is built and spoken of: she runs `along` it, he stands `at` it; `near`
    are the books (`books.KINDS`) that may stand before it."""

    build: Callable[[Setting], tuple[Plane, ...]]
    at: str
    along: str
    hour: str = "day"
    weight: float = 1.0
    near: tuple[str, ...] = ()


_OUTDOORS, _INDOORS = ("leaves", "a fence"), ("a curtain",)
_ROOF = ("a fence", "a pillar")
# Keys are noun phrases that a narrative can use as they are.
SETS: dict[str, Place] = {
    "a city street": Place(
        build=streets.street, at="on", along="along", near=_OUTDOORS
    ),
    "a city street at night": Place(
        build=streets.street,
        at="on",
        along="along",
        hour="night",
        weight=0.7,
        near=_OUTDOORS,
    ),
    "a quiet street at sunset": Place(
        build=streets.street,
        at="on",
        along="along",
        hour="sunset",
        weight=0.5,
        near=_OUTDOORS,
    ),
    "a school corridor": Place(
        build=interiors.corridor, at="in", along="along", near=_INDOORS
    ),
    "a classroom": Place(
        build=interiors.classroom, at="in", along="through", near=_INDOORS
    ),
    "a bedroom": Place(
        build=interiors.bedroom, at="in", along="through", near=_INDOORS
    ),
    "a grassy field": Place(
        build=exteriors.field, at="in", along="across", near=_OUTDOORS
    ),
    "a forest": Place(
        build=exteriors.forest, at="in", along="through", near=("leaves",)
    ),
    "a school rooftop": Place(
        build=exteriors.rooftop, at="on", along="across", weight=0.6, near=_ROOF
    ),
    "a rooftop at sunset": Place(
        build=exteriors.rooftop,
        at="on",
        along="across",
        hour="sunset",
        weight=0.7,
        near=_ROOF,
    ),
    "a beach": Place(
        build=exteriors.seaside, at="on", along="along", weight=0.7, near=_OUTDOORS
    ),
    "a beach at sunset": Place(
        build=exteriors.seaside,
        at="on",
        along="along",
        hour="sunset",
        weight=0.5,
        near=_OUTDOORS,
    ),
    "a shrine path": Place(
        build=exteriors.shrine, at="on", along="along", near=_OUTDOORS
    ),
}
MOODS: dict[str, Place] = {
    "a floral pattern": Place(build=patterns.flowers, at="against", along="across"),
    "a pattern of stars": Place(build=patterns.sparkles, at="against", along="across"),
    "a backdrop of soft lights": Place(
        build=patterns.bokeh, at="against", along="across"
    ),
    "a checkered pattern": Place(build=patterns.checks, at="against", along="across"),
}
ABSTRACT: dict[str, Place] = {
    "a backdrop of flat shapes": Place(
        build=patterns.flat_abstract, at="against", along="across"
    ),
}
BLANK: dict[str, Place] = {
    "a plain white background": Place(
        build=patterns.white, at="against", along="across"
    ),
}
PLACES: dict[str, dict[str, Place]] = {
    "painted": SETS,
    "photo_based": SETS,
    "flat_abstract": ABSTRACT,
    "mood_pattern": MOODS,
    "white": BLANK,
}
# The places of held-out worlds; none of them, and none of their boards, is above.
_NEAR = ("reeds", "lanterns")
_ELSEWHERE: dict[str, Place] = {
    "a train platform": Place(
        build=elsewhere.platform, at="on", along="along", near=("lanterns", "a screen")
    ),
    "a library": Place(
        build=elsewhere.library, at="in", along="through", near=("lanterns", "a screen")
    ),
    "a bamboo grove": Place(
        build=elsewhere.bamboo, at="in", along="through", near=("reeds",)
    ),
    "a harbour at dusk": Place(
        build=elsewhere.harbour, at="by", along="along", hour="dusk", near=_NEAR
    ),
    "a desert": Place(build=elsewhere.desert, at="in", along="across", near=_NEAR),
    "a desert at dusk": Place(
        build=elsewhere.desert,
        at="in",
        along="across",
        hour="dusk",
        weight=0.6,
        near=_NEAR,
    ),
}
HELD_OUT_PLACES: dict[str, dict[str, Place]] = {
    "painted": _ELSEWHERE,
    "photo_based": _ELSEWHERE,
    "flat_abstract": {
        "a backdrop of flat triangles": Place(
            build=elsewhere.triangles, at="against", along="across"
        ),
    },
    "mood_pattern": {
        "a striped pattern": Place(
            build=elsewhere.stripes, at="against", along="across"
        ),
        "a pattern of polka dots": Place(
            build=elsewhere.dots, at="against", along="across"
        ),
        "a pattern of waves": Place(
            build=elsewhere.waves, at="against", along="across"
        ),
    },
    "white": {
        "a bare white studio": Place(build=elsewhere.studio, at="in", along="across"),
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Background:
    """A set, ready to be drawn; planes run from the back to the front."""

    planes: tuple[Plane, ...]
    place: str
    setting: Setting
    near: tuple[str, ...]


def draw_place(draws: Draws, background_tag: str, *, held_out: bool = False) -> str:
    """A place that `background_tag` can show, as a noun phrase.

    Raises:
      ValueError: for a background tag that does not exist.
    """
    table = _places(background_tag, HELD_OUT_PLACES if held_out else PLACES)
    return draws.choice(tuple(table), [place.weight for place in table.values()])


def make_background(
    draws: Draws, background_tag: str, palette: Palette, place: str | None = None
) -> Background:
    """The planes of `place` (drawn if not given) under `background_tag`.

    Raises:
      ValueError: for a tag that does not exist or a place that it cannot show.
    """
    if place is None:
        place = draw_place(draws.child("place"), background_tag)
    table = _places(background_tag, PLACES)
    if place in HELD_OUT_PLACES[background_tag]:
        table = HELD_OUT_PLACES[background_tag]
    if place not in table:
        raise ValueError(
            f"{background_tag} shows one of {tuple(table)}, got the place {place!r}"
        )
    setting = Setting(
        draws=draws.child("set"),
        palette=palette,
        hour=table[place].hour,
        finish="photo_based" if background_tag == "photo_based" else "painted",
    )
    return Background(
        planes=table[place].build(setting),
        place=place,
        setting=setting,
        near=table[place].near,
    )


def preposition(place: str, moving: str) -> str:
    """The word that joins a subject to `place`; `moving` is "moving" or "standing"."""
    for table in (*PLACES.values(), *HELD_OUT_PLACES.values()):
        if place in table:
            return table[place].along if moving == "moving" else table[place].at
    raise ValueError(f"no place is called {place!r}")


def _places(
    background_tag: str, places: dict[str, dict[str, Place]]
) -> dict[str, Place]:
    if background_tag not in places:
        raise ValueError(
            f"background must be one of {tuple(places)}, got {background_tag!r}"
        )
    return places[background_tag]
