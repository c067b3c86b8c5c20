"""Pictures of the taxonomy: each value that Cel World draws, as a strip of frames.

    animatrix taxonomy reference --out=docs/taxonomy.md

A strip holds one field, a cell for each value: its name over a few frames of a clip
that differs from its neighbours in that value alone, as far as the taxonomy lets it.
"""

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from animatrix_jax.cels.rarities import WEIGHTS
from animatrix_jax.cels.render import render
from animatrix_jax.cels.shows import SEEN_IN, unseen
from animatrix_jax.cels.spec import ClipSpec, draw_spec
from animatrix_jax.cels.tagging import GOES_WITH
from animatrix_jax.knowledge.taxonomy import load_taxonomy

FRAMES = 17
SIDE = 88
WIDTH = 860
INK, PAPER, GREY = (34, 34, 40), (250, 249, 246), (228, 226, 220)
# The clip that every cell starts from: a quiet one.
_BASE: dict[str, str] = {
    "style.video_style": "2d_japanese_anime",
    "style.era": "modern_digital",
    "style.rendering": "two_tone_cel",
    "style.line": "tapered",
    "style.proportion": "stylized",
    "style.palette": "natural",
    "style.background": "painted",
    "motion.motion_style": "daily_acting",
    "motion.amplitude": "large",
    "motion.speed": "normal",
    "motion.timing": "twos",
    "motion.spacing": "eased",
    "motion.deformation": "none",
    "motion.emotion": "neutral",
    "camera.shot_size": "waist",
    "camera.angle": "eye",
    "camera.camera_motion": "fix",
    "vfx.impact": "none",
    "vfx.lines": "none",
    "vfx.manpu": "none",
    "vfx.elemental": "none",
    "vfx.energy": "none",
    "vfx.composite": "none",
}
_FULL = {"camera.shot_size": "full"}
_GOING = {**_FULL, "motion.motion_style": "run", "style.background": "flat_abstract"}
_FACE = {"camera.shot_size": "bust", "style.background": "flat_abstract"}
_PLACE = {**_FULL, "style.background": "painted", "motion.motion_style": "dialogue"}
# What shows a field best; under a tag, what shows that value best.
_SHOWN: dict[str, dict[str, str]] = {
    "style.video_style": _FACE,
    "style.rendering": _FACE,
    "style.line": _FACE,
    "style.proportion": {**_FULL, "style.background": "white"},
    "style.background": _FULL,
    "motion.motion_style": {**_FULL, "style.background": "flat_abstract"},
    "motion.amplitude": _GOING,
    "motion.speed": _GOING,
    "motion.timing": _GOING,
    "motion.spacing": {**_GOING, "motion.motion_style": "jump_fly"},
    "motion.deformation": {**_GOING, "motion.motion_style": "melee", "motion.deform_level": "3"},
    "motion.deformation=none": {"motion.deform_level": "0"},
    "motion.deformation=off_model_exaggeration": {**_FACE, "motion.motion_style": "comic_reaction"},
    "motion.deformation=chibi_shift": {"motion.motion_style": "comic_reaction", "camera.shot_size": "waist"},
    "motion.deform_level": {**_GOING, "motion.motion_style": "dash", "motion.deformation": "smear"},
    "motion.deform_level=0": {"motion.deformation": "none"},
    "motion.idiom": {**_FULL, "motion.motion_style": "dance", "style.background": "flat_abstract"},
    "motion.emotion": {**_FACE, "camera.shot_size": "close_up"},
    "camera.shot_size": {"motion.motion_style": "dialogue"},
    "camera.angle": _PLACE,
    "camera.angle=over_shoulder": {"camera.shot_size": "waist"},
    "camera.angle=pov": {"camera.shot_size": "waist"},
    "camera.camera_motion": {**_PLACE, "camera.depth": "multiplane", "camera.camera_speed": "flash"},
    "camera.camera_motion=follow": {"motion.motion_style": "run"},
    "camera.camera_motion=follow_pan": {"motion.motion_style": "run"},
    "camera.camera_motion=orbit": {"camera.shot_size": "waist"},
    "camera.camera_speed": {**_PLACE, "camera.camera_motion": "pan_right", "camera.depth": "multiplane"},
    "camera.depth": {**_PLACE, "camera.camera_motion": "pan_right", "camera.camera_speed": "flash"},
    "vfx.impact": {**_GOING, "motion.motion_style": "melee"},
    "vfx.lines": _GOING,
    "vfx.manpu": _FACE,
    "vfx.elemental": {**_FULL, "style.background": "flat_abstract"},
    "vfx.energy": {**_FULL, "style.background": "flat_abstract", "style.palette": "low_key"},
    "vfx.energy=beam": {"motion.motion_style": "ranged"},
    "vfx.energy=slash_trail": {"motion.motion_style": "melee"},
    "vfx.energy=transformation_glow": {"motion.motion_style": "transformation"},
    "vfx.vfx_level": {**_GOING, "vfx.elemental": "fire", "vfx.lines": "speed_lines"},
    "vfx.vfx_level=none": {"vfx.elemental": "none", "vfx.lines": "none"},
}  # fmt: skip
# Frames that show a value of the field; where only one is given, the value is still.
_SHOWN_FRAMES: dict[str, tuple[int, ...]] = {
    "style.video_style": (3,),
    "style.era": (3,),
    "style.rendering": (3,),
    "style.line": (3,),
    "style.proportion": (3,),
    "style.palette": (3,),
    "style.background": (3,),
    "motion.emotion": (3,),
    "camera.shot_size": (3,),
    "camera.angle": (3,),
    "camera.depth": (0, 8, 16),
    "motion.amplitude": (2, 6, 9, 12),
    "motion.timing": (4, 5, 6, 7, 8, 9),
    "motion.spacing": (4, 6, 8, 9, 10, 12),
    "motion.speed": (0, 4, 8, 12, 16),
    "motion.deformation": (7, 8, 9, 11),
    "motion.deform_level": (7, 8, 9, 11),
    "vfx.impact": (8, 9, 10, 12),
    "vfx.manpu": (4, 12),
    "vfx.elemental": (4, 8, 12),
    "vfx.composite": (2, 9, 15),
    "vfx.energy": (3, 8, 10, 13),
    "vfx.vfx_level": (8,),
    "vfx.lines": (8, 10),
}
_INDEX = {
    "style.background": 4,
    "vfx.manpu": 3,
    "camera.camera_motion": 3,
    "camera.angle": 3,
    "camera.depth": 3,
    "camera.camera_speed": 3,
    "vfx.composite": 3,
    "style.era": 3,
}


def drawn_values(key: str) -> tuple[str, ...]:
    """Values of a field that Cel World draws, in the taxonomy's order."""
    return tuple(WEIGHTS.get(key, ()))


def example(key: str, value: str) -> ClipSpec:
    """A clip that shows the value and little else."""
    tag = f"{key}={value}"
    demands = _BASE | _SHOWN.get(key, {}) | _SHOWN.get(tag, {}) | {key: value}
    demands |= {
        other: suits[0]
        for other, suits in GOES_WITH.get(tag, {}).items()
        if demands.get(other) not in suits
    }
    beside = {other: (wanted,) for other, wanted in demands.items()}
    for field in SEEN_IN:
        if unseen(field, beside):
            demands.pop(field, None)
    still = "motion.motion_style=still", "motion.timing=held"
    if tag in (*still, "motion.amplitude=none", "motion.speed=still"):
        demands |= {"motion.motion_style": "still", "motion.timing": "held"}
        demands |= {"motion.amplitude": "none", "motion.speed": "still"}
        demands.pop("motion.spacing")
    if demands["style.rendering"] == "mono_manga":
        demands["style.palette"] = "monochrome"
    if demands["style.rendering"] == "rough_genga":
        demands["style.line"] = "rough"
    excluded = set(load_taxonomy().value(tag).excludes)
    tags = [
        f"{other}={wanted}"
        for other, wanted in demands.items()
        if f"{other}={wanted}" not in excluded
    ]
    return draw_spec(seed=2, index=_INDEX.get(key, 11), frames=FRAMES, tags=tags)


def strip(
    key: str, *, side: int = SIDE, width: int = WIDTH
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of one field.

    Args:
      key: of a field that Cel World draws.
      side: of a frame, pixels.
      width: of the picture, which decides how many cells stand in a row.
    """
    values = drawn_values(key)
    if not values:
        raise ValueError(f"expected a field that Cel World draws, got {key!r}")
    shown = _SHOWN_FRAMES.get(key, (1, 6, 9, 14))
    gap, label = 6, 17
    font = ImageFont.load_default(11)
    longest = max(round(font.getlength(value)) for value in values)
    cell = max(len(shown) * (side + 1), longest) + gap
    columns = max(width // cell, 1)
    rows = math.ceil(len(values) / columns)
    high = side + label + gap
    wide = min(columns, len(values)) * cell + gap
    picture = Image.new("RGB", (wide, rows * high + gap), PAPER)
    pen = ImageDraw.Draw(picture)
    for number, value in enumerate(values):
        x = gap + (number % columns) * cell
        y = gap + (number // columns) * high
        pen.text((x, y), value, INK, font=font)
        video = render(example(key, value), height=side, width=side)
        for place, frame in enumerate(shown):
            at = (x + place * (side + 1), y + label)
            picture.paste(Image.fromarray(video[frame]), at)
            pen.rectangle([*at, at[0] + side - 1, at[1] + side - 1], outline=GREY)
    return np.asarray(picture)
