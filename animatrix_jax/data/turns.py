"""Any number of items through a program of one shape, a turn at a time.

parts = [np.asarray(program(items[rows])) for rows in full_turns(len(items), size)]
found = np.concatenate(parts)[: len(items)]
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from jaxtyping import Int

T = TypeVar("T")


def full_turns(count: int, size: int) -> list[Int[np.ndarray, " size"]]:
    """The rows of each turn over `count` items, always `size` of them.

    The last turn is filled up with its own last item: one shape, one program.
    """
    starts = range(0, count, size)
    return [np.minimum(np.arange(start, start + size), count - 1) for start in starts]


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items as they come, `size` at a time; the last list may be shorter."""
    some: list[T] = []
    for item in items:
        some.append(item)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
