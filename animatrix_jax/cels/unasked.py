"""Deformation that nobody asked for: a failure in its tags alone, not in its pixels.

The drawing stays as it is, and its tags come to ask for another deformation or for none.
What is art where it was asked for is wrong where it was not, and only a judge that sees
the tags can say which (AniMatrix, "deformation-aware").
"""

import dataclasses

from animatrix_jax.cels.defects import UNASKED, Defect
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.knowledge.taxonomy import load_taxonomy

_FIELD, _LEVEL = "motion.deformation", "motion.deform_level"
# What may be asked for instead; each suits any motion.
_OTHERS = ("smear", "multiples", "squash_stretch", "chibi_shift")
_SEVERITY = {1: 0.5, 2: 0.7, 3: 0.9}


def unasked(spec: ClipSpec, draws: Draws, *, asked: str = "") -> ClipSpec:
    """The same drawing, whose tags ask for another deformation.

    Args:
      spec: of a clip with deformation.
      asked: the value to ask for; empty: drawn, "none" half of the time.
    """
    if not asked:
        others = [v for v in _OTHERS if v not in spec.deform.kinds and _suits(v, spec)]
        asked = "none" if draws.chance(0.5) else draws.choice(others)
    level = "0" if asked == "none" else str(max(spec.deform.level, 1))
    claimed = {_FIELD: asked, _LEVEL: level}
    tags = [tag for tag in spec.tags if tag.partition("=")[0] not in claimed]
    at = next(i for i, tag in enumerate(spec.tags) if tag.startswith(f"{_FIELD}="))
    tags[at:at] = [f"{field}={value}" for field, value in claimed.items()]
    defect = Defect(
        family="motion_coherence",
        kind=UNASKED,
        severity=_SEVERITY[max(spec.deform.level, 1)],
        start=spec.deform.start,
        key=draws.raw() >> 1,
    )
    return dataclasses.replace(spec, tags=tuple(tags), defects=(*spec.defects, defect))


def _suits(value: str, spec: ClipSpec) -> bool:
    """Whether it can be asked for beside the clip's other tags."""
    found = load_taxonomy().values_by_tag[f"{_FIELD}={value}"][1]
    return not set(found.excludes) & set(spec.tags)
