"""Pens and shapes that backgrounds, effects and manpu share.

Shapes are appended to one `skia.Path` a tone, because a drawn path costs more than
its points; paints and tables of random numbers are made once and cached, because a
clip of 17 frames at 32 x 32 must be drawn in about 20 ms.
"""

import functools
import math
from collections.abc import Iterable, Sequence

import skia

from animatrix_jax.cels.palettes import Colour
from animatrix_jax.cels.random import Draws

Row = tuple[float, ...]


def pixels_per_unit(canvas: skia.Canvas) -> float:
    """The scale of the canvas, for levels of detail."""
    return canvas.getTotalMatrix().mapRadius(1.0)


def at_least(width: float, pixels: float, scale: float) -> float:
    """`width`, but never thinner than `pixels` on a canvas of `scale`."""
    return max(width, pixels / scale)


@functools.lru_cache(maxsize=4096)
def fill(colour: Colour, alpha: float = 1.0) -> skia.Paint:
    """A flat, anti-aliased tone."""
    return skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*colour, alpha))


@functools.lru_cache(maxsize=4096)
def stroke(colour: Colour, width: float, alpha: float = 1.0) -> skia.Paint:
    """A round pen."""
    return skia.Paint(
        AntiAlias=True,
        Color4f=skia.Color4f(*colour, alpha),
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    )


def table(draws: Draws, name: str, rows: int, columns: int) -> tuple[Row, ...]:
    """Uniform numbers in [0, 1) that belong to `draws` and `name`, drawn once."""
    return _table(draws.seed, draws.path, name, rows, columns)


@functools.lru_cache(maxsize=512)
def _table(
    seed: int, path: tuple[int | str, ...], name: str, rows: int, columns: int
) -> tuple[Row, ...]:
    numbers = Draws(seed, *path, name).uniforms(rows * columns)
    return tuple(
        tuple(numbers[start : start + columns])
        for start in range(0, rows * columns, columns)
    )


def linear(
    start: tuple[float, float],
    end: tuple[float, float],
    colours: Sequence[tuple[float, ...]],
    stops: Sequence[float] | None = None,
) -> skia.Paint:
    """A paint that runs through `colours` (rgb or rgba) from `start` to `end`."""
    shader = skia.GradientShader.MakeLinear(
        [skia.Point(*start), skia.Point(*end)], _ints(colours), _stops(stops)
    )
    return skia.Paint(AntiAlias=True, Shader=shader)


def radial(
    centre: tuple[float, float],
    radius: float,
    colours: Sequence[tuple[float, ...]],
    stops: Sequence[float] | None = None,
) -> skia.Paint:
    """A paint that runs through `colours` from `centre` outwards."""
    shader = skia.GradientShader.MakeRadial(
        skia.Point(*centre), radius, _ints(colours), _stops(stops)
    )
    return skia.Paint(AntiAlias=True, Shader=shader)


def _stops(stops: Sequence[float] | None) -> list[float]:
    return [] if stops is None else list(stops)


def _ints(colours: Iterable[tuple[float, ...]]) -> list[int]:
    return [
        skia.Color4f(*c[:3], c[3] if len(c) > 3 else 1.0).toColor() for c in colours
    ]


def polygon(path: skia.Path, points: Sequence[tuple[float, float]]) -> None:
    """Append a closed polygon."""
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()


def smooth(path: skia.Path, points: Sequence[tuple[float, float]]) -> None:
    """Append a closed curve through the midpoints of `points`, which are its handles."""
    last_x, last_y = points[-1]
    x, y = points[0]
    path.moveTo((last_x + x) / 2, (last_y + y) / 2)
    for i in range(len(points)):
        x, y = points[i]
        next_x, next_y = points[(i + 1) % len(points)]
        path.quadTo(x, y, (x + next_x) / 2, (y + next_y) / 2)
    path.close()


def spindle(
    path: skia.Path,
    start: tuple[float, float],
    end: tuple[float, float],
    width: float,
    belly: float = 0.5,
) -> None:
    """Append a stroke that tapers to a point at both ends, as a dip pen leaves it."""
    x0, y0 = start
    x1, y1 = end
    dx, dy = x1 - x0, y1 - y0
    length = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / length * width / 2, dx / length * width / 2
    mx, my = x0 + dx * belly, y0 + dy * belly
    path.moveTo(x0, y0)
    path.lineTo(mx + nx, my + ny)
    path.lineTo(x1, y1)
    path.lineTo(mx - nx, my - ny)
    path.close()


def star(
    path: skia.Path,
    centre: tuple[float, float],
    outer: Sequence[float],
    inner: float,
    turn: float = 0.0,
    stretch: float = 1.0,
) -> None:
    """Append a star with one spike for each radius in `outer`."""
    x, y = centre
    count = len(outer)
    for i, radius in enumerate(outer):
        angle = turn + math.tau * i / count
        valley = angle + math.pi / count
        tip = (x + stretch * radius * math.cos(angle), y + radius * math.sin(angle))
        if i:
            path.lineTo(*tip)
        else:
            path.moveTo(*tip)
        path.lineTo(
            x + stretch * inner * math.cos(valley), y + inner * math.sin(valley)
        )
    path.close()


def petal(
    path: skia.Path, x: float, y: float, size: float, angle: float, width: float
) -> None:
    """Append one leaf-shaped petal with its root at (x, y), `size` long."""
    cos, sin = math.cos(angle), math.sin(angle)
    path.moveTo(x, y)
    for side in (1.0, -1.0):
        ax, ay = 0.55 * size, side * width * size
        tip_x, tip_y = x + size * cos, y + size * sin
        hx, hy = x + ax * cos - ay * sin, y + ax * sin + ay * cos
        if side > 0:
            path.quadTo(hx, hy, tip_x, tip_y)
        else:
            path.quadTo(hx, hy, x, y)
    path.close()


def glint(path: skia.Path, x: float, y: float, size: float, waist: float = 0.1) -> None:
    """Append the four-pointed sparkle of shoujo manga."""
    w = waist * size
    path.moveTo(x, y - size)
    path.quadTo(x + w, y - w, x + 0.7 * size, y)
    path.quadTo(x + w, y + w, x, y + size)
    path.quadTo(x - w, y + w, x - 0.7 * size, y)
    path.quadTo(x - w, y - w, x, y - size)
    path.close()
