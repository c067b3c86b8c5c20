"""Who is lost or hangs: every process tells where it stands, and reads of the others.

    every heartbeat_seconds / 10:  post (n, step, place, host)  -> the key-value store
                                   read what the others posted

n counts the loop's places ("data" of step 12, "step" 12, "save" 12, ...), which all
processes pass in one order, so that the least n is furthest behind. A process

    is lost     if it has posted nothing more for heartbeat_seconds (killed, stopped, cut off)
    hangs       if it stands furthest behind, at one place for hang_seconds
    has ended   if its last post says so, with the line that it ended with

and whoever sees it ends this process with one line that names step, process and host.
That is done from a thread, since the main one mostly waits in a collective that will
never come to its end. When process 0 goes, the store goes with it: then its name, and
where it stood, are known from what was read before.
"""

import ctypes
import json
import os
import pathlib
import signal
import sys
import threading
import time
from typing import Any, NamedTuple

import jax

from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.distributed import EXIT_PEER

# Which may rightly take long: the first makes caches, the second perhaps what parameters
# start from (the judge's heads), process 0 alone does the others.
_PATIENT = ("start", "beginning", "samples", "finish")
_PLACES = {
    "data": "in its data for",
    "step": "in",
    "validation": "in the validation after",
    "save": "in the save after",
}
_TICK_SECONDS = 0.5
_TASKS = pathlib.Path("/proc/self/task")
_KEY = "animatrix/at/"


class Verdict(NamedTuple):
    """One line on what went wrong, and the code with which this process is to end."""

    line: str
    code: int = EXIT_PEER


class Watchdog:
    """Watches the processes of a run until it is closed; alone, itself for hanging."""

    def __init__(self, *, heartbeat_seconds: float, hang_seconds: float):
        self._heartbeat, self._hang = heartbeat_seconds, hang_seconds
        self._process, self._store = jax.process_index(), distributed.client()
        self._interval = heartbeat_seconds / 10
        self._ended = threading.Event()
        self._mine = {"n": 0, "step": 0, "place": "start", "host": distributed.host()}
        self._posts = 0
        # Of each process: its last post, and when it and its n last changed, by our clock.
        self._posted: dict[int, dict[str, Any]] = {self._process: self._mine}
        now = time.monotonic()
        self._heard: dict[int, float] = {}
        self._moved: dict[int, float] = {self._process: now}
        # When the store was last read, and for how many seconds of ours it has not been.
        self._read_at, self._unread = now, 0.0
        if self._store is not None:
            _hold_aborts()
            threading.Thread(target=self._exchange, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """Watches no more."""
        self._ended.set()

    def at(self, step: int, place: str) -> None:
        """Says where the main thread is. All processes say the same in the same order."""
        n = self._mine["n"] + 1
        self._mine = self._mine | {"n": n, "step": step, "place": place}
        self._posted[self._process] = self._mine
        self._moved[self._process] = time.monotonic()

    def say_ended(self, line: str | None, *, code: int = EXIT_PEER) -> None:
        """Tells the others that this process ends, and with what; None: as it should.

        Args:
          line: what went wrong.
          code: with which the others are to end.
        """
        self._mine = self._mine | {"ended": line, "code": code}
        if self._store is not None:
            try:
                self._post()
            except RuntimeError:
                return  # nobody is left to be told
            if line is not None and self._process == 0:
                # The store goes with this process: until all have read it.
                time.sleep(3 * self._interval)

    def explain(self) -> "Verdict | None":
        """After a collective has failed here: waits for who it is that is lost."""
        until = time.monotonic() + self._heartbeat + 3 * self._interval
        while self._store is not None and time.monotonic() < until:
            if verdict := self._judge():
                return verdict
            time.sleep(min(self._interval, _TICK_SECONDS))
        return None

    def _post(self) -> None:
        self._posts += 1
        text = json.dumps(self._mine | {"post": self._posts})
        self._store.key_value_set(f"{_KEY}{self._process}", text, allow_overwrite=True)

    def _exchange(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._post()
                for key, text in self._store.key_value_dir_get(_KEY):
                    self._read(int(key.rsplit("/", 1)[1]), json.loads(text))
            except RuntimeError:
                continue
            self._read_at, self._unread = time.monotonic(), 0.0

    def _read(self, process: int, post: dict[str, Any]) -> None:
        if process == self._process:
            return
        now, before = time.monotonic(), self._posted.get(process, {})
        if post["post"] != before.get("post"):
            self._heard[process] = now
        if post["n"] != before.get("n"):
            self._moved[process] = now
        self._posted[process] = post

    def _watch(self) -> None:
        tick = min(self._interval, _TICK_SECONDS)
        while not self._ended.wait(tick):
            self._unread += tick
            if (verdict := self._judge()) and not self._ended.is_set():
                end_process(*verdict)

    def _judge(self) -> "Verdict | None":
        """Who is to blame; None while all is well."""
        now, posted = time.monotonic(), dict(self._posted)
        for process, post in posted.items():
            if process != self._process and (line := post.get("ended")):
                line = f"process {process} on {post['host']} ended: {line}"
                return Verdict(line, post["code"])
        # By the clock of the last reading, not by now: a process that was itself held up
        # has not read yet what the others posted meanwhile.
        for process, heard in dict(self._heard).items():
            silent = self._read_at - heard > self._heartbeat
            if silent and "ended" not in posted.get(process, {}):
                return Verdict(self._lost(process))
        if self._store is not None and (
            self._unread > self._heartbeat + self._interval
            or (_aborts() and not distributed.coordinator_listens())
        ):
            return Verdict(self._lost(0))
        hangs = self._hanging(now, posted)
        return hangs and Verdict(hangs)

    def _lost(self, process: int) -> str:
        post = self._posted.get(process)
        if post is None:
            return f"process {process} is lost: nothing was ever heard of it"
        return (
            f"process {process} on {post['host']} is lost: not heard of since it was "
            f"{_where(post)} (loop.heartbeat_seconds is {self._heartbeat:g})"
        )

    def _hanging(self, now: float, posted: dict[int, dict[str, Any]]) -> str | None:
        running = {p: post for p, post in posted.items() if "ended" not in post}
        least = min(post["n"] for post in running.values())
        behind = sorted(p for p, post in running.items() if post["n"] == least)
        post = running[behind[0]]
        if post["place"] in _PATIENT:
            return None
        waited = min(now - self._moved[process] for process in behind)
        if waited <= self._hang:
            return None
        if len(behind) == len(running) > 1:
            who = f"all {len(behind)} processes hang"
        else:
            hosts = (f"process {p} on {running[p]['host']}" for p in behind)
            who = f"{', '.join(hosts)} hang{'s' if len(behind) == 1 else ''}"
        return f"{who}: {_where(post)} (loop.hang_seconds is {self._hang:g})"


def _hold_aborts() -> None:
    """Gives this watchdog the time to speak before JAX's coordination client aborts.

    The client aborts the process from a thread of its own the moment that the
    coordinator is gone, and says neither who nor where. libc's sleep() as the signal's
    handler takes the signal's number for seconds: SIGABRT, 6, waits for so long and
    then goes on to abort. It touches nothing, and no Python runs in it; `_aborts` sees
    that it runs.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGABRT, ctypes.cast(libc.sleep, ctypes.c_void_p))


def _aborts() -> bool:
    """Whether a thread of this process is in the handler of SIGABRT, which is blocked
    there; told by Linux alone."""
    bit = 1 << (signal.SIGABRT - 1)
    for status in _TASKS.glob("*/status"):
        try:
            blocked = status.read_text().split("SigBlk:", 1)[1].split(None, 1)[0]
        except (OSError, IndexError):
            continue  # a thread that is through
        if int(blocked, 16) & bit:
            return True
    return False


def end_process(line: str, code: int) -> None:
    """Prints one line and ends this process at once, whatever its other threads hold."""
    sys.stdout.flush()
    sys.stderr.write(f"\nanimatrix: {line}\n")
    sys.stderr.flush()
    os._exit(code)


def _where(post: dict[str, Any]) -> str:
    if post["place"] not in _PLACES:
        return f"at the {post['place']}"
    return f"{_PLACES[post['place']]} step {post['step']}"
