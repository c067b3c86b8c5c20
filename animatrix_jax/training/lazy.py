"""Arrays that are read when they are asked for, and only as far.

Weights larger than the memory at hand move from a file to a checkpoint, or onto a mesh,
a block at a time: whoever reads a tree of these holds one block and no more.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

Index = tuple[slice, ...]

# What a stream holds at once, where the first axis can be cut so far.
BLOCK_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class LazyArray:
    """An array of which `read` gives any part.

    Attributes:
      read: takes a slice without step for every axis, gives an array of that part.
      unit: so many rows of the first axis are read for any one of them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Index], np.ndarray]
    unit: int = 1

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __getitem__(self, index: Any) -> np.ndarray:
        """The part, by slices without step, integers and an ellipsis."""
        parts = index if isinstance(index, tuple) else (index,)
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            whole = (slice(None),) * (self.ndim - len(parts) + 1)
            parts = (*parts[:at], *whole, *parts[at + 1 :])
        parts = (*parts, *(slice(None),) * (self.ndim - len(parts)))
        slices = tuple(
            slice(*part.indices(size)) if isinstance(part, slice) else _one(part, size)
            for part, size in zip(parts, self.shape, strict=True)
        )
        drop = tuple(
            0 if not isinstance(part, slice) else slice(None) for part in parts
        )
        return np.asarray(self.read(slices)[drop])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype)

    def astype(self, dtype: Any) -> "LazyArray":
        """The same values in another dtype, cast as they are read."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self
        return dataclasses.replace(
            self, dtype=dtype, read=lambda index: self.read(index).astype(dtype)
        )

    def blocks(self, rows: int = 1) -> Iterator[Index]:
        """Indices that cover the array, runs of whole multiples of `rows` of its first
        axis, of about `BLOCK_BYTES` each."""
        if not self.shape:
            yield ()
            return
        rows = math.lcm(rows, self.unit)
        row_bytes = max(1, self.nbytes // max(1, self.shape[0]))
        step = max(1, BLOCK_BYTES // row_bytes // rows) * rows
        for start in range(0, self.shape[0], step):
            stop = min(start + step, self.shape[0])
            yield (slice(start, stop), *(slice(0, size) for size in self.shape[1:]))


def lazy(array: np.ndarray) -> LazyArray:
    """An array in memory, or mapped from a file, as one to read from."""
    return LazyArray(
        shape=array.shape, dtype=array.dtype, read=lambda index: array[index]
    )


def loaded(tree: Any) -> Any:
    """A tree with its lazy arrays read."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) if isinstance(leaf, LazyArray) else leaf, tree
    )


def _one(index: int, size: int) -> slice:
    start = range(size)[index]
    return slice(start, start + 1)
