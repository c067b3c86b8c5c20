"""Deformation that nobody asked for: a failure in its tags alone, not in its pixels.

The drawing stays as it is, and its tags come to ask for another deformation or for none.
What is art where it was asked for is wrong where it was not, and only a judge that sees
the tags can say which (knowledge/counterfactual.py).
"""

import dataclasses

from animatrix_jax.cels.defects import UNASKED, Defect
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.knowledge.counterfactual import asking_for, severity


def unasked(spec: ClipSpec, draws: Draws, *, asked: str) -> ClipSpec:
    """The same drawing, whose tags ask for another deformation.

    Args:
      spec: of a clip with deformation.
      asked: the value to ask for, "none" for none.
    """
    defect = Defect(
        family="motion_coherence",
        kind=UNASKED,
        severity=severity(spec.tags),
        start=spec.deform.start,
        key=draws.raw() >> 1,
    )
    return dataclasses.replace(
        spec,
        tags=asking_for(spec.tags, asked),
        defects=(*spec.defects, defect),
    )
