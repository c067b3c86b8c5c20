"""Hair of the held-out cast: braids, drill curls, an afro, a mohawk, dreadlocks.

Called by ``hair``, in the head's coordinates; each is one group of shapes on the bones
that long hair hangs on, so that it swings as the rest does.
"""

import math

import skia

from animatrix_jax.cels.look import Look
from animatrix_jax.cels.palettes import mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.shapes import blob, oval, polygon, taper

STYLES = ("braids", "drills", "afro", "mohawk", "dreadlocks")


def draw_behind(look: Look, style: str, v: float, reach: float, draws: Draws) -> None:
    """What hangs behind neck and shoulders; ``v`` is the hair's volume."""
    palette = look.palette
    back = mix(palette.hair_shade, palette.hair, 0.25)
    if style == "mohawk":
        return
    if style == "afro":
        look.shape("back_hair", blob(_bumps(draws, 14, 0.82 * v)), palette.hair)
        return
    if style == "dreadlocks":
        locks = []
        for i in range(9):
            x = -0.52 + 0.13 * i
            length = 0.75 * reach * (0.85 + 0.3 * draws.uniform())
            locks.append(("back_hair", _lock(x * v, length), back))
        look.group(locks)
        return
    look.shape("back_hair", oval(0.0, -0.12, 0.5 * v, 0.48 * v), back)
    for bone, side in (("tail_far", 1), ("tail_near", -1)):
        if style == "braids":
            _braid(look, bone, (0.4 * side, 0.12), 0.1 * side, 0.72 * reach, v)
        else:
            _drill(look, bone, (0.46 * side, -0.2), 0.16 * side, 0.7 * reach, v)


def draw_crown(look: Look, style: str, v: float, draws: Draws) -> bool:
    """The top of the head; true where it takes the place of a cap and fringe."""
    palette = look.palette
    if style == "afro":
        points = _bumps(draws, 11, 0.66 * v)
        crown = [(x, min(y, -0.2)) for x, y in points]
        look.shape("bangs", blob(crown), palette.hair)
        return False
    if style != "mohawk":
        return False
    # Shaven sides, and a crest of spikes from brow to nape.
    stubble = skia.Path()
    stubble.moveTo(-0.44, 0.06)
    stubble.cubicTo(-0.5, -0.66, 0.5, -0.66, 0.43, -0.02)
    stubble.quadTo(0.3, -0.26, 0.0, -0.3)
    stubble.quadTo(-0.34, -0.26, -0.44, 0.06)
    stubble.close()
    look.fill("bangs", stubble, mix(palette.hair, palette.skin, 0.62))
    points = [(0.3, -0.36)]
    for i in range(7):
        angle = math.pi * (0.32 + 0.13 * i)
        tip = 0.86 * v * (0.92 + 0.16 * draws.uniform())
        points.append((tip * math.cos(angle), -tip * math.sin(angle) - 0.05))
        inner = angle + 0.055 * math.pi
        points.append((0.56 * math.cos(inner), -0.56 * math.sin(inner) - 0.05))
    points += [(-0.3, -0.3), (0.0, -0.44)]
    look.shape("bangs", polygon(points), palette.hair)
    if look.medium:
        shade = polygon(
            [(-0.1, -0.5), (-0.34, -0.86 * v), (-0.4, -0.4), (-0.24, -0.34)]
        )
        look.shade("bangs", shade, palette.hair_shade)
    return True


def _bumps(draws: Draws, count: int, radius: float) -> list[tuple[float, float]]:
    """Points of a cloud round the skull."""
    points = []
    for i in range(2 * count):
        angle = math.pi * i / count
        r = radius * ((1.0 if i % 2 else 0.93) + 0.04 * draws.uniform())
        points.append((r * math.cos(angle), r * math.sin(angle) - 0.18))
    return points


def _lock(x: float, length: float) -> skia.Path:
    """A rope of hair from the crown to ``length``, round at its end."""
    path = skia.Path()
    w = 0.062
    top = -0.3 + 0.5 * x * x
    path.moveTo(0.8 * x - w, top)
    path.quadTo(1.1 * x - w, 0.3 * length, x - w, length)
    path.quadTo(x, length + 0.09, x + w, length)
    path.quadTo(1.1 * x + w, 0.3 * length, 0.8 * x + w, top)
    path.close()
    return path


def _braid(
    look: Look,
    bone: str,
    root: tuple[float, float],
    sweep: float,
    length: float,
    v: float,
) -> None:
    """Knots that lie over each other and shrink, a tie, and a tuft."""
    palette = look.palette
    count = 6
    knots, shades = [], skia.Path()
    for i in range(count):
        u = i / (count - 1)
        x, y = root[0] + sweep * u, root[1] + 0.82 * length * u
        r = (0.125 - 0.04 * u) * v
        knots.append((bone, oval(x, y, r, 0.1 * length + 0.02), palette.hair))
        taper(
            (x - r, y - 0.03), (x, y + 0.07), (x + 0.8 * r, y + 0.02), 0.03, onto=shades
        )
    x, y = root[0] + sweep, root[1] + 0.9 * length
    tuft = polygon(
        [(x - 0.04, y), (x + 0.04, y), (x + 0.08, y + 0.2), (x - 0.07, y + 0.2)]
    )
    look.group([*knots[::-1], (bone, tuft, palette.hair)])
    if look.medium:
        look.shade(bone, shades, palette.hair_shade)
        look.flat(bone, oval(x, y, 0.07, 0.045), look.tone(palette.accent))


def _drill(
    look: Look,
    bone: str,
    root: tuple[float, float],
    sweep: float,
    length: float,
    v: float,
) -> None:
    """A ringlet: a cone of turns, each a bulge, with shade under every turn."""
    palette = look.palette
    turns = 5
    left, right, shades = [], [], skia.Path()
    for i in range(turns + 1):
        u = i / turns
        x, y = root[0] + sweep * u, root[1] + length * u
        w = 0.24 * v * (1.0 - 0.85 * u)
        left.append((x - w, y))
        right.append((x + w, y + 0.05))
        if i < turns:
            low = y + length / turns
            left.append((x - 0.72 * w, y + 0.72 * length / turns))
            right.append((x + 0.72 * w, y + 0.8 * length / turns))
            narrow = 0.8 * w
            taper(
                (x - narrow, low - 0.05),
                (x, low + 0.1),
                (x + narrow, low),
                0.05,
                onto=shades,
            )
    look.shape(bone, polygon([*left, *right[::-1]]), palette.hair)
    if look.medium:
        look.shade(bone, shades, palette.hair_shade)
        look.flat(bone, oval(*root, 0.1, 0.08), look.tone(palette.accent))
