"""Where a run's wall time goes: productive steps, and what was lost, by cause.

    goodput = seconds in steps whose work was kept / seconds since the run first began

over all of its attempts. Causes: `start` (until the loop is entered: imports, weights),
`prepare` (data: caches, first batches), `restore`, `compile` (what restoring did not
hide), `data` (the loop waited for a batch), `validation`, `save` (the loop waited for
it), `samples`, `rework` (steps that a fault undid), `down` (between attempts, and what
an attempt did after its last line). Steps are dispatched ahead of the device, so `data`
is an upper bound: a wait that the device does not notice counts as well.

goodput.jsonl in the stage's folder is only appended to:

    {"attempt": 1, "resumed": 0, "began": 1764.2}
    {"attempt": 1, "step": 20, "time": 1790.1, "seconds": {"step": 14.1, "data": 0.3}}
"""

import json
import os
import pathlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from animatrix_jax.files import read_lines
from animatrix_jax.parallel import distributed

STEP = "step"


def process_start() -> float:
    """When this process began, in seconds of the wall clock."""
    try:
        fields = pathlib.Path("/proc/self/stat").read_text().rsplit(") ", 1)[1].split()
        ticks = float(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks)
    except (OSError, AttributeError, IndexError, ValueError):
        return _IMPORTED  # no Linux


_IMPORTED = time.time()


class Ledger:
    """Accounts every second of an attempt to one cause; process 0 writes it down.

    Args:
      folder: the stage's.
      began: when this attempt did, in seconds of the wall clock.
    """

    def __init__(self, folder: pathlib.Path, *, began: float):
        self._path = folder / "goodput.jsonl"
        self._began = began
        self._lines = read_lines(self._path) if distributed.is_first() else []
        self._attempt = 1 + max((line["attempt"] for line in self._lines), default=0)
        self._cause, self._since = "start", began
        self._seconds: dict[str, float] = {}
        self._first_step: float | None = None

    def switch(self, cause: str) -> str:
        """From now on, time goes to `cause`; returns the cause until now."""
        now, before = time.time(), self._cause
        spent = max(now - self._since, 0.0)
        self._seconds[before] = self._seconds.get(before, 0.0) + spent
        self._cause, self._since = cause, now
        return before

    @contextmanager
    def on(self, cause: str) -> Iterator[None]:
        """While the block lasts, time goes to `cause`."""
        before = self.switch(cause)
        try:
            yield
        finally:
            self.switch(before)

    def resumes(self, step: int) -> None:
        """Writes that this attempt goes on after `step`."""
        self._append({"resumed": step, "began": round(self._began, 3)})

    def first_step(self) -> None:
        """To be called when the first step of this attempt is through."""
        self._first_step = time.time() - self._began
        self._append({"time_to_first_step": round(self._first_step, 3)})

    def scalars(self) -> dict[str, float]:
        """What goes to the metrics: goodput so far, over all attempts, and how long this
        attempt took from the start of its process to the end of its first step."""
        return {
            "goodput": self.report()["goodput"],
            "time_to_first_step": self._first_step or 0.0,
        }

    def mark(self, step: int) -> None:
        """Writes what was spent since the last mark, up to and with `step`."""
        self.switch(self._cause)
        spent = {cause: round(s, 3) for cause, s in self._seconds.items()}
        self._seconds = {}
        self._append({"step": step, "time": round(time.time(), 3), "seconds": spent})

    def report(self) -> dict[str, Any]:
        """Goodput, seconds in all and by cause, attempts; of the marks so far."""
        return summarise(self._lines)

    def _append(self, line: dict[str, Any]) -> None:
        line = {"attempt": self._attempt} | line
        self._lines.append(line)
        if distributed.is_first():
            with self._path.open("a", encoding="utf-8") as file:
                # A line that a kill cut short has no end of its own.
                file.write(("\n" if "began" in line else "") + json.dumps(line) + "\n")


def summarise(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What the lines of a ledger come to; see the module's docstring."""
    resumed = {line["attempt"]: line["resumed"] for line in lines if "resumed" in line}
    # What an attempt did beyond where a later one went on is undone.
    kept = {
        attempt: min((s for a, s in resumed.items() if a > attempt), default=None)
        for attempt in resumed
    }
    totals: dict[str, float] = {}
    for line in lines:
        last = kept.get(line["attempt"])
        undone = last is not None and line.get("step", 0) > last
        for cause, seconds in line.get("seconds", {}).items():
            name = "rework" if undone and cause == STEP else cause
            totals[name] = totals.get(name, 0.0) + seconds
    began = [line["began"] for line in lines if "began" in line]
    times = [line["time"] for line in lines if "time" in line]
    wall = max(times) - min(began) if began and times else 0.0
    totals["down"] = max(wall - sum(totals.values()), 0.0)
    productive = totals.pop(STEP, 0.0)
    return {
        "goodput": round(productive / wall, 4) if wall else 0.0,
        "wall_seconds": round(wall, 1),
        "productive_seconds": round(productive, 1),
        "lost_seconds": {cause: round(s, 1) for cause, s in sorted(totals.items())},
        "attempts": len(resumed),
        "time_to_first_step": [
            round(line["time_to_first_step"], 1)
            for line in lines
            if "time_to_first_step" in line
        ],
    }
