"""Who may appear: the usual cast, and a cast that no training clip has.

A :class:`Cast` is all that a character is drawn from. The two share no hair, fringe,
garment, colour, stature or measure: what a model makes of held-out worlds it cannot
have learned by heart. ``palettes.Pigments`` and ``backgrounds`` are parted alike.

Most worlds draw everyone anew. A :class:`Series` has a few members who return from clip
to clip, each on two model sheets (nearly frontal, three-quarter), and a few sets.
"""

import dataclasses

from animatrix_jax.cels import palettes
from animatrix_jax.cels.random import Draws

Span = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CharacterSpec:
    """Who is drawn. Strings are words that a narrative can use as they are."""

    gender: str  # girl, boy, woman, man
    hair_style: str  # short, bob, long, ...: a key of narrative.HAIR
    hair_colour: str  # a plain colour word: black, brown, blonde, pink, ...
    eye_colour: str
    cloth_colour: str  # of the first garment
    cloth_kind: str  # sailor_uniform, blazer, ...: a key of garments.DETAILS
    place: str  # backgrounds.draw_place: "a classroom", "a city street", ...
    bangs: str  # straight, swept, ...: a key of hair.FRINGES
    facing: int  # -1 looks and moves to the left of the picture, 1 to the right
    turn: float  # 0 frontal .. 1 three-quarter
    hair_volume: float
    eye_size: float
    eye_tilt: float
    build: float  # breadth of the body, about 1
    stature: str  # lengths of the body: a key of rig.STATURES
    ahoge: bool
    glasses: bool
    art: int = 0  # names the streams of hair strands and of the mix of colours


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cast:
    """What the characters of a world are drawn from; a span is open at its end."""

    hair_styles: dict[str, tuple[str, ...]]  # by gender
    bangs: dict[str, tuple[str, ...]]  # by hair style; "" is for the rest
    clothes: dict[str, tuple[str, ...]]  # by gender
    pigments: palettes.Pigments
    eyes: tuple[str, ...]  # names of eye colours
    builds: dict[str, float]  # breadth of the body, by gender
    statures: dict[str, Span]  # and factors on it, by stature
    volumes: tuple[Span, ...]
    eye_sizes: tuple[Span, ...]
    eye_tilts: tuple[Span, ...]


_NEAT = ("straight", "swept", "parted")
USUAL = Cast(
    hair_styles={
        "girl": ("bob", "long", "ponytail", "twintails", "bun", "short"),
        "woman": ("long", "bob", "ponytail", "bun"),
        "boy": ("short", "spiky", "bob"),
        "man": ("short", "spiky", "ponytail"),
    },
    bangs={
        "spiky": ("spiky",),
        "long": _NEAT,
        "bob": _NEAT,
        "twintails": _NEAT,
        "bun": _NEAT,
        "": ("swept", "parted", "spiky"),
    },
    clothes={
        # A girl's first garment stands twice: school clothes are the commonest.
        "girl": (
            "sailor_uniform",
            "sailor_uniform",
            "dress",
            "hoodie",
            "blazer",
            "kimono",
        ),
        "woman": ("dress", "blazer", "jacket", "kimono"),
        "boy": ("blazer", "hoodie", "jacket"),
        "man": ("blazer", "jacket", "kimono"),
    },
    pigments=palettes.USUAL,
    eyes=tuple(palettes.EYE_COLOURS)[1:],
    builds={"girl": 0.92, "woman": 0.96, "boy": 1.0, "man": 1.12},
    statures={"usual": (0.95, 1.06)},
    volumes=((0.9, 1.15),),
    eye_sizes=((0.92, 1.12),),
    eye_tilts=((-0.06, 0.12),),
)
HELD_OUT = Cast(
    hair_styles={
        "girl": ("braids", "drills", "afro"),
        "woman": ("braids", "afro", "dreadlocks", "drills"),
        "boy": ("mohawk", "afro", "dreadlocks"),
        "man": ("mohawk", "dreadlocks", "afro"),
    },
    bangs={"mohawk": ("micro",), "": ("curtain", "micro", "sidelong")},
    clothes={
        "girl": ("apron_dress", "tracksuit", "raincoat"),
        "woman": ("apron_dress", "raincoat", "tracksuit"),
        "boy": ("gakuran", "tracksuit", "raincoat"),
        "man": ("gakuran", "raincoat", "tracksuit"),
    },
    pigments=palettes.HELD_OUT,
    eyes=tuple(palettes.HELD_OUT.eye),
    builds={"girl": 1.0, "woman": 1.0, "boy": 1.0, "man": 1.0},
    statures={"lanky": (0.76, 0.85), "stocky": (1.2, 1.32)},
    volumes=((0.8, 0.88), (1.17, 1.25)),
    eye_sizes=((0.8, 0.9), (1.14, 1.22)),
    eye_tilts=((-0.14, -0.08), (0.14, 0.2)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """A world whose characters and sets return.

    Attributes:
      members: how many characters.
      sets: how many sets of each kind of background.
      seed: of who and what they are.
    """

    members: int
    sets: int
    seed: int

    def member(self, number: int, *, cast: Cast) -> CharacterSpec:
        """One of the characters, on no sheet yet."""
        draws = Draws(self.seed, "member", number)
        member = draw_character(draws, cast=cast, chibi=False, moving=False)
        return dataclasses.replace(member, art=draws.child("art").raw() >> 1)


_SERIES = Series(members=6, sets=3, seed=15)
# By the name of the odds.
SERIES = {name: _SERIES for name in ("series", "quiet", "bending")}
_SHEETS = (0.2, 0.8)


def draw_cast(
    draws: Draws, *, odds: str, held_out: bool, chibi: bool, moving: bool, art: int
) -> CharacterSpec:
    """Who is in a clip, with no place yet: a member of the series, or someone new.

    Held-out worlds have no series: in them everyone is new to any model.

    Args:
      draws: the character's.
      odds: the name of the world's odds.
      held_out: whether it is the world that training never sees.
      chibi, moving: as for `draw_character`.
      art: the clip's own, for someone new.
    """
    series = None if held_out else SERIES.get(odds)
    if series is None:
        cast = HELD_OUT if held_out else USUAL
        new = draw_character(draws, cast=cast, chibi=chibi, moving=moving)
        return dataclasses.replace(new, art=art)
    member = series.member(draws.integer(0, series.members), cast=USUAL)
    turn = _SHEETS[-1] if moving else draws.choice(_SHEETS)
    return dataclasses.replace(member, facing=draws.sign(), turn=turn)


def draw_set(draws: Draws, *, odds: str, held_out: bool, art: int) -> int:
    """What names the streams of a clip's set: one of the series', or the clip's own."""
    series = None if held_out else SERIES.get(odds)
    if series is None:
        return art
    return Draws(series.seed, "set", draws.integer(0, series.sets)).raw() >> 1


def draw_character(
    draws: Draws, *, cast: Cast, chibi: bool, moving: bool
) -> CharacterSpec:
    """One of a cast, with no place yet.

    Args:
      draws: the character's.
      cast: whom to draw from.
      chibi: whether the clip is super-deformed, where grown people are rare.
      moving: whether the character goes somewhere or fights, seen from the side.
    """
    people = {"girl": 45, "boy": 27, "woman": 16, "man": 12}
    if chibi:
        people |= {"woman": 2, "man": 2}
    gender = draws.weighted(people)
    style = draws.choice(cast.hair_styles[gender])
    hair_colour = draws.choice(tuple(cast.pigments.hair))
    eye_colour = draws.choice(cast.eyes)
    cloth_kind = draws.choice(cast.clothes[gender])
    cloth_colour = draws.choice(tuple(cast.pigments.cloth))
    fringes = cast.bangs.get(style, cast.bangs[""])
    bangs = draws.choice(fringes) if len(fringes) > 1 else fringes[0]
    facing = draws.sign()
    turn = draws.uniform(0.6, 1.0) if moving else draws.uniform(0.1, 0.9)
    volume = _within(draws, cast.volumes)
    eye_size = _within(draws, cast.eye_sizes)
    eye_tilt = _within(draws, cast.eye_tilts)
    statures = tuple(cast.statures)
    stature = draws.choice(statures) if len(statures) > 1 else statures[0]
    return CharacterSpec(
        gender=gender,
        hair_style=style,
        hair_colour=hair_colour,
        eye_colour=eye_colour,
        cloth_kind=cloth_kind,
        cloth_colour=cloth_colour,
        place="",
        bangs=bangs,
        facing=facing,
        turn=turn,
        hair_volume=volume,
        eye_size=eye_size,
        eye_tilt=eye_tilt,
        build=cast.builds[gender] * draws.uniform(*cast.statures[stature]),
        stature=stature,
        ahoge=draws.chance(0.3),
        glasses=draws.chance(0.12),
    )


def _within(draws: Draws, spans: tuple[Span, ...]) -> float:
    """A number in one of the spans."""
    span = draws.choice(spans) if len(spans) > 1 else spans[0]
    return draws.uniform(*span)
