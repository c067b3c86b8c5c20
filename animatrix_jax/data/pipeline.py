"""The Grain pipeline: one element is one step, and its batch is made in one go.

    MapDataset.range(steps)  ->  map(Batcher)  ->  IterDataset read ahead by threads

Random access by step is what makes the iterator's state a single number, saved beside
the weights and restored exactly, and what lets hosts split the slots of a step rather
than the clips of a data set.
"""

import functools
from collections.abc import Callable, Sequence

import grain
import numpy as np

from animatrix_jax.data.batches import Batch, Batcher, DataConfig, TextEncoder
from animatrix_jax.data.records import Source

__all__ = [
    "Batch",
    "Batcher",
    "DataConfig",
    "batches_of_steps",
    "make_batches",
    "shuffled",
]


def make_batches(
    source: Source | None,
    config: DataConfig,
    *,
    images: Source | None = None,
    shaped: Sequence[Source] = (),
    tokenizer: TextEncoder | None = None,
    host: int = 0,
    hosts: int = 1,
) -> grain.IterDataset:
    """This host's batches, step by step; see Batcher for arguments and errors.

    Its iterator is saved and restored by grain.checkpoint, or get_state and set_state.
    """
    batcher = Batcher(
        source,
        config,
        images=images,
        shaped=shaped,
        tokenizer=tokenizer,
        host=host,
        hosts=hosts,
    )
    return batches_of_steps(
        batcher, config.steps, workers=config.workers, prefetch=config.prefetch
    )


def batches_of_steps(
    make: Callable[[int], Batch], steps: int, *, workers: int = 2, prefetch: int = 4
) -> grain.IterDataset:
    """`make(0)`, `make(1)`, ... with `prefetch` of them kept ready by threads."""
    return (
        grain.MapDataset.range(steps)
        .map(make)
        .to_iter_dataset(
            grain.ReadOptions(
                num_threads=workers, prefetch_buffer_size=prefetch if workers else 0
            )
        )
    )


def shuffled(count: int, slot: int, *, seed: int) -> tuple[int, int]:
    """Epoch and row of the slot-th draw: every epoch takes all rows, in its own order."""
    epoch, place = divmod(slot, count)
    return epoch, int(_order(count, epoch, seed)[place])


@functools.lru_cache(maxsize=8)
def _order(count: int, epoch: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)
