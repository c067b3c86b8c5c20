"""Which production tags Cel World draws, how often, and which go together.

:func:`draw_tags` is the first step of a spec: it fills every field that the clip will
show, honouring demanded tags. Tables of weights keep each value reasonably frequent;
rules keep a clip sayable (a still has no smear, a follow shot needs someone who goes
somewhere, black-and-white manga has no vivid palette). A field that cannot be seen in
a clip is not stated: spacing of a held drawing, speed and depth of a fixed camera.
"""

from __future__ import annotations

from collections.abc import Iterable

from animatrix_jax.cels.random import Draws
from animatrix_jax.errors import UserError

Table = dict[str, float]
Values = dict[str, tuple[str, ...]]

LOCOMOTION = ("walk", "run", "dash", "jump_fly")

# Every field and value that is drawn, in the taxonomy's order, with its base weight.
WEIGHTS: dict[str, Table] = {
    "style.rendering": dict(
        flat_cel=16,
        two_tone_cel=28,
        multi_tone_cel=16,
        illustration_look=10,
        watercolor=8,
        rough_genga=7,
        tiedown=7,
        mono_manga=8,
    ),
    "style.line": dict(
        thin_clean=24, bold_clean=18, tapered=24, rough=9, color_trace=14, lineless=9
    ),
    "style.proportion": dict(
        realistic=16, standard=32, stylized=28, super_deformed=24
    ),
    "style.palette": dict(
        natural=26, pastel=18, vivid=22, low_key=12, neon=12, monochrome=10
    ),
    "style.background": dict(
        painted=44, flat_abstract=20, mood_pattern=22, white=14
    ),
    "motion.motion_style": dict(
        dialogue=11,
        daily_acting=12,
        walk=12,
        run=12,
        dash=9,
        jump_fly=10,
        melee=10,
        dance=9,
        comic_reaction=9,
        still=6,
    ),
    "motion.amplitude": dict(none=0, small=20, medium=38, large=28, extreme=14),
    "motion.speed": dict(still=0, slow=20, normal=38, fast=28, explosive=14),
    "motion.timing": dict(
        ones=26, twos=34, threes=17, fours_plus=8, modulated=15, held=0
    ),
    "motion.spacing": dict(
        linear=24, eased=30, snap=18, overshoot_settle=16, vibration=12
    ),
    "motion.deformation": dict(
        none=46, smear=16, multiples=12, squash_stretch=15, chibi_shift=11
    ),
    "motion.deform_level": {"0": 0, "1": 35, "2": 40, "3": 25},
    "motion.emotion": dict(
        neutral=14,
        joy=20,
        anger=13,
        sorrow=11,
        fear=9,
        surprise=13,
        embarrassment=9,
        resolve=11,
    ),
    "camera.shot_size": dict(
        extreme_close_up=5,
        close_up=12,
        bust=20,
        waist=20,
        knee=14,
        full=18,
        long=7,
        extreme_long=4,
    ),
    "camera.angle": dict(eye=66, high=10, low=12, dutch=12),
    "camera.camera_motion": dict(
        fix=34,
        pan_left=8,
        pan_right=8,
        pan_up=6,
        pan_down=6,
        truck_up=9,
        truck_back=8,
        follow=8,
        roll=6,
        shake=7,
    ),
    "camera.camera_speed": dict(slow=28, normal=36, quick=24, flash=12),
    "camera.depth": dict(single_plane=34, book_slide=30, multiplane=36),
    "vfx.impact": dict(none=62, impact_frame=13, hitstop=8, flash=10, shockwave=7),
    "vfx.lines": dict(
        none=60, speed_lines=13, focus_lines=12, streak_background=10, waver_lines=5
    ),
    "vfx.manpu": dict(
        none=58,
        vein_pop=4,
        sweat_drop=6,
        blush=5,
        gloom_lines=4,
        sparkle=6,
        hearts=5,
        flowers=4,
        shock_bolt=4,
        nose_bubble=3,
    ),
    "vfx.elemental": dict(
        none=56,
        fire=5,
        smoke=4,
        explosion=3,
        liquid=3,
        lightning=4,
        wind=3,
        debris=3,
        sparks=4,
        dust=4,
        rain=5,
        snow=5,
        petals=6,
    ),
    "vfx.vfx_level": dict(none=0, accent=60, dominant=40),
}
MULTIPLE = (
    "motion.deformation",
    "camera.camera_motion",
    "vfx.impact",
    "vfx.lines",
    "vfx.manpu",
    "vfx.elemental",
)
STILL_ONLY = {
    "motion.amplitude": "none",
    "motion.speed": "still",
    "motion.timing": "held",
}
# How a motion style or an emotion leans another field (factors on base weights).
_ACTING = {
    "dialogue": {
        "motion.amplitude": dict(large=0.5, extreme=0.1),
        "motion.speed": dict(explosive=0.1),
        "camera.shot_size": dict(full=0.3, long=0.2, extreme_long=0),
    },
    "walk": {"motion.speed": dict(explosive=0.15), "vfx.impact": dict(none=3)},
    "run": {"motion.speed": dict(slow=0.3, fast=1.5)},
    "dash": {
        "motion.amplitude": dict(small=0, large=1.5),
        "motion.speed": dict(slow=0, normal=0.4, explosive=2),
        "vfx.lines": dict(none=0.4, speed_lines=2, streak_background=2),
        "vfx.elemental": dict(dust=4, wind=3),
    },
    "jump_fly": {"motion.amplitude": dict(small=0.3)},
    "melee": {
        "motion.amplitude": dict(small=0.3, extreme=1.5),
        "motion.speed": dict(slow=0.3, explosive=2),
        "motion.emotion": dict(
            neutral=0.3, joy=0.2, anger=4, sorrow=0.1, embarrassment=0, resolve=4
        ),
        "vfx.impact": dict(none=0.35),
        "vfx.elemental": dict(sparks=3, debris=3, lightning=2),
    },
    "dance": {"motion.emotion": dict(joy=4, sorrow=0.3, fear=0, anger=0.3)},
    "comic_reaction": {
        "motion.emotion": dict(
            neutral=0, surprise=3, embarrassment=2, anger=1.5, fear=1.5, resolve=0
        ),
        "vfx.manpu": dict(none=0.25),
        "motion.deformation": dict(chibi_shift=3, squash_stretch=1.5),
    },
    "still": {"vfx.impact": dict(none=5, hitstop=0)},
}
_MANPU = {
    "joy": dict(sparkle=5, hearts=5, flowers=5, blush=2, vein_pop=0, gloom_lines=0),
    "anger": dict(vein_pop=9, hearts=0, flowers=0, nose_bubble=0, sparkle=0.3),
    "sorrow": dict(gloom_lines=7, sweat_drop=2, hearts=0, sparkle=0, flowers=0),
    "fear": dict(gloom_lines=4, sweat_drop=4, shock_bolt=3, hearts=0, flowers=0),
    "surprise": dict(shock_bolt=8, sweat_drop=3, nose_bubble=0, gloom_lines=0.4),
    "embarrassment": dict(blush=9, sweat_drop=4, hearts=2, nose_bubble=0),
    "resolve": dict(sparkle=3, vein_pop=1, hearts=0.2, nose_bubble=0),
    "neutral": dict(nose_bubble=3),
}
_LINE_FOR = {
    "rough_genga": ("rough",),
    "tiedown": ("thin_clean", "tapered", "rough"),
    "mono_manga": ("thin_clean", "bold_clean", "tapered", "rough"),
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


def draw_tags(draws: Draws, demanded: Values) -> Values:
    """Values for every field that shows, with those demanded among them.

    Raises:
      UserError: where the demanded tags cannot be drawn together.
    """
    tags: Values = {}

    def factors(field: str, *leanings: Table) -> Table:
        table = dict(WEIGHTS[field])
        for leaning in leanings:
            for value, factor in leaning.items():
                table[value] = table.get(value, 0) * factor
        return table

    def pick(field: str, *leanings: Table, only: tuple[str, ...] = ()) -> str:
        table = factors(field, *leanings)
        if only:
            table = {value: WEIGHTS[field].get(value) or 1 for value in only}
        drawn = draws.weighted(table)  # drawn in any case: the stream stays in step
        tags[field] = demanded.get(field, (drawn,))
        return tags[field][0]

    # Style: the rendering must allow a demanded line and palette.
    line, palette = demanded.get("style.line"), demanded.get("style.palette")
    barred = {
        rendering: 0.0
        for rendering, lines in _LINE_FOR.items()
        if line and line[0] not in lines
    }
    if palette and palette[0] != "monochrome":
        barred["mono_manga"] = 0.0
    rendering = pick("style.rendering", barred)
    pick("style.line", only=_LINE_FOR.get(rendering, ()))
    chibi = "chibi_shift" in demanded.get("motion.deformation", ())
    pick("style.proportion", {"super_deformed": 0.0} if chibi else {})
    pick("style.palette", only=("monochrome",) if rendering == "mono_manga" else ())
    pick("style.background")

    # Motion: what is demanded may force a still, or bar it.
    style = draws.weighted(factors("motion.motion_style", _allowed_styles(demanded)))
    style = demanded.get("motion.motion_style", (style,))[0]
    tags["motion.motion_style"] = (style,)
    lean = _ACTING.get(style, {})
    still = style == "still"
    for field, value in STILL_ONLY.items():
        pick(field, lean.get(field, {}), only=(value,) if still else ())
    if still:
        _never(demanded, "motion.spacing")
    else:
        pick("motion.spacing")
    deform_lean = dict(lean.get("motion.deformation", {}))
    if tags["style.proportion"] == ("super_deformed",):
        deform_lean["chibi_shift"] = 0.0
    level = demanded.get("motion.deform_level")
    if level == ("0",):
        deform_lean = {v: 0.0 for v in WEIGHTS["motion.deformation"] if v != "none"}
    elif level:
        deform_lean["none"] = 0.0
    pick("motion.deformation", deform_lean, only=("none",) if still else ())
    deformed = tags["motion.deformation"] != ("none",)
    pick("motion.deform_level", only=() if deformed else ("0",))
    emotion = pick("motion.emotion", lean.get("motion.emotion", {}))

    # Camera.
    shot_lean = dict(lean.get("camera.shot_size", {}))
    if style in LOCOMOTION or style in ("melee", "dance"):
        shot_lean = dict(extreme_close_up=0.15, close_up=0.3, knee=1.6, full=2.0)
    if tags["style.proportion"] == ("super_deformed",):
        shot_lean["full"] = shot_lean.get("full", 1) * 2.0
    pick("camera.shot_size", shot_lean)
    pick("camera.angle")
    moves = {} if style in LOCOMOTION else {"follow": 0.0}
    if "camera.camera_speed" in demanded or "camera.depth" in demanded:
        moves["fix"] = 0.0
    if style in LOCOMOTION:
        moves["follow"] = 2.5
    move = pick("camera.camera_motion", moves)
    shake_too = draws.chance(0.06)
    if shake_too and move not in ("fix", "shake") and (
        "camera.camera_motion" not in demanded
    ):
        tags["camera.camera_motion"] = (move, "shake")
    if tags["camera.camera_motion"] == ("fix",):
        _never(demanded, "camera.camera_speed")
        _never(demanded, "camera.depth")
    else:
        pick("camera.camera_speed")
        pick("camera.depth")

    # Effects.
    level = demanded.get("vfx.vfx_level")
    lists = ("vfx.impact", "vfx.lines", "vfx.manpu", "vfx.elemental")
    for field in lists:
        leaning = lean.get(field, {})
        if field == "vfx.manpu":
            leaning = {**_MANPU[emotion], **leaning}
        pick(field, leaning, only=("none",) if level == ("none",) else ())
    hitstop_too = draws.chance(0.25)
    if tags["vfx.impact"] == ("impact_frame",) and hitstop_too and not still:
        if "vfx.impact" not in demanded:
            tags["vfx.impact"] = ("impact_frame", "hitstop")
    bare = all(tags[field] == ("none",) for field in lists)
    if bare and level and level != ("none",):
        open_fields = [field for field in lists if field not in demanded]
        if open_fields:
            field = draws.choice(open_fields)
            table = {v: w for v, w in WEIGHTS[field].items() if v != "none"}
            if still:
                table.pop("hitstop", None)
            tags[field] = (draws.weighted(table),)
            bare = False
    pick("vfx.vfx_level", only=("none",) if bare else ())
    _check(tags, demanded)
    return tags


def _allowed_styles(demanded: Values) -> Table:
    """Factors on motion styles under the other demanded tags."""
    styles = WEIGHTS["motion.motion_style"]
    still = any(demanded.get(f) == (v,) for f, v in STILL_ONLY.items())
    if still:
        return {style: 0.0 for style in styles if style != "still"}
    lean: Table = {}
    moving = any(field in demanded for field in (*STILL_ONLY, "motion.spacing"))
    moving |= demanded.get("motion.deformation", ("none",)) != ("none",)
    moving |= demanded.get("motion.deform_level", ("0",)) != ("0",)
    moving |= "hitstop" in demanded.get("vfx.impact", ())
    if moving:
        lean["still"] = 0.0
    if "follow" in demanded.get("camera.camera_motion", ()):
        lean |= {style: 0.0 for style in styles if style not in LOCOMOTION}
    return lean


def _never(demanded: Values, field: str) -> None:
    if field in demanded:
        why = "a held drawing" if field == "motion.spacing" else "a fixed camera"
        raise UserError(f"{field} cannot be seen in {why}; leave it out")


def _check(tags: Values, demanded: Values) -> None:
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
    if line not in _LINE_FOR.get(rendering, (line,)):
        wrong = f"style.rendering={rendering} with style.line={line}"
    elif rendering == "mono_manga" and tags["style.palette"] != ("monochrome",):
        wrong = f"style.rendering=mono_manga with {tags['style.palette'][0]} colours"
    elif "follow" in tags["camera.camera_motion"] and style not in LOCOMOTION:
        wrong = f"camera.camera_motion=follow with motion.motion_style={style}"
    elif still_deformed(tags):
        wrong = "a deformation in a still, or a deform_level that contradicts it"
    elif "hitstop" in tags["vfx.impact"] and style == "still":
        wrong = "vfx.impact=hitstop with motion.motion_style=still"
    elif "chibi_shift" in tags["motion.deformation"] and (
        tags["style.proportion"] == ("super_deformed",)
    ):
        wrong = "motion.deformation=chibi_shift from style.proportion=super_deformed"
    for field in MULTIPLE:
        none = "fix" if field == "camera.camera_motion" else "none"
        if none in tags[field] and len(tags[field]) > 1:
            wrong = f"{field}={none} beside another value"
    bare = all(
        tags[f] == ("none",)
        for f in ("vfx.impact", "vfx.lines", "vfx.manpu", "vfx.elemental")
    )
    if bare != (tags["vfx.vfx_level"] == ("none",)):
        wrong = f"vfx.vfx_level={tags['vfx.vfx_level'][0]} with the effects given"
    if wrong:
        raise UserError(f"Cel World cannot draw {wrong}")


def still_deformed(tags: Values) -> bool:
    """Whether deformation, its level and the motion contradict each other."""
    deformed = tags["motion.deformation"] != ("none",)
    still = tags["motion.motion_style"] == ("still",)
    return (deformed and still) or deformed == (tags["motion.deform_level"] == ("0",))
