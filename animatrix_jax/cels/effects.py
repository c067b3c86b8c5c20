"""Drawn effects of a shot: effect lines, impacts and hit sparks (the VFX axis).

The renderer calls `apply_before` between background and character, `apply_after` over
the character, and `post` on the finished pixels. The canvas spans x in [0, aspect] and
y in [0, 1]. Lines that boil do so as in a studio: a cycle of three drawings on twos,
not fresh noise on every frame; lines that run travel along the motion.
"""

import functools
import math

import numpy as np
import skia
from jaxtyping import UInt8

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import BLACK, WHITE, Colour, mix
from animatrix_jax.cels.shot import Shot
from animatrix_jax.cels.spec import EffectsSpec

Point = tuple[float, float]
SHOCK_FRAMES = 5
SPARK_FRAMES = 3
IMPACT_FRAMES = 2
# How much of the picture is whited out on the frames from the hit on, by level.
FLASH = {"accent": (0.94, 0.6, 0.25), "dominant": (1.0, 1.0, 0.9, 0.7, 0.45, 0.2)}
# From what share of the clip on streaks take the place of the set, by level.
STREAKS = {"accent": 0.3, "dominant": 0.12}


def apply_before(shot: Shot, effects: EffectsSpec) -> None:
    """Draw what lies behind the character: streaks, and the far half of the lines."""
    if "streak_background" in effects.lines and _streaking(shot, effects):
        _streaks(shot, effects)
    if "speed_lines" in effects.lines:
        _speed_lines(shot, effects, 0.0)
    if "focus_lines" in effects.lines:
        _focus_lines(shot, effects, _aim(shot, effects), 0.25)
    if "waver_lines" in effects.lines:
        _waver_lines(shot, effects)


def apply_after(shot: Shot, effects: EffectsSpec, focus: Point | None = None) -> None:
    """Draw what lies over the character.

    Args:
      shot: the frame.
      effects: what is drawn.
      focus: where the blow or the gaze is, in screen units; the spec's own if not given.
    """
    focus = focus or _aim(shot, effects)
    if "speed_lines" in effects.lines:
        _speed_lines(shot, effects, 1.0)
    if "focus_lines" in effects.lines:
        _focus_lines(shot, effects, focus, 0.45)
    if effects.impact:
        age = shot.frame - hit_frame(effects, shot.frames)
        if "shockwave" in effects.impact and 0 <= age < SHOCK_FRAMES:
            _shockwave(shot, effects, age, focus)
        # A flash by itself is light, not a blow.
        if 0 <= age < SPARK_FRAMES and effects.impact != ("flash",):
            _spark(shot, effects, age, focus)


def post(
    image: UInt8[np.ndarray, "h w 3"],
    shot: Shot,
    effects: EffectsSpec,
    focus: Point | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Work on the photographed frame: impact frames and the white-out of a flash.

    Frames without either come back as they are.

    Args:
      image: the frame's pixels.
      shot: the frame; its canvas is left alone.
      effects: what is done to it.
      focus: as for `apply_after`.
    """
    age = shot.frame - hit_frame(effects, shot.frames)
    if "impact_frame" in effects.impact:
        if 0 <= age < IMPACT_FRAMES:
            return _impact_frame(image, shot, age, focus or _aim(shot, effects))
        age -= IMPACT_FRAMES
    fading = FLASH.get(effects.level, ())
    if "flash" in effects.impact and 0 <= age < len(fading):
        amount = fading[age]
        white = image + (255.0 - image) * amount
        return np.round(white).astype(np.uint8)
    return image


def hit_frame(effects: EffectsSpec, frames: int) -> int:
    """The frame of the contact, kept inside the clip."""
    return min(max(effects.hit, 0), frames - 1)


def _aim(shot: Shot, effects: EffectsSpec) -> Point:
    """The spec's own focus in screen units."""
    return (effects.focus[0] * shot.aspect, effects.focus[1])


def _strength(effects: EffectsSpec) -> float:
    return {"none": 0.8, "accent": 0.8, "dominant": 1.2}[effects.level]


def _pen(shot: Shot) -> Colour:
    """Effect lines are inked with the line colour, deepened: they must carry."""
    return mix(shot.palette.line, BLACK, 0.35)


def _speed_lines(shot: Shot, effects: EffectsSpec, near: float) -> None:
    """Spindles that fly against the motion; those in front keep to the margins."""
    scale, aspect, canvas = shot.scale, shot.aspect, shot.canvas
    dx, dy = effects.direction
    if dx == 0.0 and dy == 0.0:
        dx = 1.0
    reach = abs(dx) * aspect + abs(dy) + 1.0
    span = abs(dy) * aspect + abs(dx)
    count = round(
        (7 if near else 10) * _strength(effects) * (1.6 if scale > 100 else 1)
    )
    light, dark = skia.Path(), skia.Path()
    for i, row in enumerate(shot.table(f"speed{near}", count, 5)):
        across = (i + row[0]) / count - 0.5
        if near:
            # Push outwards, so that face and hands stay clear.
            across = math.copysign(0.27 + 0.46 * abs(across), across)
        across *= span
        length = 0.35 + 0.75 * row[1]
        along = (
            row[2] * reach - (0.55 + 0.35 * row[3]) * shot.frame
        ) % reach - 0.5 * reach
        width = 0.008 + 0.022 * row[4] * row[4] + 0.006 * near
        width = ink.at_least(width, 0.9 + 0.7 * row[4], scale)
        x = aspect / 2 + along * dx - across * dy
        y = 0.5 + along * dy + across * dx
        path = dark if i % 3 == 1 else light
        end = (x + length * dx, y + length * dy)
        ink.spindle(path, (x, y), end, width, 0.3)
    canvas.drawPath(light, ink.fill(WHITE, 0.9))
    canvas.drawPath(dark, ink.fill(_pen(shot), 0.75))


def _focus_lines(shot: Shot, effects: EffectsSpec, focus: Point, hollow: float) -> None:
    """Wedges that converge on `focus` and stop at an open oval around it."""
    scale, canvas = shot.scale, shot.canvas
    x, y = focus
    # Beyond the corners, by tenths, so that a focus that drifts keeps its drawing.
    outer = (
        math.ceil(10 * math.hypot(max(x, shot.aspect - x), max(y, 1.0 - y)) + 0.5) / 10
    )
    strength = _strength(effects)
    count = round((20 if scale < 100 else 52) * (0.6 + 0.4 * strength))
    rows = shot.table(f"focus{hollow}{shot.frame // 2 % 3}", count, 4)
    light, dark = _wedges(rows, hollow / strength, outer, 0.6 / (scale * outer))
    canvas.save()
    canvas.translate(x, y)
    canvas.drawPath(dark, ink.fill(_pen(shot), 0.88))
    canvas.drawPath(light, ink.fill(WHITE, 0.92))
    canvas.restore()


@functools.lru_cache(maxsize=64)
def _wedges(
    rows: tuple[ink.Row, ...], hollow: float, outer: float, thinnest: float
) -> tuple[skia.Path, skia.Path]:
    """Light and dark wedges about the origin, of `thinnest` half angle and more."""
    light, dark = skia.Path(), skia.Path()
    count = len(rows)
    for i, row in enumerate(rows):
        angle = math.tau * (i + 0.7 * row[0]) / count
        inner = hollow * (1.0 + 0.55 * row[1])
        half = (0.2 + 0.8 * row[2]) * math.pi / count * 0.74
        half = max(half, thinnest)
        path = light if i % 4 == 0 else dark
        path.moveTo(inner * math.cos(angle), inner * math.sin(angle))
        for edge in (angle - half, angle + half):
            path.lineTo(outer * math.cos(edge), outer * math.sin(edge))
        path.close()
    return light, dark


def _streaking(shot: Shot, effects: EffectsSpec) -> bool:
    """Whether the set has given way: it is seen first, so that a place can be told.

    A clip of one frame is all streaks.
    """
    return shot.frame >= STREAKS.get(effects.level, 0.3) * (shot.frames - 1)


def _streaks(shot: Shot, effects: EffectsSpec) -> None:
    """The set gives way to bands of paint dragged along the motion."""
    scale, aspect, canvas, palette = shot.scale, shot.aspect, shot.canvas, shot.palette
    dx, dy = effects.direction
    if dx == 0.0 and dy == 0.0:
        dx = 1.0
    base = palette.scene(mix(palette.accent, (0.2, 0.3, 0.7), 0.45))
    tones = (
        mix(base, WHITE, 0.85),
        mix(base, WHITE, 0.4),
        mix(base, palette.shadow_tint, 0.7),
    )
    canvas.drawPaint(ink.fill(base))
    reach = abs(dx) * aspect + abs(dy) + 1.6
    span = abs(dy) * aspect + abs(dx)
    count = 21 if scale < 100 else 54
    paths = (skia.Path(), skia.Path(), skia.Path())
    for i, row in enumerate(shot.table("streak", count, 5)):
        across = ((i + row[0]) / count - 0.5) * span * 1.05
        length = 0.8 + 0.9 * row[1]
        along = (
            row[2] * reach - (0.7 + 0.4 * row[3]) * shot.frame
        ) % reach - 0.62 * reach
        width = _strength(effects) * (0.5 + 2.0 * row[4]) / count
        width = ink.at_least(width, 1.3, scale)
        x = aspect / 2 + along * dx - across * dy
        y = 0.5 + along * dy + across * dx
        end = (x + length * dx, y + length * dy)
        ink.spindle(paths[i % 3], (x, y), end, width, 0.45)
    for path, tone in zip(reversed(paths), reversed(tones), strict=True):
        canvas.drawPath(path, ink.fill(tone))


def _waver_lines(shot: Shot, effects: EffectsSpec) -> None:
    """Ribbons that sway like a heat haze: dread, shock, a world coming loose."""
    scale, canvas, strength = shot.scale, shot.canvas, _strength(effects)
    dark, light = skia.Path(), skia.Path()
    count = round((11 if scale < 100 else 17) * strength)
    steps = 8 if scale < 100 else 18
    for i, row in enumerate(shot.table("waver", count, 4)):
        x = shot.aspect * (i + 0.2 + 0.6 * row[0]) / count
        width = ink.at_least((0.015 + 0.025 * row[1]) * strength, 0.9, scale)
        sway, phase = (
            (0.04 + 0.03 * row[2]) * strength,
            math.tau * row[3] + 0.55 * shot.frame,
        )
        points = []
        for step in range(steps + 1):
            y = -0.05 + 1.1 * step / steps
            points.append((x + sway * math.sin(9.0 * y + phase), y))
        path = light if i % 3 == 2 else dark
        path.moveTo(points[0][0] - width / 2, points[0][1])
        for px, py in points[1:]:
            path.lineTo(px - width / 2, py)
        for px, py in reversed(points):
            path.lineTo(px + width / 2, py)
        path.close()
    canvas.drawPath(dark, ink.fill(_pen(shot), 0.7))
    canvas.drawPath(light, ink.fill(WHITE, 0.75))


def _shockwave(shot: Shot, effects: EffectsSpec, age: int, focus: Point) -> None:
    """A ring that leaps out and thins: fast first, as every blast is spaced."""
    scale = shot.scale
    out = 1.0 - (1.0 - (age + 1) / SHOCK_FRAMES) ** 2
    radius = (0.12 + 0.72 * out) * _strength(effects)
    width = ink.at_least(0.16 * (1.0 - 0.8 * out), 1.2, scale)
    count = 14 if scale < 100 else 32
    rows = shot.table("shock", count, 2)
    for tone, inset, alpha in ((shot.palette.accent, 1.0, 0.85), (WHITE, 0.55, 0.95)):
        ring = skia.Path()
        ring.setFillType(skia.PathFillType.kEvenOdd)
        for edge in (0.5, -0.5):
            points = []
            for i, row in enumerate(rows):
                angle = math.tau * i / count
                r = radius + width * inset * (edge + 0.45 * (row[0] - 0.5))
                points.append(
                    (focus[0] + r * math.cos(angle), focus[1] + r * math.sin(angle))
                )
            ink.smooth(ring, points)
        shot.canvas.drawPath(ring, ink.fill(tone, alpha))


def _spark(shot: Shot, effects: EffectsSpec, age: int, focus: Point) -> None:
    """The star of a blow: a hard white core in a jagged warm rim, gone in three."""
    size = (0.30, 0.40, 0.26)[age] * _strength(effects)
    rows = shot.table(f"spark{age}", 9, 2)
    turn = math.tau * rows[0][1]
    outer = [size * (0.55 + 0.75 * row[0]) for row in rows]
    rim, core = skia.Path(), skia.Path()
    ink.star(rim, focus, outer, 0.42 * size, turn)
    ink.star(core, focus, [0.72 * r for r in outer], 0.3 * size, turn)
    if age == 2:
        # The core has burnt out: what is left is a hollow star.
        rim.setFillType(skia.PathFillType.kEvenOdd)
        rim.addPath(core)
        shot.canvas.drawPath(rim, ink.fill(shot.palette.light((1.0, 0.72, 0.12))))
        return
    shot.canvas.drawPath(rim, ink.fill(shot.palette.light((1.0, 0.66, 0.10))))
    shot.canvas.drawPath(core, ink.fill(WHITE))


def _impact_frame(
    image: UInt8[np.ndarray, "h w 3"], shot: Shot, age: int, focus: Point
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as two inks, torn by rays from the blow; the second one in negative.

    The threshold lies at the median brightness, so that black and white each take
    about half the picture whatever the scene.
    """
    height, width = image.shape[:2]
    luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    low, middle, high = np.percentile(luma, [12.0, 50.0, 85.0])
    middle = min(max(float(middle), float(low) + 1.0), float(high) + 1.0)
    bright = luma >= middle
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height - focus[1]
    x = (np.arange(width, dtype=np.float32)[None] + 0.5) / height - focus[0]
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x) / math.tau + 0.5
    count = 14 if height < 100 else 32
    rows = np.asarray(shot.table("impact", count, 2), np.float32)
    sector = np.minimum((angle * count).astype(np.int32), count - 1)
    # A ray fills a part of its sector that grows outwards, so it tapers to the focus.
    within = np.abs(angle * count - sector - 0.5)
    reach = (radius - 0.2 - 0.2 * rows[sector, 1]).clip(0.0, 0.45)
    ray = within < rows[sector, 0] * reach
    bright ^= ray
    if age % 2:
        bright = ~bright
    inks = np.array([[8, 6, 10], [252, 252, 250]], np.uint8)
    drawing = inks[bright.astype(np.intp)]
    if age % 2 == 0 and shot.palette.manga == "colour":
        red = np.round(np.array(shot.palette.light((0.90, 0.05, 0.09))) * 255.0)
        drawing[(luma <= low) & ~ray] = red.astype(np.uint8)
    return drawing
