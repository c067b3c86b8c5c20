"""The colour design of a clip: one small palette that every cel and background obeys.

A colour designer picks local colours first and then grades the whole model sheet for
the mood of the scene. So does this file: named local colours (what the narrative
will say), then the grade of the `style.palette` tag, done in OkLab (Ottosson 2020),
where lightness, chroma and hue are nearly independent. Environments are graded harder
than characters, so that figures read against them; light sources hardly at all.
"""

import dataclasses
import functools
import math

from animatrix_jax.cels.random import Draws

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.0, 0.0, 0.0)

PALETTE_TAGS = ("natural", "pastel", "vivid", "low_key", "neon", "monochrome")

HAIR_COLOURS: dict[str, Colour] = {
    "black": (0.16, 0.15, 0.21),
    "brown": (0.45, 0.27, 0.17),
    "blonde": (0.96, 0.80, 0.40),
    "red": (0.82, 0.17, 0.14),
    "pink": (0.98, 0.55, 0.72),
    "blue": (0.20, 0.42, 0.88),
    "green": (0.24, 0.62, 0.35),
    "silver": (0.82, 0.85, 0.91),
    "purple": (0.52, 0.28, 0.74),
}
EYE_COLOURS: dict[str, Colour] = {
    "black": (0.22, 0.20, 0.26),
    "brown": (0.52, 0.27, 0.13),
    "blonde": (0.93, 0.68, 0.16),
    "red": (0.85, 0.12, 0.18),
    "pink": (0.95, 0.36, 0.62),
    "blue": (0.12, 0.44, 0.92),
    "green": (0.12, 0.62, 0.38),
    "silver": (0.62, 0.68, 0.78),
    "purple": (0.54, 0.22, 0.80),
}
CLOTH_COLOURS: dict[str, Colour] = {
    "navy": (0.17, 0.22, 0.45),
    "white": (0.96, 0.96, 0.98),
    "red": (0.84, 0.16, 0.17),
    "black": (0.17, 0.17, 0.20),
    "green": (0.22, 0.55, 0.34),
    "yellow": (0.98, 0.82, 0.22),
    "grey": (0.55, 0.57, 0.61),
    "pink": (0.98, 0.60, 0.74),
}
SKIN: tuple[Colour, ...] = (
    (1.00, 0.90, 0.82),
    (0.99, 0.86, 0.76),
    (0.93, 0.75, 0.61),
    (0.73, 0.52, 0.39),
)
ACCENTS: tuple[Colour, ...] = (
    (0.98, 0.42, 0.20),
    (0.98, 0.78, 0.15),
    (0.16, 0.72, 0.78),
    (0.92, 0.26, 0.48),
    (0.46, 0.36, 0.86),
)
GROUNDS: tuple[Colour, ...] = (
    (0.66, 0.63, 0.58),
    (0.48, 0.66, 0.36),
    (0.76, 0.66, 0.50),
    (0.55, 0.57, 0.64),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pigments:
    """The local colours that a world's colour designer has; names are spoken of."""

    hair: dict[str, Colour]
    eye: dict[str, Colour]
    cloth: dict[str, Colour]
    skin: tuple[Colour, ...]
    accents: tuple[Colour, ...]
    grounds: tuple[Colour, ...]
    tones: tuple[Colour, ...]
    sky: tuple[Colour, Colour]  # between which a day's sky lies


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grade:
    """One look, as a map of OkLCh: `L -> gain L + lift`, `C -> chroma C`, within bounds.

    Chroma stays below `most`, which it nears ever more slowly, and what has a hue at all
    gets at least `least`: so a look is known by how colours are, whatever they were.
    """

    gain: float
    lift: float
    chroma: float
    most: float = 0.4
    least: float = 0.0
    tint: Colour | None = None  # laid over the darks
    bright: Colour | None = None  # laid over the lights; like the darks if not given
    amount: float = 0.0


# For each palette tag: the grade of characters, of environments and of light sources.
GRADES: dict[str, tuple[Grade, Grade, Grade]] = {
    "natural": (
        Grade(gain=1.0, lift=0.0, chroma=0.95, most=0.13),
        Grade(gain=1.0, lift=0.0, chroma=0.85, most=0.085),
        Grade(gain=1.0, lift=0.0, chroma=1.0, most=0.2),
    ),
    "pastel": (
        Grade(gain=0.66, lift=0.31, chroma=0.95, most=0.13),
        Grade(
            gain=0.36,
            lift=0.61,
            chroma=0.8,
            most=0.075,
            tint=(1.0, 0.90, 0.94),
            amount=0.2,
        ),
        Grade(gain=0.6, lift=0.38, chroma=0.7, most=0.1),
    ),
    "vivid": (
        Grade(gain=1.0, lift=0.01, chroma=1.35, least=0.13),
        Grade(gain=1.0, lift=0.02, chroma=1.8, least=0.13),
        Grade(gain=1.0, lift=0.02, chroma=1.3, least=0.15),
    ),
    "low_key": (
        Grade(
            gain=0.62,
            lift=0.02,
            chroma=0.8,
            most=0.1,
            tint=(0.16, 0.20, 0.38),
            amount=0.1,
        ),
        Grade(
            gain=0.36,
            lift=0.05,
            chroma=0.7,
            most=0.06,
            tint=(0.08, 0.12, 0.26),
            amount=0.25,
        ),
        Grade(gain=0.92, lift=0.0, chroma=0.95),
    ),
    "neon": (
        Grade(
            gain=0.88,
            lift=0.0,
            chroma=1.4,
            least=0.16,
            tint=(0.62, 0.12, 0.92),
            amount=0.1,
        ),
        Grade(
            gain=0.42,
            lift=0.06,
            chroma=1.5,
            least=0.16,
            tint=(0.24, 0.02, 0.50),
            bright=(0.66, 0.16, 0.96),
            amount=0.46,
        ),
        Grade(gain=1.0, lift=0.02, chroma=1.5, least=0.2),
    ),
    "monochrome": (
        Grade(gain=1.0, lift=0.0, chroma=0.0),
        Grade(gain=0.92, lift=0.05, chroma=0.0),
        Grade(gain=1.0, lift=0.0, chroma=0.0),
    ),
}
# Monochrome toning: sepia, steel blue, rose, plain.
TONES: tuple[Colour, ...] = (
    (0.72, 0.55, 0.34),
    (0.36, 0.52, 0.74),
    (0.74, 0.44, 0.52),
    (0.5, 0.5, 0.5),
)
USUAL = Pigments(
    hair=HAIR_COLOURS,
    eye=EYE_COLOURS,
    cloth=CLOTH_COLOURS,
    skin=SKIN,
    accents=ACCENTS,
    grounds=GROUNDS,
    tones=TONES,
    sky=((0.50, 0.76, 0.97), (0.66, 0.85, 0.98)),
)
# Colours of held-out worlds: no name and no colour of theirs is in `USUAL`.
HELD_OUT = Pigments(
    hair={
        "orange": (0.95, 0.50, 0.16),
        "teal": (0.10, 0.54, 0.56),
        "lavender": (0.74, 0.64, 0.93),
        "mint": (0.60, 0.90, 0.76),
        "wine": (0.46, 0.08, 0.24),
    },
    eye={
        "orange": (0.96, 0.52, 0.10),
        "teal": (0.05, 0.50, 0.55),
        "lavender": (0.68, 0.56, 0.95),
        "mint": (0.42, 0.84, 0.66),
        "wine": (0.50, 0.06, 0.30),
    },
    cloth={
        "orange": (0.94, 0.48, 0.16),
        "teal": (0.10, 0.48, 0.50),
        "lavender": (0.72, 0.62, 0.91),
        "brown": (0.42, 0.27, 0.19),
        "cream": (0.96, 0.88, 0.70),
        "wine": (0.44, 0.08, 0.22),
        "olive": (0.46, 0.47, 0.20),
    },
    skin=((0.97, 0.83, 0.70), (0.84, 0.64, 0.50), (0.58, 0.40, 0.31)),
    accents=((0.12, 0.50, 0.42), (0.80, 0.62, 0.95), (0.62, 0.80, 0.18)),
    grounds=((0.72, 0.52, 0.44), (0.40, 0.52, 0.50), (0.80, 0.76, 0.66)),
    tones=((0.40, 0.62, 0.44), (0.56, 0.42, 0.74)),
    sky=((0.58, 0.82, 0.80), (0.78, 0.84, 0.90)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Palette:
    """Graded sRGB colours in 0..1, and the grades for colours that scenes add."""

    skin: Colour
    skin_shade: Colour
    hair: Colour
    hair_shade: Colour
    hair_light: Colour
    eye: Colour
    cloth_a: Colour
    cloth_a_shade: Colour
    cloth_b: Colour
    cloth_b_shade: Colour
    line: Colour
    sky: Colour
    ground: Colour
    accent: Colour
    shadow_tint: Colour
    tag: str = "natural"
    manga: str = "colour"
    tone: Colour = (0.5, 0.5, 0.5)

    def cel(self, colour: Colour) -> Colour:
        """`colour` as it looks on a character of this palette."""
        return _grade(colour, self.tag, self.manga, self.tone, 0)

    def scene(self, colour: Colour) -> Colour:
        """`colour` as it looks in the background of this palette."""
        return _grade(colour, self.tag, self.manga, self.tone, 1)

    def light(self, colour: Colour) -> Colour:
        """`colour` as a light source or an effect of this palette."""
        return _grade(colour, self.tag, self.manga, self.tone, 2)

    def shade(self, colour: Colour) -> Colour:
        """The shadow tone beside an already graded `colour`."""
        return _shade(colour, self.shadow_tint)

    @property
    def says_colour(self) -> bool:
        """Whether a narrative may name colours: not in black and white."""
        return self.tag != "monochrome" and self.manga == "colour"


def draw_palette(
    draws: Draws,
    palette_tag: str,
    rendering_tag: str,
    hair_colour: str | None = None,
    eye_colour: str | None = None,
    cloth_colour: str | None = None,
    pigments: Pigments = USUAL,
) -> Palette:
    """A palette under `palette_tag`; colours that are not named are drawn.

    Raises:
      ValueError: for a palette tag or a colour that does not exist.
    """
    if palette_tag not in GRADES:
        raise ValueError(f"palette must be one of {PALETTE_TAGS}, got {palette_tag!r}")
    hair_base = _named(draws.child("hair"), pigments.hair, hair_colour, "hair colour")
    eye_base = _named(draws.child("eye"), pigments.eye, eye_colour, "eye colour")
    cloth = draws.child("cloth")
    cloth_name = cloth_colour or cloth.choice(tuple(pigments.cloth))
    cloth_base = _named(cloth, pigments.cloth, cloth_name, "cloth colour")
    # The second garment must part from the first, or the body is one blob.
    others = [
        colour
        for colour in pigments.cloth.values()
        if abs(to_oklab(colour)[0] - to_oklab(cloth_base)[0]) > 0.2
    ]
    draws = draws.child("set")
    second = draws.choice(others)
    weights = (0.4, 0.35, 0.15, 0.1)[: len(pigments.skin)]
    skin = draws.choice(pigments.skin, weights=weights)
    tone = draws.choice(pigments.tones)
    ground = draws.choice(pigments.grounds)
    accent = draws.choice(pigments.accents)
    sky = mix(*pigments.sky, draws.uniform(0.0, 1.0))
    manga = "mono" if rendering_tag == "mono_manga" else "colour"

    tints = {"neon": (0.42, 0.08, 0.72), "low_key": (0.10, 0.12, 0.30)}
    tint = tints.get(palette_tag, mix((0.42, 0.30, 0.55), (0.30, 0.34, 0.62), 0.5))
    if manga == "mono" or palette_tag == "monochrome":
        tint = (0.3, 0.3, 0.3)

    def cel(colour: Colour) -> Colour:
        return _grade(colour, palette_tag, manga, tone, 0)

    hair = cel(hair_base)
    cloth_a, cloth_b, skin = cel(cloth_base), cel(second), cel(skin)
    line = mix(_scale(hair, 0.25), (0.10, 0.07, 0.10), 0.65)
    return Palette(
        skin=skin,
        skin_shade=_skin_shade(skin, tint, manga, palette_tag),
        hair=hair,
        hair_shade=_shade(hair, tint),
        hair_light=_lighten(hair),
        eye=cel(eye_base),
        cloth_a=cloth_a,
        cloth_a_shade=_shade(cloth_a, tint),
        cloth_b=cloth_b,
        cloth_b_shade=_shade(cloth_b, tint),
        line=(0.04, 0.04, 0.04) if manga == "mono" else line,
        sky=_grade(sky, palette_tag, manga, tone, 1),
        ground=_grade(ground, palette_tag, manga, tone, 1),
        accent=_grade(accent, palette_tag, manga, tone, 2),
        shadow_tint=tint,
        tag=palette_tag,
        manga=manga,
        tone=tone,
    )


def mix(first: Colour, second: Colour, amount: float) -> Colour:
    """`first` with `amount` of `second`, straight in sRGB as paint programs do."""
    return (
        first[0] + (second[0] - first[0]) * amount,
        first[1] + (second[1] - first[1]) * amount,
        first[2] + (second[2] - first[2]) * amount,
    )


def to_oklab(colour: Colour) -> Colour:
    """sRGB to OkLab (L, a, b)."""
    r, g, b = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour
    )
    l_ = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    m_ = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    s_ = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * l_ + 0.7936177850 * m_ - 0.0040720468 * s_,
        1.9779984951 * l_ - 2.4285922050 * m_ + 0.4505937099 * s_,
        0.0259040371 * l_ + 0.7827717662 * m_ - 0.8086757660 * s_,
    )


def from_oklab(lab: Colour) -> Colour:
    """OkLab to sRGB, clipped to the gamut."""
    lightness, a, b = lab
    l_ = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m_ = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s_ = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * l_ - 3.3077115913 * m_ + 0.2309699292 * s_,
        -1.2684380046 * l_ + 2.6097574011 * m_ - 0.3413193965 * s_,
        -0.0041960863 * l_ - 0.7034186147 * m_ + 1.7076147010 * s_,
    )
    r, g, b = (
        12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055
        for c in (min(max(c, 0.0), 1.0) for c in linear)
    )
    return r, g, b


@functools.lru_cache(maxsize=4096)
def _grade(colour: Colour, tag: str, manga: str, tone: Colour, layer: int) -> Colour:
    """The grade of `tag` for layer 0 (characters), 1 (scenes) or 2 (lights)."""
    grade = GRADES[tag][layer]
    lightness, a, b = to_oklab(colour)
    lightness = grade.gain * lightness + grade.lift
    if manga == "mono":
        # Ink and screentone: stretch the middle greys apart, no hue at all.
        x = min(max((lightness - 0.30) / 0.58, 0.0), 1.0)
        return from_oklab((0.12 + 0.88 * x * x * (3.0 - 2.0 * x), 0.0, 0.0))
    if tag == "monochrome":
        _, tone_a, tone_b = to_oklab(tone)
        # Toning fades towards paper white and ink black, as in a print.
        weight = 4.0 * max(lightness * (1.0 - lightness), 0.0)
        lightness = min(max((lightness - 0.5) * 1.1 + 0.5, 0.0), 1.0)
        return from_oklab((lightness, 0.6 * weight * tone_a, 0.6 * weight * tone_b))
    chroma = math.hypot(a, b)
    scale = _chroma(chroma, grade) / max(chroma, 1e-6)
    graded = from_oklab((lightness, scale * a, scale * b))
    if grade.tint is None:
        return graded
    over = mix(
        grade.tint, grade.bright or grade.tint, min(max(to_oklab(colour)[0], 0.0), 1.0)
    )
    return mix(graded, over, grade.amount)


# Between these chromas a colour comes to have a hue that a look may strengthen: skin has
# next to none of it.
_GREY, _HUED = 0.05, 0.11


def _chroma(chroma: float, grade: Grade) -> float:
    """A colour's chroma under the grade; of what has next to no hue none is made up."""
    asked = grade.most * math.tanh(grade.chroma * chroma / grade.most)
    hued = min(max((chroma - _GREY) / (_HUED - _GREY), 0.0), 1.0)
    return max(asked, grade.least * hued)


def _named(
    draws: Draws, table: dict[str, Colour], name: str | None, what: str
) -> Colour:
    """The local colour `name` with a small variation that keeps the name true."""
    if name is None:
        name = draws.choice(tuple(table))
    if name not in table:
        raise ValueError(f"{what} must be one of {tuple(table)}, got {name!r}")
    lightness, a, b = to_oklab(table[name])
    lightness += draws.uniform(-0.025, 0.025)
    scale, turn = draws.uniform(0.94, 1.06), draws.uniform(-0.06, 0.06)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    return from_oklab((lightness, cos * a - sin * b, sin * a + cos * b))


@functools.lru_cache(maxsize=4096)
def _shade(colour: Colour, tint: Colour) -> Colour:
    """One step into shadow: darker, and a little towards the colour of the ambient."""
    lightness, a, b = to_oklab(colour)
    return mix(from_oklab((0.80 * lightness, 1.05 * a, 1.05 * b)), tint, 0.16)


def _skin_shade(skin: Colour, tint: Colour, manga: str, tag: str) -> Colour:
    """Skin goes warm and pink in shadow, never grey: blood shows through it."""
    if manga == "mono" or tag == "monochrome":
        return _shade(skin, tint)
    lightness, a, b = to_oklab(skin)
    return mix(from_oklab((0.87 * lightness, a + 0.035, b + 0.012)), tint, 0.08)


def _lighten(colour: Colour) -> Colour:
    """The hair's ring of light."""
    lightness, a, b = to_oklab(colour)
    return from_oklab((lightness + 0.43 * (1.0 - lightness), 0.75 * a, 0.75 * b))


def _scale(colour: Colour, factor: float) -> Colour:
    return mix(BLACK, colour, factor)
