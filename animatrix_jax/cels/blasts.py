"""Elements that burn, billow, burst or strike: the loud half of `elementals`.

Flames are Kanada's: pointed tongues in three flat tones that lick and let go of
flamelets. Smoke and blasts are heaps of balls that grow and turn from light to dark.
"""

import dataclasses
import math

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import WHITE, Colour, mix
from animatrix_jax.cels.shot import Shot

# An accent leaves most of the frame to the figure; what dominates fills it.
COUNTS = {"dominant": 1.8}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Air(Shot):
    """A shot that an element fills."""

    pixels: float  # in the picture's height, however large the element is drawn
    level: str = "accent"  # value of vfx.vfx_level

    def count(self, few: int, many: int) -> int:
        """How many shapes there is room for."""
        room = few if self.pixels < 100 else many
        return max(round(room * COUNTS.get(self.level, 1.0)), 3)


def fire(air: Air) -> None:
    """A wall of flame along the bottom, high at the sides, with flamelets."""
    count = 7 if air.pixels < 100 else 11
    rows = air.table("fire", count, 3)
    tones = ((0.84, 0.16, 0.06), (1.0, 0.52, 0.08), (1.0, 0.90, 0.38))
    paths = (skia.Path(), skia.Path(), skia.Path())
    step = air.aspect / (count - 1)
    for i, (u, v, w) in enumerate(rows):
        x = step * (i + 0.5 * (u - 0.5))
        middle = 1.0 - abs(2.0 * x / air.aspect - 1.0)
        beat = math.sin(1.15 * air.frame + math.tau * v)
        height = (0.52 - 0.30 * middle) * (0.85 + 0.3 * w) * (1.0 + 0.24 * beat)
        sway = 0.05 * math.sin(0.8 * air.frame + math.tau * u + 1.0)
        for k, path in enumerate(paths):
            part = (1.0, 0.66, 0.36)[k]
            _tongue(path, x, step * (0.95, 0.66, 0.4)[k], height * part, sway * part)
        # The tip lets go, rises and shrinks.
        age = (air.frame / 7 + v) % 1.0
        size = 0.085 * (1.0 - age)
        top = 1.0 - height * 0.9 - 0.4 * age
        for k, path in enumerate(paths[:2]):
            _flamelet(path, x + 1.6 * sway, top, size * (1.0 - 0.45 * k))
    for path, tone in zip(paths, tones, strict=True):
        air.canvas.drawPath(path, ink.fill(air.palette.light(tone)))


def _tongue(path: skia.Path, x: float, half: float, height: float, sway: float) -> None:
    tip_x, tip_y = x + 1.7 * sway, 1.0 - height
    path.moveTo(x - half, 1.06)
    path.cubicTo(
        x - 1.1 * half, 1.0 - 0.4 * height, x - 0.1 * half - sway, tip_y + 0.4 * height,
        tip_x, tip_y,
    )  # fmt: skip
    path.cubicTo(
        x + 0.3 * half - sway, tip_y + 0.55 * height, x + 1.2 * half, 1.0 - 0.35 * height,
        x + half, 1.06,
    )  # fmt: skip
    path.close()


def _flamelet(path: skia.Path, x: float, y: float, size: float) -> None:
    path.moveTo(x, y - 1.5 * size)
    path.quadTo(x + 0.9 * size, y, x, y + 0.8 * size)
    path.quadTo(x - 0.9 * size, y, x, y - 1.5 * size)
    path.close()


def _billow(
    air: Air,
    puffs: list[tuple[float, float, float]],
    tones: tuple[Colour, Colour, Colour],
    alpha: float = 1.0,
) -> None:
    """Draw balls of smoke in three tones: rim below, body, light above left."""
    shade, body, light = skia.Path(), skia.Path(), skia.Path()
    for x, y, radius in puffs:
        shade.addCircle(x, y, radius)
        body.addCircle(x - 0.12 * radius, y - 0.20 * radius, 0.86 * radius)
        light.addCircle(x - 0.26 * radius, y - 0.40 * radius, 0.58 * radius)
    for path, tone in zip((shade, body, light), tones, strict=True):
        air.canvas.drawPath(path, ink.fill(tone, alpha))


def smoke(air: Air) -> None:
    """Columns of smoke that climb from both lower corners and spread."""
    puffs = []
    for i, (u, v, w) in enumerate(air.table("smoke", air.count(16, 34), 3)):
        age = (0.045 * air.frame + v + i * 0.37) % 1.0
        side = 0.12 if i % 2 else 0.88
        x = side * air.aspect + (u - 0.5) * (0.12 + 0.45 * age) + 0.07 * age
        radius = (0.06 + 0.12 * age) * (0.7 + 0.6 * w)
        if age > 0.75:
            radius *= 4.0 * (1.0 - age)
        puffs.append((x, 1.04 - 1.05 * age, radius))
    puffs.sort(key=lambda puff: puff[1])
    tone = air.palette.light
    tones = (
        tone((0.30, 0.29, 0.34)),
        tone((0.50, 0.49, 0.54)),
        tone((0.72, 0.71, 0.75)),
    )
    _billow(air, puffs, tones, 0.95)


def dust(air: Air) -> None:
    """Puffs kicked up along the ground that roll outwards and thin to nothing."""
    puffs = []
    for i, (u, v, w) in enumerate(air.table("dust", air.count(9, 18), 3)):
        age = (air.frame / 9 + v + i * 0.31) % 1.0
        out = 1.0 - (1.0 - age) ** 2
        side = -1.0 if i % 2 else 1.0
        x = 0.5 * air.aspect + side * (0.10 + (0.25 + 0.25 * u) * out)
        y = 0.96 - (0.10 + 0.16 * w) * out
        radius = (0.05 + 0.09 * out) * (1.0 - age) ** 0.5 * (0.9 + 0.5 * w)
        puffs.append((x, y, radius))
    earth = air.palette.light((0.84, 0.74, 0.58))
    tones = (mix(earth, (0.35, 0.26, 0.2), 0.4), earth, mix(earth, WHITE, 0.55))
    _billow(air, puffs, tones, 0.95)


def explosion(air: Air) -> None:
    """A burst beside the figure: white core, fire, then black smoke with bright rifts."""
    start = max(air.frames // 5, 1)
    age = (air.frame - start) / 12
    if age < 0.0:
        return
    left = air.table("side", 1, 1)[0][0] < 0.5
    centre = (air.aspect * (0.17 if left else 0.83), 0.40)
    out = 1.0 - (1.0 - min(age + 0.12, 1.0)) ** 3
    spread = 0.33 * out
    rows = air.table("explosion", air.count(9, 17), 3)
    if age < 0.2:
        rays = skia.Path()
        outer = [0.75 * (0.45 + 0.6 * row[0]) for row in rows]
        ink.star(rays, centre, outer, 0.16, 0.4)
        air.canvas.drawPath(rays, ink.fill(air.palette.light((1.0, 0.9, 0.5))))
    # Outermost smoke, then fire within; fire dies first.
    tones = {
        "smoke": ((0.22, 0.18, 0.21), 1.0, 1.0),
        "ash": ((0.36, 0.31, 0.34), 0.94, 0.86),
        "red": ((0.82, 0.20, 0.06), 0.84, 0.80),
        "orange": ((1.0, 0.56, 0.10), 0.66, 0.62),
        "yellow": ((1.0, 0.92, 0.55), 0.42, 0.40),
    }
    for name, (tone, reach, size) in tones.items():
        cool = (
            1.0
            if name in ("smoke", "ash")
            else max(0.0, 1.0 - (0.55 + 0.6 * (1 - reach)) * age * age * 1.6)
        )
        if cool < 0.35:
            continue
        lift = 0.02 if name == "ash" else 0.0
        path = skia.Path()
        for i, (u, v, w) in enumerate(rows):
            angle = math.tau * (i + 0.6 * u) / len(rows)
            far = spread * reach * (0.55 + 0.45 * v) * (0.35 + 0.65 * cool)
            x = centre[0] + far * math.cos(angle) - lift
            y = centre[1] + far * math.sin(angle) - 0.10 * age - lift
            path.addCircle(x, y, (0.5 * spread + 0.03) * size * (0.6 + 0.5 * w) * cool)
        path.addCircle(centre[0], centre[1] - 0.10 * age, 0.75 * spread * reach * cool)
        air.canvas.drawPath(path, ink.fill(air.palette.light(tone)))


def sparks(air: Air) -> None:
    """A fountain of embers: streaks along their own ballistic paths."""
    glow, core = skia.Path(), skia.Path()
    x0, y0 = 0.5 * air.aspect, 0.82
    for i, (u, v, w) in enumerate(air.table("sparks", air.count(16, 48), 3)):
        age = (air.frame / 11 + i * 0.618) % 1.0
        angle = -math.pi * (0.06 + 0.88 * u)
        speed = 0.65 + 1.0 * v
        vx, vy = speed * math.cos(angle), speed * math.sin(angle)
        x, y = x0 + vx * age, y0 + vy * age + 0.75 * age * age
        tail = 0.13 * (1.0 - 0.4 * age)
        end = (x - tail * vx, y - tail * (vy + 1.5 * age))
        width = (0.014 + 0.022 * w) * (1.0 - 0.5 * age)
        ink.spindle(glow, (x, y), end, ink.at_least(2.0 * width, 2.1, air.pixels), 0.25)
        ink.spindle(core, (x, y), end, ink.at_least(width, 1.1, air.pixels), 0.25)
    air.canvas.drawPath(glow, ink.fill(air.palette.light((1.0, 0.46, 0.06)), 0.92))
    air.canvas.drawPath(core, ink.fill(air.palette.light((1.0, 0.96, 0.70))))


def debris(air: Air) -> None:
    """Faceted rocks hurled up from the ground, turning as they fall."""
    lit, shade = skia.Path(), skia.Path()
    for i, (u, v, w, spin) in enumerate(air.table("debris", air.count(9, 22), 4)):
        age = (air.frame / 14 + i * 0.618) % 1.0
        x = air.aspect * (0.5 + (u - 0.5) * (0.35 + 1.1 * age))
        y = 1.08 - (0.75 + 0.75 * v) * 4.0 * age * (1.0 - age) * 0.85
        size = ink.at_least(0.03 + 0.06 * w * w, 1.5, air.pixels)
        turn = math.tau * spin + (4.0 if i % 2 else -4.0) * age
        points = []
        for k, stretch in enumerate((1.0, 0.7, 1.1, 0.85, 0.95)):
            angle = turn + math.tau * k / 5
            points.append(
                (
                    x + size * stretch * math.cos(angle),
                    y + size * stretch * math.sin(angle),
                )
            )
        ink.polygon(shade, points)
        ink.polygon(lit, [points[0], points[1], (x, y), points[4]])
    rock = air.palette.light((0.52, 0.47, 0.44))
    air.canvas.drawPath(shade, ink.fill(mix(rock, (0.1, 0.08, 0.12), 0.5)))
    air.canvas.drawPath(lit, ink.fill(mix(rock, WHITE, 0.25)))


def lightning(air: Air) -> None:
    """Bolts that strike, double, and die: three frames each, a beat between."""
    beat = 5
    strike, age = divmod(air.frame + 1, beat)
    if age > 3:
        return
    glow, core = skia.Path(), skia.Path()
    for other in ("", "beside")[: 2 if air.level == "dominant" else 1]:
        _strike(air, f"bolt{other}{strike % 3}", age, glow, core)
    if age == 1:
        air.canvas.drawPaint(ink.fill(air.palette.light((0.86, 0.90, 1.0)), 0.28))
    air.canvas.drawPath(glow, ink.fill(air.palette.light((0.36, 0.30, 0.95)), 0.9))
    air.canvas.drawPath(core, ink.fill(air.palette.light((1.0, 1.0, 0.86))))


def _strike(air: Air, name: str, age: int, glow: skia.Path, core: skia.Path) -> None:
    """Append one bolt and its fork."""
    rows = air.table(name, 9, 3)
    x = air.aspect * (0.12 + 0.76 * rows[0][2])
    middle = 0.5 * air.aspect
    # Keep clear of the face: strike to one side of the middle.
    x += 0.22 * air.aspect * (1 if x > middle else -1) * (1 - abs(x / middle - 1))
    width = (0.035, 0.065, 0.05, 0.03)[age] * COUNTS.get(air.level, 1.0) ** 0.5
    points = [(x, -0.05)]
    for i, (u, v, _) in enumerate(rows):
        jog = (u - 0.5) * 0.2 + (0.05 if i % 2 else -0.05)
        points.append((x + jog, -0.05 + 1.1 * (i + 0.5 + 0.5 * v) / len(rows)))
    _bolt(glow, points, ink.at_least(2.6 * width, 4.2, air.pixels))
    _bolt(core, points, ink.at_least(width, 1.7, air.pixels))
    if age in (0, 1):
        fork = points[3]
        side = 1 if rows[1][2] < 0.5 else -1
        branch = [fork]
        for k, row in enumerate(rows[:4]):
            branch.append(
                (
                    fork[0] + side * (0.07 * (k + 1) + 0.05 * row[0]),
                    fork[1] + 0.10 * (k + 1) * (0.7 + 0.5 * row[1]),
                )
            )
        _bolt(glow, branch, ink.at_least(1.3 * width, 2.6, air.pixels))
        _bolt(core, branch, ink.at_least(0.55 * width, 1.1, air.pixels))


def _bolt(path: skia.Path, points: list[tuple[float, float]], width: float) -> None:
    """Append a jagged ribbon that tapers towards its end."""
    count = len(points) - 1
    right = []
    for i, (x, y) in enumerate(points):
        half = 0.5 * width * (1.0 - 0.8 * i / count)
        right.append((x + half, y))
    left = [(2.0 * x - right[i][0], y) for i, (x, y) in enumerate(points)]
    ink.polygon(path, right + left[::-1])
