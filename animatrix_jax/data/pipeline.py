"""The Grain pipeline: one element is one step, and its batch is made in one go.

    MapDataset.range(steps)  ->  map(Batcher)  ->  IterDataset read ahead by threads

Random access by step is what makes the iterator's state a single number, saved beside
the weights and restored exactly, and what lets hosts split the slots of a step rather
than the clips of a data set.
"""

import grain

from animatrix_jax.data.batches import Batch, Batcher, DataConfig, TextEncoder
from animatrix_jax.data.records import Source

__all__ = ["Batch", "Batcher", "DataConfig", "make_batches"]


def make_batches(
    source: Source,
    config: DataConfig,
    *,
    tokenizer: TextEncoder | None = None,
    host: int = 0,
    hosts: int = 1,
) -> grain.IterDataset:
    """This host's batches, step by step; see Batcher for arguments and errors.

    Its iterator is saved and restored by grain.checkpoint, or get_state and set_state.
    """
    batcher = Batcher(source, config, tokenizer=tokenizer, host=host, hosts=hosts)
    return (
        grain.MapDataset.range(config.steps)
        .map(batcher)
        .to_iter_dataset(
            grain.ReadOptions(
                num_threads=config.workers,
                prefetch_buffer_size=config.prefetch if config.workers else 0,
            )
        )
    )
