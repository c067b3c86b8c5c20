"""Garments: what each kind of clothes is made of, and its details on the torso.

``clothes`` draws the body in an :class:`Outfit`; the collars, ties and belts that tell
one garment from another are here. T is the length of the torso, ws and ww half its
breadth at the shoulders and the waist, and the origin is the waist.
"""

import dataclasses
from collections.abc import Callable

import skia

from animatrix_jax.cels import wardrobe
from animatrix_jax.cels.look import Look
from animatrix_jax.cels.palettes import Colour, mix
from animatrix_jax.cels.shapes import blob, oval, polygon, taper

SKIRTED = ("sailor_uniform", "dress", "kimono", *wardrobe.SKIRTED)


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
    leg, leg_shade = (skin, skin_shade) if skirt else (bottom, bottom_shade)
    if kind == "raincoat":
        # Trousers, and rubber boots to the knee.
        bottom, bottom_shade = a, a_shade
        leg, leg_shade = b, b_shade
        shin, shin_shade = p.accent, p.shade(p.accent)
    elif kind == "apron_dress":
        bottom, bottom_shade = a, a_shade
    elif kind in ("gakuran", "tracksuit"):
        leg, leg_shade = bottom, bottom_shade = a, a_shade
        shin, shin_shade = a, a_shade
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
        leg=leg,
        leg_shade=leg_shade,
        shin=shin,
        shin_shade=shin_shade,
        shoe=mix(p.line, p.cloth_a_shade, 0.3)
        if kind not in ("hoodie", "tracksuit")
        else p.cel((0.93, 0.93, 0.95)),
        sword=sword,
    )


def _ribbon(look: Look, x: float, y: float, s: float) -> None:
    colour = look.palette.accent
    bow = polygon([(x, y), (x - s, y - 0.55 * s), (x - 0.9 * s, y + 0.6 * s)])
    polygon([(x, y), (x + s, y - 0.55 * s), (x + 0.9 * s, y + 0.6 * s)], onto=bow)
    tails = polygon([(x, y), (x - 0.55 * s, y + 1.7 * s), (x - 0.12 * s, y + 1.45 * s)])
    polygon(
        [(x, y), (x + 0.55 * s, y + 1.7 * s), (x + 0.12 * s, y + 1.45 * s)], onto=tails
    )
    look.detail("chest", tails, look.palette.shade(colour))
    look.detail("chest", bow, colour)
    if look.fine:
        look.detail("chest", oval(x, y, 0.22 * s, 0.24 * s), colour)


def _sailor(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    low = -0.56 * T
    collar = polygon(
        [
            (-0.2, -T - 0.04),
            (-0.72 * ws, -T + 0.06),
            (-0.78 * ws, -0.74 * T),
            (0.03, low),
            (0.78 * ws, -0.74 * T),
            (0.72 * ws, -T + 0.06),
            (0.22, -T - 0.04),
            (0.03, -0.72 * T),
        ]
    )
    look.shape("chest", collar, o.bottom)
    skin = polygon([(-0.17, -T - 0.03), (0.19, -T - 0.03), (0.03, -0.7 * T)])
    look.fill("chest", skin, look.palette.skin)
    if look.fine:
        stripe = taper(
            (-0.7 * ws, -0.78 * T), (-0.3 * ws, -0.67 * T), (0.03, low - 0.06), 0.016
        )
        taper(
            (0.7 * ws, -0.78 * T),
            (0.3 * ws, -0.67 * T),
            (0.03, low - 0.06),
            0.016,
            onto=stripe,
        )
        look.flat("chest", stripe, look.tone(look.palette.cel((0.97, 0.97, 0.98))))
    _ribbon(look, 0.03, low, 0.2 if T > 0.8 else 0.14)


def _blazer(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    white = p.cel((0.97, 0.97, 0.98))
    shirt = polygon([(-0.19, -T - 0.03), (0.22, -T - 0.03), (0.06, -0.38 * T)])
    look.shape("chest", shirt, white)
    tie = polygon(
        [
            (-0.02, -T + 0.06),
            (0.08, -T + 0.06),
            (0.1, -0.5 * T),
            (0.04, -0.4 * T),
            (-0.02, -0.5 * T),
        ]
    )
    look.flat("chest", tie, look.tone(p.accent))
    if look.medium:
        lapel = polygon(
            [(-0.19, -T), (-0.36, -0.76 * T), (-0.2, -0.7 * T), (0.05, -0.38 * T)]
        )
        polygon(
            [(0.22, -T), (0.38, -0.76 * T), (0.24, -0.7 * T), (0.06, -0.38 * T)],
            onto=lapel,
        )
        look.detail("chest", lapel, mix(o.top, o.top_shade, 0.4))
    if look.fine:
        look.stroke(
            "chest",
            taper((0.06, -0.38 * T), (0.07, -0.1 * T), (0.06, hem), 0.012),
            o.top,
        )
        buttons = oval(0.12, -0.25 * T, 0.022, 0.022)
        buttons.addOval(skia.Rect(0.098, -0.1 * T - 0.022, 0.142, -0.1 * T + 0.022))
        look.flat("chest", buttons, look.tone(p.light((0.95, 0.8, 0.4))))


def _dress(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    belt = polygon(
        [(-1.03 * ww, -0.1), (1.03 * ww, -0.1), (1.05 * ww, 0.07), (-1.05 * ww, 0.07)]
    )
    look.shape("chest", belt, p.cloth_b)
    white = p.cel((0.98, 0.98, 0.98))
    collar = blob(
        [(-0.28, -T + 0.04), (-0.14, -T - 0.05), (0.03, -T + 0.1), (-0.12, -T + 0.2)]
    )
    blob(
        [(0.32, -T + 0.04), (0.18, -T - 0.05), (0.03, -T + 0.1), (0.18, -T + 0.2)],
        onto=collar,
    )
    look.shape("chest", collar, white)
    if look.medium:
        _ribbon(look, 0.03, -T + 0.16, 0.11)


def _hoodie(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    if look.medium:
        pocket = polygon(
            [
                (-0.6 * ww, 0.02 * T),
                (-0.42 * ww, -0.24 * T),
                (0.5 * ww, -0.24 * T),
                (0.68 * ww, 0.02 * T),
            ]
        )
        look.detail("chest", pocket, mix(o.top, o.top_shade, 0.35))
        band = polygon(
            [
                (-ww * 1.05, hem - 0.07),
                (ww * 1.05, hem - 0.07),
                (ww * 1.02, hem + 0.04),
                (-ww * 1.02, hem + 0.04),
            ]
        )
        look.detail("chest", band, o.top_shade)
    if look.fine:
        strings = taper((-0.1, -T + 0.26), (-0.12, -0.7 * T), (-0.1, -0.58 * T), 0.014)
        taper(
            (0.16, -T + 0.26), (0.18, -0.7 * T), (0.17, -0.6 * T), 0.014, onto=strings
        )
        look.flat("chest", strings, look.tone(look.palette.cel((0.97, 0.97, 0.97))))


def _jacket(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    inner = polygon(
        [
            (-0.2, -T),
            (0.24, -T),
            (0.42 * ww, -0.2 * T),
            (0.38 * ww, hem),
            (-0.3 * ww, hem),
            (-0.3 * ww, -0.2 * T),
        ]
    )
    look.shape("chest", inner, p.cloth_b if T > 0.8 else p.cel((0.95, 0.95, 0.96)))
    look.shade(
        "chest",
        polygon(
            [
                (-0.2, -T),
                (0.0, -T + 0.1),
                (-0.12 * ww, -0.2 * T),
                (-0.1 * ww, hem),
                (-0.3 * ww, hem),
                (-0.3 * ww, -0.2 * T),
            ]
        ),
        p.cloth_b_shade,
    )
    collar = polygon([(-0.2, -T - 0.07), (-0.42, -T + 0.04), (-0.22, -0.72 * T)])
    polygon([(0.22, -T - 0.07), (0.46, -T + 0.04), (0.27, -0.72 * T)], onto=collar)
    look.shape("chest", collar, o.top_shade)


def _kimono(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
    p = look.palette
    skin = polygon([(-0.15, -T - 0.03), (0.19, -T - 0.03), (0.05, -0.74 * T)])
    look.fill("chest", skin, p.skin)
    over = polygon(
        [
            (0.2, -T - 0.05),
            (0.32, -T),
            (-0.22 * ws, -0.3 * T),
            (-0.5 * ws, -0.3 * T),
            (0.03, -0.72 * T),
        ]
    )
    under = polygon([(-0.18, -T - 0.05), (-0.3, -T), (0.02, -0.6 * T), (0.1, -0.7 * T)])
    look.shape("chest", under, p.cloth_b)
    look.shape("chest", over, p.cloth_b)
    obi = polygon(
        [
            (-1.08 * ww, -0.36 * T),
            (1.08 * ww, -0.36 * T),
            (1.08 * ww, 0.02),
            (-1.08 * ww, 0.02),
        ]
    )
    look.shape("chest", obi, p.cloth_b)
    cord = polygon(
        [
            (-1.08 * ww, -0.2 * T),
            (1.08 * ww, -0.2 * T),
            (1.08 * ww, -0.14 * T),
            (-1.08 * ww, -0.14 * T),
        ]
    )
    look.flat("chest", cord, look.tone(p.accent))


def _plain(detail: Callable) -> Callable:
    """A detail of the wardrobe, which needs no more of the outfit than its top."""

    def draw(look: Look, T: float, ws: float, ww: float, hem: float, o: Outfit) -> None:
        detail(look, T, ws, ww, hem, o.top, o.top_shade)

    return draw


# look, length of the torso, half breadths at shoulder and waist, hem, outfit
DETAILS: dict[str, Callable[[Look, float, float, float, float, Outfit], None]] = {
    "sailor_uniform": _sailor,
    "blazer": _blazer,
    "dress": _dress,
    "hoodie": _hoodie,
    "jacket": _jacket,
    "kimono": _kimono,
    "gakuran": _plain(wardrobe.gakuran),
    "tracksuit": _plain(wardrobe.tracksuit),
    "raincoat": _plain(wardrobe.raincoat),
    "apron_dress": _plain(wardrobe.apron_dress),
}
