"""The paths that a figure's parts are made of.

Each is made anew, or appended to the path given as ``onto`` and that returned. What
scenery and effects append to their paths is in `ink`.
"""

from collections.abc import Sequence

import skia

from animatrix_jax.cels import ink

Number = float | int
Point = tuple[Number, Number]
Points = Sequence[Point]


def blob(points: Points, *, onto: skia.Path | None = None) -> skia.Path:
    """A closed smooth curve through the points (Catmull-Rom)."""
    path = skia.Path() if onto is None else onto
    count = len(points)
    path.moveTo(*points[0])
    for i in range(count):
        ax, ay = points[i - 1]
        bx, by = points[i]
        cx, cy = points[(i + 1) % count]
        dx, dy = points[(i + 2) % count]
        path.cubicTo(
            bx + (cx - ax) / 6,
            by + (cy - ay) / 6,
            cx - (dx - bx) / 6,
            cy - (dy - by) / 6,
            cx,
            cy,
        )
    path.close()
    return path


def polygon(points: Points, *, onto: skia.Path | None = None) -> skia.Path:
    """A closed polygon."""
    path = skia.Path() if onto is None else onto
    ink.polygon(path, points)
    return path


def oval(x: Number, y: Number, rx: Number, ry: Number) -> skia.Path:
    path = skia.Path()
    path.addOval(skia.Rect(x - rx, y - ry, x + rx, y + ry))
    return path


def taper(
    start: Point,
    bend: Point,
    end: Point,
    width: Number,
    *,
    onto: skia.Path | None = None,
) -> skia.Path:
    """A pen stroke along a quadratic curve, pointed at both ends."""
    path = skia.Path() if onto is None else onto
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-6)
    nx, ny = -dy / length * width, dx / length * width
    path.moveTo(*start)
    path.quadTo(bend[0] + nx, bend[1] + ny, *end)
    path.quadTo(bend[0] - nx, bend[1] - ny, *start)
    path.close()
    return path


def capsule(length: float, top: float, bottom: float, belly: float = 0.0) -> skia.Path:
    """A limb segment from (0, 0) down to (0, length), half as thick as given."""
    path = skia.Path()
    mid = 0.5 * (top + bottom) + belly
    path.moveTo(-top, 0)
    path.quadTo(-2 * mid + 0.5 * (top + bottom), 0.45 * length, -bottom, length)
    path.cubicTo(
        -bottom,
        length + 1.3 * bottom,
        bottom,
        length + 1.3 * bottom,
        bottom,
        length,
    )
    path.quadTo(2 * mid - 0.5 * (top + bottom), 0.45 * length, top, 0)
    path.cubicTo(top, -1.3 * top, -top, -1.3 * top, -top, 0)
    path.close()
    return path


def sleeve_line(
    length: float, top: float, bottom: float, outer: int, belly: float = 0.0
) -> skia.Path:
    """The line of a hanging ``capsule``, left open where it joins the body.

    ``outer`` is the side (-1 or 1) that is away from the body.
    """
    path = skia.Path()
    mid = 2 * (0.5 * (top + bottom) + belly) - 0.5 * (top + bottom)
    path.moveTo(outer * 0.55 * top, -0.8 * top)
    path.quadTo(outer * top, -0.6 * top, outer * top, 0.0)
    path.quadTo(outer * mid, 0.45 * length, outer * bottom, length)
    path.cubicTo(
        outer * bottom,
        length + 1.3 * bottom,
        -outer * bottom,
        length + 1.3 * bottom,
        -outer * bottom,
        length,
    )
    path.quadTo(-outer * mid, 0.5 * length, -outer * 0.98 * top, 0.3 * length)
    return path


def moved(path: skia.Path, dx: Number, dy: Number) -> skia.Path:
    copy = skia.Path(path)
    copy.offset(dx, dy)
    return copy
