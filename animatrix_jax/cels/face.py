"""The anime face: head outline, big eyes with lashes and highlights, small features.

Head coordinates: the origin is the middle of the head, x runs to the side it faces,
the chin is at y = 0.5, and the skull is about 0.82 wide. A turn of 0..1 moves the
features towards the facing side and narrows the far eye (a three-quarter view).
"""

import dataclasses

import skia

from animatrix_jax.cels.look import RED, Look, overlap
from animatrix_jax.cels.palettes import WHITE, mix
from animatrix_jax.cels.shapes import blob, moved, oval, polygon, taper

OFF_WHITE = (0.995, 0.995, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expression:
    """What an emotion does to a face."""

    brow: float = 0.0  # slant: positive lowers the inner end
    lift: float = 0.0  # of the brows, in heights of the head
    lid: float = 0.0  # share of the eye that the upper lid covers
    eye: float = 1.0  # size of the eye
    iris: float = 1.0
    mouth: str = "line"
    on_skin: str = ""  # what shows on the skin: "blush", "tears" or "pallor"


EXPRESSIONS = {
    "neutral": Expression(),
    "joy": Expression(brow=-0.06, lift=0.05, mouth="smile"),
    "anger": Expression(brow=0.5, lid=0.26, iris=0.82, mouth="shout"),
    "sorrow": Expression(brow=-0.5, lid=0.42, mouth="frown", on_skin="tears"),
    "fear": Expression(
        brow=-0.4, lift=0.03, eye=1.14, iris=0.5, mouth="tremble", on_skin="pallor"
    ),
    "surprise": Expression(brow=-0.1, lift=0.1, eye=1.24, iris=0.66, mouth="round"),
    "embarrassment": Expression(brow=-0.3, lid=0.2, mouth="wave", on_skin="blush"),
    "resolve": Expression(brow=0.42, lid=0.3, mouth="firm"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FacePlan:
    """How one character's face is drawn."""

    turn: float
    eye: float  # size
    tilt: float
    jaw: float  # breadth of the chin
    length: float  # 1 is the standard; more is an older face
    emotion: str
    talking: bool
    happy_eyes: bool
    glasses: bool
    lashes: float
    western: bool = False


def head_path(plan: FacePlan) -> skia.Path:
    """Skull, cheeks and chin."""
    t, j = plan.turn, plan.jaw
    chin = 0.5 * plan.length
    cx = 0.075 * t
    path = skia.Path()
    path.moveTo(-0.405, -0.06)
    path.cubicTo(
        -0.415, 0.12, -0.375 + 0.3 * cx, 0.24, -0.275 + cx, 0.335 * plan.length
    )
    path.cubicTo(-0.2 + cx, 0.41 * plan.length, -j + cx, chin, cx, chin)
    path.cubicTo(j + cx, chin, 0.2 + cx, 0.41 * plan.length, 0.285 + cx, 0.31)
    path.cubicTo(0.37 + 0.4 * cx, 0.22, 0.41 - 0.02 * t, 0.1, 0.405, -0.06)
    path.cubicTo(0.41, -0.6, -0.41, -0.6, -0.405, -0.06)
    path.close()
    return path


def draw_head(look: Look, plan: FacePlan, ear: bool) -> None:
    """The head without its features and hair."""
    skin, shade = look.palette.skin, look.palette.skin_shade
    if ear and look.medium:
        x = -0.4 + 0.1 * plan.turn
        look.shape("head", oval(x, 0.1, 0.075, 0.115), skin)
        look.shade("head", oval(x + 0.01, 0.1, 0.04, 0.07), shade)
    path = head_path(plan)
    look.shape("head", path, skin)
    if look.medium:
        # The cheek turned from the light.
        t = plan.turn
        side = skia.Path()
        side.moveTo(-0.405, -0.06)
        side.cubicTo(-0.415, 0.12, -0.375 + 0.02 * t, 0.24, -0.275 + 0.075 * t, 0.335)
        side.cubicTo(-0.2, 0.42, -0.1 + 0.07 * t, 0.49, 0.03 + 0.07 * t, 0.5)
        side.cubicTo(-0.14, 0.42, -0.3, 0.3, -0.33, 0.0)
        side.close()
        look.shade("head", side, shade)
        _skin(look, plan)
    if look.rendering == "rough_genga" and look.fine:
        cross = skia.Path()
        taper((-0.4, 0.1), (0.06, 0.17), (0.4, 0.1), 0.008, onto=cross)
        x = 0.1 * plan.turn
        taper((x, -0.5), (x + 0.09, 0.0), (0.07 * plan.turn, 0.48), 0.008, onto=cross)
        look.flat("head", cross, mix(RED, WHITE, 0.3))


def fringe_shadow(look: Look, tips: float) -> None:
    """The shadow that the fringe throws on the forehead."""
    if not look.medium:
        return
    y = tips + 0.05
    points = [
        (-0.4, -0.2),
        (0.0, -0.45),
        (0.4, -0.2),
        (0.4, y - 0.02),
        (0.24, y + 0.03),
    ]
    points += [(0.08, y - 0.04), (-0.08, y + 0.03), (-0.24, y - 0.03), (-0.4, y + 0.04)]
    look.shade("head", polygon(points), look.palette.skin_shade)


def draw_face(look: Look, plan: FacePlan) -> None:
    """Eyes, brows, nose and mouth."""
    expression = EXPRESSIONS[plan.emotion]
    t = plan.turn
    small = 1.0 if look.pixels > 20 else 1.14
    for side in (-1, 1):
        far = side > 0
        x = side * 0.205 + (0.055 if far else 0.115) * t
        width = 0.112 * plan.eye * small * (1 - (0.24 if far else 0.04) * t)
        height = 0.142 * plan.eye * expression.eye * small
        if plan.western:
            _round_eye(look, plan, expression, x, side)
        else:
            _eye(look, plan, expression, x, side, width, height)
    if plan.western:
        _round_nose(look, plan)
    else:
        _nose(look, plan)
    _mouth(look, plan, expression)
    if plan.glasses and look.medium:
        paint_width = max(0.016, 0.5 / look.pixels)
        rims = skia.Path()
        for x, r in ((-0.205 + 0.11 * t, 0.155), (0.205 + 0.055 * t, 0.155 - 0.03 * t)):
            for rx in (r, r - paint_width):
                rims.addOval(
                    skia.Rect(x - rx, 0.115 - rx * 0.92, x + rx, 0.115 + rx * 0.92)
                )
        rims.setFillType(skia.PathFillType.kEvenOdd)
        taper(
            (-0.06 + 0.1 * t, 0.1),
            (0.02 + 0.1 * t, 0.07),
            (0.08 + 0.07 * t, 0.1),
            0.015,
            onto=rims,
        )
        look.flat("face", rims, look.palette.line)


def _skin(look: Look, plan: FacePlan) -> None:
    """What an emotion does to the skin, under the features."""
    palette, t = look.palette, plan.turn
    expression = EXPRESSIONS[plan.emotion]
    if expression.on_skin == "blush":
        warm = mix(palette.skin, palette.cel((0.98, 0.36, 0.4)), 0.6)
        for x in (-0.22 + 0.1 * t, 0.25 + 0.05 * t):
            cheek = overlap(oval(x, 0.27, 0.115, 0.052), head_path(plan))
            look.flat("head", cheek, warm)
    elif expression.on_skin == "pallor":
        # The blood has left the upper half of the face.
        cold = mix(palette.skin, palette.cel((0.56, 0.62, 0.86)), 0.5)
        edge = [(0.38, 0.2), (0.2, 0.12), (0.0, 0.17), (-0.2, 0.12), (-0.37, 0.2)]
        pale = polygon([(-0.39, -0.1), (-0.2, -0.4), (0.2, -0.4), (0.39, -0.1), *edge])
        look.flat("head", overlap(pale, head_path(plan)), cold)
    elif expression.on_skin == "tears":
        water = mix(palette.cel((0.62, 0.86, 1.0)), WHITE, 0.35)
        rim = mix(water, palette.cel((0.2, 0.45, 0.8)), 0.6)
        thick = max(0.016, 0.45 / look.pixels)
        for x in (-0.2 + 0.11 * t, 0.22 + 0.055 * t):
            for wide, colour in ((thick, rim), (0.0, water)):
                stream = oval(x, 0.32, 0.034 + wide, 0.15 + wide)
                look.flat("head", overlap(stream, head_path(plan)), colour)


@dataclasses.dataclass(frozen=True)
class _EyeFrame:
    """Where things are in an eye."""

    x: float
    width: float  # towards the outer corner
    height: float
    tilt: float

    def at(self, u: float, v: float) -> tuple[float, float]:
        """u runs from -1, the inner corner, to 1; v is in eye heights, down."""
        return (self.x + u * self.width, v * self.height - u * self.tilt)


def _eye(
    look: Look,
    plan: FacePlan,
    expression: Expression,
    x: float,
    side: int,
    w: float,
    h: float,
) -> None:
    """One eye; y is measured from the line of the eyes, where its bone sits."""
    palette = look.palette
    line = look.pen(palette.hair_shade)
    outer, tilt = side, plan.tilt * 0.5
    dark = mix(line, palette.eye, 0.1)

    p = _EyeFrame(x, outer * w, h, 2.0 * tilt * w).at
    if plan.happy_eyes:
        arc = taper(p(-1.1, 0.25), p(0.0, -1.35), p(1.25, 0.3), 0.045)
        look.flat("eyes", arc, dark)
        return _brow(look, expression, x, side, w)
    if not look.medium:
        # A dark eye of two or three pixels that still has its colour.
        look.flat("eyes", oval(x, 0.01, 0.9 * w, 0.95 * h), mix(line, palette.eye, 0.3))
        return None
    top = -1.0 + 1.25 * expression.lid
    slant = 0.9 * max(expression.brow, 0.0) if expression.lid else 0.0
    white = skia.Path()
    white.moveTo(*p(-1.0, 0.15))
    white.cubicTo(*p(-0.85, top + slant), *p(0.15, top - 0.22), *p(1.02, -0.25))
    white.cubicTo(*p(1.0, 0.5), *p(0.6, 0.95), *p(0.1, 0.97))
    white.cubicTo(*p(-0.4, 0.98), *p(-0.85, 0.7), *p(-1.0, 0.15))
    white.close()
    look.flat("eyes", white, mix(OFF_WHITE, palette.skin_shade, 0.06))
    if look.fine and look.rendering != "tiedown":
        band = moved(white, 0.0, 0.0)
        band = overlap(
            band, polygon([p(-1.2, -1.4), p(1.2, -1.4), p(1.2, -0.38), p(-1.2, -0.3)])
        )
        look.flat("eyes", band, mix(OFF_WHITE, palette.shadow_tint, 0.3))

    # The iris: dark above, light below, a pupil, two highlights.
    ix = x + 0.1 * w * plan.turn - 0.05 * outer * w
    iw, ih = 0.76 * w * expression.iris, 0.98 * h * expression.iris
    iy = 0.02 * h
    iris = oval(ix, iy, iw, ih)
    deep = mix(palette.eye, dark, 0.62)
    bright = mix(palette.eye, WHITE, 0.42)
    if look.fine:
        iris = overlap(iris, white)
        look.flat("eyes", iris, mix(palette.eye, dark, 0.75))
        inner = overlap(oval(ix, iy + 0.05 * h, 0.86 * iw, 0.88 * ih), white)
        look.flat("eyes", inner, palette.eye)
        upper = overlap(oval(ix, iy - 0.42 * h, 0.95 * iw, 0.72 * ih), inner)
        look.flat("eyes", upper, deep)
        lower = overlap(oval(ix, iy + 0.62 * ih, 0.62 * iw, 0.3 * ih), inner)
        look.flat("eyes", lower, bright)
        look.flat("eyes", oval(ix, iy - 0.05 * h, 0.42 * iw, 0.44 * ih), dark)
    else:
        look.flat(
            "eyes", oval(ix, iy, 1.1 * iw, 0.95 * ih), mix(palette.eye, dark, 0.15)
        )
        look.flat(
            "eyes", oval(ix, iy - 0.3 * h, iw, 0.6 * ih), mix(dark, palette.eye, 0.12)
        )
    glint = 0.36 * iw if look.fine else 0.5 * iw
    look.flat(
        "eyes", oval(ix - 0.36 * iw, iy - 0.42 * ih, glint, 1.25 * glint), OFF_WHITE
    )
    if look.fine:
        look.flat(
            "eyes", oval(ix + 0.42 * iw, iy + 0.42 * ih, 0.17 * iw, 0.2 * iw), OFF_WHITE
        )
        if plan.emotion in ("sorrow", "embarrassment", "fear"):
            look.flat(
                "eyes",
                oval(ix - 0.3 * iw, iy + 0.55 * ih, 0.26 * iw, 0.2 * iw),
                OFF_WHITE,
            )

    # Upper lash: thick, with a flick at the outer corner.
    thick = (0.2 if look.fine else 0.3) * plan.lashes
    lash = skia.Path()
    lash.moveTo(*p(-1.12, 0.22))
    lash.cubicTo(
        *p(-0.9, top + slant - thick),
        *p(0.1, top - 0.3 - thick),
        *p(1.02, -0.42 - 0.3 * thick),
    )
    lash.lineTo(*p(1.34, -0.5 * plan.lashes - 0.1))
    lash.cubicTo(*p(1.25, -0.2), *p(1.12, 0.0), *p(1.0, 0.2))
    lash.cubicTo(
        *p(0.9, -0.25), *p(0.2, top + 0.02), *p(-0.1, top + 0.06 + 0.5 * slant)
    )
    lash.cubicTo(
        *p(-0.6, top + slant + 0.16), *p(-0.95, -0.1 + 0.5 * slant), *p(-1.12, 0.22)
    )
    lash.close()
    look.flat("eyes", lash, dark)
    if look.fine:
        lower = taper(p(-0.35, 1.0), p(0.45, 1.16), p(1.0, 0.42), 0.1 * h)
        look.flat("eyes", lower, mix(dark, palette.skin_shade, 0.3))
        if look.pixels > 60:
            lid = taper(
                p(-0.7, top - 0.32), p(0.15, top - 0.62), p(0.95, -0.78), 0.05 * h
            )
            look.flat("eyes", lid, mix(dark, palette.skin_shade, 0.45))
            if plan.lashes > 1.05:
                flick = taper(p(0.8, -0.55), p(1.2, -0.6), p(1.5, -0.95), 0.1 * h)
                look.flat("eyes", flick, dark)
    return _brow(look, expression, x, side, w)


def _round_eye(
    look: Look, plan: FacePlan, expression: Expression, x: float, side: int
) -> None:
    """The eye of a western cartoon: a white egg, a black pupil, no iris."""
    w, h = 0.128 * (1 - 0.15 * plan.turn * (side > 0)), 0.175 * min(expression.eye, 1.1)
    line = look.pen(look.palette.hair_shade)
    x = 0.78 * x
    pen = max(0.018, 0.5 / look.pixels)
    look.flat("eyes", oval(x, -0.03, w + pen, h + pen), line)
    look.flat("eyes", oval(x, -0.03, w, h), OFF_WHITE)
    size = 0.055 if look.medium else 0.07
    px = x + 0.045 * (0.4 + plan.turn)
    look.flat("eyes", oval(px, 0.0, size, 1.35 * size), line)
    if look.medium:
        look.flat("eyes", oval(px + 0.02, -0.04, 0.018, 0.024), OFF_WHITE)
    if expression.lid > 0.1:
        lid = polygon(
            [
                (x - w - pen, -h - pen),
                (x + w + pen, -h - pen),
                (x + w + pen, -h + 1.5 * h * expression.lid),
                (x - w - pen, -h + 1.5 * h * expression.lid),
            ]
        )
        look.flat(
            "eyes",
            overlap(lid, oval(x, 0.0, w + pen, h + pen)),
            look.palette.skin_shade,
        )
    _brow(look, expression, x, side, 1.1 * w)


def _round_nose(look: Look, plan: FacePlan) -> None:
    """A ball of a nose between the eyes."""
    x = 0.1 * plan.turn + 0.01
    shade = mix(look.palette.skin, look.palette.cel((0.95, 0.45, 0.38)), 0.35)
    ball = oval(x, 0.225, 0.066, 0.052)
    look.shape("face", ball, shade)
    if look.fine:
        look.flat(
            "face", oval(x + 0.02, 0.207, 0.018, 0.013), mix(shade, OFF_WHITE, 0.6)
        )


def _brow(look: Look, expression: Expression, x: float, side: int, w: float) -> None:
    """Brows are drawn over the fringe's shadow, as animators do."""
    slant = expression.brow
    thick = max(0.024, 0.5 / look.pixels)
    y = 0.03 - expression.lift
    inner = (x - side * 0.95 * w, y + 0.3 * slant)
    outer = (x + side * 1.15 * w, y - 0.22 * slant)
    bend = (x + side * 0.2 * w, y - 0.09 + 0.04 * slant)
    colour = mix(look.palette.hair_shade, look.palette.line, 0.55)
    look.flat("brows", taper(inner, bend, outer, thick), colour)


def _nose(look: Look, plan: FacePlan) -> None:
    if not look.medium:
        return
    x = 0.13 * plan.turn + 0.005
    if look.fine:
        nose = taper((x + 0.004, 0.2), (x + 0.034, 0.235), (x + 0.006, 0.25), 0.012)
        look.stroke("face", nose, look.palette.skin_shade)
        side = polygon([(x - 0.002, 0.2), (x - 0.02, 0.262), (x + 0.02, 0.258)])
        look.shade("face", side, look.palette.skin_shade)
    else:
        look.flat("face", oval(x, 0.235, 0.02, 0.018), look.palette.skin_shade)


def _mouth(look: Look, plan: FacePlan, expression: Expression) -> None:
    """Mouth coordinates: the origin is the middle of the mouth."""
    palette = look.palette
    kind = expression.mouth
    if plan.talking:
        kind = "talk" if kind in ("line", "smile", "firm", "round") else kind
        kind = "shout" if kind in ("shout", "frown", "wave", "tremble") else kind
    line = look.pen(palette.skin_shade)
    inside = mix(palette.cel((0.62, 0.18, 0.2)), line, 0.15)
    tongue = palette.cel((0.95, 0.5, 0.5))
    thick = max(0.012, 0.34 / look.pixels)
    path = skia.Path()
    if plan.western and kind in ("line", "firm", "frown", "wave"):
        bend = {"line": 0.1, "firm": 0.0, "frown": -0.16, "wave": -0.05}[kind]
        grin = taper((-0.15, 0.01), (0.0, 0.03 + bend), (0.17, -0.01), 1.7 * thick)
        look.flat("mouth", grin, line)
        return
    size = 1.45 if plan.western else 1.0
    if kind in ("smile", "talk"):
        w = size * (0.13 if kind == "smile" else 0.085)
        deep = size * (0.13 if kind == "smile" else 0.1)
        path.moveTo(-w, -0.03)
        path.quadTo(0, 0.0, w, -0.03)
        path.cubicTo(0.8 * w, deep, -0.8 * w, deep, -w, -0.03)
        path.close()
    elif kind == "shout":
        # Square at the corners, wider below: teeth are bared.
        corners = ((-0.1, -0.05), (0.1, -0.05), (0.125, 0.085), (-0.125, 0.085))
        path = blob([(size * x, size * y) for x, y in corners])
    elif kind == "round":
        path = oval(0, 0.025, size * 0.056, size * 0.086)
    elif kind == "tremble":
        # Open a little, and its edges shake.
        above = (-0.12, 0.0), (-0.06, -0.03), (-0.02, -0.005), (0.04, -0.035)
        below = (0.12, -0.01), (0.08, 0.05), (0.03, 0.025), (-0.03, 0.06), (-0.08, 0.03)
        path = polygon([(size * x, size * y) for x, y in (*above, *below)])
    else:
        ends = {
            "line": ((-0.06, -0.002), (0.0, 0.025), (0.06, -0.004)),
            "firm": ((-0.095, 0.012), (0.0, -0.03), (0.095, 0.008)),
            "frown": ((-0.085, 0.045), (0.0, -0.06), (0.085, 0.045)),
            "wave": ((-0.095, 0.016), (-0.045, -0.05), (0.0, 0.004)),
        }[kind]
        firm = 1.5 if kind == "firm" else 1.0
        taper(*ends, firm * thick, onto=path)
        if kind == "wave":
            taper((0.0, 0.004), (0.045, 0.05), (0.095, -0.01), thick, onto=path)
        look.flat("mouth", path, line)
        return
    outline = skia.Path(path)
    look.outline("mouth", outline, palette.skin_shade)
    look.flat("mouth", path, inside)
    if look.fine:
        look.flat("mouth", overlap(oval(0.01, 0.07, 0.06, 0.035), path), tongue)
        if kind in ("smile", "shout", "talk"):
            teeth = polygon(
                [(-0.08, -0.06), (0.08, -0.06), (0.07, -0.012), (-0.07, -0.012)]
            )
            look.flat("mouth", overlap(teeth, path), OFF_WHITE)
