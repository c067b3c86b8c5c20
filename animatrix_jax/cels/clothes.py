"""Body and clothes: torso, skirt or trousers, sleeves, hands, legs, shoes.

Coordinates are the bones' own (see ``rig``): the chest's origin is the waist, limbs
hang down from their joint.
"""

import math

import skia

from animatrix_jax.cels.garments import DETAILS, Outfit
from animatrix_jax.cels.look import Look
from animatrix_jax.cels.palettes import Colour, mix
from animatrix_jax.cels.rig import Body
from animatrix_jax.cels.shapes import blob, capsule, polygon, sleeve_line, taper

# Lengths of skirts in thighs, and the tops that hang below the belt.
_SKIRTS = {"dress": 0.92, "kimono": 1.12, "raincoat": 1.0, "apron_dress": 1.3}
_LONG_TOPS = ("hoodie", "jacket", "blazer", "gakuran", "tracksuit")


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
    look.detail(f"foot_{side}", foot, outfit.shoe)
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
    outer = 1 if far else -1
    w_top = min(w0, 1.1 * w1) if upper == skin else w0
    lower = capsule(0.97 * body.fore, w1, w2, 0.05 * w1)
    arm = capsule(body.arm, w_top, w1)
    parts = [
        (f"fore_{side}", lower, fore, lower),
        (f"arm_{side}", arm, upper, sleeve_line(body.arm, w_top, w1, outer)),
    ]
    if outfit.sleeve == "wide":
        wide = polygon(
            [
                (-w1, 0.0),
                (w1, 0.0),
                (1.5 * w1, 0.82 * body.fore),
                (-2.6 * w1, body.fore),
            ]
        )
        parts = [parts[0], (f"fore_{side}", wide, cloth, wide), parts[1]]
    look.merge(parts)
    if outfit.sleeve == "short":
        length, hem = 0.4 * body.arm, 1.22 * w0
        cap = skia.Path()
        cap.moveTo(-0.95 * w0, -0.3 * w0)
        cap.quadTo(-1.2 * w0, 0.5 * length, -hem, length)
        cap.quadTo(0.0, length + 0.5 * w0, hem, length)
        cap.quadTo(1.2 * w0, 0.5 * length, 0.9 * w0, -0.3 * w0)
        cap.cubicTo(0.6 * w0, -1.15 * w0, -0.7 * w0, -1.15 * w0, -0.95 * w0, -0.3 * w0)
        cap.close()
        line = skia.Path()
        line.moveTo(outer * 0.5 * w0, -0.85 * w0)
        line.quadTo(outer * 1.2 * w0, 0.0, outer * hem, length)
        line.quadTo(0.0, length + 0.5 * w0, -outer * hem, length)
        look.merge([(f"arm_{side}", cap, cloth, line)])
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
        cuff = polygon(
            [
                (-w2 * 1.12, y),
                (w2 * 1.12, y),
                (w2 * 1.08, y + 0.07),
                (-w2 * 1.08, y + 0.07),
            ]
        )
        look.detail(f"fore_{side}", cuff, mix(outfit.top, outfit.bottom, 0.75))


def _hand(look: Look, body: Body, skin: Colour, side: str, sword: bool) -> None:
    s = 0.62 * body.limb + 0.035
    bone = f"hand_{side}"
    if sword:
        steel = look.palette.light((0.88, 0.92, 0.97))
        hilt = polygon(
            [(-0.2, 0.75 * s), (0.24, 0.65 * s), (0.24, 1.25 * s), (-0.2, 1.3 * s)]
        )
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
    if look.pixels >= 24:
        look.group([(bone, thumb, skin), (bone, palm, skin)])
    else:
        look.fill(bone, palm, skin)
    if look.pixels > 44 and not sword:
        lines = skia.Path()
        for x in (-0.32, 0.02, 0.34):
            taper(
                (x * s, 1.15 * s),
                (x * s, 1.5 * s),
                (x * 0.85 * s, 1.86 * s),
                0.05 * s,
                onto=lines,
            )
        look.stroke(bone, lines, look.palette.skin_shade)


def _turned(angle: float, dx: float, dy: float) -> skia.Matrix:
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
            [
                (-wh, -0.12),
                (0, -0.2),
                (wh, -0.12),
                (0.95 * wh, 0.22),
                (0, 0.3),
                (-0.95 * wh, 0.22),
            ]
        )
        look.shape("hips", hips, outfit.bottom)
    neck_w = 0.13 + 0.02 * (T > 1.5)
    neck = polygon(
        [
            (-neck_w, -T - body.neck - 0.3),
            (neck_w + 0.05 * t, -T - body.neck - 0.3),
            (neck_w + 0.04, -T + 0.12),
            (-neck_w - 0.04, -T + 0.12),
        ]
    )
    look.detail("chest", neck, palette.skin)
    if look.medium:
        chin = polygon(
            [
                (-neck_w, -T - body.neck - 0.3),
                (neck_w + 0.05 * t, -T - body.neck - 0.3),
                (neck_w + 0.02, -T - 0.02),
                (-neck_w * 0.4, -T - 0.1),
            ]
        )
        look.shade("chest", chin, palette.skin_shade)
    if outfit.kind == "hoodie" and T > 0.8:
        hood = blob(
            [
                (-0.72 * ws, -T + 0.12),
                (-0.5 * ws, -T - 0.12),
                (0, -T - 0.02),
                (0.5 * ws, -T - 0.12),
                (0.72 * ws, -T + 0.12),
                (0, -T + 0.3),
            ]
        )
    hem = 0.16 if outfit.skirt else (0.3 * T if outfit.kind in _LONG_TOPS else 0.2)
    hem_w = max(ww, 0.98 * wh) if not outfit.skirt else ww * 1.04
    torso = skia.Path()
    torso.moveTo(-0.16, -T - 0.02)
    torso.quadTo(-0.26, -T + 0.03, -0.72 * ws, -T + 0.1)
    torso.quadTo(-1.05 * ws, -T + 0.16, -0.98 * ws, -0.78 * T)
    torso.cubicTo(-0.95 * ws, -0.55 * T, -ww, -0.35 * T, -ww, -0.1 * T)
    torso.quadTo(-ww, 0.0, -hem_w, hem)
    torso.quadTo(0.0, hem + 0.06, hem_w, hem)
    torso.quadTo(ww, 0.0, ww, -0.1 * T)
    torso.cubicTo(ww, -0.35 * T, 0.97 * ws, -0.55 * T, 0.98 * ws, -0.78 * T)
    torso.quadTo(1.05 * ws, -T + 0.16, 0.72 * ws, -T + 0.1)
    torso.quadTo(0.28, -T + 0.03, 0.16 + 0.04 * t, -T - 0.02)
    torso.quadTo(0.03, -T + 0.12, -0.16, -T - 0.02)
    torso.close()
    look.shape("chest", torso, outfit.top)
    if look.medium:
        side = skia.Path()
        side.moveTo(-0.86 * ws, -T + 0.13)
        side.quadTo(-1.04 * ws, -T + 0.18, -0.98 * ws, -0.78 * T)
        side.cubicTo(-0.95 * ws, -0.55 * T, -ww, -0.35 * T, -ww, -0.1 * T)
        side.quadTo(-ww, 0.0, -hem_w, hem)
        side.lineTo(-0.35 * hem_w, hem + 0.04)
        side.cubicTo(-0.5 * ww, -0.2 * T, -0.3 * ww, -0.5 * T, -0.62 * ws, -0.72 * T)
        side.close()
        look.shade("chest", side, outfit.top_shade)
        look.deep(
            "chest",
            taper((-0.95 * ws, -0.75 * T), (-0.8 * ww, -0.3 * T), (-hem_w, hem), 0.05),
            outfit.top_shade,
        )
    DETAILS[outfit.kind](look, T, ws, ww, hem, outfit)
    if outfit.kind == "hoodie" and T > 0.8:
        look.shape("chest", hood, outfit.top)
        look.shade(
            "chest",
            polygon(
                [
                    (-0.5 * ws, -T + 0.06),
                    (0, -T + 0.24),
                    (0.5 * ws, -T + 0.06),
                    (0, -T + 0.02),
                ]
            ),
            outfit.top_shade,
        )


def draw_skirt(look: Look, body: Body, outfit: Outfit) -> None:
    """Pleats for a uniform, a bell for a dress, a straight fall for a kimono."""
    if not outfit.skirt:
        return
    w = body.waist * 1.04
    length = _SKIRTS.get(outfit.kind, 0.66) * body.thigh + 0.12
    flare = {"dress": 1.95, "kimono": 1.4, "apron_dress": 1.8}.get(
        outfit.kind, 1.6
    ) * body.hip
    if outfit.kind == "dress":
        length *= 1.3
    path = skia.Path()
    path.moveTo(-w, -0.08)
    path.quadTo(-1.25 * w, 0.3 * length, -flare, length)
    pleats = 1 if outfit.kind in ("kimono", "raincoat") else 6
    for i in range(pleats):
        x0 = -flare + 2 * flare * i / pleats
        x1 = -flare + 2 * flare * (i + 1) / pleats
        path.quadTo(0.5 * (x0 + x1), length + 0.075, x1, length)
    path.quadTo(1.25 * w, 0.3 * length, w, -0.08)
    path.close()
    look.shape("skirt", path, outfit.bottom)
    if outfit.kind == "apron_dress":
        apron = skia.Path()
        apron.moveTo(-0.7 * w, -0.04)
        apron.quadTo(-0.8 * w, 0.4 * length, -0.62 * flare, 0.8 * length)
        apron.quadTo(0.0, 0.95 * length, 0.62 * flare, 0.8 * length)
        apron.quadTo(0.8 * w, 0.4 * length, 0.7 * w, -0.04)
        apron.close()
        look.shape("skirt", apron, look.palette.cel((0.98, 0.98, 0.99)))
        return
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
        look.light(
            "skirt",
            taper((-0.9 * flare, y), (0, y + 0.1), (0.9 * flare, y), 0.012),
            outfit.bottom,
        )
