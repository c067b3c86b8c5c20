"""Batches made ahead by processes, for steps that are shorter than a batch takes to make.

Threads share one interpreter, so that a step of a small model on a large chip waits for
them; each of these processes has one of its own, and a copy of the source. The iterator's
state is a step's number, as it is with threads: a run goes on with any count of either.
"""

from collections.abc import Callable
from typing import Any

import grain
from absl import flags

from animatrix_jax.data.drawing import plain_main


class ProcessBatches(grain.IterDataset):
    """`make(0)`, `make(1)`, ... in order, made by several processes.

    Args:
      make: must survive pickling.
      steps: how many batches there are.
      processes: that make them.
      prefetch: how many each keeps ready.
    """

    def __init__(
        self, make: Callable[[int], Any], steps: int, *, processes: int, prefetch: int
    ):
        super().__init__()
        self._make, self._steps = make, steps
        self._options = grain.MultiprocessingOptions(
            num_workers=processes, per_worker_buffer_size=prefetch
        )

    def __iter__(self) -> "_Iterator":
        return _Iterator(self.starting_at)

    def starting_at(self, step: int) -> grain.DatasetIterator:
        """Grain's iterator of the batches from a step on."""
        if not flags.FLAGS.is_parsed():  # in a notebook, say; Grain looks at its own
            flags.FLAGS.mark_as_parsed()
        steps = grain.MapDataset.range(step, self._steps).map(self._make)
        alone = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        return iter(steps.to_iter_dataset(alone).mp_prefetch(self._options))


class _Iterator(grain.DatasetIterator):
    """Starts its processes with the first batch that is asked for."""

    def __init__(self, starting_at: Callable[[int], grain.DatasetIterator]):
        super().__init__()
        self._starting_at, self._next = starting_at, 0
        self._batches: grain.DatasetIterator | None = None

    def __next__(self) -> Any:
        if self._batches is None:
            self._batches = self._starting_at(self._next)
            with plain_main():
                batch = next(self._batches)
        else:
            batch = next(self._batches)
        self._next += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        return {"next_index": self._next}

    def set_state(self, state: dict[str, Any]) -> None:
        self.close()
        self._next = int(state["next_index"])

    def close(self) -> None:
        """Ends the processes."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None
