"""What the arms are asked for: every value of a field as often as every other.

Cel World's own odds would ask for "no effect" nine times of ten. Here each prompt
demands one tag, and the rest of the clip is drawn round it; accuracy is read on the
demanded tag, so that chance is one value of the field's many.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, UInt8

from animatrix_jax.cels.odds import COMMON
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data import seeds
from animatrix_jax.knowledge.corruption import contradict
from animatrix_jax.knowledge.mentions import find_mentions
from animatrix_jax.knowledge.tags import Tag, field_of
from animatrix_jax.knowledge.taxonomy import load_taxonomy

FIELDS = (
    "style.rendering",
    "style.proportion",
    "style.palette",
    "style.background",
    "motion.motion_style",
    "motion.timing",
    "motion.deformation",
    "camera.shot_size",
    "camera.camera_motion",
    "vfx.lines",
    "vfx.elemental",
)
# Tries at a text that claims a value which Cel World draws.
_TURNS = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """One prompt.

    Attributes:
      text: the summary and the description.
      tags: the clip's own, the demanded one among them.
      tag: the demanded one.
      index: of the clip in the world that its tag is demanded of.
      rival: the tag that the text claims instead; empty where it contradicts nothing.
    """

    text: str
    tags: tuple[Tag, ...]
    tag: Tag
    index: int
    rival: Tag = ""

    @property
    def field(self) -> str:
        """Of the demanded tag."""
        return field_of(self.tag)


def demanded(
    fields: tuple[str, ...] = FIELDS, *, each: int, odds: str, seed: int = seeds.CLAIMS
) -> list[Asked]:
    """`each` prompts for every value that Cel World draws commonly, field by field."""
    found: list[Asked] = []
    for tag in demandable(fields):
        world = _world(tag, odds=odds, seed=seed)
        for index in range(len(found), len(found) + each):
            told, tags = world.narrative(index), world.spec(index).tags
            text = " ".join(filter(None, (told.summary, told.description)))
            found.append(Asked(text=text, tags=tags, tag=tag, index=index))
    return found


def contradicted(asked: list[Asked], *, seed: int = seeds.CLAIMS) -> list[Asked]:
    """The prompts with a text that claims another value of the demanded tag's field.

    One that Cel World draws; prompts whose text cannot are left out.
    """
    taxonomy, found = load_taxonomy(), []
    for one in asked:
        others = set(demandable((one.field,))) - set(one.tags)
        for turn in range(_TURNS):
            rng = np.random.default_rng((seed, one.index, turn))
            text = contradict(one.text, one.tag, one.tags, rng, taxonomy)
            said = {m.tag for m in find_mentions(text, others, taxonomy)}
            if len(said) == 1:
                found.append(dataclasses.replace(one, text=text, rival=said.pop()))
                break
    return found


def unsaid(asked: list[Asked]) -> Bool[np.ndarray, " n"]:
    """Whether each prompt's text leaves the demanded tag unsaid."""
    taxonomy = load_taxonomy()
    return np.array(
        [not find_mentions(one.text, {one.tag}, taxonomy) for one in asked], bool
    )


def real_clips(
    asked: list[Asked], *, odds: str, frames: int, size: int, seed: int = seeds.CLAIMS
) -> UInt8[np.ndarray, "n t h w 3"]:
    """The clips that the prompts describe."""
    return np.stack(
        [
            _world(one.tag, odds=odds, seed=seed, frames=frames, size=size)[
                one.index
            ].video
            for one in asked
        ]
    )


def demandable(fields: tuple[str, ...]) -> list[Tag]:
    """The tags of some fields that Cel World draws commonly."""
    return [
        f"{field}={value}"
        for field in fields
        for value, weight in COMMON[field].items()
        if weight > 0
    ]


def _world(
    tag: Tag, *, odds: str, seed: int, frames: int = 17, size: int = 32
) -> CelWorld:
    return CelWorld(
        seed=seed,
        split="test",
        odds=odds,
        tags=(tag,),
        frames=frames,
        height=size,
        width=size,
    )
