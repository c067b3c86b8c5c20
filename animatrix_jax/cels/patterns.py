"""Backgrounds that are no place: flat abstractions, moods in patterns, bare paper.

In shoujo and comedy the set is dropped as soon as the feeling matters more than the
place: flowers open behind a face, lights blur into bokeh, a checker stands for cheer.
"""

import math

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import WHITE, Colour, mix
from animatrix_jax.cels.scenery import (
    BOTTOM,
    GROUND,
    LEFT,
    RIGHT,
    TOP,
    Plane,
    Setting,
    in_view,
    rect,
)


def flat_abstract(setting: Setting) -> tuple[Plane, ...]:
    """Two or three big flat shapes and a plain ground."""
    palette = setting.palette
    base = mix(palette.sky, palette.scene(palette.accent), 0.3)
    form = setting.table("abstract", 1, 4)[0]

    def draw_back(canvas: skia.Canvas) -> None:
        canvas.drawPaint(ink.fill(base))
        bands = skia.Path()
        lean = 0.5 - 1.2 * form[1]
        if form[0] < 0.34:
            for i in range(-6, 7):
                x = 1.1 * i + form[2]
                points = [
                    (x, TOP),
                    (x + 0.5, TOP),
                    (x + 0.5 + lean * 5.6, BOTTOM),
                    (x + lean * 5.6, BOTTOM),
                ]
                ink.polygon(bands, points)
        elif form[0] < 0.67:
            bands.setFillType(skia.PathFillType.kEvenOdd)
            for i in range(1, 9):
                bands.addCircle(lean * 0.6, -0.1, 0.42 * i)
        else:
            ink.polygon(
                bands,
                [(LEFT, TOP), (RIGHT, TOP), (RIGHT, -0.6 - lean), (LEFT, -0.1 + lean)],
            )
        canvas.drawPath(bands, ink.fill(mix(base, _paper(setting), 0.45)))

    def draw_ground(canvas: skia.Canvas) -> None:
        floor = skia.Path()
        rect(floor, LEFT, GROUND - 0.12, RIGHT, BOTTOM)
        canvas.drawPath(floor, ink.fill(mix(base, palette.shadow_tint, 0.4)))

    return (
        Plane(parallax=0.15, draw=draw_back),
        Plane(parallax=1.0, draw=draw_ground),
    )


def white(setting: Setting) -> tuple[Plane, ...]:
    """Bare paper."""

    def draw(canvas: skia.Canvas) -> None:
        canvas.drawPaint(ink.fill((0.985, 0.985, 0.98)))

    return (Plane(parallax=0.0, draw=draw),)


def _paper(setting: Setting) -> Colour:
    """White paper as this palette lights it: dark under low key, violet under neon."""
    return setting.palette.scene(WHITE)


def _wash(setting: Setting, second: Colour) -> Plane:
    """A soft diagonal of two colours, drawn as paint bleeding into wet paper."""

    def draw(canvas: skia.Canvas) -> None:
        first = mix(setting.palette.accent, _paper(setting), 0.62)
        other = mix(setting.palette.light(second), _paper(setting), 0.5)
        canvas.drawPaint(
            ink.linear((-1.4, -0.9), (1.4, 0.9), (first, mix(first, other, 0.5), other))
        )

    return Plane(parallax=0.0, draw=draw)


def flowers(setting: Setting) -> tuple[Plane, ...]:
    """Large five-petalled flowers, each with a heart, over a pale wash."""

    def draw(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        petals = (skia.Path(), skia.Path(), skia.Path())
        hearts = skia.Path()
        step = 0.62
        first, last = in_view(canvas, 0.4)
        for i, (u, v, w, turn) in enumerate(setting.table("flowers", 14 * 9, 4)):
            x = LEFT + step * (i % 14 + 0.25 + 0.5 * u)
            y = TOP + step * (i // 14 + 0.25 + 0.5 * v)
            size = 0.13 + 0.16 * w
            if not first < x < last:
                continue
            _flower(petals[i % 3], x, y, size, math.tau * turn)
            hearts.addCircle(x, y, ink.at_least(0.2 * size, 0.5, scale))
        tint = setting.palette.accent
        tones = (WHITE, mix(tint, WHITE, 0.62), mix(tint, WHITE, 0.3))
        for path, tone in zip(petals, tones, strict=True):
            canvas.drawPath(path, ink.fill(tone, 0.92))
        canvas.drawPath(hearts, ink.fill(setting.palette.light((1.0, 0.86, 0.36))))

    return (_wash(setting, (0.99, 0.72, 0.84)), Plane(parallax=0.25, draw=draw))


def _flower(path: skia.Path, x: float, y: float, size: float, turn: float) -> None:
    """Append five round petals as one outline."""
    for k in range(5):
        left, right = turn + math.tau * (k - 0.5) / 5, turn + math.tau * (k + 0.5) / 5
        if k == 0:
            path.moveTo(
                x + 0.34 * size * math.cos(left), y + 0.34 * size * math.sin(left)
            )
        path.cubicTo(
            x + 1.32 * size * math.cos(left + 0.1),
            y + 1.32 * size * math.sin(left + 0.1),
            x + 1.32 * size * math.cos(right - 0.1),
            y + 1.32 * size * math.sin(right - 0.1),
            x + 0.34 * size * math.cos(right),
            y + 0.34 * size * math.sin(right),
        )
    path.close()


def sparkles(setting: Setting) -> tuple[Plane, ...]:
    """Four-pointed glints and beads of light."""

    def draw(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        glints, beads = skia.Path(), skia.Path()
        waist = 0.1 if scale > 100 else 0.22
        first, last = in_view(canvas, 0.3)
        for i, (u, v, w) in enumerate(setting.table("sparkles", 13 * 8 * 2, 3)):
            x = LEFT + 0.68 * (i // 2 % 13 + u)
            y = TOP + 0.72 * (i // 26 + v)
            if not first < x < last:
                continue
            if i % 2:
                beads.addCircle(x, y, ink.at_least(0.02 + 0.025 * w, 0.7, scale))
            else:
                ink.glint(glints, x, y, 0.09 + 0.17 * w, waist)
        canvas.drawPath(beads, ink.fill(WHITE, 0.7))
        canvas.drawPath(glints, ink.fill(WHITE, 0.97))

    return (_wash(setting, (0.55, 0.75, 1.0)), Plane(parallax=0.2, draw=draw))


def bokeh(setting: Setting) -> tuple[Plane, ...]:
    """Discs of light out of focus, in two depths."""

    def layer(name: str, size: float, alpha: float, parallax: float) -> Plane:
        def draw(canvas: skia.Canvas) -> None:
            warm, cool, pale = skia.Path(), skia.Path(), skia.Path()
            first, last = in_view(canvas, 0.4)
            for i, (u, v, w) in enumerate(setting.table(name, 11 * 7, 3)):
                x = LEFT + 0.8 * (i % 11 + u)
                y = TOP + 0.82 * (i // 11 + v)
                if not first < x < last:
                    continue
                path = (warm, pale, cool)[i % 3]
                path.addCircle(x, y, size * (0.5 + 0.9 * w))
            tint = setting.palette.accent
            canvas.drawPath(warm, ink.fill(mix(tint, WHITE, 0.35), alpha))
            canvas.drawPath(
                cool, ink.fill(setting.palette.light((0.6, 0.8, 1.0)), alpha)
            )
            canvas.drawPath(pale, ink.fill(WHITE, alpha))

        return Plane(parallax=parallax, draw=draw)

    return (
        _wash(setting, (0.42, 0.36, 0.72)),
        layer("far bokeh", 0.24, 0.35, 0.1),
        layer("near bokeh", 0.12, 0.6, 0.3),
    )


def checks(setting: Setting) -> tuple[Plane, ...]:
    """A tilted checker in two tints, the pop background of comedies."""

    def draw(canvas: skia.Canvas) -> None:
        tint = setting.palette.accent
        canvas.drawPaint(ink.fill(mix(tint, _paper(setting), 0.8)))
        # Bands both ways cancel where they cross: what is left is a checker.
        path = skia.Path()
        path.setFillType(skia.PathFillType.kEvenOdd)
        side, reach = 0.24, 6.0
        cos, sin = math.cos(0.4), math.sin(0.4)
        for ux, uy in ((cos, sin), (-sin, cos)):
            for i in range(-11, 11):
                near, far = side * 2 * i, side * (2 * i + 1)
                corners = ((near, -reach), (far, -reach), (far, reach), (near, reach))
                ink.polygon(
                    path, [(a * ux - b * uy, a * uy + b * ux) for a, b in corners]
                )
        canvas.drawPath(path, ink.fill(mix(tint, _paper(setting), 0.4)))

    return (Plane(parallax=0.3, draw=draw),)
