"""The sets and patterns of held-out worlds, which no training clip shows.

Built from the same skies, ridges and light as the usual ones, with their own boards,
motifs and local colours: a platform, a library, a bamboo grove, a harbour, a desert;
stripes, dots, waves and triangles; a studio for white.
"""

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
    flat,
    graded,
    in_view,
    rect,
    ridge_plane,
    sky_plane,
    texture,
    tiles,
)


def platform(setting: Setting) -> tuple[Plane, ...]:
    """A country platform: a waiting train, a roof on pillars, a yellow line."""

    def draw_train(canvas: skia.Canvas) -> None:
        body, band, panes, doors = (skia.Path() for _ in range(4))
        for _, left, right, _ in tiles(canvas, setting, "cars", (1.9, 2.0), 1):
            rect(body, left + 0.02, -0.5, right - 0.02, 0.16)
            rect(band, left + 0.02, -0.08, right - 0.02, 0.0)
            for k in range(4):
                x = left + 0.1 + 0.47 * k
                rect(doors if k % 2 else panes, x, -0.4, x + 0.26, -0.14)
        canvas.drawPath(body, ink.fill(setting.tone((0.90, 0.89, 0.84))))
        canvas.drawPath(band, ink.fill(setting.tone((0.15, 0.52, 0.46))))
        canvas.drawPath(doors, ink.fill(setting.tone((0.72, 0.74, 0.74))))
        canvas.drawPath(panes, ink.fill(setting.tone((0.34, 0.46, 0.52))))
        flat(canvas, setting.tone((0.26, 0.25, 0.27)), LEFT, 0.16, RIGHT, BOTTOM)

    def draw_roof(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        posts, signs = skia.Path(), skia.Path()
        half = ink.at_least(0.03, 0.6, scale)
        x = LEFT + 0.5
        while x < RIGHT:
            rect(posts, x - half, -0.72, x + half, 0.24)
            ink.polygon(
                posts,
                [
                    (x - 0.3, -0.72),
                    (x + 0.3, -0.72),
                    (x + half, -0.5),
                    (x - half, -0.5),
                ],
            )
            rect(signs, x + 0.5, -0.5, x + 1.0, -0.34)
            x += 1.5
        flat(canvas, setting.tone((0.40, 0.34, 0.34)), LEFT, TOP, RIGHT, -0.72)
        canvas.drawPath(posts, ink.fill(setting.tone((0.52, 0.44, 0.40))))
        canvas.drawPath(signs, ink.fill(setting.tone((0.97, 0.97, 0.95))))

    def draw_floor(canvas: skia.Canvas) -> None:
        floor = setting.tone((0.70, 0.68, 0.66))
        graded(canvas, (mix(floor, WHITE, 0.2), floor), 0.22, 1.1)
        flat(canvas, floor, LEFT, 1.1, RIGHT, BOTTOM)
        flat(canvas, setting.tone((0.95, 0.78, 0.18)), LEFT, 0.26, RIGHT, 0.3)
        joints = skia.Path()
        for i in range(-8, 9):
            x = 0.52 * i
            ink.polygon(
                joints,
                [(x, 0.3), (x + 0.01, 0.3), (1.7 * x + 0.03, 1.1), (1.7 * x, 1.1)],
            )
        canvas.drawPath(joints, ink.fill(setting.palette.shade(floor)))
        texture(canvas, setting, "platform grit", 0.22, 1.0, 0.17)

    hills = (0.40, 0.52, 0.46)
    return (
        sky_plane(setting, 4),
        ridge_plane(setting, "far hills", hills, 0.2, 0.14, 0.34, 1.9),
        Plane(parallax=0.7, draw=draw_train),
        Plane(parallax=0.9, draw=draw_roof),
        Plane(parallax=1.0, draw=draw_floor),
    )


def library(setting: Setting) -> tuple[Plane, ...]:
    """Shelves to the ceiling, a ladder, hanging lamps, a carpet."""
    spines: tuple[Colour, ...] = (
        (0.50, 0.20, 0.20),
        (0.20, 0.34, 0.32),
        (0.78, 0.64, 0.40),
        (0.30, 0.26, 0.44),
    )

    def draw_shelves(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        canvas.drawPaint(ink.fill(setting.tone((0.26, 0.17, 0.13))))
        books = tuple(skia.Path() for _ in spines)
        count = 5 if scale < 100 else 12
        for i, left, right, _ in tiles(canvas, setting, "cases", (0.72, 0.74), 1):
            width = (right - left - 0.12) / count
            for row in range(6):
                bottom = -0.82 + 0.2 * row
                for j, (u, v) in enumerate(
                    setting.table(f"case{i % 6}{row}", count, 2)
                ):
                    x = left + 0.06 + width * j
                    top = bottom - 0.1 - 0.05 * v
                    rect(books[int(4 * u)], x, top, x + 0.86 * width, bottom)
        for path, spine in zip(books, spines, strict=True):
            canvas.drawPath(path, ink.fill(setting.tone(spine)))
        wood = skia.Path()
        for _, left, _, _ in tiles(canvas, setting, "cases", (0.72, 0.74), 1):
            rect(wood, left - 0.03, TOP, left + 0.03, 0.2)
        for row in range(7):
            y = -0.82 + 0.2 * (row - 1)
            rect(wood, LEFT, y, RIGHT, y + 0.025)
        rect(wood, LEFT, TOP, RIGHT, -1.02)
        canvas.drawPath(wood, ink.fill(setting.tone((0.46, 0.31, 0.22))))
        texture(canvas, setting, "wood grain", -0.9, 0.2, 0.15, 4.0)

    def draw_lamps(canvas: skia.Canvas) -> None:
        cords, shades, glow = skia.Path(), skia.Path(), skia.Path()
        half = ink.at_least(0.006, 0.4, ink.pixels_per_unit(canvas))
        for k in range(-3, 4):
            x = 1.3 * k + 0.45
            rect(cords, x - half, TOP, x + half, -0.62)
            ink.polygon(
                shades,
                [
                    (x - 0.06, -0.62),
                    (x + 0.06, -0.62),
                    (x + 0.16, -0.5),
                    (x - 0.16, -0.5),
                ],
            )
            glow.addOval(skia.Rect.MakeLTRB(x - 0.13, -0.53, x + 0.13, -0.46))
        canvas.drawPath(cords, ink.fill(setting.tone((0.16, 0.14, 0.14))))
        canvas.drawPath(shades, ink.fill(setting.tone((0.16, 0.42, 0.34))))
        canvas.drawPath(glow, ink.fill(setting.lamp((1.0, 0.92, 0.66))))

    def draw_floor(canvas: skia.Canvas) -> None:
        carpet = setting.tone((0.52, 0.20, 0.22))
        graded(canvas, (carpet, setting.palette.shade(carpet)), 0.2, 1.2)
        flat(canvas, setting.palette.shade(carpet), LEFT, 1.2, RIGHT, BOTTOM)
        marks = skia.Path()
        for i in range(-12, 13):
            x = 0.4 * i
            ink.polygon(
                marks, [(x, 0.36), (x + 0.12, 0.42), (x, 0.48), (x - 0.12, 0.42)]
            )
        canvas.drawPath(marks, ink.fill(setting.tone((0.86, 0.68, 0.40)), 0.8))
        texture(canvas, setting, "carpet", 0.2, 1.0, 0.15)

    return (
        Plane(parallax=0.84, draw=draw_shelves),
        Plane(parallax=0.92, draw=draw_lamps),
        Plane(parallax=1.0, draw=draw_floor),
    )


def bamboo(setting: Setting) -> tuple[Plane, ...]:
    """Stalks in three depths, with nodes and blades, over a floor of leaves."""

    def stalks(name: str, colour: Colour, thick: float, parallax: float) -> Plane:
        def draw(canvas: skia.Canvas) -> None:
            scale = ink.pixels_per_unit(canvas)
            half = ink.at_least(thick, 0.5, scale)
            canes, light, nodes, blades = (skia.Path() for _ in range(4))
            for _, left, right, row in tiles(
                canvas, setting, name, (5 * thick, 13 * thick), 3
            ):
                x = (left + right) / 2
                rect(canes, x - half, TOP, x + half, 0.34)
                rect(light, x - half, TOP, x - 0.2 * half, 0.34)
                y = -1.6 + 0.3 * row[0]
                while y < 0.3:
                    rect(nodes, x - 1.2 * half, y, x + 1.2 * half, y + 0.35 * half)
                    y += 10 * thick
                for k in range(3):
                    angle = 0.3 + 2.4 * (row[k % 3])
                    size = 5.5 * thick + 0.05
                    ink.petal(blades, x, -0.75 + 0.22 * k, size, angle, 0.12)
            tone = setting.tone(colour)
            canvas.drawPath(canes, ink.fill(tone))
            canvas.drawPath(light, ink.fill(mix(tone, WHITE, 0.25)))
            canvas.drawPath(nodes, ink.fill(setting.palette.shade(tone)))
            canvas.drawPath(
                blades, ink.fill(mix(tone, setting.palette.shade(tone), 0.5))
            )

        return Plane(parallax=parallax, draw=draw)

    def draw_back(canvas: skia.Canvas) -> None:
        mist = setting.tone((0.80, 0.90, 0.72))
        canvas.drawPaint(ink.fill(mist))
        graded(canvas, (setting.tone((0.56, 0.74, 0.50)), mist), -1.2, 0.3)

    def draw_floor(canvas: skia.Canvas) -> None:
        soil = setting.tone((0.46, 0.42, 0.28))
        graded(canvas, (mix(soil, WHITE, 0.22), soil), 0.24, 1.1)
        flat(canvas, soil, LEFT, 1.1, RIGHT, BOTTOM)
        leaves = skia.Path()
        first, last = in_view(canvas, 0.2)
        for u, v, w in setting.table("litter", 180, 3):
            x, y = LEFT + (RIGHT - LEFT) * u, 0.27 + 0.8 * v * v
            if first < x < last:
                ink.petal(leaves, x, y, 0.05 + 0.08 * v, 3.0 * w - 1.5, 0.2)
        canvas.drawPath(leaves, ink.fill(setting.tone((0.72, 0.66, 0.36)), 0.9))
        texture(canvas, setting, "soil", 0.24, 1.0, 0.17)

    return (
        Plane(parallax=0.1, draw=draw_back),
        stalks("far canes", (0.56, 0.70, 0.46), 0.02, 0.4),
        stalks("canes", (0.36, 0.58, 0.30), 0.035, 0.75),
        Plane(parallax=1.0, draw=draw_floor),
    )


def harbour(setting: Setting) -> tuple[Plane, ...]:
    """Water with cranes behind it, stacked containers, a quay with bollards."""

    def draw_cranes(canvas: skia.Canvas) -> None:
        steel = skia.Path()
        for i, left, right, row in tiles(canvas, setting, "cranes", (1.1, 1.7), 1):
            x, top = (left + right) / 2, -0.75 - 0.35 * row[0]
            for leg in (x - 0.13, x + 0.13):
                rect(steel, leg - 0.02, top + 0.15, leg + 0.02, 0.06)
            rect(steel, x - 0.16, top + 0.3, x + 0.16, top + 0.34)
            way = 1 if i % 2 else -1
            ink.polygon(
                steel,
                [
                    (x - 0.2 * way, top + 0.16),
                    (x + 0.75 * way, top),
                    (x + 0.75 * way, top + 0.04),
                    (x - 0.2 * way, top + 0.22),
                ],
            )
        canvas.drawPath(steel, ink.fill(setting.tone((0.42, 0.40, 0.46))))

    def draw_sea(canvas: skia.Canvas) -> None:
        sea = setting.tone((0.30, 0.46, 0.56))
        graded(canvas, (mix(sea, setting.palette.sky, 0.4), sea), 0.04, 0.3)
        flat(canvas, sea, LEFT, 0.3, RIGHT, BOTTOM)
        glints = skia.Path()
        first, last = in_view(canvas, 0.3)
        for u, v, w in setting.table("glints", 90, 3):
            x, y = LEFT + (RIGHT - LEFT) * u, 0.06 + 0.2 * v
            if first < x < last:
                rect(glints, x, y, x + 0.05 + 0.16 * w, y + 0.008 + 0.01 * v)
        canvas.drawPath(glints, ink.fill(setting.lamp((1.0, 0.82, 0.74)), 0.7))

    def draw_boxes(canvas: skia.Canvas) -> None:
        hues: tuple[Colour, ...] = (
            (0.70, 0.36, 0.22),
            (0.22, 0.46, 0.44),
            (0.62, 0.58, 0.50),
        )
        boxes = tuple(skia.Path() for _ in hues)
        ribs = skia.Path()
        for i, left, right, row in tiles(canvas, setting, "boxes", (0.62, 0.66), 3):
            for level in range(int(3 * row[0])):
                top = 0.06 - 0.2 * level
                rect(
                    boxes[int(3 * row[1] + level) % 3],
                    left,
                    top,
                    right - 0.02,
                    top + 0.19,
                )
                for k in range(1, 6):
                    x = left + k * (right - left) / 6
                    rect(ribs, x, top + 0.02, x + 0.012, top + 0.17)
        for path, hue in zip(boxes, hues, strict=True):
            canvas.drawPath(path, ink.fill(setting.tone(hue)))
        canvas.drawPath(ribs, ink.fill((0.0, 0.0, 0.05), 0.25))

    def draw_quay(canvas: skia.Canvas) -> None:
        stone = setting.tone((0.58, 0.55, 0.54))
        graded(canvas, (mix(stone, WHITE, 0.2), stone), 0.24, 1.0)
        flat(canvas, stone, LEFT, 1.0, RIGHT, BOTTOM)
        bollards = skia.Path()
        for i in range(-5, 6):
            x = 0.9 * i + 0.3
            rect(bollards, x - 0.05, 0.19, x + 0.05, 0.3)
            rect(bollards, x - 0.08, 0.16, x + 0.08, 0.2)
        canvas.drawPath(bollards, ink.fill(setting.tone((0.24, 0.24, 0.28))))
        texture(canvas, setting, "quay", 0.26, 1.0, 0.17)

    return (
        sky_plane(setting, 5),
        Plane(parallax=0.3, draw=draw_cranes),
        Plane(parallax=0.45, draw=draw_sea),
        Plane(parallax=0.85, draw=draw_boxes),
        Plane(parallax=1.0, draw=draw_quay),
    )


def desert(setting: Setting) -> tuple[Plane, ...]:
    """Dunes in three depths, columns of rock and cacti."""

    def draw_rocks(canvas: skia.Canvas) -> None:
        rocks, shade = skia.Path(), skia.Path()
        for _, left, right, row in tiles(canvas, setting, "rocks", (1.0, 2.0), 2):
            x, wide, top = left + 0.3, 0.16 + 0.3 * row[0], -0.3 - 0.5 * row[1]
            points = [
                (x - wide, 0.2),
                (x - 0.8 * wide, top + 0.06),
                (x - 0.5 * wide, top),
                (x + 0.7 * wide, top + 0.03),
                (x + wide, 0.2),
            ]
            ink.polygon(rocks, points)
            ink.polygon(shade, [points[0], points[1], points[2], (x - 0.2 * wide, 0.2)])
        tone = setting.tone((0.74, 0.42, 0.30))
        canvas.drawPath(rocks, ink.fill(tone))
        canvas.drawPath(shade, ink.fill(setting.palette.shade(tone)))

    def draw_ground(canvas: skia.Canvas) -> None:
        sand = setting.tone((0.92, 0.74, 0.50))
        graded(canvas, (mix(sand, WHITE, 0.2), setting.palette.shade(sand)), 0.18, 1.2)
        flat(canvas, setting.palette.shade(sand), LEFT, 1.2, RIGHT, BOTTOM)
        ripples, cacti = skia.Path(), skia.Path()
        first, last = in_view(canvas, 0.5)
        for u, v, w in setting.table("ripples", 70, 3):
            x, y = LEFT + (RIGHT - LEFT) * u, 0.24 + 0.8 * v
            if first < x < last:
                ink.spindle(ripples, (x, y), (x + 0.3 + 0.4 * w, y + 0.01), 0.014)
        for u, v, w in setting.table("cacti", 9, 3):
            x, y, s = LEFT + (RIGHT - LEFT) * u, 0.24 + 0.06 * v, 0.1 + 0.12 * w
            for dx, dy, wide, high in (
                (0.0, 0.0, 0.22, 2.2),
                (-0.7, -0.7, 0.16, 0.8),
                (0.7, -0.9, 0.16, 0.7),
            ):
                box = skia.Rect.MakeLTRB(
                    x + (dx - wide) * s,
                    y + (dy - high) * s,
                    x + (dx + wide) * s,
                    y + dy * s,
                )
                cacti.addRoundRect(box, wide * s, wide * s)
            rect(cacti, x - 0.7 * s, y - 0.9 * s, x + 0.7 * s, y - 0.68 * s)
        canvas.drawPath(ripples, ink.fill(setting.tone((0.70, 0.52, 0.34)), 0.6))
        canvas.drawPath(cacti, ink.fill(setting.tone((0.32, 0.50, 0.34))))
        texture(canvas, setting, "sand", 0.2, 1.0, 0.15)

    far, near = (0.86, 0.62, 0.50), (0.93, 0.72, 0.48)
    return (
        sky_plane(setting, 2),
        ridge_plane(setting, "far dunes", far, 0.25, 0.16, 0.22, 1.2),
        Plane(parallax=0.5, draw=draw_rocks),
        ridge_plane(setting, "near dunes", near, 0.7, 0.26, 0.2, 0.9),
        Plane(parallax=1.0, draw=draw_ground),
    )


def _paper(setting: Setting, amount: float) -> Colour:
    """The accent thinned with paper as this palette lights it."""
    return mix(setting.palette.accent, setting.palette.scene(WHITE), amount)


def triangles(setting: Setting) -> tuple[Plane, ...]:
    """Big flat triangles over a plain ground."""
    base = mix(setting.palette.sky, setting.palette.accent, 0.45)

    def draw(canvas: skia.Canvas) -> None:
        canvas.drawPaint(ink.fill(base))
        light, dark = skia.Path(), skia.Path()
        step = 0.9
        for i in range(-7, 8):
            for j in range(-5, 6):
                x, y = step * i + 0.45 * (j % 2), 0.75 * step * j
                path = light if (i + 2 * j) % 3 else dark
                ink.polygon(
                    path,
                    [(x, y), (x + 0.5 * step, y - 0.7 * step), (x + step, y)],
                )
        canvas.drawPath(light, ink.fill(mix(base, setting.palette.scene(WHITE), 0.4)))
        canvas.drawPath(dark, ink.fill(mix(base, setting.palette.shadow_tint, 0.3)))

    def draw_ground(canvas: skia.Canvas) -> None:
        ground = mix(base, setting.palette.shadow_tint, 0.5)
        flat(canvas, ground, LEFT, GROUND - 0.1, RIGHT, BOTTOM)

    return (
        Plane(parallax=0.15, draw=draw),
        Plane(parallax=1.0, draw=draw_ground),
    )


def stripes(setting: Setting) -> tuple[Plane, ...]:
    """Broad slanted stripes in two tints."""

    def draw(canvas: skia.Canvas) -> None:
        canvas.drawPaint(ink.fill(_paper(setting, 0.82)))
        path = skia.Path()
        for i in range(-16, 17):
            x = 0.44 * i
            ink.polygon(
                path,
                [(x - 2.2, -4.0), (x - 1.98, -4.0), (x + 2.42, 4.0), (x + 2.2, 4.0)],
            )
        canvas.drawPath(path, ink.fill(_paper(setting, 0.42)))

    return (Plane(parallax=0.3, draw=draw),)


def dots(setting: Setting) -> tuple[Plane, ...]:
    """Polka dots in rows set off against each other."""

    def draw(canvas: skia.Canvas) -> None:
        canvas.drawPaint(ink.fill(_paper(setting, 0.35)))
        path = skia.Path()
        for i in range(-15, 16):
            for j in range(-11, 12):
                path.addCircle(0.34 * (i + 0.5 * (j % 2)), 0.3 * j, 0.085)
        canvas.drawPath(path, ink.fill(_paper(setting, 0.85)))

    return (Plane(parallax=0.3, draw=draw),)


def waves(setting: Setting) -> tuple[Plane, ...]:
    """Scales of concentric arcs, as on a yukata."""

    def draw(canvas: skia.Canvas) -> None:
        tones = (_paper(setting, 0.2), _paper(setting, 0.8))
        canvas.drawPaint(ink.fill(tones[0]))
        radius = 0.3
        for row in range(-11, 13):
            y = 0.5 * radius * row
            shift = radius * (row % 2)
            for ring, tone in ((1.0, 0), (0.92, 1), (0.66, 0), (0.58, 1), (0.3, 0)):
                path = skia.Path()
                for i in range(-8, 9):
                    path.addCircle(2 * radius * i + shift, y, ring * radius)
                canvas.drawPath(path, ink.fill(tones[tone]))

    return (Plane(parallax=0.25, draw=draw),)


def studio(setting: Setting) -> tuple[Plane, ...]:
    """White paper swept from wall to floor: a breath of grey where it bends."""

    def draw(canvas: skia.Canvas) -> None:
        canvas.drawPaint(ink.fill((0.985, 0.985, 0.98)))
        bend, paper = (0.965, 0.966, 0.97), (0.985, 0.985, 0.98)
        graded(canvas, (paper, bend, paper), 0.05, 0.6)

    return (Plane(parallax=0.0, draw=draw),)
