"""The Grain pipeline: one element is one step, and its batch is made in one go.

    MapDataset.range(steps)  ->  map(Batcher)  ->  IterDataset read ahead by threads, or by processes

Random access by step is what makes the iterator's state a single number, saved beside
the weights and restored exactly, and what lets hosts split the slots of a step rather
than the clips of a data set.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import grain
import numpy as np
from jaxtyping import Int

from animatrix_jax.data.ahead import ProcessBatches
from animatrix_jax.data.batches import Batch, Batcher, DataConfig, TextEncoder
from animatrix_jax.data.records import Source

__all__ = [
    "Batch",
    "Batcher",
    "DataConfig",
    "EpochRows",
    "batches_of_steps",
    "epoch_rows",
    "held_out_rows",
    "host_slots",
    "make_batches",
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
        batcher,
        config.steps,
        workers=config.workers,
        processes=config.processes,
        prefetch=config.prefetch,
    )


def batches_of_steps(
    make: Callable[[int], Batch],
    steps: int,
    *,
    workers: int = 2,
    processes: int = 0,
    prefetch: int = 4,
) -> grain.IterDataset:
    """`make(0)`, `make(1)`, ... with `prefetch` of them kept ready by threads, or by each
    of some processes."""
    if processes:
        return ProcessBatches(make, steps, processes=processes, prefetch=prefetch)
    return (
        grain.MapDataset.range(steps)
        .map(make)
        .to_iter_dataset(
            grain.ReadOptions(
                num_threads=workers, prefetch_buffer_size=prefetch if workers else 0
            )
        )
    )


def host_slots(
    step: int, *, size: int, host: int = 0, hosts: int = 1
) -> Int[np.ndarray, " b"]:
    """This host's slots of a step's batch of `size`, counted from the first step on."""
    local = size // hosts
    start = int(step) * size + host * local
    return np.arange(start, start + local)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochRows:
    """Rows of a data set, and in which epoch each is taken."""

    epochs: Int[np.ndarray, " b"]
    rows: Int[np.ndarray, " b"]


def epoch_rows(count: int, slots: Int[np.ndarray, " b"], *, seed: int) -> EpochRows:
    """The rows that slots take: every epoch takes all rows, in an order of its own."""
    epochs, places = np.divmod(slots, count)
    rows = [
        _order(count, epoch, seed)[place]
        for epoch, place in zip(epochs.tolist(), places.tolist())
    ]
    return EpochRows(epochs=epochs, rows=np.array(rows, np.int64))


def held_out_rows(
    count: int, *, size: int, host: int = 0, hosts: int = 1
) -> list[Int[np.ndarray, " b"]]:
    """This host's rows of each held-out batch: whole batches of `size`, one at least.

    Where there are fewer rows than one batch takes, they are taken again.
    """
    batches = max(count // size, 1)
    rows = np.arange(batches * size) % count
    return np.split(rows, batches * hosts)[host::hosts]


@functools.lru_cache(maxsize=8)
def _order(count: int, epoch: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)
