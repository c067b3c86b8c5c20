"""What sets are built of: light of the hour, skies, clouds, hills, trees, buildings.

Everything is in world units (a unit is the frame's height, the ground under the
character's feet is at y = 0.35, a grown person is about 0.8 tall) and spans the whole
set, x in [-4, 4] and y in [-2.5, 2.5], so no camera move finds its edge. Fills of one
tone go into one path; details below a pixel are left out.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import WHITE, Colour, Palette, mix
from animatrix_jax.cels.random import Draws

LEFT, TOP, RIGHT, BOTTOM = -4.3, -2.8, 4.3, 2.8
GROUND = 0.35
HORIZON = 0.14

# The light of the hour multiplies every local colour.
HOURS: dict[str, Colour] = {
    "day": (1.0, 1.0, 1.0),
    "sunset": (1.0, 0.74, 0.66),
    "night": (0.34, 0.40, 0.66),
    "dusk": (0.66, 0.60, 0.84),
}
SKIES: dict[str, tuple[Colour, ...]] = {
    "sunset": ((0.30, 0.30, 0.62), (0.93, 0.50, 0.48), (1.0, 0.80, 0.46)),
    "night": ((0.04, 0.06, 0.18), (0.09, 0.14, 0.34), (0.24, 0.28, 0.52)),
    "dusk": ((0.22, 0.24, 0.50), (0.52, 0.42, 0.70), (0.92, 0.62, 0.70)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plane:
    """One sheet of the set; parallax 0 is at infinity, 1 moves with the ground."""

    parallax: float
    draw: Callable[[skia.Canvas], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What every part of one set shares: its hour, its paint and its draws."""

    draws: Draws
    palette: Palette
    hour: str
    finish: str  # painted, photo_based

    def tone(self, colour: Colour) -> Colour:
        """A local colour under this hour's light and this palette's grade."""
        light = HOURS[self.hour]
        if self.finish == "photo_based":
            # Photographs are greyer than paint.
            grey = 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2]
            colour = mix(colour, (grey, grey, grey), 0.3)
        return self.palette.scene(
            (colour[0] * light[0], colour[1] * light[1], colour[2] * light[2])
        )

    def lamp(self, colour: Colour) -> Colour:
        """A lit window or lamp: no hour dims it."""
        return self.palette.light(colour)

    def table(self, name: str, rows: int, columns: int) -> tuple[ink.Row, ...]:
        """Numbers for the parts called `name`."""
        return ink.table(self.draws, name, rows, columns)


def rect(path: skia.Path, left: float, top: float, right: float, bottom: float) -> None:
    """Append a rectangle."""
    path.addRect(skia.Rect.MakeLTRB(left, top, right, bottom))


def flat(
    canvas: skia.Canvas,
    colour: Colour,
    left: float,
    top: float,
    right: float,
    bottom: float,
    alpha: float = 1.0,
) -> None:
    """Fill one rectangle."""
    canvas.drawRect(
        skia.Rect.MakeLTRB(left, top, right, bottom), ink.fill(colour, alpha)
    )


def graded(
    canvas: skia.Canvas,
    colours: tuple[tuple[float, ...], ...],
    top: float,
    bottom: float,
    stops: tuple[float, ...] | None = None,
) -> None:
    """Fill the whole width between `top` and `bottom` with a vertical gradient."""
    paint = ink.linear((0.0, top), (0.0, bottom), colours, stops)
    canvas.drawRect(skia.Rect.MakeLTRB(LEFT, top, RIGHT, bottom), paint)


def in_view(canvas: skia.Canvas, margin: float) -> tuple[float, float]:
    """The span of x that the canvas' clip shows, and `margin` more on each side."""
    bounds = canvas.getLocalClipBounds()
    return bounds.left() - margin, bounds.right() + margin


def tiles(
    canvas: skia.Canvas,
    setting: Setting,
    name: str,
    widths: tuple[float, float],
    columns: int,
) -> Iterator[tuple[int, float, float, ink.Row]]:
    """(number, left, right, row) of parts of drawn width side by side, where seen."""
    low, high = widths
    first, last = in_view(canvas, 0.6)
    x = LEFT
    rows = setting.table(name, math.ceil((RIGHT - LEFT) / low) + 1, columns + 1)
    for i, row in enumerate(rows):
        width = low + (high - low) * row[0]
        if first < x + width and x < last:
            yield i, x, x + width, row[1:]
        x += width
        if x > min(last, RIGHT):
            return


def texture(
    canvas: skia.Canvas,
    setting: Setting,
    name: str,
    top: float,
    bottom: float,
    strength: float = 0.2,
    shape: float = 2.0,
) -> None:
    """Dabs of light and dark over a band: leaves, grit, stains; photographs only."""
    if setting.finish != "photo_based":
        return
    scale = ink.pixels_per_unit(canvas)
    count = 240 if scale < 100 else 1700
    size = ink.at_least(0.012, 0.8, scale)
    light, dark = skia.Path(), skia.Path()
    first, last = in_view(canvas, 0.1)
    for i, (u, v, w) in enumerate(setting.table(name, count, 3)):
        x, y = LEFT + (RIGHT - LEFT) * u, top + (bottom - top) * v
        if not first < x < last:
            continue
        half = size * (0.5 + w)
        rect(dark if i % 2 else light, x - shape * half, y - half, x + shape * half, y)
    canvas.drawPath(light, ink.fill(WHITE, strength))
    canvas.drawPath(dark, ink.fill((0.0, 0.0, 0.05), strength))


def sky_plane(setting: Setting, clouds: int = 7) -> Plane:
    """The sky of the hour down to the horizon, and on behind everything else."""

    def draw(canvas: skia.Canvas) -> None:
        if setting.hour == "day":
            blue = setting.palette.sky
            deep = setting.palette.scene((0.20, 0.48, 0.90))
            colours = (mix(blue, deep, 0.65), blue, mix(blue, WHITE, 0.6))
        else:
            colours = tuple(setting.palette.scene(c) for c in SKIES[setting.hour])
        canvas.drawPaint(ink.fill(colours[2]))
        # Paint a little beyond the set, for rolls.
        graded(canvas, colours, TOP, HORIZON + 0.1, (0.0, 0.62, 1.0))
        if setting.hour == "night":
            _stars(canvas, setting)
        if setting.hour == "sunset":
            sun = setting.lamp((1.0, 0.86, 0.56))
            x = -0.9 + 1.8 * setting.table("sun", 1, 1)[0][0]
            halo = ink.radial((x, 0.0), 1.1, ((*sun, 0.75), (*sun, 0.0)))
            canvas.drawCircle(x, 0.0, 1.1, halo)
            canvas.drawCircle(x, 0.0, 0.15, ink.fill(mix(sun, WHITE, 0.6)))
        _clouds(canvas, setting, clouds)

    return Plane(parallax=0.04, draw=draw)


def _stars(canvas: skia.Canvas, setting: Setting) -> None:
    scale = ink.pixels_per_unit(canvas)
    path = skia.Path()
    for u, v, w in setting.table("stars", 60 if scale < 100 else 220, 3):
        radius = ink.at_least(0.003 + 0.005 * w * w, 0.45, scale)
        path.addCircle(LEFT + (RIGHT - LEFT) * u, TOP + 2.6 * v, radius)
    canvas.drawPath(path, ink.fill(setting.lamp((1.0, 0.98, 0.9)), 0.9))


def _clouds(canvas: skia.Canvas, setting: Setting, count: int) -> None:
    """Summer cumulus: a flat base, heaped heads, lit from above in two tones."""
    shade, lit = skia.Path(), skia.Path()
    detail = 5 if ink.pixels_per_unit(canvas) < 100 else 11
    first, last = in_view(canvas, 1.0)
    for i, (u, v, w, tower) in enumerate(setting.table("clouds", count, 4)):
        x = LEFT + (RIGHT - LEFT) * (i + 0.8 * u) / count
        if not first < x < last:
            continue
        base, size = -0.05 - 0.85 * v, 0.24 + 0.34 * w
        heads = setting.table(f"cloud{i}", detail, 3)
        for j, (a, b, c) in enumerate(heads):
            along = (j + 0.25 + 0.5 * c) / detail * 2.0 - 1.0
            heap = 1.0 - along * along
            radius = size * (0.14 + (0.18 + 0.12 * a) * heap)
            if detail < 10:
                radius *= 1.25
            cx = x + size * 1.3 * along
            # Heads in front sit on the base, those behind tower over them.
            rise = 0.0 if j % 2 else (0.5 + 0.9 * tower) * heap * (0.4 + 0.6 * b)
            cy = base - 0.6 * radius - size * rise
            shade.addCircle(cx, cy, radius)
            lit.addCircle(cx - 0.10 * radius, cy - 0.22 * radius, 0.88 * radius)
        shade.addOval(
            skia.Rect.MakeLTRB(
                x - 1.45 * size, base - 0.16 * size, x + 1.45 * size, base + 0.1 * size
            )
        )
    tones = {
        "day": ((0.76, 0.84, 0.94), (1.0, 1.0, 1.0)),
        "sunset": ((0.72, 0.40, 0.52), (1.0, 0.72, 0.55)),
        "night": ((0.10, 0.13, 0.30), (0.17, 0.21, 0.42)),
        "dusk": ((0.36, 0.32, 0.58), (0.74, 0.56, 0.74)),
    }[setting.hour]
    canvas.drawPath(shade, ink.fill(setting.palette.scene(tones[0]), 0.95))
    canvas.drawPath(lit, ink.fill(setting.palette.scene(tones[1]), 0.95))


def ridge_plane(
    setting: Setting,
    name: str,
    colour: Colour,
    parallax: float,
    base: float,
    height: float,
    waves: float,
) -> Plane:
    """Hills or mountains: two sines and a gradient that fades into haze at the foot."""

    def draw(canvas: skia.Canvas) -> None:
        a, b, c, d = setting.table(name, 1, 4)[0]
        steps = 44 if ink.pixels_per_unit(canvas) < 100 else 170
        path = skia.Path()
        path.moveTo(LEFT, BOTTOM)
        for i in range(steps + 1):
            x = LEFT + (RIGHT - LEFT) * i / steps
            y = 0.55 * math.sin(waves * (0.8 + 0.4 * a) * x + math.tau * b)
            y += 0.3 * math.sin(2.3 * waves * x + math.tau * c)
            y += 0.15 * math.sin(5.1 * waves * x + math.tau * d)
            path.lineTo(x, base - height * (0.5 + 0.5 * y))
        path.lineTo(RIGHT, BOTTOM)
        path.close()
        tone = setting.tone(colour)
        hazy = mix(tone, setting.palette.sky, 0.45)
        top = base - height
        canvas.drawPath(path, ink.linear((0.0, top), (0.0, base), (tone, hazy)))
        texture(canvas, setting, name + "grit", base, base + 0.25, 0.15)

    return Plane(parallax=parallax, draw=draw)


def foliage(
    shade: skia.Path, lit: skia.Path, x: float, y: float, size: float, rows: tuple
) -> None:
    """Append a crown of leaves: a heap of blobs and, up and left, their lit side."""
    for i, row in enumerate(rows):
        angle = math.tau * i / len(rows)
        cx = x + size * 0.62 * math.cos(angle)
        cy = y + size * 0.45 * math.sin(angle)
        radius = size * (0.36 + 0.22 * row[0])
        shade.addCircle(cx, cy, radius)
        lit.addCircle(cx - 0.22 * radius, cy - 0.3 * radius, radius * 0.66)


def trees_plane(
    setting: Setting,
    name: str,
    colour: Colour,
    parallax: float,
    base: float,
    size: float,
) -> Plane:
    """A row of round trees standing on `base`."""

    def draw(canvas: skia.Canvas) -> None:
        trunks, shade, lit = skia.Path(), skia.Path(), skia.Path()
        for i, left, right, row in tiles(
            canvas, setting, name, (0.9 * size, 3.2 * size), 2
        ):
            x, height = (left + right) / 2, size * (0.8 + 0.7 * row[0])
            rect(trunks, x - 0.06 * size, base - height, x + 0.06 * size, base + 0.02)
            rows = setting.table(f"{name}{i % 5}", 6, 1)
            foliage(shade, lit, x, base - height, 0.62 * size, rows)
        leaf = setting.tone(colour)
        canvas.drawPath(trunks, ink.fill(setting.tone((0.36, 0.27, 0.22))))
        canvas.drawPath(shade, ink.fill(setting.palette.shade(leaf)))
        canvas.drawPath(lit, ink.fill(mix(leaf, WHITE, 0.08)))
        texture(canvas, setting, name + "leaves", base - 1.6 * size, base, 0.18, 1.0)

    return Plane(parallax=parallax, draw=draw)


def skyline_plane(
    setting: Setting, name: str, parallax: float, base: float, height: float
) -> Plane:
    """Towers in the haze, with lit windows when it is late."""

    def draw(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        near, far, windows = skia.Path(), skia.Path(), skia.Path()
        pitch = ink.at_least(0.05, 2.6, scale)
        for i, left, right, row in tiles(canvas, setting, name, (0.16, 0.5), 2):
            top = base - height * (0.3 + 0.7 * row[0])
            rect(near if i % 2 else far, left, top, right, BOTTOM)
            columns = int((right - left) / pitch)
            for j in range(columns * 5):
                if math.sin(91.7 * j + 57.3 * row[1] * (i + 1)) < 0.15:
                    continue
                wx = left + (j % columns + 0.3) * pitch
                wy = top + (j // columns + 0.5) * pitch * 1.25
                rect(windows, wx, wy, wx + 0.5 * pitch, wy + 0.5 * pitch)
        body = setting.tone((0.56, 0.62, 0.74))
        haze = setting.palette.sky if setting.hour == "day" else body
        canvas.drawPath(far, ink.fill(mix(body, haze, 0.55)))
        canvas.drawPath(near, ink.fill(mix(body, haze, 0.3)))
        lit = setting.hour != "day"
        pane = setting.lamp((1.0, 0.84, 0.46)) if lit else mix(body, WHITE, 0.35)
        canvas.drawPath(windows, ink.fill(pane, 0.95 if lit else 0.55))

    return Plane(parallax=parallax, draw=draw)


def bushes(canvas: skia.Canvas, setting: Setting, name: str, base: float) -> None:
    """A hedge of low bushes standing on `base`."""
    shade, lit = skia.Path(), skia.Path()
    for i, left, right, _ in tiles(canvas, setting, name, (0.2, 0.4), 1):
        rows = setting.table(f"{name}{i % 4}", 5, 1)
        foliage(shade, lit, (left + right) / 2, base - 0.02, 0.14, rows)
    leaf = setting.tone((0.30, 0.54, 0.28))
    canvas.drawPath(shade, ink.fill(setting.palette.shade(leaf)))
    canvas.drawPath(lit, ink.fill(leaf))
