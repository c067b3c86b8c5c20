"""Garments of the held-out cast: gakuran, tracksuit, raincoat, apron dress.

Details on the torso as ``garments`` has them: T is the length of the torso, ws and ww
half its breadth at shoulders and waist, and the origin is the waist.
"""

import skia

from animatrix_jax.cels.look import Look
from animatrix_jax.cels.palettes import mix
from animatrix_jax.cels.shapes import blob, oval, polygon, taper

SKIRTED = ("raincoat", "apron_dress")


def gakuran(look: Look, T: float, ws: float, ww: float, hem: float, top, shade) -> None:
    """A boy's uniform after the Prussian army: a standing collar, five gold buttons."""
    p = look.palette
    collar = polygon(
        [(-0.2, -T - 0.1), (0.25, -T - 0.1), (0.3, -T + 0.08), (-0.26, -T + 0.08)]
    )
    look.shape("chest", collar, mix(top, shade, 0.5))
    if look.medium:
        strip = polygon(
            [(0.0, -T + 0.06), (0.06, -T + 0.06), (0.07, hem), (0.01, hem + 0.02)]
        )
        look.flat("chest", strip, look.tone(shade))
    buttons = skia.Path()
    r = 0.034 if look.medium else 0.05
    for k in range(5):
        y = -0.86 * T + (0.84 * T + 0.6 * hem) * k / 4
        buttons.addCircle(0.035, y, r)
    look.flat("chest", buttons, look.tone(p.light((0.96, 0.80, 0.34))))


def tracksuit(
    look: Look, T: float, ws: float, ww: float, hem: float, top, shade
) -> None:
    """A zip to the chin and two white stripes down each side."""
    p = look.palette
    white = look.tone(p.cel((0.98, 0.98, 0.99)))
    stripes = skia.Path()
    for side in (-1, 1):
        for at in (0.72, 0.88):
            taper(
                (side * at * ws, -T + 0.2),
                (side * at * ww * 1.05, -0.3 * T),
                (side * at * ww, hem),
                0.022 if look.medium else 0.04,
                onto=stripes,
            )
    look.flat("chest", stripes, white)
    collar = polygon(
        [(-0.22, -T - 0.09), (0.26, -T - 0.09), (0.3, -T + 0.06), (-0.27, -T + 0.06)]
    )
    look.shape("chest", collar, p.cloth_b)
    if look.medium:
        zipper = polygon(
            [(0.02, -T - 0.06), (0.05, -T - 0.06), (0.05, hem), (0.02, hem)]
        )
        look.flat("chest", zipper, look.tone(p.cel((0.62, 0.63, 0.66))))
        band = polygon(
            [
                (-ww * 1.02, hem - 0.06),
                (ww * 1.02, hem - 0.06),
                (ww, hem + 0.05),
                (-ww, hem + 0.05),
            ]
        )
        look.detail("chest", band, p.cloth_b)


def raincoat(
    look: Look, T: float, ws: float, ww: float, hem: float, top, shade
) -> None:
    """A hood laid back, a placket with three big clasps, flapped pockets."""
    p = look.palette
    hood = blob(
        [
            (-0.66 * ws, -T + 0.16),
            (-0.56 * ws, -T - 0.1),
            (0.02, -T + 0.04),
            (0.58 * ws, -T - 0.1),
            (0.7 * ws, -T + 0.16),
            (0.03, -T + 0.24),
        ]
    )
    look.shape("chest", hood, mix(top, shade, 0.25))
    clasps = skia.Path()
    for k in range(3):
        y = -0.72 * T + 0.3 * T * k
        clasps.addRect(skia.Rect.MakeLTRB(-0.1, y - 0.03, 0.16, y + 0.035))
    look.flat("chest", clasps, look.tone(p.accent))
    if look.medium:
        flap = polygon(
            [
                (0.3 * ww, -0.12),
                (0.86 * ww, -0.12),
                (0.84 * ww, 0.02),
                (0.32 * ww, 0.02),
            ]
        )
        look.detail("chest", flap, mix(top, shade, 0.4))


def apron_dress(
    look: Look, T: float, ws: float, ww: float, hem: float, top, shade
) -> None:
    """A dark dress under a white bib, its straps frilled at the shoulder."""
    p = look.palette
    white = p.cel((0.98, 0.98, 0.99))
    straps = polygon(
        [
            (-0.62 * ws, -T + 0.1),
            (-0.4 * ws, -T + 0.06),
            (-0.26 * ws, 0),
            (-0.5 * ws, 0),
        ]
    )
    polygon(
        [(0.62 * ws, -T + 0.1), (0.42 * ws, -T + 0.06), (0.32 * ws, 0), (0.56 * ws, 0)],
        onto=straps,
    )
    look.detail("chest", straps, white)
    bib = polygon(
        [
            (-0.4 * ws, -0.62 * T),
            (0.48 * ws, -0.62 * T),
            (0.62 * ww, 0.05),
            (-0.6 * ww, 0.05),
        ]
    )
    look.shape("chest", bib, white)
    frills = [
        ("chest", oval(side * 0.74 * ws, -T + 0.14, 0.17 * ws + 0.02, 0.09), white)
        for side in (-1, 1)
    ]
    look.group(frills)
    if look.medium:
        look.flat("chest", oval(0.03, -T + 0.06, 0.075, 0.05), look.tone(p.accent))
        belt = polygon(
            [(-ww, -0.08), (ww, -0.08), (1.02 * ww, 0.05), (-1.02 * ww, 0.05)]
        )
        look.detail("chest", belt, white)
