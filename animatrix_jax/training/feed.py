"""Batches on their way to the step, and the program that the step runs for each shape.

Both begin while the state is restored: a thread draws the first batch (behind which
Grain's own threads draw the next), places it, and compiles the step for its shapes.
"""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import Mesh

from animatrix_jax.training.stage import Batch, Params


class Feed:
    """The batches of a run, placed on the mesh.

    Args:
      iterator: of this host's batches.
      place: puts one on the mesh.
    """

    def __init__(
        self, iterator: grain.DatasetIterator, place: Callable[[Batch], Params]
    ):
        self._iterator, self._place = iterator, place
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._first: concurrent.futures.Future[Any] | None = None

    def begin(
        self, prepare: Callable[[Params], None], position: dict[str, Any] | None
    ) -> None:
        """Draws the first batch from `position` on, and calls `prepare` with it, in a
        thread; an error of either comes with `next`."""
        self._first = self._pool.submit(self._draw, prepare, position)

    def move(self, position: dict[str, Any]) -> None:
        """To where another iterator stood."""
        concurrent.futures.wait([self._first] if self._first else [])
        self._first = None
        self._iterator.set_state(position)

    def wait(self) -> None:
        """Until what was begun is done."""
        concurrent.futures.wait([self._first] if self._first else [])

    def next(self) -> tuple[np.ndarray | None, Params]:
        """This host's clip ids, if the batch has any, and the batch without them."""
        if self._first is None:
            return self._draw()
        first, self._first = self._first, None
        return first.result()

    def close(self) -> None:
        """Ends what makes batches ahead."""
        self.wait()
        self._iterator.close()

    @property
    def iterator(self) -> grain.DatasetIterator:
        """What a checkpoint keeps; in step with the batches that have been taken."""
        return self._iterator

    def _draw(
        self,
        prepare: Callable[[Params], None] | None = None,
        position: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray | None, Params]:
        if position is not None:
            self._iterator.set_state(position)
        batch = dict(next(self._iterator))
        clip_ids = batch.pop("clip_id", None)
        placed = self._place(batch)
        if prepare is not None:
            prepare(placed)
        return clip_ids, placed


class StepProgram:
    """A jitted step, compiled for each shape of batch before it is called with one.

    Args:
      step: jitted, of (state, frozen, batch, rate).
      state, frozen: shapes and shardings.
      mesh: set while it is traced, in whichever thread that is.
      on_compile: gives a context that is held while the caller waits for a compilation.
    """

    def __init__(
        self,
        step: Any,
        *,
        state: Any,
        frozen: Any,
        mesh: Mesh,
        on_compile: Callable[[], Any],
    ):
        self._step, self._state, self._frozen = step, state, frozen
        self._mesh = mesh
        self._on_compile = on_compile
        self._programs: dict[Any, Any] = {}

    def prepare(self, batch: Params) -> None:
        """Compiles for the shapes and shardings of a batch, unless it is done."""
        if _signature(batch) in self._programs:
            return
        with jax.set_mesh(self._mesh):
            lowered = self._step.lower(
                self._state, self._frozen, batch, np.float32(0.0)
            )
        self._programs[_signature(batch)] = lowered.compile()

    def __call__(
        self, state: Any, frozen: Any, batch: Params, rate: np.float32
    ) -> tuple[Any, Any]:
        signature = _signature(batch)
        if signature not in self._programs:  # a shape that no one knew of ahead
            with self._on_compile():
                self.prepare(batch)
        return self._programs[signature](state, frozen, batch, rate)


def _signature(batch: Params) -> Any:
    return tuple(
        (name, leaf.shape, leaf.dtype.name) for name, leaf in sorted(batch.items())
    )
