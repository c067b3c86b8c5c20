"""Books: near scenery before the figure, past which the camera slides.

A studio calls a cel of scenery that lies over the figure a book (BOOK). It goes faster
than the figure does, sharp where boards are slid over one another, out of focus under a
multiplane stand. What hangs in from above and stands below frames a pan or a truck, and
what stands at the sides a tilt, so that the figure stays in view. Units are frame heights
from the picture's middle.
"""

import math
from collections.abc import Callable

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import Colour, mix
from animatrix_jax.cels.scenery import Plane, Setting, rect

FRONT = 1.8  # parallax: how much of the camera's way a book goes
_FAR = 3.0  # beyond any edge of any picture
_ROW = 3  # numbers of a clump
Clump = Callable[[skia.Path, skia.Path, float, float, ink.Row], None]
"""Appends to the dark and the light path a clump at x, so large, by drawn numbers. Drawn
as if it stood on y = 0 and grew to negative y."""


def make_book(setting: Setting, kind: str, *, aspect: float, upright: bool) -> Plane:
    """The near scenery of one set.

    Args:
      setting: whose tones it has.
      kind: one of `KINDS`.
      aspect: of the picture.
      upright: at the sides, not above and below.
    """
    dark, light, clump, stands = KINDS[kind]

    def draw(canvas: skia.Canvas) -> None:
        tones = [ink.fill(setting.tone(colour)) for colour in (dark, light)]
        reach = _FAR if upright else _FAR * max(aspect, 1.0)
        for side, (spread, size) in enumerate(((0.5, 0.17), (0.62, 0.15))):
            if side and not (stands or upright):
                break
            paths = skia.Path(), skia.Path()
            count = math.ceil(2.0 * reach / spread)
            rows = setting.table(f"{kind}{side}", count, _ROW + 1)
            for i, (along, *row) in enumerate(rows):
                x = -reach + spread * (i + 0.25 + 0.5 * along)
                clump(*paths, x, size * (0.75 + 0.5 * row[0]), tuple(row))
            edge = 0.5 * aspect if upright else 0.5
            rect(paths[0], -reach, 0.0, reach, _FAR)
            turn = skia.Matrix()
            turn.preTranslate(0.0, edge)
            turn.postRotate((90.0, -90.0)[side] if upright else (180.0, 0.0)[side])
            for path, tone in zip(paths, tones, strict=True):
                canvas.save()
                canvas.concat(turn)
                canvas.drawPath(path, tone)
                canvas.restore()

    return Plane(parallax=FRONT, draw=draw)


def _leaves(
    dark: skia.Path, light: skia.Path, x: float, size: float, row: ink.Row
) -> None:
    """A bough: leaves about a middle, larger below."""
    for k in range(7):
        angle = 2.4 * k + 6.0 * row[1]
        away = size * (0.25 + 0.5 * ((k * 0.382 + row[2]) % 1.0))
        cx, cy = (
            x + 1.3 * away * math.cos(angle),
            -0.45 * size + 0.8 * away * math.sin(angle),
        )
        long, wide = 0.46 * size, 0.2 * size
        for path, part in ((dark, 1.0), (light, 0.5)):
            leaf = skia.Path()
            leaf.moveTo(-long * part, 0.0)
            leaf.quadTo(0.0, -wide * part, long * part, 0.0)
            leaf.quadTo(0.0, wide * part, -long * part, 0.0)
            place = skia.Matrix()
            place.preTranslate(cx, cy)
            place.preRotate(math.degrees(angle))
            leaf.transform(place)
            path.addPath(leaf)


def _fence(
    dark: skia.Path, light: skia.Path, x: float, size: float, row: ink.Row
) -> None:
    """Posts with a rail between them."""
    half = 0.05 * size + 0.008
    for k in (-1, 0, 1):
        post = x + 0.165 * k
        rect(dark, post - half, -size, post + half, 0.1)
        rect(light, post - 0.4 * half, -0.94 * size, post + 0.1 * half, 0.1)
    rect(dark, x - 0.3, -0.62 * size, x + 0.3, -0.45 * size)


def _folds(
    dark: skia.Path, light: skia.Path, x: float, size: float, row: ink.Row
) -> None:
    """A curtain's scallops."""
    half = 0.26
    dark.addOval(skia.Rect.MakeLTRB(x - half, -size, x + half, size))
    for k in (-0.5, 0.1, 0.6):
        at = x + k * half * (0.8 + 0.4 * row[1])
        ink.spindle(light, (at, 0.05), (at + 0.02, -0.75 * size), 0.1 * size)


def _reeds(
    dark: skia.Path, light: skia.Path, x: float, size: float, row: ink.Row
) -> None:
    """Blades that lean apart."""
    for k in range(6):
        lean = 0.3 * size * (k - 2.5) / 2.5 + 0.2 * size * (row[1] - 0.5)
        foot, tip = (
            (x + 0.05 * (k - 2.5), 0.05),
            (x + 0.08 * (k - 2.5) + lean, -1.15 * size),
        )
        ink.spindle(dark, foot, tip, 0.2 * size, 0.3)
        if k % 2:
            ink.spindle(
                light, foot, (0.5 * (foot[0] + tip[0]), -0.6 * size), 0.07 * size
            )


def _lanterns(
    dark: skia.Path, light: skia.Path, x: float, size: float, row: ink.Row
) -> None:
    """Lanterns on their cords."""
    for k in (-0.17, 0.17):
        cx, reach = x + k, size * (0.8 + 0.5 * row[1] * (k > 0))
        rect(dark, cx - 0.006, -reach, cx + 0.006, 0.05)
        half = 0.36 * size
        box = skia.Rect.MakeLTRB(
            cx - half, -reach - 0.3 * size, cx + half, -reach + 0.5 * size
        )
        dark.addOval(box)
        rect(
            light,
            cx - 0.6 * half,
            -reach + 0.04 * size,
            cx + 0.6 * half,
            -reach + 0.12 * size,
        )


def _pair(colour: Colour, amount: float = 0.35) -> tuple[Colour, Colour]:
    return colour, mix(colour, (0.75, 0.75, 0.7), amount)


# The tones of each kind, how a clump of it is drawn, and whether it stands or only hangs.
KINDS: dict[str, tuple[Colour, Colour, Clump, bool]] = {
    "leaves": (*_pair((0.13, 0.24, 0.16)), _leaves, True),
    "a fence": (*_pair((0.22, 0.19, 0.21)), _fence, True),
    "a curtain": (*_pair((0.34, 0.22, 0.26)), _folds, False),
    "reeds": (*_pair((0.26, 0.27, 0.12)), _reeds, True),
    "lanterns": (*_pair((0.36, 0.14, 0.12)), _lanterns, False),
}
