"""A polite end: SIGTERM and SIGINT ask the loop to save and stop at its next step.

One process: a handler sets a flag. Several: whichever is asked, all stop at the same
step, by the protocol of JAX's preemption service (the step after the furthest that any
process has reached; each learns of it through the coordinator, and no device takes
part). That service takes SIGTERM itself, so SIGINT is passed on to it.

Of one process, work before the loop that keeps what it has done asks too (stopping.py). A
second SIGINT ends the process at once.
"""

import os
import signal
from types import FrameType
from typing import Any

import jax
from absl import logging
from jax.experimental import multihost_utils

from animatrix_jax import stopping


class StopRequest:
    """Heeds the signals from its making, on the main thread, until it is closed."""

    def __init__(self) -> None:
        self._asked = False
        handlers: dict[int, Any] = {signal.SIGINT: self._interrupted}
        self._end_heed = lambda: None
        if jax.process_count() == 1:
            handlers[signal.SIGTERM] = self._terminated
            self._end_heed = stopping.heed(lambda: self._asked)
        self._before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
        }

    def close(self) -> None:
        """Gives the signals back to who had them."""
        self._end_heed()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def reached(self, step: int) -> bool:
        """Whether all processes are to stop after this step; asked once a step."""
        if jax.process_count() == 1:
            return self._asked
        return multihost_utils.reached_preemption_sync_point(step)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        logging.info("%s: saving at the next step", signal.Signals(number).name)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if jax.process_count() == 1:
            self._terminated(number, frame)
        else:
            os.kill(os.getpid(), signal.SIGTERM)
