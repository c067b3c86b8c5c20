"""Whether this process was asked to stop, for work that is long and keeps what it has done.

Who takes the signals (training/signals.py) says how to ask; until then nobody has. Such
work calls `end_if_asked` now and then, on any thread.
"""

from collections.abc import Callable


class Stopped(Exception):
    """The run was asked to stop, and has saved what there was; the message says where."""


_ASKED: list[Callable[[], bool]] = []


def heed(asked: Callable[[], bool]) -> Callable[[], None]:
    """Takes whom to ask; returns what to call to ask them no longer."""
    _ASKED.append(asked)
    return lambda: _ASKED.remove(asked)


def end_if_asked(where: str) -> None:
    """Ends the work, if this process was asked to stop.

    Raises:
      Stopped: saying where.
    """
    if any(asked() for asked in _ASKED):
        raise Stopped(f"stopped {where}")
