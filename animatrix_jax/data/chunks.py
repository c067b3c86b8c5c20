"""What is found out of each clip of a stream, on disk, found out once.

    clip i  --draw--> arrays, label --> folder/000256/{NAME.npy, ..., labels.json}

`draw(i)` is a pure function, so chunks are found out by several processes, in any order.
A chunk is written whole or not at all: a call that was stopped goes on where it was, and
one that asks for more clips keeps what is there.
"""

import concurrent.futures
import contextlib
import functools
import json
import multiprocessing
import multiprocessing.synchronize
import os
import pathlib
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import tqdm
from jaxtyping import Int

from animatrix_jax.data.drawing import plain_main
from animatrix_jax.stopping import end_if_asked

Arrays = dict[str, np.ndarray]
Draw = Callable[[int], tuple[Arrays, dict[str, Any]]]
"""Clip number to arrays, whose shapes are the same for every clip, and a JSON label."""

_ASK_SECONDS = 0.5
# Set in a worker process by _start_worker.
_STOPPED: multiprocessing.synchronize.Event | None = None


class Chunks:
    """Random access to clips, after those that are missing are drawn.

    Args:
      folder: of these clips and no others: its name must say what `draw` depends on.
      draw: must survive pickling if there are workers.
      count: how many clips.
      size: clips that are drawn and written at a time.
      workers: processes that draw; 0 draws in this one.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        draw: Draw,
        *,
        count: int,
        size: int = 128,
        workers: int = 2,
    ):
        self._folder, self._count, self._size = pathlib.Path(folder), count, size
        _complete(self._folder, draw, count=count, size=size, workers=workers)
        self.labels: list[dict[str, Any]] = []
        for start in range(0, count, size):
            text = (self._folder / f"{start:06d}" / "labels.json").read_text("utf-8")
            labels = json.loads(text)
            if len(labels) != size:
                raise ValueError(
                    f"{self._folder} has chunks of {len(labels)} clips, expected {size}"
                )
            self.labels += labels
        self.labels = self.labels[:count]

    def __len__(self) -> int:
        return self._count

    def take(
        self,
        rows: Int[np.ndarray, " n"] | range,
        picked: Mapping[str, Int[np.ndarray, "n k"]] = MappingProxyType({}),
    ) -> Arrays:
        """The arrays of some clips, stacked.

        Args:
          rows: which clips.
          picked: of an array by name, which of its entries, for each clip.
        """
        # Copies: a view would hold its file open.
        taken = [
            {
                name: np.array(
                    a[row % self._size, picked[name][i]]
                    if name in picked
                    else a[row % self._size]
                )
                for name, a in self._chunk(row).items()
            }
            for i, row in enumerate(map(int, rows))
        ]
        return {name: np.stack([t[name] for t in taken]) for name in taken[0]}

    def _chunk(self, row: int) -> Arrays:
        return _opened(str(self._folder / f"{row // self._size * self._size:06d}"))


# Each array that is open holds a file, of which a process may have 256 on some systems.
@functools.lru_cache(maxsize=32)
def _opened(folder: str) -> Arrays:
    paths = sorted(pathlib.Path(folder).glob("*.npy"))
    return {path.stem: np.load(path, mmap_mode="r") for path in paths}


def _complete(
    folder: pathlib.Path, draw: Draw, *, count: int, size: int, workers: int
) -> None:
    """Draws the chunks that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = [
        start
        for start in range(0, count, size)
        if not (folder / f"{start:06d}").is_dir()
    ]
    if not starts:
        return
    bar = tqdm.tqdm(total=len(starts) * size, desc="looking at clips", mininterval=1.0)
    with bar:
        if workers == 0:
            for start in starts:
                _end_if_asked()
                _write(folder, draw, start, size)
                bar.update(size)
            return
        context = multiprocessing.get_context("spawn")
        stopped = context.Event()
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, context, initializer=_start_worker, initargs=(stopped,)
        )
        try:
            with plain_main():
                pending = {pool.submit(_write, folder, draw, s, size) for s in starts}
            while pending:
                done, pending = concurrent.futures.wait(
                    pending,
                    timeout=_ASK_SECONDS,
                    return_when=concurrent.futures.FIRST_COMPLETED,
                )
                for each in done:
                    each.result()
                    bar.update(size)
                _end_if_asked()
        except BaseException:
            stopped.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_if_asked() -> None:
    end_if_asked("while clips were drawn: those that are, are kept")


def _start_worker(stopped: multiprocessing.synchronize.Event) -> None:
    """Signals may reach all processes of a terminal or a job: what they mean, the first
    one says. If it is gone, so are its workers."""
    global _STOPPED
    _STOPPED = stopped
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write(folder: pathlib.Path, draw: Draw, start: int, size: int) -> None:
    temporary = folder / f".{start:06d}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        rows = []
        for index in range(start, start + size):
            if _STOPPED is not None and _STOPPED.is_set():
                raise concurrent.futures.CancelledError
            rows.append(draw(index))
        for name in rows[0][0]:
            arrays = np.stack([drawn[name] for drawn, _ in rows])
            np.save(temporary / f"{name}.npy", arrays)
        labels = json.dumps([label for _, label in rows], ensure_ascii=False)
        (temporary / "labels.json").write_text(labels, encoding="utf-8")
        with contextlib.suppress(OSError):  # another process was first
            temporary.rename(folder / f"{start:06d}")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
