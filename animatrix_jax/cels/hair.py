"""Hair in locks: back hair, tails, fringe and side locks, with a band of shine.

Coordinates are the head's (see ``face``). What is behind the body is drawn by
:func:`draw_back`, what is before the face by :func:`draw_front`.
"""

import dataclasses
import math

import skia

from animatrix_jax.cels import coiffures
from animatrix_jax.cels.look import Look
from animatrix_jax.cels.palettes import mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.shapes import oval, polygon, taper

# (x, y) of the tips of the fringe, from the facing side back; valleys lie between.
FRINGES: dict[str, list[tuple[float, float]]] = {
    "straight": [(0.4, 0.1), (0.26, -0.0), (0.12, 0.015), (-0.02, -0.0), (-0.16, 0.015), (-0.29, 0.0), (-0.4, 0.12)],
    "swept": [(0.41, 0.16), (0.33, 0.03), (0.15, 0.04), (-0.03, -0.01), (-0.2, -0.04), (-0.31, 0.02), (-0.42, 0.18)],
    "parted": [(0.42, 0.2), (0.35, 0.05), (0.23, -0.04), (-0.06, -0.02), (-0.24, 0.0), (-0.35, 0.08), (-0.43, 0.22)],
    "spiky": [(0.43, 0.1), (0.32, 0.02), (0.2, -0.04), (0.06, 0.07), (-0.12, -0.02), (-0.28, 0.06), (-0.44, 0.14)],
    "curtain": [(0.43, 0.3), (0.37, 0.16), (0.24, -0.06), (0.0, -0.2), (-0.2, -0.06), (-0.35, 0.16), (-0.43, 0.3)],
    "micro": [(0.42, 0.06), (0.27, -0.14), (0.12, -0.13), (-0.02, -0.14), (-0.16, -0.13), (-0.29, -0.14), (-0.41, 0.06)],
    "sidelong": [(0.42, 0.34), (0.31, 0.27), (0.18, 0.14), (0.0, -0.02), (-0.2, -0.12), (-0.31, -0.06), (-0.42, 0.18)],
}  # fmt: skip
VALLEYS: dict[str, list[float]] = {
    "straight": [-0.14, -0.17, -0.18, -0.18, -0.17, -0.14],
    "swept": [-0.16, -0.2, -0.24, -0.27, -0.26, -0.18],
    "parted": [-0.14, -0.22, -0.4, -0.24, -0.2, -0.14],
    "spiky": [-0.2, -0.25, -0.28, -0.28, -0.26, -0.2],
    "curtain": [-0.06, -0.18, -0.36, -0.36, -0.18, -0.06],
    "micro": [-0.18, -0.2, -0.21, -0.21, -0.2, -0.18],
    "sidelong": [-0.04, -0.1, -0.2, -0.28, -0.28, -0.2],
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class HairPlan:
    """How one character's hair is cut."""

    style: str
    bangs: str
    volume: float
    turn: float
    ahoge: bool
    reach: float  # length of long hair in heads, from the middle of the head


def draw_back(look: Look, plan: HairPlan, draws: Draws) -> None:
    """What hangs behind neck and shoulders, and tails."""
    v, palette = plan.volume, look.palette
    back = mix(palette.hair_shade, palette.hair, 0.25)
    if plan.style in coiffures.STYLES:
        coiffures.draw_behind(look, plan.style, v, plan.reach, draws)
        return
    if plan.style == "twintails":
        for bone, side in (("tail_far", 1), ("tail_near", -1)):
            _tail(look, bone, (0.43 * side, -0.28), side * 0.3, 0.85 * plan.reach, v)
    elif plan.style == "ponytail":
        _tail(look, "tail_near", (-0.36, -0.36), -0.55, 0.78 * plan.reach, 1.12 * v)
    shape = skia.Path()
    if plan.style == "spiky":
        points = _spikes(draws, 12, 0.53 * v, 0.7 * v)
        look.shape("back_hair", polygon(points), back)
        return
    length = {"long": plan.reach, "bob": 0.58, "bun": 0.4, "twintails": 0.42}.get(
        plan.style, 0.4
    )
    half = {"long": 0.55, "bob": 0.56}.get(plan.style, 0.48) * v
    flare = {"long": 0.6, "bob": 0.6}.get(plan.style, 0.36) * v
    shape.moveTo(-half, -0.1)
    shape.cubicTo(-half, -0.68 * v, half, -0.68 * v, half, -0.1)
    shape.cubicTo(1.08 * half, 0.3 * length, flare, 0.6 * length, flare, length)
    tips = 6 if length > 0.5 else 4
    step = 2 * flare / tips
    for i in range(tips):
        x = flare - i * step
        low = length + (0.05 + 0.09 * draws.uniform()) * (1 if length < 0.8 else 1.8)
        if i:
            low += 0.04
        shape.quadTo(x - 0.15 * step, length + 0.02, x - 0.5 * step, low)
        up = length - 0.05 - 0.05 * draws.uniform()
        if i == tips - 1:
            up = length
        shape.quadTo(x - 0.75 * step, length, x - step, up)
    shape.cubicTo(-flare, 0.6 * length, -1.08 * half, 0.3 * length, -half, -0.1)
    shape.close()
    look.shape("back_hair", shape, back)
    if look.medium and length > 0.5:
        inner = skia.Path()
        for x in (-0.36, -0.12, 0.14, 0.38):
            taper(
                (x * half / 0.5, 0.2),
                (x * 1.12 * flare / 0.5, 0.6 * length),
                (x * 1.05 * flare / 0.5, length),
                0.035,
                onto=inner,
            )
        look.shade(
            "back_hair", inner, mix(palette.hair_shade, palette.shadow_tint, 0.3)
        )
    if plan.style == "bun":
        look.shape("back_hair", oval(-0.2, -0.62 * v, 0.2 * v, 0.18 * v), palette.hair)
        arc = taper((-0.36, -0.6), (-0.22, -0.48), (-0.05, -0.58), 0.02)
        look.stroke("back_hair", arc, palette.hair)


def _tail(
    look: Look,
    bone: str,
    root: tuple[float, float],
    sweep: float,
    length: float,
    v: float,
) -> None:
    """A bound tail of hair that hangs from ``root`` and ends in two tips."""
    x, y = root
    side = 1 if sweep > 0 else -1
    w = 0.17 * v
    end_x, end_y = x + 0.55 * sweep, y + length
    path = skia.Path()
    path.moveTo(x, y - 0.06)
    path.cubicTo(
        x + side * 2.3 * w,
        y - 0.05,
        x + sweep + side * 1.5 * w,
        y + 0.5 * length,
        end_x,
        end_y,
    )
    path.quadTo(
        end_x - side * 0.3 * w,
        end_y - 0.2 * length,
        end_x - side * 0.95 * w,
        end_y - 0.1 * length,
    )
    path.cubicTo(
        x + 0.75 * sweep - side * 1.3 * w,
        y + 0.55 * length,
        x - side * 0.3 * w,
        y + 0.3 * length,
        x,
        y - 0.06,
    )
    path.close()
    palette = look.palette
    look.shape(bone, path, palette.hair)
    if look.medium:
        shade = skia.Path()
        shade.moveTo(x, y)
        shade.cubicTo(
            x + 0.3 * sweep,
            y + 0.3 * length,
            x + 0.8 * sweep - side * 0.4 * w,
            y + 0.55 * length,
            end_x,
            end_y,
        )
        shade.quadTo(
            end_x - side * 0.3 * w,
            end_y - 0.2 * length,
            end_x - side * 0.95 * w,
            end_y - 0.1 * length,
        )
        shade.cubicTo(
            x + 0.75 * sweep - side * 1.3 * w,
            y + 0.55 * length,
            x - side * 0.3 * w,
            y + 0.3 * length,
            x,
            y,
        )
        shade.close()
        look.shade(bone, shade, palette.hair_shade)
        look.flat(bone, oval(x, y - 0.01, 0.085, 0.07), look.tone(palette.accent))


def _spikes(
    draws: Draws, count: int, inner: float, outer: float
) -> list[tuple[float, float]]:
    """Spikes that fan round the skull, swept back."""
    points = []
    for i in range(count):
        angle = math.pi * (0.86 + 1.24 * i / (count - 1))
        radius = outer * (0.9 + 0.22 * draws.uniform())
        points.append(
            (inner * math.cos(angle - 0.16), inner * math.sin(angle - 0.16) - 0.06)
        )
        tip = angle - 0.1
        points.append((radius * math.cos(tip), radius * math.sin(tip) - 0.06))
    points.append((0.36, 0.3))
    points.append((-0.36, 0.36))
    return points


def draw_front(look: Look, plan: HairPlan, draws: Draws) -> None:
    """Crown, fringe, side locks, shine."""
    v, t, palette = plan.volume, plan.turn, look.palette
    shift = 0.05 * t
    if coiffures.draw_crown(look, plan.style, v, draws):
        return
    tips = FRINGES[plan.bangs]
    valleys = VALLEYS[plan.bangs]
    side, top = 0.475 * v, -0.62 * v

    # Side locks frame the face.
    long_sides = plan.style in (
        "long",
        "bob",
        "twintails",
        "bun",
        "ponytail",
        "drills",
    )
    drop = 0.52 if long_sides else 0.24
    locks = []
    for sign in (-1, 1):
        x = sign * 0.415 + (0.03 * t if sign > 0 else 0.045 * t)
        w = 0.085 if sign < 0 else 0.07
        lock = skia.Path()
        lock.moveTo(x - w, -0.25)
        lock.quadTo(x - 1.15 * w + 0.02 * sign, 0.15, x - 0.25 * sign * w, drop)
        lock.quadTo(x + 1.1 * w, 0.12, x + w, -0.25)
        lock.close()
        locks.append(("bangs", lock, palette.hair))
    if look.pixels >= 24:
        look.group(locks)
    else:
        for lock in locks:
            look.fill(*lock)
    if look.pixels >= 16:
        for sign in (-1, 1):
            x = sign * 0.415 + 0.04 * t
            dark = taper(
                (x + 0.02, 0.0), (x + 0.05, 0.2), (x - 0.02 * sign, drop - 0.03), 0.03
            )
            look.shade("bangs", dark, palette.hair_shade)

    cap = skia.Path()
    cap.moveTo(-side, 0.12)
    cap.cubicTo(-1.2 * side, -0.3, -0.82 * side, top, 0.02, top)
    cap.cubicTo(0.82 * side, top, 1.2 * side, -0.3, side, 0.08)
    points = []
    for i, (x, y) in enumerate(tips):
        jitter = 0.02 * (draws.uniform() - 0.5)
        points.append((x + (shift if 0 < i < len(tips) - 1 else 0), y + jitter))
    cap.quadTo(0.98 * side, 0.04, *points[0])
    for i, valley in enumerate(valleys):
        x0, y0 = points[i]
        x1, y1 = points[i + 1]
        vx = 0.56 * x0 + 0.44 * x1
        cap.quadTo(0.8 * x0 + 0.2 * vx, 0.5 * (y0 + valley) - 0.02, vx, valley)
        cap.quadTo(0.35 * vx + 0.65 * x1 + 0.01, 0.4 * valley + 0.6 * y1 - 0.05, x1, y1)
    cap.quadTo(-0.99 * side, 0.08, -side, 0.12)
    cap.close()
    if plan.ahoge:  # under the crown, which hides its root
        path = skia.Path()
        path.moveTo(-0.035, top + 0.09)
        path.quadTo(-0.06, top - 0.22, 0.17, top - 0.2)
        path.quadTo(0.02, top - 0.14, 0.035, top + 0.09)
        path.close()
        look.shape("bangs", path, palette.hair)
    if plan.style == "spiky":
        crown = _spikes(draws, 8, 0.5 * v, 0.64 * v)[:-2]
        crown = [(x, min(y, -0.1)) for x, y in crown]
        look.group(
            [("bangs", cap, palette.hair), ("bangs", polygon(crown), palette.hair)]
        )
    else:
        look.shape("bangs", cap, palette.hair)
    if look.medium:
        _shading(look, points, valleys, side, top)


def _shading(
    look: Look,
    points: list[tuple[float, float]],
    valleys: list[float],
    side: float,
    top: float,
) -> None:
    palette = look.palette
    # The back of the crown, away from the light, with an edge of locks.
    shade = skia.Path()
    shade.moveTo(-side, 0.1)
    shade.cubicTo(-1.2 * side, -0.3, -0.82 * side, top + 0.02, -0.1 * side, top + 0.01)
    shade.quadTo(-0.55 * side, 0.75 * top, -0.72 * side, -0.26)
    shade.lineTo(-0.66 * side, -0.14)
    shade.lineTo(-0.8 * side, -0.2)
    shade.quadTo(-0.84 * side, -0.05, -0.86 * side, 0.1)
    shade.close()
    look.shade("bangs", shade, palette.hair_shade)
    if look.fine:
        edge = skia.Path()
        for i, valley in enumerate(valleys):
            x1, y1 = points[i + 1]
            x0, _ = points[i]
            vx = 0.56 * x0 + 0.44 * x1
            root_x = 0.35 * vx + 0.03
            taper(
                (vx, valley),
                (0.72 * vx + 0.01, valley - 0.16),
                (root_x, 0.74 * top),
                0.009,
                onto=edge,
            )
        look.stroke("bangs", edge, palette.hair)
        locks = skia.Path()
        for i, valley in enumerate(valleys):
            x1, y1 = points[i + 1]
            x0, _ = points[i]
            vx = 0.56 * x0 + 0.44 * x1
            ink_points = [
                (vx, valley),
                (vx - 0.02, valley - 0.1),
                (0.6 * vx + 0.4 * x1, valley + 0.02),
                (x1, y1),
            ]
            polygon(ink_points, onto=locks)
        look.shade("bangs", locks, palette.hair_shade)
        if look.rendering in ("multi_tone_cel", "illustration_look"):
            rim = taper(
                (0.92 * side, -0.02),
                (1.03 * side, -0.45),
                (0.3 * side, 0.97 * top),
                0.02,
            )
            look.light("bangs", rim, palette.hair)
    if look.rendering in ("rough_genga", "tiedown", "flat_cel"):
        return
    # The angel ring: a band of light broken into teeth along the locks.
    y, bow = -0.34, 0.12
    band = skia.Path()
    left, right = -0.62 * side, 0.86 * side
    teeth = 8 if look.fine else 5
    upper, lower = [], []
    for i in range(2 * teeth + 1):
        u = i / (2 * teeth)
        x = left + (right - left) * u
        middle = y - bow * (1 - (2 * u - 1) ** 2) + 0.02
        thick = 0.052 * (1 - abs(2 * u - 1) ** 3) + 0.004
        tooth = 0.04 if i % 2 else -0.012
        upper.append((x, middle - thick - 0.6 * tooth))
        lower.append((x, middle + thick + tooth))
    polygon([*upper, *lower[::-1]], onto=band)
    strength = 0.9 if look.rendering != "watercolor" else 0.5
    colour = mix(palette.hair, palette.hair_light, strength)
    look.flat("bangs", band, colour)
