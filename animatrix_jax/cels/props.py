"""What a character uses and who stands before the lens.

A bow and its arrow for `motion_style=ranged`, a ball for `sport`; for the angles
`over_shoulder` and `pov`, a nape and the viewer's own hands. The canvas spans
[0, aspect] x [0, 1].
"""

import math

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.energy import Power
from animatrix_jax.cels.palettes import WHITE, mix


def draw_prop(power: Power, style: str, variant: int) -> None:
    """The thing that an action needs, before and after it leaves the hand."""
    if style == "ranged":
        _bow(power)
    elif style == "sport":
        _ball(power, kicked=variant % 2 == 1)


def _bow(power: Power) -> None:
    actor, canvas = power.actor, power.canvas
    way, size = actor.facing, 1.5 * actor.radius
    x, y = actor.hand
    pen = ink.at_least(0.1 * actor.radius, 1.0, power.scale)
    pull = 0.55 * size if power.frame < power.hit else 0.0
    wood, string = skia.Path(), skia.Path()
    wood.moveTo(x - way * 0.3 * size, y - size)
    wood.quadTo(x + way * 0.55 * size, y, x - way * 0.3 * size, y + size)
    string.moveTo(x - way * 0.3 * size, y - size)
    string.lineTo(x - way * (0.3 * size + pull), y)
    string.lineTo(x - way * 0.3 * size, y + size)
    brown = power.palette.cel((0.45, 0.26, 0.14))
    canvas.drawPath(string, ink.stroke(power.palette.line, 0.4 * pen))
    canvas.drawPath(wood, ink.stroke(power.palette.line, 1.9 * pen))
    canvas.drawPath(wood, ink.stroke(brown, 1.1 * pen))
    # The arrow waits on the string, and then crosses the frame.
    age = power.frame - power.hit
    at = x - way * (0.3 * size + pull) if age < 0 else x + way * 0.22 * age
    long = 1.25 * size
    shaft, head = skia.Path(), skia.Path()
    shaft.moveTo(at, y)
    shaft.lineTo(at + way * long, y)
    tip = at + way * long
    ink.polygon(
        head,
        [(tip, y - 0.12 * size), (tip + way * 0.3 * size, y), (tip, y + 0.12 * size)],
    )
    ink.polygon(
        head,
        [(at, y - 0.14 * size), (at + way * 0.25 * size, y), (at, y + 0.14 * size)],
    )
    canvas.drawPath(shaft, ink.stroke(brown, 0.8 * pen))
    canvas.drawPath(head, ink.fill(power.palette.light((0.86, 0.2, 0.18))))
    if age >= 0:
        trail = skia.Path()
        ink.spindle(trail, (x, y), (at, y), 0.3 * actor.radius, 0.9)
        canvas.drawPath(trail, ink.fill(WHITE, 0.7))


def _ball(power: Power, *, kicked: bool) -> None:
    actor, canvas = power.actor, power.canvas
    way, r = actor.facing, 0.62 * actor.radius
    age = power.frame - power.hit
    floor = min(actor.feet[1], 1.0 + r) - r
    home = (actor.feet[0] + way * 1.8 * actor.radius, floor) if kicked else actor.hand
    x, y = home
    if age > 0:
        x += way * 0.075 * age
        y += -0.055 * age + 0.0042 * age * age
        y = floor - abs(floor - y) if y > floor else y
    elif not kicked:
        y += 0.4 * r
    spin = 0.5 * max(age, 0)
    canvas.save()
    canvas.translate(x, y)
    canvas.rotate(57.3 * spin * way)
    ball, seams = skia.Path(), skia.Path()
    ball.addCircle(0.0, 0.0, r)
    if kicked:
        ink.star(seams, (0.0, 0.0), [0.5 * r] * 5, 0.34 * r)
        for k in range(5):
            a = math.tau * k / 5 + 0.63
            seams.addCircle(0.86 * r * math.cos(a), 0.86 * r * math.sin(a), 0.2 * r)
    else:
        seams.addOval(skia.Rect.MakeLTRB(-1.5 * r, -r, -0.3 * r, r))
        seams.addOval(skia.Rect.MakeLTRB(0.3 * r, -r, 1.5 * r, r))
    line = ink.at_least(0.14 * r, 0.6, power.scale)
    canvas.drawPath(ball, ink.stroke(power.palette.line, 2 * line))
    white = power.palette.cel((0.97, 0.96, 0.94))
    orange = power.palette.cel((0.95, 0.5, 0.14))
    canvas.drawPath(ball, ink.fill(white if kicked else orange))
    canvas.clipPath(ball, True)
    if kicked:
        canvas.drawPath(seams, ink.fill(power.palette.line))
    else:
        canvas.drawPath(seams, ink.stroke(power.palette.line, line))
    canvas.restore()


def draw_foreground(power: Power, angle: str) -> None:
    """Who is between the lens and the subject."""
    if angle == "over_shoulder":
        _nape(power)
    elif angle == "pov":
        _own_hands(power)


def _nape(power: Power) -> None:
    """The back of another's head and a shoulder, dark and large, at the edge."""
    side = power.actor.facing  # the subject looks at whoever stands there
    canvas = power.canvas
    canvas.save()
    canvas.translate(0.5 * power.aspect, 0.0)
    canvas.scale(side, 1.0)
    edge = 0.5 * power.aspect
    sway = 0.006 * math.sin(0.5 * power.frame)
    coat = mix(power.palette.cloth_b_shade, (0.05, 0.05, 0.1), 0.62)
    hair = mix(power.palette.accent, (0.05, 0.04, 0.09), 0.74)
    shoulder, head, light = skia.Path(), skia.Path(), skia.Path()
    shoulder.moveTo(edge - 0.46, 1.05)
    shoulder.cubicTo(edge - 0.44, 0.84, edge - 0.24, 0.78, edge - 0.12, 0.7)
    shoulder.lineTo(edge + 0.3, 0.66)
    shoulder.lineTo(edge + 0.3, 1.05)
    shoulder.close()
    head.addOval(skia.Rect.MakeLTRB(edge - 0.25, 0.3 + sway, edge + 0.2, 0.83 + sway))
    head.addRect(skia.Rect.MakeLTRB(edge - 0.14, 0.6, edge + 0.14, 0.86))
    ink.spindle(light, (edge - 0.22, 0.64), (edge - 0.17, 0.38), 0.035)
    ink.spindle(light, (edge - 0.42, 0.94), (edge - 0.2, 0.77), 0.03)
    line = ink.stroke(power.palette.line, ink.at_least(0.016, 1.0, power.scale))
    for path, tone in ((shoulder, coat), (head, hair)):
        canvas.drawPath(path, line)
        canvas.drawPath(path, ink.fill(tone))
    canvas.drawPath(light, ink.fill(mix(hair, WHITE, 0.35), 0.8))
    canvas.restore()


def _own_hands(power: Power) -> None:
    """Two forearms that come in from below, and sway with the steps."""
    canvas, palette, f = power.canvas, power.palette, power.frame
    line = ink.stroke(palette.line, ink.at_least(0.018, 1.0, power.scale))
    for side in (-1.0, 1.0):
        canvas.save()
        x = 0.5 * power.aspect + side * min(0.34, 0.36 * power.aspect)
        canvas.translate(x, 0.84 + 0.02 * math.sin(0.6 * f + side))
        canvas.rotate(-24.0 * side)
        sleeve, hand = skia.Path(), skia.Path()
        ink.polygon(sleeve, [(-0.075, 0.07), (0.075, 0.07), (0.12, 0.6), (-0.12, 0.6)])
        hand.addRoundRect(skia.Rect.MakeLTRB(-0.068, -0.1, 0.068, 0.1), 0.05, 0.05)
        for k in range(4):
            left = -0.07 + 0.036 * k
            top = -0.19 + 0.02 * abs(k - 1.5)
            hand.addRoundRect(
                skia.Rect.MakeLTRB(left, top, left + 0.03, 0.0), 0.015, 0.015
            )
        thumb = skia.Path()
        thumb.addRoundRect(skia.Rect.MakeLTRB(-0.02, -0.1, 0.02, 0.04), 0.02, 0.02)
        turn = skia.Matrix.RotateDeg(-42.0 * side)
        turn.postTranslate(-side * 0.075, 0.0)
        thumb.transform(turn)
        hand.addPath(thumb)
        canvas.drawPath(hand, line)
        canvas.drawPath(sleeve, line)
        canvas.drawPath(hand, ink.fill(palette.skin))
        canvas.drawPath(sleeve, ink.fill(palette.cloth_b))
        canvas.restore()
