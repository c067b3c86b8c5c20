"""Indoor sets: school corridor, classroom, bedroom.

Walls are drawn in elevation and repeat along x, so the camera may travel; windows are
holes through which the sky plane slides at its own parallax.
"""

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import WHITE, Colour, mix
from animatrix_jax.cels.scenery import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Plane,
    Setting,
    flat,
    graded,
    rect,
    sky_plane,
    skyline_plane,
    texture,
    trees_plane,
)

SKIRTING = 0.16


def corridor(setting: Setting) -> tuple[Plane, ...]:
    """A school corridor: a row of windows, a wainscot, a polished floor."""
    pitch = 0.86

    def draw_wall(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        wall = setting.tone((0.93, 0.91, 0.84))
        holes = skia.Path()
        holes.setFillType(skia.PathFillType.kEvenOdd)
        rect(holes, LEFT, TOP, RIGHT, BOTTOM)
        frames, pillars, glare = skia.Path(), skia.Path(), skia.Path()
        bar = ink.at_least(0.018, 0.8, scale)
        x = LEFT
        while x < RIGHT:
            rect(holes, x + 0.12, -0.58, x + pitch - 0.12, -0.10)
            rect(frames, x + pitch / 2 - bar, -0.58, x + pitch / 2 + bar, -0.10)
            rect(frames, x + 0.12, -0.44, x + pitch - 0.12, -0.44 + bar)
            ink.polygon(
                glare,
                [
                    (x + 0.16, -0.10),
                    (x + 0.34, -0.58),
                    (x + 0.44, -0.58),
                    (x + 0.26, -0.10),
                ],
            )
            rect(pillars, x - 0.05, TOP, x + 0.05, SKIRTING)
            x += pitch
        canvas.drawPath(holes, ink.fill(wall))
        canvas.drawPath(glare, ink.fill(WHITE, 0.28))
        canvas.drawPath(frames, ink.fill(setting.tone((0.62, 0.64, 0.67))))
        canvas.drawPath(pillars, ink.fill(mix(wall, WHITE, 0.35)))
        # Ceiling and wainscot in the same local colours, one tone down.
        flat(canvas, setting.palette.shade(wall), LEFT, TOP, RIGHT, -0.74)
        flat(canvas, setting.tone((0.70, 0.62, 0.52)), LEFT, -0.04, RIGHT, SKIRTING)
        flat(canvas, setting.tone((0.48, 0.40, 0.34)), LEFT, -0.055, RIGHT, -0.02)
        flat(canvas, setting.tone((0.40, 0.33, 0.30)), LEFT, 0.13, RIGHT, SKIRTING)
        texture(canvas, setting, "wall grit", -0.7, SKIRTING, 0.15)

    def draw_floor(canvas: skia.Canvas) -> None:
        floor = setting.tone((0.74, 0.64, 0.52))
        near = setting.palette.shade(floor)
        graded(canvas, (mix(floor, WHITE, 0.25), floor, near), SKIRTING, 1.2)
        flat(canvas, near, LEFT, 1.2, RIGHT, BOTTOM)
        # Window light lies slantwise on the boards.
        patches = skia.Path()
        x = LEFT
        while x < RIGHT:
            ink.polygon(
                patches,
                [
                    (x + 0.10, SKIRTING + 0.04),
                    (x + 0.50, SKIRTING + 0.04),
                    (x + 0.24, 0.44),
                    (x - 0.26, 0.44),
                ],
            )
            x += pitch
        canvas.drawPath(patches, ink.fill(setting.lamp((1.0, 0.96, 0.80)), 0.45))
        texture(canvas, setting, "floor grit", SKIRTING, 1.0, 0.18, 4.0)

    return (
        sky_plane(setting, 5),
        trees_plane(setting, "yard", (0.36, 0.60, 0.32), 0.35, 0.12, 0.34),
        Plane(parallax=0.92, draw=draw_wall),
        Plane(parallax=1.0, draw=draw_floor),
    )


def classroom(setting: Setting) -> tuple[Plane, ...]:
    """A classroom: blackboards along the wall, notices, two rows of desks."""

    def draw_wall(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        wall = setting.tone((0.95, 0.92, 0.82))
        canvas.drawPaint(ink.fill(wall))
        graded(canvas, (setting.palette.shade(wall), wall), -0.95, -0.5)
        flat(canvas, setting.tone((0.66, 0.52, 0.38)), LEFT, 0.03, RIGHT, SKIRTING)
        frames, boards, chalk = skia.Path(), skia.Path(), skia.Path()
        papers, pins = skia.Path(), skia.Path()
        pen = ink.at_least(0.012, 0.6, scale)
        for k, x in enumerate((-3.6, -1.35, 0.9, 3.15)):
            rect(frames, x - 0.76, -0.57, x + 0.76, -0.06)
            rect(boards, x - 0.72, -0.53, x + 0.72, -0.10)
            for i, (u, v, w) in enumerate(setting.table(f"chalk{k}", 7, 3)):
                y = -0.47 + 0.05 * i
                if v > 0.35:
                    left = x - 0.6 + 0.3 * u
                    rect(chalk, left, y, left + 0.15 + 0.55 * w, y + pen)
            for u, v in setting.table(f"papers{k}", 3, 2):
                left, top = x + 0.84 + 0.38 * u, -0.52 + 0.28 * v
                rect(papers if u > 0.5 else pins, left, top, left + 0.12, top + 0.16)
        canvas.drawPath(frames, ink.fill(setting.tone((0.60, 0.43, 0.27))))
        canvas.drawPath(boards, ink.fill(setting.tone((0.16, 0.38, 0.30))))
        canvas.drawPath(chalk, ink.fill(setting.tone((0.95, 0.96, 0.90)), 0.75))
        canvas.drawPath(papers, ink.fill(setting.tone(WHITE)))
        canvas.drawPath(pins, ink.fill(setting.tone((0.98, 0.78, 0.42))))
        texture(canvas, setting, "plaster", -0.9, 0.1, 0.18)

    def draw_floor(canvas: skia.Canvas) -> None:
        floor = setting.tone((0.72, 0.54, 0.36))
        graded(
            canvas,
            (mix(floor, WHITE, 0.18), setting.palette.shade(floor)),
            SKIRTING,
            1.1,
        )
        flat(canvas, setting.palette.shade(floor), LEFT, 1.1, RIGHT, BOTTOM)
        planks = skia.Path()
        y, step = SKIRTING + 0.03, 0.05
        while y < 1.6:
            rect(planks, LEFT, y, RIGHT, y + 0.12 * step)
            y, step = y + step, step * 1.35
        canvas.drawPath(planks, ink.fill(setting.tone((0.50, 0.34, 0.24)), 0.5))
        texture(canvas, setting, "boards", SKIRTING, 1.0, 0.17, 5.0)

    def draw_desks(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        legs, tops, sides = skia.Path(), skia.Path(), skia.Path()
        pen = ink.at_least(0.016, 0.7, scale)
        for i in range(-7, 8):
            x = 0.58 * i + 0.12
            rect(tops, x - 0.19, 0.015, x + 0.19, 0.05)
            rect(sides, x - 0.17, 0.05, x + 0.17, 0.11)
            for leg in (x - 0.16, x + 0.16):
                rect(legs, leg - pen / 2, 0.11, leg + pen / 2, 0.30)
        canvas.drawPath(legs, ink.fill(setting.tone((0.42, 0.44, 0.50))))
        canvas.drawPath(sides, ink.fill(setting.tone((0.62, 0.46, 0.32))))
        canvas.drawPath(tops, ink.fill(setting.tone((0.92, 0.76, 0.52))))

    return (
        Plane(parallax=0.82, draw=draw_wall),
        Plane(parallax=0.97, draw=draw_floor),
        Plane(parallax=1.0, draw=draw_desks),
    )


def bedroom(setting: Setting) -> tuple[Plane, ...]:
    """A bedroom: curtained windows, shelves of books, posters, a bed, a rug."""
    hues: tuple[Colour, ...] = (
        (0.98, 0.86, 0.84),
        (0.84, 0.92, 0.95),
        (0.95, 0.92, 0.80),
        (0.88, 0.85, 0.95),
    )
    pick = setting.table("wallpaper", 1, 2)[0]
    paper = hues[int(4 * pick[0])]
    cloth = hues[int(4 * pick[0]) - 2]
    period = 2.9
    origins = [period * (k - 1.5) + 0.75 for k in range(4)]

    def draw_wall(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        wall = setting.tone(paper)
        holes = skia.Path()
        holes.setFillType(skia.PathFillType.kEvenOdd)
        rect(holes, LEFT, TOP, RIGHT, BOTTOM)
        stripes = skia.Path()
        for i in range(int((RIGHT - LEFT) / 0.24) + 1):
            rect(stripes, LEFT + 0.24 * i, TOP, LEFT + 0.24 * i + 0.1, SKIRTING)
        for x in origins:
            rect(holes, x - 0.34, -0.56, x + 0.34, 0.0)
            rect(stripes, x - 0.34, -0.56, x + 0.34, 0.0)
        stripes.setFillType(skia.PathFillType.kEvenOdd)
        canvas.drawPath(holes, ink.fill(wall))
        canvas.drawPath(stripes, ink.fill(mix(wall, WHITE, 0.35), 0.8))
        flat(canvas, setting.tone((0.96, 0.95, 0.92)), LEFT, 0.10, RIGHT, SKIRTING)
        wood, books = skia.Path(), (skia.Path(), skia.Path(), skia.Path())
        bars, curtains, folds = skia.Path(), skia.Path(), skia.Path()
        posters, prints = skia.Path(), skia.Path()
        bar = ink.at_least(0.014, 0.7, scale)
        for k, x in enumerate(origins):
            rect(bars, x - bar, -0.56, x + bar, 0.0)
            rect(bars, x - 0.34, -0.29 - bar, x + 0.34, -0.29 + bar)
            for side in (-1.0, 1.0):
                ink.polygon(
                    curtains,
                    [
                        (x + side * 0.44, -0.62),
                        (x + side * 0.17, -0.62),
                        (x + side * 0.26, -0.2),
                        (x + side * 0.24, 0.07),
                        (x + side * 0.44, 0.07),
                    ],
                )
                ink.spindle(
                    folds, (x + side * 0.33, -0.6), (x + side * 0.36, 0.06), 0.035
                )
            shelf = x + 0.74
            rect(wood, shelf, -0.55, shelf + 0.62, SKIRTING)
            for row in range(4):
                y = -0.42 + 0.165 * row
                _books(books, setting, f"books{k}{row}", shelf + 0.03, y, scale)
            left = x + 1.55
            rect(posters, left, -0.50, left + 0.34, -0.06)
            prints.addCircle(left + 0.17, -0.32, 0.10)
            rect(prints, left + 0.05, -0.16, left + 0.29, -0.13)
        canvas.drawPath(bars, ink.fill(setting.tone((0.98, 0.97, 0.95))))
        tint = setting.tone(mix(cloth, (0.85, 0.45, 0.45), 0.3))
        canvas.drawPath(curtains, ink.fill(tint))
        canvas.drawPath(folds, ink.fill(setting.palette.shade(tint)))
        canvas.drawPath(wood, ink.fill(setting.tone((0.58, 0.41, 0.29))))
        spines = ((0.82, 0.34, 0.30), (0.95, 0.86, 0.62), (0.30, 0.48, 0.62))
        for path, spine in zip(books, spines, strict=True):
            canvas.drawPath(path, ink.fill(setting.tone(spine)))
        canvas.drawPath(posters, ink.fill(setting.tone((0.30, 0.45, 0.70))))
        canvas.drawPath(prints, ink.fill(setting.tone((0.99, 0.80, 0.42))))
        texture(canvas, setting, "wall", -0.9, 0.1, 0.17)

    def draw_floor(canvas: skia.Canvas) -> None:
        floor = setting.tone((0.80, 0.64, 0.46))
        graded(
            canvas,
            (mix(floor, WHITE, 0.2), setting.palette.shade(floor)),
            SKIRTING,
            1.2,
        )
        flat(canvas, setting.palette.shade(floor), LEFT, 1.2, RIGHT, BOTTOM)
        rugs, beds, quilts = skia.Path(), skia.Path(), skia.Path()
        pillows = skia.Path()
        for x in origins:
            rugs.addOval(skia.Rect.MakeLTRB(x - 0.8, 0.27, x + 0.5, 0.5))
            left = x + 1.32
            rect(beds, left, 0.08, left + 0.95, 0.28)
            rect(beds, left + 0.9, -0.08, left + 0.96, 0.28)
            quilts.addRRect(
                skia.RRect.MakeRectXY(
                    skia.Rect.MakeLTRB(left - 0.03, 0.04, left + 0.66, 0.22), 0.05, 0.05
                )
            )
            pillows.addOval(skia.Rect.MakeLTRB(left + 0.62, -0.01, left + 0.9, 0.11))
        canvas.drawPath(rugs, ink.fill(setting.tone(mix(cloth, (0.5, 0.4, 0.6), 0.35))))
        canvas.drawPath(beds, ink.fill(setting.tone((0.90, 0.86, 0.80))))
        canvas.drawPath(
            quilts, ink.fill(setting.tone(mix(cloth, (0.4, 0.6, 0.9), 0.5)))
        )
        canvas.drawPath(pillows, ink.fill(setting.tone((1.0, 0.99, 0.97))))
        texture(canvas, setting, "floor", 0.3, 1.0, 0.17, 5.0)

    return (
        sky_plane(setting, 5),
        skyline_plane(setting, "town", 0.3, 0.1, 0.45),
        Plane(parallax=0.9, draw=draw_wall),
        Plane(parallax=1.0, draw=draw_floor),
    )


def _books(
    paths: tuple[skia.Path, ...],
    setting: Setting,
    name: str,
    left: float,
    bottom: float,
    scale: float,
) -> None:
    """Append one shelf of spines, in three colours, fat ones at small sizes."""
    count = 5 if scale < 100 else 13
    width = 0.56 / count
    for i, (u, v) in enumerate(setting.table(name, count, 2)):
        x = left + width * i
        rect(paths[int(3 * u)], x, bottom - 0.085 - 0.045 * v, x + 0.88 * width, bottom)
