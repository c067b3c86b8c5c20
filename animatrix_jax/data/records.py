"""What a source of clips is, and what a record of one clip holds.

A record is a plain dict, the same from a drawn world, a folder of videos or a latent
cache:

    video uint8 [t h w 3]  or  latents float [t h w c]
    tags tuple of "axis.field=value", summary str, description str
    clip_id int, motion float m(x), deformation float d(x), style_cluster str
    scores float32 [4] (face topology, limb structure, line continuity, motion coherence)

`narrative` gives the same record without its pixels and measures, for what reads text
only. Where a source does not know a measure it leaves it out.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from animatrix_jax.data.curriculum import ClipTables

Record = dict[str, Any]


@runtime_checkable
class Source(Protocol):
    """Random access to clips."""

    set_aside: dict[str, str]
    """Files or lines that could not be used, each with its reason."""

    def __len__(self) -> int:
        """How many clips there are."""

    def record(self, index: int, rng: np.random.Generator) -> Record:
        """Clip `index`; what is drawn (its window in time) is drawn from `rng`."""

    def narrative(self, index: int) -> Record:
        """Tags, summary, description and clip_id of clip `index`, without pixels."""

    def tables(self, *, measured: bool = True) -> ClipTables | None:
        """What a sampler must know of the clips, or None where it is not known.

        Args:
          measured: motion and deformation too, for which a source may have to read every
            clip; without, they may be zero.
        """
