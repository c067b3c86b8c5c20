"""What watches a run from inside: non-finite steps, a profile, the parameters' overview."""

import collections
import pathlib
from typing import Any

import jax
import numpy as np
from absl import logging

from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.training.stage import Params


class NonFiniteGuard:
    """Stops a run whose loss or gradient stays non-finite, and says on which clips.

    It reads the metrics of a step only when the next one has been dispatched, so that
    the accelerator never waits for it.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._pending: tuple[int, Any] | None = None
        self._recent: collections.deque[Any] = collections.deque(maxlen=max(limit, 1))

    def check(self, step: int, metrics: Any, clip_ids: np.ndarray | None) -> None:
        self.flush()
        self._recent.append(None if clip_ids is None else clip_ids.tolist())
        self._pending = (step, metrics["skipped_in_row"])

    def flush(self) -> None:
        if self._pending is None:
            return
        step, in_row = self._pending
        self._pending = None
        if int(in_row) >= self._limit:
            raise UserError(
                f"loss or gradient was not finite in the last {int(in_row)} steps, up "
                f"to step {step}; clip ids of those batches: {list(self._recent)}"
            )


class Profiler:
    """Writes a trace of three steps, once."""

    def __init__(self, folder: pathlib.Path, start: int | None):
        self._folder, self._start, self._open = folder, start, False

    def at(self, step: int) -> None:
        if self._start is None:
            return
        if step == self._start:
            jax.profiler.start_trace(str(self._folder))
            self._open = True
        elif step == self._start + 3:
            self.close()

    def close(self) -> None:
        if self._open:
            jax.profiler.stop_trace()
            logging.info("profile written to %s", self._folder)
            self._open = False


def log_overview(name: str, params: Params, folder: pathlib.Path) -> None:
    """The number of parameters to the log, every one of them to parameters.txt."""
    if not distributed.is_first():
        return
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    logging.info("%s: %s trainable parameters", name, f"{count:,}")
    try:
        from clu import parameter_overview
    except ImportError:
        return
    overview = parameter_overview.get_parameter_overview(params, include_stats=False)
    (folder / "parameters.txt").write_text(overview + "\n", encoding="utf-8")
