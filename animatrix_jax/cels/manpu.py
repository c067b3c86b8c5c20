"""Manpu: the graphic symbols that sit on or about a head (values of `vfx.manpu`).

They are symbols, not things: flat, outlined, larger than life, and they keep their
size on the screen when the figure is small. Each lives in the head's own frame, where
the skull has radius 1, the chin is near y = 1 and the eyes near y = 0.3.
"""

import dataclasses
import math
from collections.abc import Callable

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import BLACK, WHITE, Colour, mix
from animatrix_jax.cels.shot import Head, Shot

# A symbol drawn for a head below this radius in pixels is enlarged to suit it.
READABLE = 10.0
SIZES = {"dominant": 1.6}  # by level


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pen(Shot):
    """A shot whose canvas is the head's own frame."""

    size: float = 1.0  # from vfx.vfx_level

    @property
    def boost(self) -> float:
        """How much larger than life symbols are drawn, so that they read."""
        return self.size * min(max(READABLE / self.scale, 1.0), 4.0)

    @property
    def outline(self) -> float:
        """Breadth of an ink line."""
        return ink.at_least(0.045, 0.7, self.scale)

    def draw(
        self, path: skia.Path, colour: Colour, alpha: float = 1.0, line: str = "inked"
    ) -> None:
        """Fill `path`, with an ink line round it where there is room for one."""
        if line == "inked" and self.scale > 9.0:
            pen = ink.stroke(self.palette.line, 2.0 * self.outline, alpha)
            self.canvas.drawPath(path, pen)
        self.canvas.drawPath(path, ink.fill(colour, alpha))


def draw_manpu(shot: Shot, value: str, head: Head, level: str = "accent") -> None:
    """Draw the symbol `value` on or about a head.

    Args:
      shot: the frame.
      value: of `vfx.manpu`.
      head: where it is.
      level: value of `vfx.vfx_level`.

    Raises:
      ValueError: for a symbol that does not exist.
    """
    if value not in MANPU:
        raise ValueError(f"manpu must be one of {tuple(MANPU)}, got {value!r}")
    canvas = shot.canvas
    canvas.save()
    canvas.translate(head.x, head.y)
    canvas.rotate(math.degrees(head.angle))
    canvas.scale(head.radius, head.radius)
    MANPU[value](_Pen(**vars(shot), size=SIZES.get(level, 1.0)))
    canvas.restore()


def _vein_pop(pen: _Pen) -> None:
    """The throbbing crossroads of veins on a temple."""
    size = 0.34 * pen.boost * (1.0 + 0.16 * math.sin(math.tau * pen.frame / 4))
    x, y = 0.62, -0.58
    path = skia.Path()
    for sx, sy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        path.moveTo(x + sx * 0.22 * size, y + sy * size)
        path.quadTo(
            x + sx * 0.2 * size,
            y + sy * 0.2 * size,
            x + sx * size,
            y + sy * 0.22 * size,
        )
    red = pen.palette.light((0.90, 0.08, 0.12))
    width = ink.at_least(0.26 * size, 1.1, pen.scale)
    pen.canvas.drawPath(path, ink.stroke(WHITE, 2.0 * width, 0.9))
    pen.canvas.drawPath(path, ink.stroke(red, width))


def _drop(path: skia.Path, x: float, y: float, size: float) -> None:
    """Append a drop, its point up."""
    path.moveTo(x, y - 1.25 * size)
    path.cubicTo(
        x + 0.15 * size,
        y - 0.5 * size,
        x + 0.75 * size,
        y,
        x + 0.62 * size,
        y + 0.45 * size,
    )
    path.cubicTo(
        x + 0.45 * size,
        y + size,
        x - 0.45 * size,
        y + size,
        x - 0.62 * size,
        y + 0.45 * size,
    )
    path.cubicTo(
        x - 0.75 * size, y, x - 0.15 * size, y - 0.5 * size, x, y - 1.25 * size
    )
    path.close()


def _sweat_drop(pen: _Pen) -> None:
    """One large drop that slides down beside the face."""
    size = 0.30 * pen.boost
    x, y = 0.92 + 0.1 * pen.boost, -0.62 + 0.7 * pen.progress
    drop, light = skia.Path(), skia.Path()
    _drop(drop, x, y, size)
    light.addOval(
        skia.Rect.MakeLTRB(
            x - 0.36 * size, y - 0.1 * size, x - 0.08 * size, y + 0.5 * size
        )
    )
    pen.draw(drop, pen.palette.light((0.42, 0.76, 0.98)))
    pen.draw(light, WHITE, 0.95, "bare")


def _blush(pen: _Pen) -> None:
    """Rose on both cheeks, rising in the first frames, with hatching up close."""
    alpha = min(1.0, 0.45 + pen.progress * 1.6)
    rose = pen.palette.light((1.0, 0.38, 0.44))
    size = min(pen.boost, 1.7 * pen.size)
    # Two pixels of rose must carry what hatching carries in a close-up.
    strength = min(0.5 * pen.size, 0.8) if pen.scale > READABLE else 0.9
    path = skia.Path()
    for side in (-0.5, 0.5):
        path.addOval(
            skia.Rect.MakeLTRB(
                side - 0.25 * size,
                0.60 - 0.12 * size,
                side + 0.25 * size,
                0.60 + 0.12 * size,
            )
        )
    pen.draw(path, rose, strength * alpha, "bare")
    if pen.scale > 22.0:
        hatch = skia.Path()
        for side in (-0.5, 0.5):
            for k in (-0.13, 0.0, 0.13):
                hatch.moveTo(side + k + 0.04, 0.53)
                hatch.lineTo(side + k - 0.04, 0.68)
        red = pen.palette.light((0.86, 0.20, 0.26))
        pen.canvas.drawPath(hatch, ink.stroke(red, 0.03, 0.85 * alpha))


def _gloom_lines(pen: _Pen) -> None:
    """A shadow over the brow and the lines that hang in it."""
    tint = mix(pen.palette.shadow_tint, (0.08, 0.08, 0.28), 0.6)
    if pen.palette.manga == "mono":
        tint = (0.1, 0.1, 0.1)
    fade = min(1.0, 0.5 + 2.0 * pen.progress)
    dark = pen.size * fade
    shade = ink.linear(
        (0.0, -1.0),
        (0.0, 0.5),
        ((*tint, 0.58 * dark), (*tint, 0.4 * dark), (*tint, 0.0)),
    )
    pen.canvas.drawOval(skia.Rect.MakeLTRB(-1.0, -1.05, 1.0, 1.0), shade)
    path = skia.Path()
    count = round((5 if pen.scale < 12 else 10) * pen.size)
    width = ink.at_least(0.05 * pen.size, 0.75, pen.scale)
    for i, row in enumerate(pen.table("gloom", count, 2)):
        x = -0.92 + 1.84 * (i + 0.5) / count
        sway = 0.02 * math.sin(0.6 * pen.frame + i)
        bottom = (0.15 + 0.55 * row[0]) * fade
        ink.spindle(path, (x, -1.2), (x + sway, bottom), width, 0.2)
    pen.draw(path, mix(tint, BLACK, 0.35), 0.9, "bare")


def _around(pen: _Pen, name: str, count: int) -> list[tuple[float, float, ink.Row]]:
    """Places on a ring about the head, leaving the chin and the neck free."""
    places = []
    for i, row in enumerate(pen.table(name, count, 3)):
        angle = math.pi * (1.0 + (i + 0.15 + 0.7 * row[0]) / count) + 0.5 * (
            -1 if i < count / 2 else 1
        ) * abs(2.0 * (i + 0.5) / count - 1.0)
        reach = 1.22 + 0.32 * row[1] + 0.12 * (pen.boost - 1.0)
        places.append((reach * math.cos(angle), reach * math.sin(angle), row))
    return places


def _sparkle(pen: _Pen) -> None:
    """Glints that twinkle in turn."""
    rim, core = skia.Path(), skia.Path()
    count = 4 if pen.scale < 10 else 6
    for i, (x, y, row) in enumerate(_around(pen, "sparkle", count)):
        beat = 0.5 + 0.5 * math.sin(math.tau * (pen.frame / 8 + i / count))
        size = (0.24 + 0.20 * row[2]) * pen.boost * (0.35 + 0.65 * beat)
        ink.glint(rim, x, y, 1.35 * size, 0.26)
        ink.glint(core, x, y, size, 0.16)
    pen.draw(rim, pen.palette.light((1.0, 0.80, 0.22)), 0.95)
    pen.draw(core, WHITE, 1.0, "bare")


def _heart(path: skia.Path, x: float, y: float, size: float) -> None:
    path.moveTo(x, y + 0.9 * size)
    path.cubicTo(
        x - 1.5 * size,
        y - 0.1 * size,
        x - 0.8 * size,
        y - 1.15 * size,
        x,
        y - 0.4 * size,
    )
    path.cubicTo(
        x + 0.8 * size,
        y - 1.15 * size,
        x + 1.5 * size,
        y - 0.1 * size,
        x,
        y + 0.9 * size,
    )
    path.close()


def _hearts(pen: _Pen) -> None:
    """Hearts that rise from the head, swell, sway and fade."""
    count = 3 if pen.scale < 10 else 5
    path, light = skia.Path(), skia.Path()
    for i, row in enumerate(pen.table("hearts", count, 3)):
        life = (pen.frame / 14 + i / count) % 1.0
        side = -1 if i % 2 else 1
        x = side * (0.55 + 0.55 * row[0]) + 0.14 * math.sin(
            math.tau * life + 6 * row[1]
        )
        y = -0.25 - 1.25 * life
        size = 0.27 * pen.boost * math.sin(math.pi * min(life + 0.16, 1.0)) ** 0.6
        if size < 0.08 * pen.boost:
            continue
        _heart(path, x, y, size)
        light.addCircle(x - 0.42 * size, y - 0.3 * size, 0.16 * size)
    pen.draw(path, pen.palette.light((0.98, 0.24, 0.46)))
    pen.draw(light, WHITE, 0.9, "bare")


def _flowers(pen: _Pen) -> None:
    """Flowers that open about a happy head and turn slowly."""
    count = 4 if pen.scale < 10 else 6
    bloom, hearts = (skia.Path(), skia.Path()), skia.Path()
    opening = min(1.0, 0.55 + 1.2 * pen.progress)
    for i, (x, y, row) in enumerate(_around(pen, "flowers", count)):
        size = (0.30 + 0.14 * row[2]) * pen.boost * opening
        turn = math.tau * row[0] + 0.09 * pen.frame * (1 if i % 2 else -1)
        for k in range(5):
            ink.petal(bloom[i % 2], x, y, size, turn + math.tau * k / 5, 0.66)
        hearts.addCircle(x, y, 0.26 * size)
    pen.draw(bloom[0], pen.palette.light((1.0, 0.62, 0.76)))
    pen.draw(bloom[1], pen.palette.light((1.0, 0.97, 0.98)))
    pen.draw(hearts, pen.palette.light((1.0, 0.82, 0.25)), 1.0, "bare")


def _shock_bolt(pen: _Pen) -> None:
    """Jagged bolts that strike down on either side: the shock of bad news."""
    path = skia.Path()
    size = 0.8 + 0.2 * pen.boost
    for side in (-1.0, 1.0):
        jog = 0.09 if (pen.frame // 2 + (side > 0)) % 2 else -0.05
        x, y = side * 0.98, -1.35
        zig = [(0.36, 0.0), (-0.02, 0.44), (0.16 + jog, 0.48), (-0.2, 1.15)]
        zag = [(0.02 + jog, 0.62), (-0.18, 0.58), (0.06, 0.0)]
        ink.polygon(path, [(x + side * size * a, y + size * b) for a, b in zig + zag])
    pen.draw(path, pen.palette.light((1.0, 0.86, 0.16)))


def _nose_bubble(pen: _Pen) -> None:
    """A sleeper's bubble that breathes."""
    breath = 0.5 - 0.5 * math.cos(math.tau * pen.frame / 12)
    size = (0.13 + 0.25 * breath) * (0.6 + 0.4 * pen.boost)
    x, y = 0.08 + 0.7 * size, 0.52 + 0.7 * size
    path, light = skia.Path(), skia.Path()
    path.addCircle(x, y, size)
    light.addCircle(x - 0.3 * size, y - 0.35 * size, 0.26 * size)
    rim = ink.stroke(pen.palette.light((0.30, 0.62, 0.90)), pen.outline)
    pen.draw(path, pen.palette.light((0.74, 0.92, 1.0)), 0.8, "bare")
    pen.canvas.drawPath(path, rim)
    pen.draw(light, WHITE, 0.95, "bare")


def _nosebleed(pen: _Pen) -> None:
    """A jet from the nose that falls in drops: the comic kind."""
    red = pen.palette.light((0.86, 0.08, 0.12))
    size = 0.5 + 0.5 * pen.boost
    out = min(1.0, 0.3 + 1.6 * pen.progress)
    jet, drops = skia.Path(), skia.Path()
    for side in (-0.12, 0.12):
        x = 0.1 + side
        jet.moveTo(x - 0.07 * size, 0.55)
        jet.quadTo(
            x + 0.02, 0.55 + 0.5 * out, x - 0.02 * size, 0.62 + 0.75 * out * size
        )
        jet.quadTo(x + 0.2 * size, 0.6 + 0.4 * out, x + 0.09 * size, 0.55)
        jet.close()
    for i in range(4):
        fall = (0.22 * i + 0.11 * pen.frame) % 1.0
        x = 0.1 + (-0.2, 0.16, -0.06, 0.26)[i] * size
        drops.addCircle(x, 0.75 + 0.9 * fall * out, 0.085 * size * (1.0 - 0.4 * fall))
    pen.draw(jet, red)
    pen.draw(drops, red, 1.0, "bare")


def _escaping_soul(pen: _Pen) -> None:
    """A small ghost with a face drifts up out of the mouth on a thread."""
    rise = min(1.0, 0.25 + 1.1 * pen.progress)
    sway = 0.14 * math.sin(0.45 * pen.frame)
    size = 0.36 * (0.55 + 0.45 * pen.boost)
    x, y = 0.55 + 0.5 * rise + sway, 0.5 - 1.5 * rise
    ghost, thread, face = skia.Path(), skia.Path(), skia.Path()
    thread.moveTo(0.12, 0.72)
    thread.cubicTo(0.5, 0.9, 0.3 + sway, 0.2, x - 0.1 * size, y + 1.3 * size)
    ghost.moveTo(x - size, y)
    ghost.cubicTo(x - size, y - 1.35 * size, x + size, y - 1.35 * size, x + size, y)
    ghost.quadTo(x + 0.9 * size, y + 0.9 * size, x - 0.25 * size, y + 1.7 * size)
    ghost.quadTo(x + 0.1 * size, y + 0.9 * size, x - 0.4 * size, y + 0.85 * size)
    ghost.quadTo(x - size, y + 0.7 * size, x - size, y)
    ghost.close()
    for side in (-0.38, 0.38):
        face.addOval(
            skia.Rect.MakeLTRB(
                x + (side - 0.13) * size,
                y - 0.4 * size,
                x + (side + 0.13) * size,
                y - 0.02 * size,
            )
        )
    face.addOval(
        skia.Rect.MakeLTRB(
            x - 0.12 * size, y + 0.14 * size, x + 0.12 * size, y + 0.34 * size
        )
    )
    pale = pen.palette.light((0.90, 0.95, 1.0))
    pen.canvas.drawPath(thread, ink.stroke(pale, 0.14 * size + pen.outline, 0.9))
    pen.draw(ghost, pale, 0.95)
    pen.draw(face, pen.palette.line, 1.0, "bare")


MANPU: dict[str, Callable[[_Pen], None]] = {
    "vein_pop": _vein_pop,
    "sweat_drop": _sweat_drop,
    "blush": _blush,
    "gloom_lines": _gloom_lines,
    "sparkle": _sparkle,
    "hearts": _hearts,
    "flowers": _flowers,
    "shock_bolt": _shock_bolt,
    "nose_bubble": _nose_bubble,
    "nosebleed": _nosebleed,
    "escaping_soul": _escaping_soul,
}
