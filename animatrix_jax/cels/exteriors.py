"""Outdoor sets: field, forest, rooftop, seaside, shrine."""

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
    bushes,
    flat,
    foliage,
    graded,
    in_view,
    rect,
    ridge_plane,
    sky_plane,
    skyline_plane,
    texture,
    tiles,
    trees_plane,
)


def _meadow(setting: Setting, colour: Colour, name: str, top: float) -> Plane:
    """Grass to the feet and beyond, with tufts and flowers that grow as they near."""

    def draw(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        grass = setting.tone(colour)
        near = setting.palette.shade(grass)
        graded(canvas, (mix(grass, WHITE, 0.2), grass, near), top, 1.3)
        flat(canvas, near, LEFT, 1.3, RIGHT, BOTTOM)
        tufts, bright, blooms = skia.Path(), skia.Path(), skia.Path()
        count = 130 if scale < 100 else 600
        first, last = in_view(canvas, 0.2)
        for i, (u, v, w) in enumerate(setting.table(name, count, 3)):
            depth = v * v
            x, y = LEFT + (RIGHT - LEFT) * u, top + 0.03 + 1.0 * depth
            if not first < x < last:
                continue
            size = ink.at_least(0.025 + 0.09 * depth, 1.0, scale) * (0.7 + 0.6 * w)
            path = bright if i % 3 else tufts
            path.moveTo(x - 0.6 * size, y)
            path.lineTo(x - 0.35 * size, y - size)
            path.lineTo(x, y - 0.2 * size)
            path.lineTo(x + 0.3 * size, y - 1.1 * size)
            path.lineTo(x + 0.6 * size, y)
            path.close()
            if i % 6 == 0:
                blooms.addCircle(x, y - size, ink.at_least(0.22 * size, 0.5, scale))
        canvas.drawPath(
            bright, ink.fill(mix(grass, setting.tone((0.9, 1.0, 0.5)), 0.25))
        )
        canvas.drawPath(tufts, ink.fill(near))
        canvas.drawPath(blooms, ink.fill(setting.tone((1.0, 0.97, 0.86))))
        texture(canvas, setting, name + "blades", top, 1.0, 0.18, 0.8)

    return Plane(parallax=1.0, draw=draw)


def field(setting: Setting) -> tuple[Plane, ...]:
    """Summer hills under towering clouds."""
    return (
        sky_plane(setting, 8),
        ridge_plane(setting, "mountains", (0.46, 0.58, 0.78), 0.12, 0.15, 0.36, 1.7),
        ridge_plane(setting, "hills", (0.42, 0.66, 0.44), 0.32, 0.20, 0.20, 1.1),
        trees_plane(setting, "copse", (0.30, 0.56, 0.30), 0.62, 0.19, 0.17),
        _meadow(setting, (0.50, 0.74, 0.34), "meadow", 0.16),
    )


def forest(setting: Setting) -> tuple[Plane, ...]:
    """Trunks in four depths, darker as they near, under a canopy with light in it."""

    def draw_glow(canvas: skia.Canvas) -> None:
        light = setting.tone((0.90, 0.97, 0.70))
        deep = setting.tone((0.42, 0.66, 0.46))
        canvas.drawPaint(ink.fill(deep))
        graded(canvas, (deep, light, deep), -1.5, 0.7, (0.0, 0.62, 1.0))
        shafts = skia.Path()
        for u, v in setting.table("shafts", 11, 2):
            x, width = LEFT + (RIGHT - LEFT) * u, 0.08 + 0.16 * v
            ink.polygon(
                shafts,
                [(x, TOP), (x + width, TOP), (x + width - 1.2, 0.4), (x - 1.5, 0.4)],
            )
        canvas.drawPath(shafts, ink.fill(WHITE, 0.24))

    def trunks(name: str, parallax: float, width: float, colour: Colour) -> Plane:
        def draw(canvas: skia.Canvas) -> None:
            bark, light, shade, lit = (skia.Path() for _ in range(4))
            for i, left, right, row in tiles(
                canvas, setting, name, (4.5 * width, 11 * width), 3
            ):
                x, half = (left + right) / 2, width * (0.35 + 0.3 * row[0])
                lean = (row[1] - 0.5) * 0.35
                ink.polygon(
                    bark,
                    [
                        (x - half + lean, TOP),
                        (x + half + lean, TOP),
                        (x + half, 0.1),
                        (x + 1.6 * half, 0.27),
                        (x - 1.6 * half, 0.27),
                        (x - half, 0.1),
                    ],
                )
                ink.polygon(
                    light,
                    [
                        (x - half + lean, TOP),
                        (x - 0.45 * half + lean, TOP),
                        (x - 0.45 * half, 0.2),
                        (x - half, 0.2),
                    ],
                )
                rows = setting.table(f"{name}leaf{i % 4}", 7, 1)
                top = -0.62 - 0.35 * row[2]
                foliage(shade, lit, x, top, 0.34 + width, rows)
            tone = setting.tone(colour)
            leaf = setting.tone(mix(colour, (0.30, 0.62, 0.25), 0.62))
            canvas.drawPath(bark, ink.fill(tone))
            canvas.drawPath(light, ink.fill(mix(tone, WHITE, 0.2)))
            canvas.drawPath(shade, ink.fill(setting.palette.shade(leaf)))
            canvas.drawPath(lit, ink.fill(leaf))
            texture(canvas, setting, name + "bark", -0.9, 0.2, 0.17, 0.6)

        return Plane(parallax=parallax, draw=draw)

    def draw_bushes(canvas: skia.Canvas) -> None:
        bushes(canvas, setting, "undergrowth", 0.2)

    return (
        Plane(parallax=0.02, draw=draw_glow),
        trunks("far trunks", 0.3, 0.09, (0.52, 0.66, 0.50)),
        trunks("middle trunks", 0.55, 0.15, (0.40, 0.44, 0.36)),
        trunks("near trunks", 0.8, 0.24, (0.32, 0.26, 0.22)),
        Plane(parallax=0.9, draw=draw_bushes),
        _meadow(setting, (0.40, 0.55, 0.28), "moss", 0.18),
    )


def rooftop(setting: Setting) -> tuple[Plane, ...]:
    """A school roof: wire fence against the sky and the town far below."""

    def draw_fence(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        tone = setting.tone((0.40, 0.46, 0.52))
        posts, mesh = skia.Path(), skia.Path()
        half = ink.at_least(0.014, 0.5, scale)
        pitch = 0.09 if scale > 100 else 0.16
        x = LEFT
        while x < RIGHT + 0.8:
            # Diamond wire.
            mesh.moveTo(x, -0.36)
            mesh.lineTo(x + 0.55, 0.19)
            mesh.moveTo(x, 0.19)
            mesh.lineTo(x + 0.55, -0.36)
            x += pitch
        x = LEFT
        while x < RIGHT:
            rect(posts, x - half, -0.42, x + half, 0.2)
            x += 0.62
        for y in (-0.38, 0.1):
            rect(posts, LEFT, y - half, RIGHT, y + half)
        canvas.drawPath(mesh, ink.stroke(tone, ink.at_least(0.005, 0.35, scale), 0.6))
        canvas.drawPath(posts, ink.fill(tone))

    def draw_roof(canvas: skia.Canvas) -> None:
        floor = setting.tone((0.72, 0.70, 0.70))
        kerb = setting.tone((0.86, 0.84, 0.82))
        flat(canvas, kerb, LEFT, 0.15, RIGHT, 0.21)
        graded(
            canvas, (mix(floor, WHITE, 0.1), setting.palette.shade(floor)), 0.21, 1.1
        )
        flat(canvas, setting.palette.shade(floor), LEFT, 1.1, RIGHT, BOTTOM)
        joints = skia.Path()
        for y, width in ((0.30, 0.006), (0.46, 0.01), (0.75, 0.016)):
            rect(joints, LEFT, y, RIGHT, y + width)
        for i in range(-9, 10):
            ink.polygon(
                joints,
                [
                    (0.5 * i, 0.21),
                    (0.5 * i + 0.008, 0.21),
                    (1.4 * i + 0.03, 1.6),
                    (1.4 * i, 1.6),
                ],
            )
        canvas.drawPath(joints, ink.fill(setting.palette.shade(floor), 0.8))
        texture(canvas, setting, "concrete", 0.15, 1.0, 0.18)

    return (
        sky_plane(setting, 6),
        skyline_plane(setting, "town below", 0.18, 0.18, 0.42),
        Plane(parallax=0.85, draw=draw_fence),
        Plane(parallax=1.0, draw=draw_roof),
    )


def seaside(setting: Setting) -> tuple[Plane, ...]:
    """The sea to the horizon, glittering, and a beach."""

    def draw_sea(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        water = setting.tone((0.16, 0.50, 0.76))
        shallow = setting.tone((0.42, 0.80, 0.82))
        graded(canvas, (water, mix(water, shallow, 0.5), shallow), -0.06, 0.34)
        flat(canvas, shallow, LEFT, 0.34, RIGHT, BOTTOM)
        glints = skia.Path()
        first, last = in_view(canvas, 0.2)
        for u, v, w in setting.table("glitter", 110 if scale < 100 else 380, 3):
            x, y = LEFT + (RIGHT - LEFT) * u, -0.05 + 0.3 * v * v
            if not first < x < last:
                continue
            width = ink.at_least(0.04 + 0.12 * v * w, 1.4, scale)
            tall = ink.at_least(0.005 + 0.008 * v, 0.4, scale)
            ink.spindle(glints, (x - width / 2, y), (x + width / 2, y), tall)
        light = (1.0, 0.98, 0.92) if setting.hour == "day" else (1.0, 0.82, 0.56)
        canvas.drawPath(glints, ink.fill(setting.lamp(light), 0.85))

    def draw_beach(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        sand = setting.tone((0.95, 0.86, 0.66))
        shore, foam = skia.Path(), skia.Path()
        shore.moveTo(LEFT, BOTTOM)
        foam.moveTo(LEFT, BOTTOM)
        steps = 60 if scale < 100 else 240
        for i in range(steps + 1):
            x = LEFT + (RIGHT - LEFT) * i / steps
            y = 0.22 + 0.02 * math.sin(2.1 * x + 1.0) + 0.012 * math.sin(5.3 * x)
            shore.lineTo(x, y)
            foam.lineTo(x, y - ink.at_least(0.025, 0.8, scale))
        for path in (shore, foam):
            path.lineTo(RIGHT, BOTTOM)
            path.close()
        canvas.drawPath(foam, ink.fill(setting.tone(WHITE), 0.95))
        wet = setting.palette.shade(sand)
        canvas.drawPath(
            shore,
            ink.linear((0.0, 0.2), (0.0, 1.2), (wet, sand, wet), (0.0, 0.12, 1.0)),
        )
        texture(canvas, setting, "sand", 0.26, 1.1, 0.17)

    return (
        sky_plane(setting, 9),
        Plane(parallax=0.3, draw=draw_sea),
        Plane(parallax=1.0, draw=draw_beach),
    )


def shrine(setting: Setting) -> tuple[Plane, ...]:
    """Vermilion gates over a stone path at the edge of the woods."""

    def draw_gates(canvas: skia.Canvas) -> None:
        red = setting.tone((0.86, 0.24, 0.16))
        posts, shade, caps = skia.Path(), skia.Path(), skia.Path()
        for i in range(-2, 3):
            x = 1.9 * i + 0.55
            for side in (-0.5, 0.5):
                rect(posts, x + side - 0.045, -0.62, x + side + 0.045, 0.26)
                rect(shade, x + side + 0.015, -0.62, x + side + 0.045, 0.26)
                rect(caps, x + side - 0.06, 0.18, x + side + 0.06, 0.27)
            rect(posts, x - 0.62, -0.54, x + 0.62, -0.47)
            ink.polygon(
                posts,
                [
                    (x - 0.78, -0.76),
                    (x, -0.70),
                    (x + 0.78, -0.76),
                    (x + 0.72, -0.64),
                    (x - 0.72, -0.64),
                ],
            )
            ink.polygon(
                caps,
                [
                    (x - 0.82, -0.81),
                    (x, -0.745),
                    (x + 0.82, -0.81),
                    (x + 0.78, -0.755),
                    (x, -0.69),
                    (x - 0.78, -0.755),
                ],
            )
        canvas.drawPath(posts, ink.fill(red))
        canvas.drawPath(shade, ink.fill(setting.palette.shade(red)))
        canvas.drawPath(caps, ink.fill(setting.tone((0.20, 0.18, 0.22))))

    def draw_path(canvas: skia.Canvas) -> None:
        stone = setting.tone((0.74, 0.73, 0.70))
        graded(canvas, (mix(stone, WHITE, 0.1), setting.palette.shade(stone)), 0.2, 1.2)
        flat(canvas, setting.palette.shade(stone), LEFT, 1.2, RIGHT, BOTTOM)
        slabs = skia.Path()
        for k, (top, bottom) in enumerate(((0.22, 0.29), (0.31, 0.42), (0.45, 0.62))):
            widths = (0.3 + 0.1 * k, 0.6)
            for _, left, right, _ in tiles(canvas, setting, f"slabs{k}", widths, 1):
                rect(slabs, left + 0.012, top, right - 0.012, bottom)
        canvas.drawPath(slabs, ink.fill(mix(stone, WHITE, 0.25), 0.8))
        texture(canvas, setting, "stone", 0.2, 1.0, 0.18)

    def draw_bushes(canvas: skia.Canvas) -> None:
        bushes(canvas, setting, "hedge", 0.19)

    woods = (0.26, 0.46, 0.34)
    return (
        sky_plane(setting, 6),
        ridge_plane(setting, "wooded hill", woods, 0.25, 0.15, 0.5, 1.4),
        trees_plane(setting, "cedars", (0.24, 0.46, 0.28), 0.5, GROUND - 0.15, 0.42),
        Plane(parallax=0.88, draw=draw_bushes),
        Plane(parallax=0.92, draw=draw_gates),
        Plane(parallax=1.0, draw=draw_path),
    )
