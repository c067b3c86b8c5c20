"""Books: near scenery before the figure, past which the camera slides.

A studio calls a cel of scenery that lies over the figure a book (BOOK). It is slid along
its own edge alone, faster than the figure goes, sharp where boards slide over one another
and out of focus under a multiplane stand. Books stand in the picture's margins: above and
below under a pan or a truck, at the sides under a tilt. Units are frame heights from the
picture's middle.
"""

import dataclasses
import math
from collections.abc import Callable

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import Colour, mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.scenery import Plane, Setting, rect

PARALLAX = 1.8  # how much nearer than the figure, for the lens
_FAR = 3.0  # beyond any edge of any picture
_ROW = 3  # numbers of a clump
# How far it reaches into the picture, and the turn that brings the edge below to it,
# degrees.
EDGES = {
    "top": (0.22, 180.0),
    "bottom": (0.17, 0.0),
    "left": (0.18, 90.0),
    "right": (0.18, -90.0),
}
ACROSS, UPRIGHT = ("top", "bottom"), ("left", "right")
Clump = Callable[[skia.Path, skia.Path, float, float, ink.Row], None]
"""Appends to the dark and the light path a clump at x, so large, by drawn numbers. Drawn
as if it stood on y = 0 and grew to negative y."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Book:
    """A kind of near scenery: its tones, a clump of it, one to how much of an edge, and
    the edges where it may be."""

    dark: Colour
    light: Colour
    clump: Clump
    spread: float
    edges: tuple[str, ...]


def choose(draws: Draws, near: tuple[str, ...], *, upright: bool) -> str:
    """One of a place's kinds that fits a picture's sides or its top and bottom; "" if
    none does."""
    wanted = set(UPRIGHT if upright else ACROSS)
    fit = tuple(kind for kind in near if wanted & set(KINDS[kind].edges))
    return draws.choice(fit) if fit else ""


def make_book(setting: Setting, kind: str, *, aspect: float, upright: bool) -> Plane:
    """The near scenery of one set.

    Args:
      setting: whose tones it has.
      kind: one of `KINDS`.
      aspect: of the picture.
      upright: at the sides, not above and below.
    """
    book = KINDS[kind]
    edges = [e for e in (UPRIGHT if upright else ACROSS) if e in book.edges]
    reach = _FAR if upright else _FAR * max(aspect, 1.0)
    away = 0.5 * aspect if upright else 0.5
    narrow = min(aspect, 1.0) if upright else 1.0

    def draw(canvas: skia.Canvas) -> None:
        tones = [ink.fill(setting.tone(colour)) for colour in (book.dark, book.light)]
        for edge in edges:
            size, turned = EDGES[edge]
            paths = skia.Path(), skia.Path()
            count = math.ceil(2.0 * reach / book.spread)
            rows = setting.table(f"{kind}{edge}", count, _ROW + 1)
            for i, (along, *row) in enumerate(rows):
                x = -reach + book.spread * (i + 0.25 + 0.5 * along)
                large = narrow * size * (0.75 + 0.5 * row[0])
                book.clump(*paths, x, large, tuple(row))
            rect(paths[0], -reach, 0.0, reach, _FAR)
            turn = skia.Matrix()
            turn.preTranslate(0.0, away)
            turn.postRotate(turned)
            for path, tone in zip(paths, tones, strict=True):
                canvas.save()
                canvas.concat(turn)
                canvas.drawPath(path, tone)
                canvas.restore()

    return Plane(parallax=PARALLAX, draw=draw)


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
        post, top = x + 0.165 * k, -size * (1.0 + 0.12 * row[1] * k)
        rect(dark, post - half, top, post + half, 0.1)
        rect(light, post - 0.4 * half, 0.94 * top, post + 0.1 * half, 0.1)
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
        cx, reach = x + k, size * (0.8 + 0.4 * (row[1] if k > 0 else row[2]))
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


def _stones(
    dark: skia.Path, light: skia.Path, x: float, size: float, row: ink.Row
) -> None:
    """Courses of a pillar."""
    for k, wide in ((-0.14, 1.0), (0.1, 0.86 + 0.1 * row[1])):
        rect(dark, x + k - 0.1, -size * wide, x + k + 0.1, 0.1)
        rect(light, x + k - 0.1, -size * wide, x + k - 0.08, 0.1)


def _lattice(
    dark: skia.Path, light: skia.Path, x: float, size: float, row: ink.Row
) -> None:
    """Bars of a screen, with paper between some."""
    for k in (-0.2, -0.05, 0.1):
        rect(dark, x + k, -size, x + k + 0.025, 0.1)
    for level in (0.0, 0.5, 0.94):
        rect(dark, x - 0.28, -size * level - 0.012, x + 0.28, -size * level)
    cell = -0.15 if row[1] < 0.5 else 0.0
    rect(light, x + cell - 0.01, -0.48 * size, x + cell + 0.07, -0.04 * size)


def _book(colour: Colour, clump: Clump, spread: float, *edges: str) -> Book:
    light = mix(colour, (0.75, 0.75, 0.7), 0.35)
    return Book(dark=colour, light=light, clump=clump, spread=spread, edges=edges)


# Lanterns, reeds and screens are held-out worlds'.
KINDS: dict[str, Book] = {
    "leaves": _book((0.13, 0.24, 0.16), _leaves, 0.26, *ACROSS, *UPRIGHT),
    "a fence": _book((0.22, 0.19, 0.21), _fence, 0.5, "bottom"),
    "a pillar": _book((0.27, 0.24, 0.25), _stones, 0.48, *UPRIGHT),
    "a curtain": _book((0.34, 0.22, 0.26), _folds, 0.45, "top", *UPRIGHT),
    "reeds": _book((0.26, 0.27, 0.12), _reeds, 0.2, "bottom", *UPRIGHT),
    "lanterns": _book((0.36, 0.14, 0.12), _lanterns, 0.42, "top"),
    "a screen": _book((0.25, 0.17, 0.10), _lattice, 0.5, *UPRIGHT),
}
