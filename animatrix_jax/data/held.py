"""Clips drawn once and held in memory, for stages that train on pixels."""

import functools

import numpy as np
import tqdm

from animatrix_jax.data.curriculum import ClipTables, build_tables
from animatrix_jax.data.drawing import draw_records
from animatrix_jax.data.records import Record, Source


class HeldSource:
    """The first `count` records of `source`, drawn ahead by `workers` processes.

    17 frames of 32 x 32 take 52 kB a clip.
    """

    def __init__(self, source: Source, *, count: int, seed: int = 0, workers: int = 2):
        self.set_aside: dict[str, str] = {}
        drawn = draw_records(source, count=count, seed=seed, workers=workers)
        self._records = list(
            tqdm.tqdm(
                drawn, total=count, desc="drawing clips", unit="clip", mininterval=1.0
            )
        )

    def __len__(self) -> int:
        return len(self._records)

    def record(self, index: int, rng: np.random.Generator) -> Record:
        """Clip `index`; nothing is drawn."""
        return self._records[index]

    def narrative(self, index: int) -> Record:
        """The same record."""
        return self._records[index]

    def tables(self, *, measured: bool = True) -> ClipTables:
        """The measures that came with the records."""
        return self._tables

    @functools.cached_property
    def _tables(self) -> ClipTables:
        return build_tables(
            tags=[r["tags"] for r in self._records],
            clusters=[r["style_cluster"] for r in self._records],
            motion=[r["motion"] for r in self._records],
            deformation=[r["deformation"] for r in self._records],
        )
