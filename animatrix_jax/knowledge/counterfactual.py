"""Other directives for the same clip: a deformation that is shown, and not asked for.

A clip that shows a smear is scored for it under a directive that asks for one. Under a
directive that asks for something else, or for nothing, the same pixels are a failure of
motion, and their score follows from the first: nobody needs to score them again. A judge
that sees a clip under several directives learns what a deformation looks like from every
clip that has one (AniMatrix, "deformation-aware").
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from animatrix_jax.knowledge.labels import HEADS
from animatrix_jax.knowledge.taxonomy import load_taxonomy

_FIELD, _LEVEL = "motion.deformation", "motion.deform_level"
# What may be asked for in place of another; each suits any motion. None at all besides.
KINDS = ("smear", "multiples", "squash_stretch", "chibi_shift")
# What Cel World does not draw beside one of them: that would be in directives alone.
_NEVER = {
    "chibi_shift": "camera.camera_motion=orbit",
    "multiples": "camera.shot_size=extreme_close_up",
}
# How bad a deformation of each level is where nobody asked for it, 0 to 1.
_SEVERITY = {1: 0.5, 2: 0.7, 3: 0.9}
DIRECTIVES = 2 + len(KINDS)
"""Directives of a clip at most: its own, another for each kind, and one for none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Directives:
    """A clip's own tags, then others that its pixels do not answer.

    Attributes:
      tags: of each directive, `DIRECTIVES` of them; where fewer suit the clip, its own
        again.
      scores: of each head under each directive, from 1 to 5.
      weights: 1 for its own; the others have 1 between them; 0 where none suits.
    """

    tags: tuple[tuple[str, ...], ...]
    scores: Float32[np.ndarray, "a 4"]
    weights: Float32[np.ndarray, " a"]


def shown(tags: Sequence[str]) -> tuple[str, ...]:
    """The deformations among a clip's tags, without the field; () for none."""
    values = (tag.partition("=") for tag in tags)
    return tuple(v for f, _, v in values if f == _FIELD and v != "none")


def severity(tags: Sequence[str]) -> float:
    """How bad the deformation that `tags` name is where it was not asked for."""
    return _SEVERITY[min(max(_level(tags), 1), 3)]


def others(tags: Sequence[str]) -> tuple[str, ...]:
    """What could be asked for in place of the deformation that is shown, "none" last."""
    present, said = set(shown(tags)), set(tags)
    values = load_taxonomy().values_by_tag
    suits = (
        kind
        for kind in KINDS
        if kind not in present
        and _NEVER.get(kind) not in said
        and not set(values[f"{_FIELD}={kind}"][1].excludes) & said
    )
    return (*suits, "none") if present else ()


def asking_for(tags: Sequence[str], kind: str) -> tuple[str, ...]:
    """The tags of a deformed clip, made to ask for another deformation.

    A level is said where the clip's tags say one: what only others say would betray them.

    Args:
      tags: with one deformation or more.
      kind: of `others(tags)`.
    """
    level = 0 if kind == "none" else max(_level(tags), 1)
    said = any(tag.startswith(f"{_LEVEL}=") for tag in tags)
    claimed = {_FIELD: kind} | ({_LEVEL: str(level)} if said else {})
    kept = [tag for tag in tags if tag.partition("=")[0] not in claimed]
    at = next(i for i, tag in enumerate(tags) if tag.startswith(f"{_FIELD}="))
    kept[at:at] = [f"{field}={value}" for field, value in claimed.items()]
    return tuple(kept)


def directives(tags: Sequence[str], scores: Float[np.ndarray, "4"]) -> Directives:
    """A clip under its own tags, for which it has `scores`, and under others."""
    own, kinds = tuple(tags), others(tags)
    table = np.tile(np.asarray(scores, np.float32), (DIRECTIVES, 1))
    weights = np.zeros(DIRECTIVES, np.float32)
    weights[0] = 1.0
    if kinds:
        motion = HEADS.index("motion_coherence")
        worst = 5.0 - 4.0 * severity(tags)
        table[1 : 1 + len(kinds), motion] = np.minimum(table[0, motion], worst)
        weights[1 : 1 + len(kinds)] = 1.0 / len(kinds)
    said = [own, *(asking_for(tags, kind) for kind in kinds)]
    said += [own] * (DIRECTIVES - len(said))
    return Directives(tags=tuple(said), scores=table, weights=weights)


def _level(tags: Sequence[str]) -> int:
    values = (tag.partition("=") for tag in tags)
    return next((int(v) for f, _, v in values if f == _LEVEL), 1)
