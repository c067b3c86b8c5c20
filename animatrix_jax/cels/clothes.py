"""Body and clothes: torso, skirt or trousers, sleeves, hands, legs, shoes.

Coordinates are the bones' own (see ``rig``): the chest's origin is the waist, limbs
hang down from their joint.
"""

from __future__ import annotations

import dataclasses

import skia

from animatrix_jax.cels.look import Look, blob, capsule, oval, polygon, taper
from animatrix_jax.cels.palettes import Colour, mix
from animatrix_jax.cels.rig import Body

SKIRTED = ("sailor_uniform", "dress", "kimono")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outfit:
    """What is worn, as colours and cuts."""

    kind: str
    skirt: bool
    sleeve: str  # long, short, wide
    top: Colour
    top_shade: Colour
    bottom: Colour
    bottom_shade: Colour
    leg: Colour
    leg_shade: Colour
    shin: Colour
    shin_shade: Colour
    shoe: Colour
    sword: bool


def make_outfit(look: Look, *, kind: str, gender: str, sword: bool) -> Outfit:
    """The garments of a ``cloth_kind``."""
    p = look.palette
    a, a_shade, b, b_shade = p.cloth_a, p.cloth_a_shade, p.cloth_b, p.cloth_b_shade
    skin, skin_shade = p.skin, p.skin_shade
    feminine = gender in ("girl", "woman")
    skirt = kind in SKIRTED or (kind == "blazer" and feminine)
    top, top_shade, bottom, bottom_shade = a, a_shade, b, b_shade
    if kind == "sailor_uniform":
        top, top_shade, bottom, bottom_shade = b, b_shade, a, a_shade
    elif kind in ("dress", "kimono"):
        bottom, bottom_shade = a, a_shade
    sock = p.cel((0.95, 0.95, 0.97))
    if kind in ("sailor_uniform", "blazer"):
        sock = p.cel((0.2, 0.2, 0.28))
    shin, shin_shade = (sock, p.shade(sock)) if skirt else (bottom, bottom_shade)
    if kind == "dress":
        shin, shin_shade = skin, skin_shade
    return Outfit(
        kind=kind,
        skirt=skirt,
        sleeve={"sailor_uniform": "short", "dress": "short", "kimono": "wide"}.get(
            kind, "long"
        ),
        top=top,
        top_shade=top_shade,
        bottom=bottom,
        bottom_shade=bottom_shade,
        leg=skin if skirt else bottom,
        leg_shade=skin_shade if skirt else bottom_shade,
        shin=shin,
        shin_shade=shin_shade,
        shoe=mix(p.line, p.cloth_a_shade, 0.3)
        if kind != "hoodie"
        else p.cel((0.93, 0.93, 0.95)),
        sword=sword,
    )


def draw_leg(look: Look, body: Body, outfit: Outfit, side: str) -> None:
    """Thigh, shin, shoe."""
    far = side == "far"
    slim = 1.0 if outfit.skirt else 1.22
    w0, w1, w2 = 1.28 * body.limb * slim, 0.9 * body.limb * slim, 0.62 * body.limb
    if not outfit.skirt:
        w2 = 0.95 * body.limb
    leg = mix(outfit.leg, outfit.leg_shade, 0.75) if far else outfit.leg
    shin = mix(outfit.shin, outfit.shin_shade, 0.75) if far else outfit.shin
    size = 1.25 * body.limb + 0.04
    foot = blob(
        [
            (-0.75 * size, -0.3 * size),
            (0.2 * size, -0.45 * size),
            (1.1 * size, 0.12 * size),
            (1.5 * size, 0.5 * size),
            (0.3 * size, 0.6 * size),
            (-0.85 * size, 0.55 * size),
        ]
    )
    look.shape(f"foot_{side}", foot, outfit.shoe)
    look.group(
        [
            (f"shin_{side}", capsule(0.93 * body.shin, w1, w2, 0.12 * w1), shin),
            (f"leg_{side}", capsule(body.thigh, w0, w1), leg),
        ]
    )
    if outfit.skirt and look.medium and shin != leg:
        # The sock ends below the knee.
        bare = capsule(0.13 * body.shin, 0.98 * w1, 1.02 * w1)
        look.fill(f"shin_{side}", bare, leg)
    if look.medium and not far:
        _limb_shade(look, f"leg_{side}", body.thigh, w0, w1, outfit.leg_shade)
        _limb_shade(look, f"shin_{side}", 0.93 * body.shin, w1, w2, outfit.shin_shade)


def _limb_shade(
    look: Look, bone: str, length: float, top: float, bottom: float, colour: Colour
) -> None:
    """The back of a limb, away from the light."""
    path = skia.Path()
    path.moveTo(-top, 0.0)
    path.quadTo(-0.5 * (top + bottom), 0.5 * length, -bottom, length)
    path.lineTo(-0.25 * bottom, length)
    path.quadTo(0.05 * top, 0.5 * length, -0.5 * top, 0.0)
    path.close()
    look.shade(bone, path, colour)


def draw_arm(look: Look, body: Body, outfit: Outfit, side: str) -> None:
    """Sleeve, forearm, hand, and what the hand holds."""
    far = side == "far"
    palette = look.palette
    puff = {"hoodie": 1.25, "jacket": 1.18, "blazer": 1.1}.get(outfit.kind, 1.0)
    w0, w1, w2 = body.limb * puff, 0.84 * body.limb * puff, 0.6 * body.limb * puff
    cloth = mix(outfit.top, outfit.top_shade, 0.75) if far else outfit.top
    skin = mix(palette.skin, palette.skin_shade, 0.7) if far else palette.skin
    fore = cloth if outfit.sleeve == "long" else skin
    _hand(look, body, skin, side, outfit.sword and not far)
    upper = cloth if outfit.sleeve != "short" else skin
    if outfit.sleeve == "short":
        w1, w2 = 0.66 * body.limb, 0.5 * body.limb
    parts = [
        (f"fore_{side}", capsule(0.97 * body.fore, w1, w2, 0.05 * w1), fore),
        (f"arm_{side}", capsule(body.arm, min(w0, 1.1 * w1) if upper == skin else w0, w1), upper),
    ]
    if outfit.sleeve == "wide":
        wide = polygon(
            [(-w1, 0.0), (w1, 0.0), (1.5 * w1, 0.82 * body.fore), (-2.6 * w1, body.fore)]
        )
        parts = [parts[0], (f"fore_{side}", wide, cloth), parts[1]]
    look.group(parts)
    if outfit.sleeve == "short":
        cap = capsule(0.42 * body.arm, 1.05 * w0, 1.2 * w0)
        look.shape(f"arm_{side}", cap, cloth)
    if not look.medium or far:
        return
    shade = outfit.top_shade if upper != skin else palette.skin_shade
    _limb_shade(look, f"arm_{side}", body.arm, w0 * 0.95, w1 * 0.95, shade)
    shade = outfit.top_shade if fore != skin else palette.skin_shade
    _limb_shade(look, f"fore_{side}", 0.97 * body.fore, w1, w2, shade)
    if outfit.sleeve == "long" and look.fine:
        elbow = taper((0.5 * w1, -0.03), (0.0, 0.05), (-0.5 * w1, 0.0), 0.012)
        look.stroke(f"fore_{side}", elbow, outfit.top)
        y = 0.9 * body.fore
        cuff = polygon([(-w2 * 1.12, y), (w2 * 1.12, y), (w2 * 1.08, y + 0.07), (-w2 * 1.08, y + 0.07)])
        look.shape(f"fore_{side}", cuff, mix(outfit.top, outfit.bottom, 0.75))


def _hand(look: Look, body: Body, skin: Colour, side: str, sword: bool) -> None:
    s = 0.62 * body.limb + 0.035
    bone = f"hand_{side}"
    if sword:
        steel = look.palette.light((0.88, 0.92, 0.97))
        hilt = polygon([(-0.2, 0.75 * s), (0.24, 0.65 * s), (0.24, 1.25 * s), (-0.2, 1.3 * s)])
        blade = skia.Path()
        blade.moveTo(0.24, 0.7 * s)
        blade.quadTo(1.2, 0.4 * s, 1.95, -0.06)
        blade.quadTo(1.2, 1.0 * s, 0.24, 1.2 * s)
        blade.close()
        look.shape(bone, blade, steel)
        look.shape(bone, hilt, look.palette.accent)
    thumb = capsule(0.8 * s, 0.34 * s, 0.28 * s)
    thumb.transform(_turned(0.6, 0.5 * s, 0.35 * s))
    palm = blob(
        [
            (-0.72 * s, 0.0),
            (0.66 * s, -0.05 * s),
            (0.86 * s, 0.9 * s),
            (0.5 * s, 1.85 * s),
            (-0.45 * s, 1.95 * s),
            (-0.85 * s, 0.9 * s),
        ]
    )
    look.group([(bone, thumb, skin), (bone, palm, skin)])
    if look.pixels > 44 and not sword:
        lines = skia.Path()
        for x in (-0.32, 0.02, 0.34):
            taper((x * s, 1.15 * s), (x * s, 1.5 * s), (x * 0.85 * s, 1.86 * s), 0.05 * s, lines)
        look.stroke(bone, lines, look.palette.skin_shade)


def _turned(angle: float, dx: float, dy: float) -> skia.Matrix:
    import math

    c, s = math.cos(angle), math.sin(angle)
    return skia.Matrix.MakeAll(c, s, dx, -s, c, dy, 0, 0, 1)


def draw_torso(look: Look, body: Body, outfit: Outfit) -> None:
    """Neck, torso with its details, hips; the skirt hangs over the legs."""
    palette, t = look.palette, body.turn
    T, ws, ww, wh = body.torso, body.shoulder * (1 - 0.16 * t), body.waist, body.hip
    loose = {"hoodie": 1.18, "jacket": 1.1, "kimono": 1.06}.get(outfit.kind, 1.0)
    ww = ww * loose
    if not outfit.skirt:
        hips = blob(
            [(-wh, -0.12), (0, -0.2), (wh, -0.12), (0.95 * wh, 0.22), (0, 0.3), (-0.95 * wh, 0.22)]
        )
        look.shape("hips", hips, outfit.bottom)
    neck_w = 0.13 + 0.02 * (T > 1.5)
    neck = polygon([(-neck_w, -T - body.neck - 0.3), (neck_w + 0.05 * t, -T - body.neck - 0.3), (neck_w + 0.04, -T + 0.12), (-neck_w - 0.04, -T + 0.12)])
    look.shape("chest", neck, palette.skin)
    if look.medium:
        chin = polygon([(-neck_w, -T - body.neck - 0.3), (neck_w + 0.05 * t, -T - body.neck - 0.3), (neck_w + 0.02, -T - 0.02), (-neck_w * 0.4, -T - 0.1)])
        look.shade("chest", chin, palette.skin_shade)
    if outfit.kind == "hoodie" and T > 0.8:
        hood = blob([(-0.72 * ws, -T + 0.12), (-0.5 * ws, -T - 0.12), (0, -T - 0.02), (0.5 * ws, -T - 0.12), (0.72 * ws, -T + 0.12), (0, -T + 0.3)])
    hem = 0.16 if outfit.skirt else (0.3 * T if outfit.kind in ("hoodie", "jacket", "blazer") else 0.2)
    hem_w = max(ww, 0.98 * wh) if not outfit.skirt else ww * 1.04
    torso = skia.Path()
    torso.moveTo(-0.16, -T - 0.02)
    torso.quadTo(-0.3, -T + 0.01, -0.82 * ws, -T + 0.1)
    torso.quadTo(-1.06 * ws, -T + 0.16, -ws, -0.78 * T)
    torso.cubicTo(-0.95 * ws, -0.55 * T, -ww, -0.35 * T, -ww, -0.1 * T)
    torso.quadTo(-ww, 0.0, -hem_w, hem)
    torso.quadTo(0.0, hem + 0.06, hem_w, hem)
    torso.quadTo(ww, 0.0, ww, -0.1 * T)
    torso.cubicTo(ww, -0.35 * T, 0.97 * ws, -0.55 * T, ws, -0.78 * T)
    torso.quadTo(1.06 * ws, -T + 0.16, 0.82 * ws, -T + 0.1)
    torso.quadTo(0.3, -T + 0.01, 0.16 + 0.04 * t, -T - 0.02)
    torso.quadTo(0.03, -T + 0.12, -0.16, -T - 0.02)
    torso.close()
    look.shape("chest", torso, outfit.top)
    if look.medium:
        side = skia.Path()
        side.moveTo(-0.86 * ws, -T + 0.13)
        side.quadTo(-1.04 * ws, -T + 0.18, -ws, -0.78 * T)
        side.cubicTo(-0.95 * ws, -0.55 * T, -ww, -0.35 * T, -ww, -0.1 * T)
        side.quadTo(-ww, 0.0, -hem_w, hem)
        side.lineTo(-0.35 * hem_w, hem + 0.04)
        side.cubicTo(-0.5 * ww, -0.2 * T, -0.3 * ww, -0.5 * T, -0.62 * ws, -0.72 * T)
        side.close()
        look.shade("chest", side, outfit.top_shade)
        look.deep("chest", taper((-0.95 * ws, -0.75 * T), (-0.8 * ww, -0.3 * T), (-hem_w, hem), 0.05), outfit.top_shade)
    details = {
        "sailor_uniform": _sailor,
        "blazer": _blazer,
        "dress": _dress,
        "hoodie": _hoodie,
        "jacket": _jacket,
        "kimono": _kimono,
    }
    details[outfit.kind](look, T, ws, ww, hem, outfit)
    if outfit.kind == "hoodie" and T > 0.8:
        look.shape("chest", hood, outfit.top)
        look.shade("chest", polygon([(-0.5 * ws, -T + 0.06), (0, -T + 0.24), (0.5 * ws, -T + 0.06), (0, -T + 0.02)]), outfit.top_shade)


def draw_skirt(look: Look, body: Body, outfit: Outfit) -> None:
    """Pleats for a uniform, a bell for a dress, a straight fall for a kimono."""
    if not outfit.skirt:
        return
    w = body.waist * 1.04
    length = {"dress": 0.92, "kimono": 1.62}.get(outfit.kind, 0.66) * body.thigh + 0.12
    flare = {"dress": 1.95, "kimono": 1.15}.get(outfit.kind, 1.6) * body.hip
    if outfit.kind == "dress":
        length *= 1.3
    path = skia.Path()
    path.moveTo(-w, -0.08)
    path.quadTo(-1.25 * w, 0.3 * length, -flare, length)
    pleats = 6 if outfit.kind != "kimono" else 1
    for i in range(pleats):
        x0 = -flare + 2 * flare * i / pleats
        x1 = -flare + 2 * flare * (i + 1) / pleats
        path.quadTo(0.5 * (x0 + x1), length + 0.075, x1, length)
    path.quadTo(1.25 * w, 0.3 * length, w, -0.08)
    path.close()
    look.shape("skirt", path, outfit.bottom)
    if not look.medium:
        return
    shade = skia.Path()
    for i in range(pleats):
        x = -flare + 2 * flare * (i + 0.05) / pleats
        top = -w + 2 * w * i / pleats
        width = 2 * flare / pleats * (0.42 if i else 0.7)
        shade.moveTo(top, 0.0)
        shade.quadTo(1.1 * top, 0.4 * length, x, length + 0.01)
        shade.lineTo(x + width, length + 0.035)
        shade.close()
    look.shade("skirt", shade, outfit.bottom_shade)
    if outfit.kind == "sailor_uniform" and look.fine:
        y = length - 0.09
        look.light("skirt", taper((-0.9 * flare, y), (0, y + 0.1), (0.9 * flare, y), 0.012), outfit.bottom)


def _ribbon(look: Look, x: float, y: float, s: float) -> None:
    colour = look.palette.accent
    bow = polygon([(x, y), (x - s, y - 0.55 * s), (x - 0.9 * s, y + 0.6 * s)])
    polygon([(x, y), (x + s, y - 0.55 * s), (x + 0.9 * s, y + 0.6 * s)], bow)
    tails = polygon([(x, y), (x - 0.55 * s, y + 1.7 * s), (x - 0.12 * s, y + 1.45 * s)])
    polygon([(x, y), (x + 0.55 * s, y + 1.7 * s), (x + 0.12 * s, y + 1.45 * s)], tails)
    look.shape("chest", tails, look.palette.shade(colour))
    look.shape("chest", bow, colour)
    if look.fine:
        look.shape("chest", oval(x, y, 0.22 * s, 0.24 * s), colour)


def _sailor(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    low = -0.56 * T
    collar = polygon(
        [(-0.2, -T - 0.04), (-0.72 * ws, -T + 0.06), (-0.78 * ws, -0.74 * T), (0.03, low), (0.78 * ws, -0.74 * T), (0.72 * ws, -T + 0.06), (0.22, -T - 0.04), (0.03, -0.72 * T)]
    )
    look.shape("chest", collar, o.bottom)
    skin = polygon([(-0.17, -T - 0.03), (0.19, -T - 0.03), (0.03, -0.7 * T)])
    look.fill("chest", skin, look.palette.skin)
    if look.fine:
        stripe = taper((-0.7 * ws, -0.78 * T), (-0.3 * ws, -0.67 * T), (0.03, low - 0.06), 0.016)
        taper((0.7 * ws, -0.78 * T), (0.3 * ws, -0.67 * T), (0.03, low - 0.06), 0.016, stripe)
        look.flat("chest", stripe, look.tone(look.palette.cel((0.97, 0.97, 0.98))))
    _ribbon(look, 0.03, low, 0.2 if T > 0.8 else 0.14)


def _blazer(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    white = p.cel((0.97, 0.97, 0.98))
    shirt = polygon([(-0.19, -T - 0.03), (0.22, -T - 0.03), (0.06, -0.38 * T)])
    look.shape("chest", shirt, white)
    tie = polygon([(-0.02, -T + 0.06), (0.08, -T + 0.06), (0.1, -0.5 * T), (0.04, -0.4 * T), (-0.02, -0.5 * T)])
    look.flat("chest", tie, look.tone(p.accent))
    if look.medium:
        lapel = polygon([(-0.19, -T), (-0.36, -0.76 * T), (-0.2, -0.7 * T), (0.05, -0.38 * T)])
        polygon([(0.22, -T), (0.38, -0.76 * T), (0.24, -0.7 * T), (0.06, -0.38 * T)], lapel)
        look.shape("chest", lapel, mix(o.top, o.top_shade, 0.4))
    if look.fine:
        look.stroke("chest", taper((0.06, -0.38 * T), (0.07, -0.1 * T), (0.06, hem), 0.012), o.top)
        buttons = oval(0.12, -0.25 * T, 0.022, 0.022)
        buttons.addOval(skia.Rect(0.098, -0.1 * T - 0.022, 0.142, -0.1 * T + 0.022))
        look.flat("chest", buttons, look.tone(p.light((0.95, 0.8, 0.4))))


def _dress(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    belt = polygon([(-1.03 * ww, -0.1), (1.03 * ww, -0.1), (1.05 * ww, 0.07), (-1.05 * ww, 0.07)])
    look.shape("chest", belt, p.cloth_b)
    white = p.cel((0.98, 0.98, 0.98))
    collar = blob([(-0.28, -T + 0.04), (-0.14, -T - 0.05), (0.03, -T + 0.1), (-0.12, -T + 0.2)])
    blob([(0.32, -T + 0.04), (0.18, -T - 0.05), (0.03, -T + 0.1), (0.18, -T + 0.2)], collar)
    look.shape("chest", collar, white)
    if look.medium:
        _ribbon(look, 0.03, -T + 0.16, 0.11)


def _hoodie(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    if look.medium:
        pocket = polygon([(-0.6 * ww, 0.02 * T), (-0.42 * ww, -0.24 * T), (0.5 * ww, -0.24 * T), (0.68 * ww, 0.02 * T)])
        look.shape("chest", pocket, mix(o.top, o.top_shade, 0.35))
        band = polygon([(-ww * 1.05, hem - 0.07), (ww * 1.05, hem - 0.07), (ww * 1.02, hem + 0.04), (-ww * 1.02, hem + 0.04)])
        look.shape("chest", band, o.top_shade)
    if look.fine:
        strings = taper((-0.1, -T + 0.26), (-0.12, -0.7 * T), (-0.1, -0.58 * T), 0.014)
        taper((0.16, -T + 0.26), (0.18, -0.7 * T), (0.17, -0.6 * T), 0.014, strings)
        look.flat("chest", strings, look.tone(look.palette.cel((0.97, 0.97, 0.97))))


def _jacket(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    inner = polygon([(-0.2, -T), (0.24, -T), (0.42 * ww, -0.2 * T), (0.38 * ww, hem), (-0.3 * ww, hem), (-0.3 * ww, -0.2 * T)])
    look.shape("chest", inner, p.cloth_b if T > 0.8 else p.cel((0.95, 0.95, 0.96)))
    look.shade("chest", polygon([(-0.2, -T), (0.0, -T + 0.1), (-0.12 * ww, -0.2 * T), (-0.1 * ww, hem), (-0.3 * ww, hem), (-0.3 * ww, -0.2 * T)]), p.cloth_b_shade)
    collar = polygon([(-0.2, -T - 0.07), (-0.42, -T + 0.04), (-0.22, -0.72 * T)])
    polygon([(0.22, -T - 0.07), (0.46, -T + 0.04), (0.27, -0.72 * T)], collar)
    look.shape("chest", collar, o.top_shade)


def _kimono(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    skin = polygon([(-0.15, -T - 0.03), (0.19, -T - 0.03), (0.05, -0.74 * T)])
    look.fill("chest", skin, p.skin)
    over = polygon([(0.2, -T - 0.05), (0.32, -T), (-0.22 * ws, -0.3 * T), (-0.5 * ws, -0.3 * T), (0.03, -0.72 * T)])
    under = polygon([(-0.18, -T - 0.05), (-0.3, -T), (0.02, -0.6 * T), (0.1, -0.7 * T)])
    look.shape("chest", under, p.cloth_b)
    look.shape("chest", over, p.cloth_b)
    obi = polygon([(-1.08 * ww, -0.36 * T), (1.08 * ww, -0.36 * T), (1.08 * ww, 0.02), (-1.08 * ww, 0.02)])
    look.shape("chest", obi, p.cloth_b)
    cord = polygon([(-1.08 * ww, -0.2 * T), (1.08 * ww, -0.2 * T), (1.08 * ww, -0.14 * T), (-1.08 * ww, -0.14 * T)])
    look.flat("chest", cord, look.tone(p.accent))
