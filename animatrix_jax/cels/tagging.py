"""Which production tags Cel World draws, how often, and which go together.

:func:`draw_tags` is the first step of a spec: it fills every field that the clip will
show, honouring demanded tags. Tables of weights keep each value reasonably frequent;
rules keep a clip sayable (a still has no smear, a follow shot needs someone who goes
somewhere, black-and-white manga has no vivid palette). A field that cannot be seen in
a clip is not stated: spacing of a held drawing or of a few, speed of a camera that goes
with its subject, depth where no plane of a set slides over another or the ground is a
pattern, emotion of a face that is a few dots; and a value of which its shot or its set
would show nothing is not drawn.
"""

import functools
from collections.abc import Iterable

from animatrix_jax.cels.odds import (
    ACTING,
    COMMON,
    LINE_FOR,
    MANPU,
    MULTIPLE,
    ODDS,
    STILL_ONLY,
    Table,
)
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rarities import (
    ORDINARY,
    SAID,
    SHARE,
    STATES_ORDINARY,
    WEIGHTS,
)
from animatrix_jax.cels.shows import (
    BLANK,
    FEW_DRAWINGS,
    FLAT,
    SEEN_IN,
    UNFRAMED,
    Values,
    blanks,
    hides,
    holds,
    unframed,
    unseen,
)
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.taxonomy import load_taxonomy

LOCOMOTION = ("walk", "run", "dash", "jump_fly")
# What counts towards vfx.vfx_level.
EFFECTS = ("vfx.impact", "vfx.lines", "vfx.manpu", "vfx.elemental", "vfx.energy")
# A 3D picture is shaded in one way and inked in one way; so is a school's timing.
GOES_WITH: dict[str, dict[str, tuple[str, ...]]] = {
    "style.video_style=3d_cel_shaded": {
        "style.rendering": ("two_tone_cel", "multi_tone_cel"),
        "style.line": ("thin_clean", "bold_clean"),
    },
    "style.video_style=3d_cg": {
        "style.rendering": ("illustration_look",),
        "style.line": ("lineless",),
    },
    "motion.idiom=limited": {
        "motion.timing": ("threes", "fours_plus"),
        "motion.deformation": ("none",),
    },
    "motion.idiom=full": {"motion.timing": ("ones", "twos")},
    "motion.idiom=realist": {
        "style.proportion": ("realistic",),
        "motion.timing": ("ones", "twos"),
        "motion.spacing": ("eased",),
        "motion.deformation": ("none",),
    },
    "motion.idiom=kanada": {
        "motion.timing": ("modulated",),
        "motion.spacing": ("snap",),
    },
}


def split_tags(tags: Iterable[str]) -> Values:
    """Tags by field. Raises UserError for what Cel World does not draw."""
    demanded: dict[str, tuple[str, ...]] = {}
    for tag in tags:
        field, _, value = tag.partition("=")
        if field not in WEIGHTS:
            raise UserError(
                f"Cel World does not draw {field!r}; it draws {', '.join(WEIGHTS)}"
            )
        if value not in WEIGHTS[field]:
            known = ", ".join(WEIGHTS[field])
            raise UserError(f"Cel World draws {field} as {known}; got {value!r}")
        if field in demanded and field not in MULTIPLE:
            raise UserError(f"{field} takes one value, got {demanded[field]}, {value}")
        demanded[field] = (*demanded.get(field, ()), value)
    return demanded


def join_tags(values: Values) -> tuple[str, ...]:
    """Tags in the taxonomy's order."""
    return tuple(
        f"{field}={value}"
        for field, table in WEIGHTS.items()
        for value in table
        if value in values.get(field, ())
    )


def _leaning(field: str, *leanings: Table) -> Table:
    """The weights of a field times some factors."""
    table = dict(WEIGHTS[field])
    for leaning in leanings:
        for value, factor in leaning.items():
            table[value] = table.get(value, 0) * factor
    return table


def _at(table: Table, place: float) -> str:
    """The value of a table of weights at a place in [0, 1)."""
    mark = place * sum(table.values())
    for value, weight in table.items():
        mark -= weight
        if mark < 0:
            return value
    return list(table)[-1]


@functools.cache
def _claims(
    tag: str,
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """What a tag excludes, as (field, value), and what it goes with."""
    excludes = load_taxonomy().value(tag).excludes
    shut = tuple(
        (other, value) for other, _, value in (e.partition("=") for e in excludes)
    )
    return shut, tuple(GOES_WITH.get(tag, {}).items())


class _Picker:
    """Fills one field after another: with what is demanded, else with a draw."""

    def __init__(self, draws: Draws, demanded: Values, odds: str):
        self.draws, self.demanded, self.odds = draws, demanded, odds
        self.factors, self.share = ODDS[odds], SHARE[odds]
        self.tags: Values = {}
        self.barred: dict[str, set[str]] = {}  # field: values that cannot stand
        self.suits: dict[str, tuple[str, ...]] = {}  # field: the only ones that can
        # Two numbers a field, from one stream beside the clip's own.
        numbers = draws.child("rare").uniforms(2 * len(WEIGHTS) + 1)
        self.said = numbers.pop()
        self.rare = dict(
            zip(WEIGHTS, zip(numbers[::2], numbers[1::2], strict=True), strict=True)
        )
        for field, values in demanded.items():
            self.stand(field, values)

    def stand(self, field: str, values: tuple[str, ...]) -> None:
        """Shut out what the taxonomy says these exclude, and what does not suit them."""
        for value in values:
            excludes, suits = _claims(f"{field}={value}")
            for other, shut in excludes:
                self.barred.setdefault(other, set()).add(shut)
            for other, only in suits:
                self.suits.setdefault(other, only)

    def settled(self, field: str) -> set[str]:
        """The only values that a field may still have; empty if nothing says."""
        return set(self.demanded.get(field) or self.suits.get(field, ()))

    def pick(self, field: str, *leanings: Table, only: tuple[str, ...] = ()) -> str:
        """Draw ``field`` by its weights and factors on them, or among ``only``."""
        self.tags[field] = self.demanded.get(
            field, (self.draw(field, *leanings, only=only),)
        )
        self.stand(field, self.tags[field])
        return self.tags[field][0]

    def draw(self, field: str, *leanings: Table, only: tuple[str, ...] = ()) -> str:
        """A value of ``field``, whatever is demanded."""
        table = _leaning(field, self.factors.get(field, {}), *leanings)
        only = only or self.suits.get(field, ())
        if only:
            table = {value: WEIGHTS[field].get(value) or 1 for value in only}
        for value in self.barred.get(field, ()):
            if value in table:
                table[value] = 0.0
        usual = COMMON.get(field, {})
        common = {v: w for v, w in table.items() if v in usual}
        rare = {v: w for v, w in table.items() if v not in common and w}
        # Drawn in any case: demanding a tag leaves the stream in step.
        drawn = self.draws.weighted(common) if common else ""
        if not rare:
            return drawn
        chance, place = self.rare[field]
        weight, rest = sum(rare.values()), sum(common.values())
        if not rest:
            return self._of_rare(field, rare)
        weight *= self.share
        return _at(rare, place) if chance < weight / (weight + rest) else drawn

    def _of_rare(self, field: str, rare: Table) -> str:
        """A value of a field that is wholly rare: the ordinary one, or another."""
        chance, place = self.rare[field]
        ordinary = ORDINARY.get(field, "")
        others = {v: w for v, w in rare.items() if v != ordinary}
        if not others or ordinary not in rare:
            return _at(rare, place)
        share = self.share * sum(others.values()) / sum(rare.values())
        return _at(others, place) if chance < share else ordinary


def draw_tags(draws: Draws, demanded: Values, odds: str = "broad") -> Values:
    """Values for every field that shows, with those demanded among them.

    Args:
      draws: the clip's.
      demanded: by `split_tags`.
      odds: a world of `ODDS`.

    Raises:
      UserError: where the demanded tags cannot be drawn together.
    """
    picker = _Picker(draws, demanded, odds)
    pick, tags = picker.pick, picker.tags

    pick("style.video_style", _unsuited("style.video_style", demanded))
    pick("style.era")
    idiom = _draw_idiom(picker)

    # Style: the rendering must allow a demanded line and palette.
    line, palette = demanded.get("style.line"), demanded.get("style.palette")
    barred = {
        rendering: 0.0
        for rendering, lines in LINE_FOR.items()
        if line and line[0] not in lines
    }
    if palette and palette[0] != "monochrome":
        barred["mono_manga"] = 0.0
    rendering = pick("style.rendering", barred)
    lines = picker.suits.get("style.line") or LINE_FOR.get(rendering, ())
    pick("style.line", only=lines)
    chibi = "chibi_shift" in demanded.get("motion.deformation", ())
    pick("style.proportion", {"super_deformed": 0.0} if chibi else {})
    pick("style.palette", only=("monochrome",) if rendering == "mono_manga" else ())
    grounds = dict.fromkeys(FLAT, 0.0) if "camera.depth" in demanded else {}
    pick("style.background", grounds | blanks("style.background", demanded))

    # Motion: what is demanded may force a still, or bar it.
    style = pick("motion.motion_style", _allowed_styles(demanded))
    lean = ACTING.get(style, {})
    still = style == "still"
    for field, value in STILL_ONLY.items():
        shown = dict(lean.get(field, {}))
        timings = picker.settled("motion.timing")
        if field == "motion.speed" and timings and timings <= set(FEW_DRAWINGS):
            shown["explosive"] = 0.0
        if field == "motion.timing" and tags["motion.speed"] == ("explosive",):
            shown |= dict.fromkeys(FEW_DRAWINGS, 0.0)
        pick(field, shown, only=(value,) if still else ())
    if still:
        _never(demanded, "motion.spacing", "in a held drawing")
        _never(demanded, "motion.idiom", "in a held drawing")
    else:
        pick("motion.spacing")
    deform_lean = dict(lean.get("motion.deformation", {}))
    if tags["style.proportion"] == ("super_deformed",):
        deform_lean["chibi_shift"] = 0.0
    if "orbit" in demanded.get("camera.camera_motion", ()):
        deform_lean["chibi_shift"] = 0.0
    deform_lean |= unframed("motion.deformation", demanded)
    level = demanded.get("motion.deform_level")
    if level == ("0",):
        deform_lean = {v: 0.0 for v in WEIGHTS["motion.deformation"] if v != "none"}
    elif level:
        deform_lean["none"] = 0.0
    pick("motion.deformation", deform_lean, only=("none",) if still else ())
    deformed = tags["motion.deformation"] != ("none",)
    pick("motion.deform_level", only=() if deformed else ("0",))
    pick("motion.emotion", lean.get("motion.emotion", {}))

    # Camera.
    shot_lean = dict(lean.get("camera.shot_size", {}))
    if style in LOCOMOTION or style in ("melee", "dance"):
        shot_lean = {
            "extreme_close_up": 0.15,
            "close_up": 0.3,
            "knee": 1.6,
            "full": 1.5,
        }
    if tags["style.proportion"] == ("super_deformed",):
        shot_lean["full"] = shot_lean.get("full", 1) * 2.0
    effects = (v for field in EFFECTS for v in demanded.get(field, ()))
    for value in (style, *tags["motion.deformation"], *effects):
        shot_lean |= dict.fromkeys(UNFRAMED.get(value, ()), 0.0)
    shot = pick("camera.shot_size", shot_lean | hides("camera.shot_size", demanded))
    angles = dict.fromkeys(UNFRAMED.get(shot, ()), 0.0)
    pick("camera.angle", angles | blanks("camera.angle", tags))
    moves = {} if style in LOCOMOTION else {"follow": 0.0, "follow_pan": 0.0}
    if style in LOCOMOTION:
        moves |= {"follow": 2.5, "orbit": 0.0}
    if "chibi_shift" in tags["motion.deformation"]:
        moves["orbit"] = 0.0
    moves |= blanks("camera.camera_motion", tags)
    moves |= hides("camera.camera_motion", demanded)
    move = pick("camera.camera_motion", moves)
    shake_too = draws.chance(0.06)
    if (
        shake_too
        and move not in ("fix", "shake")
        and ("camera.camera_motion" not in demanded)
    ):
        tags["camera.camera_motion"] = (move, "shake")
    for field in SEEN_IN:
        if why := unseen(field, tags):
            _never(demanded, field, why)
            tags.pop(field, None)
        elif field not in tags:
            pick(field)

    few = set(tags["motion.timing"]) <= set(FEW_DRAWINGS)
    if few and "motion.spacing" not in demanded:
        tags.pop("motion.spacing", None)

    # Effects.
    seen = tags.get("motion.emotion", ("neutral",))[0]
    quiet = draws.chance(0.3) and not any(f.startswith("vfx.") for f in demanded)
    level = ("none",) if quiet else demanded.get("vfx.vfx_level")
    for field in EFFECTS:
        leaning = lean.get(field, {})
        if field == "vfx.manpu":
            leaning = {**MANPU[seen], **leaning}
        hidden = unframed(field, tags)
        pick(field, leaning, hidden, only=("none",) if level == ("none",) else ())
    hitstop_too = draws.chance(0.25)
    free = "vfx.impact" not in demanded and hitstop_too and not still
    if free and tags["vfx.impact"] == ("impact_frame",):
        tags["vfx.impact"] = ("impact_frame", "hitstop")
    bare = all(tags[field] == ("none",) for field in EFFECTS)
    if bare and level and level != ("none",):
        open_fields = [field for field in EFFECTS[:-1] if field not in demanded]
        if open_fields:
            field = draws.choice(open_fields)
            table = {v: w for v, w in WEIGHTS[field].items() if v != "none"}
            table |= unframed(field, tags)
            if still:
                table.pop("hitstop", None)
            tags[field] = (draws.weighted(table),)
            bare = False
    pick("vfx.vfx_level", only=("none",) if bare else ())
    bare_set = tags["style.background"] == ("white",)
    pick("vfx.composite", {"rack_focus": 0.0} if bare_set else {})
    if idiom and still:
        del tags["motion.idiom"]
    _check(tags)
    if not STATES_ORDINARY[odds]:
        for field, value in ORDINARY.items():
            if field not in demanded and tags[field] == (value,):
                del tags[field]
    return tags


def _draw_idiom(picker: _Picker) -> str:
    """The school, where the clip is animated in one that it can state."""
    field = "motion.idiom"
    idiom = picker.draw(field, _unsuited(field, picker.demanded))
    said = picker.said < SAID[field] * picker.share
    still = {"motion.motion_style": "still", **STILL_ONLY}
    if any(picker.demanded.get(f) == (v,) for f, v in still.items()):
        said = False
    if field in picker.demanded:
        return picker.pick(field)
    if not said or not idiom:
        return ""
    # It stands while the fields that it decides are drawn.
    picker.tags[field] = (idiom,)
    picker.stand(field, (idiom,))
    return idiom


def _unsuited(field: str, demanded: Values) -> Table:
    """Bars the values of ``field`` that do not go with what is demanded."""
    if demanded.get("motion.deform_level", ("0",)) != ("0",):
        # Any of them, so long as there is one.
        some = tuple(v for v in WEIGHTS["motion.deformation"] if v != "none")
        demanded = {"motion.deformation": some} | demanded
    return {
        value: 0.0
        for value in WEIGHTS[field]
        for key, suits in GOES_WITH.get(f"{field}={value}", {}).items()
        if not set(demanded.get(key, suits)) <= set(suits)
    }


def _allowed_styles(demanded: Values) -> Table:
    """Factors on motion styles under the other demanded tags."""
    styles = WEIGHTS["motion.motion_style"]
    still = any(demanded.get(f) == (v,) for f, v in STILL_ONLY.items())
    if still:
        return {style: 0.0 for style in styles if style != "still"}
    lean: Table = blanks("motion.motion_style", demanded)
    lean |= unframed("motion.motion_style", demanded)
    moving = any(
        field in demanded for field in (*STILL_ONLY, "motion.spacing", "motion.idiom")
    )
    moving |= demanded.get("motion.deformation", ("none",)) != ("none",)
    moving |= demanded.get("motion.deform_level", ("0",)) != ("0",)
    moving |= "hitstop" in demanded.get("vfx.impact", ())
    if moving:
        lean["still"] = 0.0
    if {"follow", "follow_pan"} & set(demanded.get("camera.camera_motion", ())):
        lean |= {style: 0.0 for style in styles if style not in LOCOMOTION}
    return lean


def _never(demanded: Values, field: str, where: str) -> None:
    if field in demanded:
        raise UserError(f"{field} cannot be told {where}; leave it out")


def _check(tags: Values) -> None:
    """Raises UserError for a clip that contradicts itself."""
    style = tags["motion.motion_style"][0]
    for field, value in STILL_ONLY.items():
        if (tags[field] == (value,)) != (style == "still"):
            raise UserError(
                f"{field}={value} goes with motion.motion_style=still and only with "
                f"it; got {field}={tags[field][0]} and motion.motion_style={style}"
            )
    rendering, line = tags["style.rendering"][0], tags["style.line"][0]
    wrong = ""
    if line not in LINE_FOR.get(rendering, (line,)):
        wrong = f"style.rendering={rendering} with style.line={line}"
    elif rendering == "mono_manga" and tags["style.palette"] != ("monochrome",):
        wrong = f"style.rendering=mono_manga with {tags['style.palette'][0]} colours"
    elif style not in LOCOMOTION and (
        gone := {"follow", "follow_pan"} & set(tags["camera.camera_motion"])
    ):
        wrong = f"camera.camera_motion={min(gone)} with motion.motion_style={style}"
    elif "orbit" in tags["camera.camera_motion"] and (
        "chibi_shift" in tags["motion.deformation"]
    ):
        wrong = "camera.camera_motion=orbit with motion.deformation=chibi_shift"
    elif _still_deformed(tags):
        wrong = "a deformation in a still, or a deform_level that contradicts it"
    elif "hitstop" in tags["vfx.impact"] and style == "still":
        wrong = "vfx.impact=hitstop with motion.motion_style=still"
    elif "chibi_shift" in tags["motion.deformation"] and (
        tags["style.proportion"] == ("super_deformed",)
    ):
        wrong = "motion.deformation=chibi_shift from style.proportion=super_deformed"
    for tag, other in BLANK:
        if holds(tags, tag) and holds(tags, other):
            wrong = f"{tag} with {other}, where it shows nothing"
    for field in MULTIPLE:
        none = "fix" if field == "camera.camera_motion" else "none"
        if none in tags[field] and len(tags[field]) > 1:
            wrong = f"{field}={none} beside another value"
    for tag, suits in GOES_WITH.items():
        key, _, value = tag.partition("=")
        if value in tags.get(key, ()):
            for other, values in suits.items():
                if not set(tags.get(other, values)) <= set(values):
                    wrong = f"{tag} with {other}={tags[other][0]}"
    bare = all(tags[f] == ("none",) for f in EFFECTS)
    if bare != (tags["vfx.vfx_level"] == ("none",)):
        wrong = f"vfx.vfx_level={tags['vfx.vfx_level'][0]} with the effects given"
    if wrong:
        raise UserError(f"Cel World cannot draw {wrong}")


def _still_deformed(tags: Values) -> bool:
    """Whether deformation, its level and the motion contradict each other."""
    deformed = tags["motion.deformation"] != ("none",)
    still = tags["motion.motion_style"] == ("still",)
    return (deformed and still) or deformed == (tags["motion.deform_level"] == ("0",))
