"""Powers that are not in nature (values of `vfx.energy`).

Auras and circles lie behind the figure, beams, slashes and missiles over it. Light is
drawn as effects animators do: a white core, a coloured edge, shapes that travel. The
canvas spans [0, aspect] x [0, 1]; an :class:`Actor` says where the figure is on it.
"""

import dataclasses
import math

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.keyposes import HIT
from animatrix_jax.cels.palettes import BLACK, WHITE, Colour, Palette, mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.shot import Shot

HUES: tuple[Colour, ...] = (
    (1.0, 0.78, 0.15),
    (0.22, 0.62, 1.0),
    (0.98, 0.26, 0.5),
    (0.36, 0.95, 0.5),
    (0.66, 0.36, 1.0),
)
BEHIND = ("aura", "magic_circle", "missile_swarm")
OVER = ("beam", "slash_trail", "missile_swarm")
_STROKE = 7  # frames that a stroke of a slash is seen
_SHADE = 0.45  # of black in the edge of a light, so that it shows on a light ground


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actor:
    """Where the figure is on the screen, in screen units."""

    head: tuple[float, float]
    hand: tuple[float, float]
    feet: tuple[float, float]
    radius: float  # of the head
    facing: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Power(Shot):
    """A shot with the figure that powers and props belong to."""

    actor: Actor
    hue: Colour  # of the light
    strength: float = 1.0  # from vfx.vfx_level

    @property
    def hit(self) -> int:
        """The frame of the blow or the shot."""
        return round(HIT * (self.frames - 1))


def draw_hue(draws: Draws, palette: Palette) -> Colour:
    """The colour of a clip's powers."""
    return palette.light(HUES[draws.child("hue").integer(0, len(HUES))])


def draw_behind(power: Power, values: tuple[str, ...]) -> None:
    """What lies between the set and the figure."""
    if "aura" in values:
        _aura(power)
    if "magic_circle" in values:
        _circle(power)
    if "missile_swarm" in values:
        _missiles(power, "far", round(5 * power.strength), 0.6)


def draw_over(power: Power, values: tuple[str, ...]) -> None:
    """What lies over the figure."""
    if "beam" in values:
        _beam(power)
    if "slash_trail" in values:
        _slash(power)
    if "missile_swarm" in values:
        _missiles(power, "near", round(5 * power.strength), 1.0)
    if "transformation_glow" in values:
        _ribbons(power)


def _aura(power: Power) -> None:
    """Flames of light that stream up from all round the body."""
    actor, hue, f = power.actor, power.hue, power.frame
    top = actor.head[1] - 1.2 * actor.radius
    foot = min(actor.feet[1], 1.15)
    x = 0.5 * (actor.head[0] + actor.feet[0])
    tall = max(foot - top, 0.3)
    for size, tone, alpha in ((1.0, hue, 0.6), (0.74, mix(hue, WHITE, 0.62), 0.8)):
        path = skia.Path()
        wide = (0.3 * tall + 0.6 * actor.radius) * size * power.strength
        count = 9
        points = []
        for i in range(count + 1):
            u = i / count
            angle = math.pi * (1.0 - u)
            rise = math.sin(angle) ** 0.6
            px = x + wide * math.cos(angle) * (0.72 + 0.28 * rise)
            lick = 0.5 + 0.5 * math.sin(1.9 * i + 0.9 * f)
            py = foot - (tall * 1.02 + 0.16 * tall * size * lick) * rise * (
                0.55 + 0.45 * size
            )
            points.append((px, py))
        path.moveTo(x - wide * 0.8, foot + 0.06)
        for i, (px, py) in enumerate(points):
            path.quadTo(px - 0.05 * size, py + 0.14 * tall, px, py)
            if i < count:
                nx, ny = points[i + 1]
                path.quadTo(
                    0.5 * (px + nx),
                    0.5 * (py + ny) + 0.2 * tall,
                    0.6 * px + 0.4 * nx,
                    0.5 * (py + ny) + 0.16 * tall,
                )
        path.lineTo(x + wide * 0.8, foot + 0.06)
        path.close()
        if tone == hue:
            edge = ink.at_least(0.014, 1.2, power.scale)
            power.canvas.drawPath(path, ink.stroke(mix(hue, BLACK, _SHADE), edge, 0.6))
        power.canvas.drawPath(path, ink.fill(tone, alpha))
    motes = skia.Path()
    for u, v, w in power.table("motes", 12, 3):
        rise = (v + (0.02 + 0.02 * w) * f) % 1.0
        r = ink.at_least(0.006 + 0.01 * w, 0.8, power.scale)
        motes.addCircle(x + (u - 0.5) * 1.1 * tall, foot - 1.2 * tall * rise, r)
    power.canvas.drawPath(motes, ink.fill(mix(hue, WHITE, 0.5)))


def _circle(power: Power) -> None:
    """Rings of signs that turn against each other, on the ground or upright."""
    actor, hue = power.actor, power.hue
    canvas, f = power.canvas, power.frame
    canvas.save()
    tall = actor.feet[1] - actor.head[1]
    if actor.feet[1] < 1.02:
        canvas.translate(actor.feet[0], actor.feet[1])
        canvas.scale(1.0, 0.34)
        size = max(0.55 * tall, 0.2) * power.strength
    else:
        canvas.translate(actor.head[0], min(max(actor.head[1] + 0.1, 0.3), 0.7))
        size = 0.42 * power.strength
    grown = min(1.0, 0.5 + 1.6 * f / max(power.frames - 1, 1))
    size *= grown
    pen = ink.at_least(0.012, 1.1, power.scale)
    rings = skia.Path()
    for r in (1.0, 0.86, 0.5):
        rings.addCircle(0.0, 0.0, r * size)
    signs = skia.Path()
    for k in range(12):
        angle = math.tau * k / 12 + 0.06 * f
        c, s = math.cos(angle), math.sin(angle)
        signs.moveTo(0.88 * size * c, 0.88 * size * s)
        signs.lineTo(0.98 * size * c, 0.98 * size * s)
    star = skia.Path()
    for turn in (0.0, math.pi):
        points = [
            (
                0.82 * size * math.cos(turn + math.tau * k / 3 - 0.05 * f),
                0.82 * size * math.sin(turn + math.tau * k / 3 - 0.05 * f),
            )
            for k in range(3)
        ]
        ink.polygon(star, points)
    glow = ink.radial(
        (0.0, 0.0),
        1.15 * size,
        ((*hue, 0.5), (*hue, 0.3), (*hue, 0.0)),
        (0.0, 0.8, 1.0),
    )
    canvas.drawCircle(0.0, 0.0, 1.15 * size, glow)
    for path in (rings, star, signs):
        canvas.drawPath(path, ink.stroke(mix(hue, BLACK, _SHADE), 3.6 * pen, 0.6))
        canvas.drawPath(path, ink.stroke(hue, 2.2 * pen, 0.9))
        canvas.drawPath(path, ink.stroke(mix(hue, WHITE, 0.75), 0.9 * pen))
    canvas.restore()


def _beam(power: Power) -> None:
    """From the hand across the frame: it swells, holds, and thins."""
    actor, hue, f = power.actor, power.hue, power.frame
    age = f - round(0.3 * (power.frames - 1))
    x = min(max(actor.hand[0], 0.08), power.aspect - 0.08)
    y = min(max(actor.hand[1], 0.12), 0.88)
    if age < 0:
        # It gathers before it goes.
        size = 0.05 + 0.05 * f / max(power.hit, 1)
        ball = ink.radial(
            (x, y), 2 * size, ((*WHITE, 1.0), (*hue, 0.8), (*hue, 0.0)), (0.0, 0.4, 1.0)
        )
        power.canvas.drawCircle(x, y, 2 * size, ball)
        return
    wide = (
        (0.055 + 0.075 * min(age / 3, 1.0))
        * power.strength
        * (1.0 + 0.1 * math.cos(2.4 * f))
    )
    end = power.aspect + 0.3 if actor.facing > 0 else -0.3
    way = actor.facing
    for share, tone, alpha in (
        (1.0, hue, 0.55),
        (0.68, mix(hue, WHITE, 0.35), 0.9),
        (0.36, WHITE, 1.0),
    ):
        w = wide * share
        path = skia.Path()
        path.moveTo(x - way * 0.3 * w, y)
        path.cubicTo(x, y - w, x + way * 0.2, y - w, x + way * 0.4, y - w)
        path.lineTo(end, y - w)
        path.lineTo(end, y + w)
        path.lineTo(x + way * 0.4, y + w)
        path.cubicTo(x + way * 0.2, y + w, x, y + w, x - way * 0.3 * w, y)
        path.close()
        power.canvas.drawPath(path, ink.fill(tone, alpha))
    rings, sparks = skia.Path(), skia.Path()
    for k in range(4):
        at = x + way * ((0.32 * k + 0.09 * f) % 1.3)
        rings.addOval(
            skia.Rect.MakeLTRB(at - 0.03, y - 1.3 * wide, at + 0.03, y + 1.3 * wide)
        )
    for u, v, w in power.table("beam sparks", 10, 3):
        at = x + way * ((u + 0.12 * f) % 1.2)
        off = (v - 0.5) * 3.6 * wide
        ink.spindle(
            sparks, (at, y + off), (at + way * (0.05 + 0.06 * w), y + off), 0.016
        )
    pen = ink.at_least(0.01, 0.9, power.scale)
    power.canvas.drawPath(rings, ink.stroke(mix(hue, WHITE, 0.5), pen, 0.9))
    power.canvas.drawPath(sparks, ink.fill(mix(hue, WHITE, 0.6)))


def _slash(power: Power) -> None:
    """Crescents of white, one at the blow and one back across it."""
    # The second begins half way to the end, so that short clips show it, too.
    back = max(3, (power.frames - 1 - power.hit) // 2)
    for way, after in ((1, 0), (-1, back)):
        if 0 <= (age := power.frame - power.hit - after) < _STROKE:
            _crescent(power, age, way)


def _crescent(power: Power, age: int, way: int) -> None:
    """One stroke: it opens, thins from its tail and breaks. `way` is 1 down, -1 up."""
    actor, hue = power.actor, power.hue
    middle = 0.5 * power.aspect
    x = min(max(actor.head[0] + 0.12 * actor.facing, middle - 0.16), middle + 0.16)
    y = min(max(actor.head[1] + 1.2 * actor.radius, 0.35), 0.6)
    canvas = power.canvas
    canvas.save()
    canvas.translate(x, y)
    canvas.scale(actor.facing, way)
    canvas.rotate(-18.0 + 36.0 * power.draws.child("slash").uniform())
    reach = 0.38 * power.strength
    start, sweep = -2.2 + 0.24 * age, 3.0
    for grow, tone, alpha in ((1.0, hue, 0.9), (0.55, WHITE, 1.0)):
        thick = 0.19 * grow * (1.0 - 0.1 * age)
        path = skia.Path()
        steps = 14
        for i in range(steps + 1):
            u = i / steps
            a = start + sweep * u
            r = reach
            point = (r * math.cos(a), 0.92 * r * math.sin(a))
            path.lineTo(*point) if i else path.moveTo(*point)
        for i in range(steps, -1, -1):
            u = i / steps
            a = start + sweep * u
            r = reach - thick * math.sin(math.pi * u**1.6)
            path.lineTo(r * math.cos(a), 0.92 * r * math.sin(a))
        path.close()
        canvas.drawPath(path, ink.fill(tone, alpha))
    if age >= 3:
        shards = skia.Path()
        for u, v, w in power.table(f"slash shards{way}", 7, 3):
            a, r = start + sweep * u, reach + 0.03 * age * (0.5 + v)
            px, py = r * math.cos(a), r * math.sin(a)
            ink.glint(shards, px, py, 0.02 + 0.03 * w, 0.2)
        canvas.drawPath(shards, ink.fill(mix(hue, WHITE, 0.6)))
    canvas.restore()


def _missiles(power: Power, depth: str, count: int, size: float) -> None:
    """Heads on free curves, each with a ribbon of smoke behind it."""
    f, span = power.frame, max(power.frames - 1, 1)
    path, heads, fires = (skia.Path() for _ in range(3))
    way = power.actor.facing
    for i, (a, b, c, d, e) in enumerate(power.table(f"missiles {depth}", count, 5)):
        start = -0.25 - 0.5 * (i / count)
        progress = start + 1.75 * f / span + 0.25
        trail = 22
        points = []
        for k in range(trail):
            t = progress - 0.035 * k
            if t < 0:
                break
            x = t * (power.aspect + 0.4) - 0.2
            if way < 0:
                x = power.aspect - x
            y = 0.15 + 0.7 * b
            y += (0.16 + 0.12 * c) * math.sin(5.0 * t * (0.7 + 0.6 * d) + math.tau * a)
            y += 0.07 * math.sin(13.0 * t + math.tau * e)
            points.append((x, y))
        for k, (x, y) in enumerate(points):
            path.lineTo(x, y) if k else path.moveTo(x, y)
        if len(points) > 1:
            (x, y), (bx, by) = points[0], points[1]
            dx, dy = x - bx, y - by
            norm = math.hypot(dx, dy) or 1.0
            dx, dy = dx / norm, dy / norm
            long = size * 0.055
            ink.polygon(
                heads,
                [
                    (x + long * dx, y + long * dy),
                    (x - 0.3 * long * dy, y + 0.3 * long * dx),
                    (x + 0.3 * long * dy, y - 0.3 * long * dx),
                ],
            )
            fires.addCircle(x - 0.1 * long * dx, y - 0.1 * long * dy, 0.45 * long)
    light = power.palette.light
    pen = ink.at_least(0.026 * size, 1.2, power.scale)
    for grown, tone in ((1.35, (0.62, 0.64, 0.76)), (0.8, (0.97, 0.97, 0.99))):
        power.canvas.drawPath(path, ink.stroke(light(tone), grown * pen))
    power.canvas.drawPath(fires, ink.fill(light((1.0, 0.7, 0.2))))
    power.canvas.drawPath(heads, ink.fill(light((0.85, 0.2, 0.2))))


def glow_amount(frame: int, frames: int) -> float:
    """How far the figure of a transformation is light: it comes, holds and fades."""
    u = frame / max(frames - 1, 1)
    return min(max(min((u - 0.06) / 0.12, (0.8 - u) / 0.14), 0.0), 1.0)


def _ribbons(power: Power) -> None:
    """Ribbons of light that wind round the body, and sparks, while it changes."""
    amount = glow_amount(power.frame, power.frames)
    if amount <= 0.0:
        return
    actor, hue, f = power.actor, power.hue, power.frame
    top = actor.head[1] - 0.8 * actor.radius
    foot = min(actor.feet[1], 1.0)
    x = 0.5 * (actor.head[0] + actor.feet[0])
    wide = max(0.24 * (foot - top), 1.2 * actor.radius)
    path = skia.Path()
    bands = 3 if power.strength > 1.0 else 2
    for band in range(bands):
        for i in range(25):
            u = i / 24
            angle = 7.0 * u + 0.45 * f + math.tau * band / bands
            px = x + wide * math.cos(angle) * (0.8 + 0.3 * math.sin(3 * u))
            py = foot - (foot - top) * u + 0.05 * math.sin(angle)
            path.lineTo(px, py) if i else path.moveTo(px, py)
    pen = power.strength * ink.at_least(0.03, 1.6, power.scale)
    power.canvas.drawPath(path, ink.stroke(hue, pen, 0.8 * amount))
    power.canvas.drawPath(path, ink.stroke(WHITE, 0.4 * pen, amount))
    sparks = skia.Path()
    for u, v, w in power.table("change", round(14 * power.strength), 3):
        px = x + 3.0 * wide * (u - 0.5)
        py = foot - (foot - top) * ((v + 0.05 * f) % 1.0)
        ink.glint(sparks, px, py, 0.03 + 0.05 * w, 0.18)
    power.canvas.drawPath(sparks, ink.fill(WHITE, amount))
