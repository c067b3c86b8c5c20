"""Records of a source in order, drawn by several processes at once.

Drawing a clip holds Python's lock for most of its time, so threads would not help.
Workers are spawned, never forked: the parent has JAX running in it. The order, and so
the result, does not depend on how many workers there are.
"""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import sys
import types
from collections.abc import Iterator

from animatrix_jax.data.curriculum import clip_generator
from animatrix_jax.data.records import Record, Source

_CHUNK = 32
# Set in a worker process by _start_worker.
_SOURCE: Source | None = None


def draw_records(
    source: Source, *, count: int, seed: int = 0, workers: int = 2
) -> Iterator[Record]:
    """Yields `count` records: each clip of the source in turn, again and again.

    A second round through a source of real videos gives other windows in time.

    Args:
      source: must survive pickling if there are workers.
      count: how many.
      seed: of the windows in time.
      workers: processes; 0 draws in this one.
    """
    chunks = [range(n, min(n + _CHUNK, count)) for n in range(0, count, _CHUNK)]
    if workers == 0 or len(chunks) < 2:
        for chunk in chunks:
            yield from _draw(source, chunk, seed)
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(chunks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(source,),
    )
    pending: collections.deque[concurrent.futures.Future] = collections.deque()
    try:
        # A few chunks ahead, so that memory does not grow with the count.
        for chunk in chunks:
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
            # Any submit may start a process.
            with plain_main():
                pending.append(pool.submit(_draw_in_worker, chunk, seed))
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(source: Source) -> None:
    global _SOURCE
    _SOURCE = source


def _draw_in_worker(chunk: range, seed: int) -> list[Record]:
    return _draw(_SOURCE, chunk, seed)


def _draw(source: Source, chunk: range, seed: int) -> list[Record]:
    count = len(source)
    return [
        source.record(n % count, clip_generator(seed=seed, step=n // count, slot=n))
        for n in chunk
    ]


@contextlib.contextmanager
def plain_main() -> Iterator[None]:
    """Hides the main module while processes start.

    A spawned process imports its parent's main module anew. The workers need nothing
    from it, and a script without a `__main__` guard would run a second time in each.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
