"""Cel World as a source of records: clips drawn anew each time they are asked for."""

import numpy as np

from animatrix_jax.cels.narrative import narrate
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data.curriculum import ClipTables
from animatrix_jax.data.records import Record


class CelSource:
    """The clips of a CelWorld, which decides their size, split and defects.

    Cheap to make and to send to another process: nothing is drawn before it is asked
    for, so its measures are not known ahead. A curriculum reads them from the latent
    cache (latents.py) or from clips held in memory (held.py).
    """

    def __init__(self, world: CelWorld):
        self.world = world
        self.set_aside: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.world)

    def record(self, index: int, rng: np.random.Generator) -> Record:
        """Clip `index`: a pure function of it, so nothing is drawn from `rng`."""
        clip = self.world[index]
        return {
            "video": clip.video,
            "tags": clip.tags,
            "summary": clip.summary,
            "description": clip.description,
            "clip_id": index,
            "motion": clip.motion,
            "deformation": clip.deformation,
            "style_cluster": clip.style_cluster,
            "scores": clip.scores,
        }

    def narrative(self, index: int) -> Record:
        """What clip `index` says, without drawing it."""
        spec = self.world.spec(index)
        told = narrate(spec)
        return {
            "tags": spec.tags,
            "summary": told.summary,
            "description": told.description,
            "clip_id": index,
        }

    def tables(self, *, measured: bool = True) -> ClipTables | None:
        """None: see the class."""
        return None
