"""Elemental effects (values of `vfx.elemental`), animated as effects artists do.

Natural phenomena in anime are designs: two or three flat tones with hard edges, large
shapes first, spaced fast-out and slow-in. A particle is a row of constant numbers and
its place a function of the frame, so shapes travel and turn and never boil. Weather
lives here; what burns or bursts is in `blasts`. The canvas spans [0, aspect] x [0, 1].
"""

import dataclasses
import math
from collections.abc import Callable

import skia

from animatrix_jax.cels import blasts, ink
from animatrix_jax.cels.blasts import Air
from animatrix_jax.cels.palettes import WHITE, mix
from animatrix_jax.cels.shot import Shot

# How large an element is by level; and which are sized: also in breadth, about what y.
SIZES = {"dominant": 1.4}
SIZED: dict[str, tuple[bool, float]] = {
    "fire": (False, 1.0),
    "liquid": (False, 1.0),
    "dust": (False, 1.0),
    "smoke": (False, 1.0),
    "explosion": (True, 0.5),
    "debris": (True, 0.6),
    "sparks": (True, 0.6),
}


def draw_elemental(shot: Shot, value: str, level: str = "accent") -> None:
    """Draw the element `value` over the shot, as much of it as `level` asks.

    Args:
      shot: the frame.
      value: of `vfx.elemental`.
      level: value of `vfx.vfx_level`.

    Raises:
      ValueError: for an element that does not exist.
    """
    if value not in ELEMENTALS:
        raise ValueError(f"elemental must be one of {tuple(ELEMENTALS)}, got {value!r}")
    canvas = shot.canvas
    air = Air(**vars(shot), level=level, pixels=shot.scale)
    canvas.save()
    if value in SIZED:
        # From the ground up, or about where it bursts.
        wide, high = SIZED[value]
        size = SIZES.get(level, 1.0)
        canvas.translate(0.5 * shot.aspect, high)
        canvas.scale(size if wide else 1.0, size)
        canvas.translate(-0.5 * shot.aspect, -high)
    ELEMENTALS[value](air)
    canvas.restore()


def _rain(air: Air) -> None:
    """Slanting streaks in two depths, and splashes along the bottom."""
    near, far = skia.Path(), skia.Path()
    slant = 0.22
    for i, (u, v, w) in enumerate(air.table("rain", air.count(26, 90), 3)):
        front = i % 3 == 0
        length = (0.30 if front else 0.18) * (0.8 + 0.5 * w)
        speed = (0.36 if front else 0.26) + 0.05 * w
        y = (v * 1.4 + speed * air.frame) % 1.4 - 0.3
        x = u * (air.aspect + slant) - slant * y
        width = ink.at_least(
            0.011 if front else 0.007, 1.5 if front else 1.1, air.pixels
        )
        path = near if front else far
        ink.spindle(path, (x + slant * length, y - length), (x, y), width, 0.7)
    tone = air.palette.light((0.80, 0.90, 1.0))
    deep = mix(air.palette.light((0.45, 0.58, 0.78)), air.palette.line, 0.15)
    air.canvas.drawPath(far, ink.fill(deep, 0.85))
    air.canvas.drawPath(near, ink.fill(tone, 0.95))
    splashes = skia.Path()
    for i, (u, v, _) in enumerate(air.table("splash", air.count(5, 16), 3)):
        age = (air.frame + i * 2) % 5 / 5
        size = 0.02 + 0.04 * age
        x, y = u * air.aspect, 0.86 + 0.12 * v
        splashes.addOval(
            skia.Rect.MakeLTRB(x - size, y - 0.3 * size, x + size, y + 0.3 * size)
        )
    pen = ink.stroke(tone, ink.at_least(0.006, 0.5, air.pixels), 0.8)
    air.canvas.drawPath(splashes, pen)


def _snow(air: Air) -> None:
    """Flakes in three sizes that drift down and sway."""
    flakes, shade = skia.Path(), skia.Path()
    for i, (u, v, w, phase) in enumerate(air.table("snow", air.count(26, 110), 4)):
        size = (0.010, 0.016, 0.028)[i % 3] * (0.8 + 0.5 * w)
        size = ink.at_least(size, (0.55, 0.75, 1.05)[i % 3], air.pixels)
        speed = (0.018, 0.028, 0.042)[i % 3]
        y = (v * 1.1 + speed * air.frame) % 1.1 - 0.05
        sway = 0.03 * math.sin(0.35 * air.frame + math.tau * phase)
        x = (u * air.aspect + sway - 0.006 * air.frame) % (air.aspect + 0.06) - 0.03
        shade.addCircle(x + 0.25 * size, y + 0.3 * size, 1.12 * size)
        flakes.addCircle(x, y, size)
    # A cool rim lets white flakes read against white paper too.
    air.canvas.drawPath(shade, ink.fill(air.palette.light((0.62, 0.74, 0.92)), 0.8))
    air.canvas.drawPath(flakes, ink.fill(WHITE))


def _petals(air: Air) -> None:
    """Cherry petals that tumble across on the wind."""
    light, deep = skia.Path(), skia.Path()
    for i, (u, v, w, turn) in enumerate(air.table("petals", air.count(15, 46), 4)):
        size = ink.at_least(0.04 + 0.045 * w, 2.6 + 1.2 * w, air.pixels)
        speed = 0.03 + 0.022 * w
        x = (u * (air.aspect + 0.3) - speed * air.frame) % (air.aspect + 0.3) - 0.15
        y = (v * 1.2 + 0.6 * speed * air.frame) % 1.2 - 0.1
        y += 0.03 * math.sin(0.5 * air.frame + math.tau * turn)
        spin = math.tau * turn + 0.28 * air.frame * (1 if i % 2 else -1)
        flip = 0.25 + 0.75 * abs(math.cos(0.33 * air.frame + 9.0 * w))
        path = deep if i % 3 == 0 else light
        ink.petal(path, x, y, size, spin, 0.5 * flip + 0.12)
    air.canvas.drawPath(deep, ink.fill(air.palette.light((0.93, 0.36, 0.56))))
    air.canvas.drawPath(light, ink.fill(air.palette.light((1.0, 0.70, 0.82))))


def _swoosh(
    path: skia.Path, x: float, y: float, length: float, width: float, curl: float
) -> None:
    """Append a gust: a tapered wave that ends in a curl, leading edge at (x, y)."""
    upper, lower = [], []
    for k in range(9):
        t = k / 8
        px = x - length * (1.0 - t)
        py = y + 0.05 * math.sin(2.6 * t * math.pi) * length
        half = 0.5 * width * math.sin(math.pi * min(0.06 + 0.8 * t, 1.0))
        upper.append((px, py - half))
        lower.append((px, py + half))
    for k in range(1, 8):
        angle = -math.pi / 2 + 0.86 * math.tau * k / 7
        radius = curl * (1.0 - 0.09 * k)
        half = 0.5 * width * (1.0 - k / 7) * 0.8
        cx, cy = x, y - curl + 0.05 * math.sin(2.6 * math.pi) * length
        cos, sin = math.cos(-angle), math.sin(-angle)
        upper.append((cx + (radius - half) * cos, cy + (radius - half) * sin))
        lower.append((cx + (radius + half) * cos, cy + (radius + half) * sin))
    ink.polygon(path, upper + lower[::-1])


def _wind(air: Air) -> None:
    """Curling gusts, and leaves torn along."""
    gusts, leaves = skia.Path(), skia.Path()
    reach = air.aspect + 1.3
    for i, (u, v, w) in enumerate(air.table("gust", air.count(4, 6), 3)):
        rows = air.count(4, 6)
        # Gusts follow one another, so that some are always in the shot.
        start = (i * 0.618 + 0.15 * u) * reach
        x = (start + 0.16 * air.frame) % reach + 0.05
        y = 0.14 + 0.78 * (i + 0.6 * v) / rows
        width = ink.at_least(0.024 + 0.014 * w, 1.6, air.pixels)
        _swoosh(gusts, x, y, 0.55 + 0.4 * w, width, 0.045 + 0.03 * v)
    for i, (u, v, w) in enumerate(air.table("leaves", air.count(6, 16), 3)):
        x = (u * reach + (0.11 + 0.05 * w) * air.frame) % reach - 0.3
        y = v + 0.06 * math.sin(0.6 * air.frame + math.tau * w)
        size = ink.at_least(0.03 + 0.02 * w, 1.8, air.pixels)
        ink.petal(leaves, x, y, size, 0.5 * air.frame + math.tau * w, 0.42)
    pen = ink.stroke(
        mix(air.palette.line, air.palette.sky, 0.45),
        ink.at_least(0.008, 0.55, air.pixels),
        0.7,
    )
    air.canvas.drawPath(gusts, pen)
    air.canvas.drawPath(gusts, ink.fill(WHITE, 0.95))
    air.canvas.drawPath(leaves, ink.fill(air.palette.light((0.45, 0.68, 0.22))))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Splash:
    """One sheet of water: where it stands and how high it leaps."""

    x: float
    width: float
    height: float


def _liquid(air: Air) -> None:
    """A crown of water that leaps from the bottom edge, and its drops."""
    body, shade, light = skia.Path(), skia.Path(), skia.Path()
    period = 14
    for k in range(2):
        age = ((air.frame + 5 + 7 * k) % period) / period
        leap = math.sin(math.pi * min(age * 1.15, 1.0))
        side = 0.2 + 0.62 * k
        splash = _Splash(
            x=side * air.aspect, width=0.34 + 0.3 * age, height=0.52 * leap
        )
        _crown(air, body, splash, k, 1.0)
        _crown(air, shade, splash, k, 0.55)
        for i, (u, v, w) in enumerate(air.table(f"drops{k}", air.count(5, 14), 3)):
            x = splash.x + (u - 0.5) * (0.3 + 0.9 * age)
            y = 1.0 - (0.45 + 0.75 * v) * 4.0 * age * (1.0 - age) * 0.8
            radius = ink.at_least(0.014 + 0.018 * w, 0.75, air.pixels)
            (light if i % 3 == 0 else body).addCircle(x, y, radius)
    air.canvas.drawPath(body, ink.fill(air.palette.light((0.36, 0.72, 0.96)), 0.95))
    air.canvas.drawPath(shade, ink.fill(air.palette.light((0.14, 0.44, 0.84)), 0.95))
    air.canvas.drawPath(light, ink.fill(WHITE))


def _crown(
    air: Air, path: skia.Path, splash: _Splash, key: int, portion: float
) -> None:
    """Append the crown's outline: fingers of water that lean outwards."""
    fingers = air.table(f"crown{key}", 5, 2)
    left, width = splash.x - splash.width / 2, splash.width
    path.moveTo(left - 0.1 * width, 1.05)
    for i, (u, v) in enumerate(fingers):
        across = (i + 0.5) / len(fingers)
        lean = (across - 0.5) * 0.55 * width
        top = 1.0 - portion * splash.height * (0.55 + 0.5 * u)
        x = left + across * width
        half = 0.5 * width / len(fingers)
        neck, valley = 0.30 * half * portion, 1.0 - 0.34 * portion * splash.height
        path.quadTo(x - 0.15 * half, valley, x + lean - neck, top)
        path.quadTo(x + lean, top - 2.6 * neck, x + lean + neck, top)
        path.quadTo(x + 0.3 * half + 0.5 * lean * v, valley, x + half, valley)
    path.lineTo(left + 1.1 * width, 1.05)
    path.close()


ELEMENTALS: dict[str, Callable[[Air], None]] = {
    "fire": blasts.fire,
    "smoke": blasts.smoke,
    "explosion": blasts.explosion,
    "liquid": _liquid,
    "lightning": blasts.lightning,
    "wind": _wind,
    "debris": blasts.debris,
    "sparks": blasts.sparks,
    "dust": blasts.dust,
    "rain": _rain,
    "snow": _snow,
    "petals": _petals,
}
