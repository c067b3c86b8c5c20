"""The city street, by day, at sunset and by night with its windows lit."""

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import WHITE, Colour, mix
from animatrix_jax.cels.scenery import (
    BOTTOM,
    HORIZON,
    LEFT,
    RIGHT,
    Plane,
    Setting,
    flat,
    graded,
    rect,
    sky_plane,
    skyline_plane,
    texture,
    tiles,
)

WALLS: tuple[Colour, ...] = (
    (0.93, 0.88, 0.78),
    (0.80, 0.66, 0.56),
    (0.72, 0.79, 0.83),
    (0.90, 0.76, 0.66),
)
ROOFS: tuple[Colour, ...] = (
    (0.36, 0.42, 0.56),
    (0.66, 0.36, 0.30),
    (0.40, 0.44, 0.44),
)


def street(setting: Setting) -> tuple[Plane, ...]:
    """A row of houses and shops, poles with wires, a kerb and a road."""

    def draw_houses(canvas: skia.Canvas) -> None:
        walls = tuple(skia.Path() for _ in WALLS)
        roofs = tuple(skia.Path() for _ in ROOFS)
        panes, doors, awnings = skia.Path(), skia.Path(), skia.Path()
        for i, left, right, row in tiles(canvas, setting, "houses", (0.62, 1.05), 4):
            top = -0.28 - 0.42 * row[0]
            rect(walls[i % 4], left + 0.015, top, right - 0.015, BOTTOM)
            roof = roofs[int(3 * row[1])]
            if row[2] < 0.6:
                ink.polygon(
                    roof,
                    [
                        (left - 0.05, top + 0.02),
                        (left + 0.14, top - 0.18),
                        (right - 0.14, top - 0.18),
                        (right + 0.05, top + 0.02),
                    ],
                )
            else:
                rect(roof, left, top - 0.05, right, top + 0.02)
            width = right - left
            for k in (0.16, 0.58):
                x = left + k * width
                rect(panes, x, top + 0.1, x + 0.26 * width, top + 0.28)
            if row[3] < 0.5:
                rect(awnings, left + 0.06, -0.14, right - 0.06, -0.06)
                rect(panes, left + 0.10, -0.06, right - 0.10, 0.12)
            else:
                rect(doors, left + 0.2, -0.12, left + 0.38, 0.2)
                rect(panes, left + 0.48 * width, -0.1, right - 0.1, 0.05)
        for path, colour in zip(walls, WALLS, strict=True):
            canvas.drawPath(path, ink.fill(setting.tone(colour)))
        for path, colour in zip(roofs, ROOFS, strict=True):
            canvas.drawPath(path, ink.fill(setting.tone(colour)))
        pane = (
            setting.tone((0.46, 0.62, 0.74))
            if setting.hour == "day"
            else setting.lamp((1.0, 0.83, 0.45))
        )
        canvas.drawPath(doors, ink.fill(setting.tone((0.42, 0.29, 0.24))))
        canvas.drawPath(panes, ink.fill(pane))
        cloth = setting.tone((0.86, 0.33, 0.28))
        canvas.drawPath(awnings, ink.fill(cloth))
        if setting.hour == "night":
            glow = ((*setting.lamp((1.0, 0.8, 0.5)), 0.0), (*pane, 0.22))
            graded(canvas, glow, -0.4, 0.16)
        texture(canvas, setting, "brick", -0.75, 0.16, 0.18)

    def draw_poles(canvas: skia.Canvas) -> None:
        scale = ink.pixels_per_unit(canvas)
        poles, wires, lamps = skia.Path(), skia.Path(), skia.Path()
        half = ink.at_least(0.017, 0.5, scale)
        x, pitch = LEFT + 0.9, 1.55
        while x < RIGHT + pitch:
            rect(poles, x - half, -1.05, x + half, 0.24)
            rect(poles, x - 0.15, -0.93, x + 0.15, -0.93 + 1.4 * half)
            rect(poles, x + 0.03, -0.8, x + 0.1, -0.66)
            for y in (-0.92, -0.84):
                wires.moveTo(x - pitch, y)
                wires.quadTo(x - pitch / 2, y + 0.2, x, y)
            lamps.addCircle(x + 0.07, -0.55, 0.035)
            x += pitch
        ink_tone = setting.tone((0.30, 0.30, 0.36))
        canvas.drawPath(wires, ink.stroke(ink_tone, ink.at_least(0.006, 0.45, scale)))
        canvas.drawPath(poles, ink.fill(ink_tone))
        if setting.hour == "night":
            canvas.drawPath(lamps, ink.fill(setting.lamp((1.0, 0.94, 0.7))))

    def draw_road(canvas: skia.Canvas) -> None:
        path_tone = setting.tone((0.80, 0.78, 0.74))
        road = setting.tone((0.50, 0.51, 0.56))
        flat(canvas, mix(path_tone, WHITE, 0.12), LEFT, HORIZON, RIGHT, 0.27)
        flat(canvas, setting.palette.shade(path_tone), LEFT, 0.25, RIGHT, 0.28)
        graded(canvas, (mix(road, WHITE, 0.12), road), 0.28, 0.9)
        flat(canvas, road, LEFT, 0.9, RIGHT, BOTTOM)
        marks = skia.Path()
        for i in range(-5, 6):
            x = 0.86 * i
            ink.polygon(
                marks,
                [(x, 0.47), (x + 0.46, 0.47), (x + 0.42, 0.505), (x - 0.05, 0.505)],
            )
        canvas.drawPath(marks, ink.fill(setting.tone((0.96, 0.96, 0.94)), 0.9))
        texture(canvas, setting, "asphalt", HORIZON, 1.0, 0.17)

    return (
        sky_plane(setting),
        skyline_plane(setting, "downtown", 0.25, HORIZON, 1.0),
        Plane(parallax=0.72, draw=draw_houses),
        Plane(parallax=0.86, draw=draw_poles),
        Plane(parallax=1.0, draw=draw_road),
    )
