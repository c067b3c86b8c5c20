"""What a run does when something goes wrong, in one place: how each process ends.

    0   the stage is done
    1   a mistake of ours; with its traceback
    2   the user can mend it (a config, a full disk, no good checkpoint); one line
    75  stopped by SIGTERM or SIGINT, after saving what there was: the same command goes on
    76  another process was lost, hangs or failed: the same command goes on, on all hosts

With several processes, whoever fails leaves without waiting for the others, who would
wait for it: it tells them, and ends. docs/faults.md goes through the faults.
"""

import errno
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager

import jax

from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.stopping import Stopped
from animatrix_jax.training.goodput import process_start
from animatrix_jax.training.signals import StopRequest
from animatrix_jax.training.watchdog import Watchdog, end_process

EXIT_MISTAKE, EXIT_USER, EXIT_STOPPED = 1, 2, 75

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_TEXTS = (
    "No space left",
    "quota exceeded",
    "File too large",
    "RESOURCE_EXHAUSTED: Error writing",
)
# Of what JAX raises here when it is another process that is gone.
_COLLECTIVE = ("Gloo", "NCCL", "oordination", "arrier", "heartbeat")


class Session:
    """What the loop needs while it runs: where it says where it is, and whether to stop.

    Attributes:
      began: seconds of the wall clock at which this attempt at a run did.
    """

    def __init__(
        self,
        watchdog: Watchdog | None = None,
        stop: StopRequest | None = None,
        *,
        began: float | None = None,
    ):
        self._watchdog, self._stop = watchdog, stop
        self.began = time.time() if began is None else began

    def at(self, step: int, place: str) -> None:
        """Tells the watchdogs of all processes where this one is."""
        if self._watchdog is not None:
            self._watchdog.at(step, place)

    def stops(self, step: int) -> bool:
        """Whether to save and stop after this step; to be asked once a step."""
        return self._stop is not None and self._stop.reached(step)


@contextmanager
def session(
    *, heartbeat_seconds: int, hang_seconds: float, start_seconds: int
) -> Iterator[Session]:
    """Joins the processes, watches over them, and parts from them in good order.

    With several processes, an error does not leave this block: it ends the process.
    """
    distributed.initialize(
        heartbeat_seconds=heartbeat_seconds, start_seconds=start_seconds
    )
    with closing(
        Watchdog(heartbeat_seconds=heartbeat_seconds, hang_seconds=hang_seconds)
    ) as watchdog:
        stopped = None
        try:
            with closing(StopRequest()) as stop:
                yield Session(watchdog, stop, began=process_start())
        except Stopped as error:
            stopped = error
        except BaseException as error:
            if jax.process_count() > 1:
                _leave(error, watchdog)
            raise
        watchdog.say_ended(None)
        distributed.gather(None)
    distributed.shutdown()
    if stopped is not None:
        raise stopped


def _leave(error: BaseException, watchdog: Watchdog) -> None:
    """Ends this process of several, with the line or the traceback that tells why."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        watchdog.close()
        # Nor does it help the others to be started again.
        watchdog.say_ended(text, code=EXIT_USER)
        end_process(f"error: {text}", EXIT_USER)
    if any(word in text for word in _COLLECTIVE) and (found := watchdog.explain()):
        end_process(*found)
    watchdog.close()
    watchdog.say_ended(f"{type(error).__name__}: {text}")
    traceback.print_exception(error)
    end_process("this process ends, and the others with it", EXIT_MISTAKE)


def is_full_disk(error: BaseException) -> bool:
    """Whether what failed is a write to a disk, or a quota, that is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(text in str(error) for text in _FULL_TEXTS)
