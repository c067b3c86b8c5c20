"""A polite end: SIGTERM and SIGINT ask the loop to save and stop at its next step.

One process: a handler sets a flag. Several: whichever is asked, all stop at the same
step, by the protocol of JAX's preemption service (the step after the furthest that any
process has reached; each learns of it through the coordinator, and no device takes
part). That service takes SIGTERM itself, so SIGINT is passed on to it.

While a run of one process has nothing to save yet (`at_once`: it draws its clips), the
signals end that there. A second SIGINT ends the process at once.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import jax
from absl import logging
from jax.experimental import multihost_utils


class StopRequest:
    """Heeds the signals from its making, on the main thread, until it is closed."""

    def __init__(self) -> None:
        self._asked = self._at_once = False
        handlers: dict[int, Any] = {signal.SIGINT: self._interrupted}
        if jax.process_count() == 1:
            handlers[signal.SIGTERM] = self._terminated
        self._before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
        }

    def close(self) -> None:
        """Gives the signals back to who had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raises KeyboardInterrupt here when a signal comes, if this is the one process."""
        self._at_once = jax.process_count() == 1
        try:
            if self._at_once and self._asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def reached(self, step: int) -> bool:
        """Whether all processes are to stop after this step; asked once a step."""
        if jax.process_count() == 1:
            return self._asked
        return multihost_utils.reached_preemption_sync_point(step)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if self._at_once:
            self._at_once = False  # once: what ends here may take its time to
            raise KeyboardInterrupt
        logging.info("%s: saving at the next step", signal.Signals(number).name)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if jax.process_count() == 1:
            self._terminated(number, frame)
        else:
            os.kill(os.getpid(), signal.SIGTERM)
