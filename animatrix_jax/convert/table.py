"""The form of every family's table: their names and layouts beside our paths.

A family is a function of our config that lists `Entry`s, one for each of their tensors;
`Layout` says how their array is ours seen otherwise. From the list and the shapes of our
parameters follow their names and shapes, both directions of the conversion, and all that
can be wrong with a file (`Misfit`).

Where our parameters are stacked over layers, the entries of all layers have one path.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from animatrix_jax.errors import UserError
from animatrix_jax.training.lazy import Index, LazyArray

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How their array of a parameter lies, seen from ours.

    Attributes:
      shape: from our shape (of one layer) to theirs.
      axes: our axes in the order of theirs, before `shape` splits or joins any.
    """

    shape: Callable[[Shape], Shape]
    axes: Callable[[int], tuple[int, ...]]

    def theirs(self, ours: np.ndarray) -> np.ndarray:
        """Their array of one of ours."""
        return ours.transpose(self.axes(ours.ndim)).reshape(self.shape(ours.shape))

    def ours(self, theirs: np.ndarray, shape: Shape) -> np.ndarray:
        """Our array, of `shape`, of one of theirs."""
        axes = self.axes(len(shape))
        permuted = theirs.reshape([shape[axis] for axis in axes])
        return permuted.transpose(np.argsort(axes) if axes else ())


def _straight(ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim))


def _output_first(ndim: int) -> tuple[int, ...]:
    """[... i o] as [o i ...]."""
    return (ndim - 1, ndim - 2, *range(ndim - 2))


def _permuted(shape: Shape) -> Shape:
    return tuple(shape[axis] for axis in _output_first(len(shape)))


def trailing(ones: int) -> Layout:
    """A vector [c] as [c 1 ...]."""
    return Layout(shape=lambda shape: (*shape, *(1,) * ones), axes=_straight)


def conv(ones: int = 0) -> Layout:
    """A kernel [... i o] as [o i ... 1 ...], with `ones` axes of 1 behind."""
    return Layout(
        shape=lambda shape: (*_permuted(shape), *(1,) * ones), axes=_output_first
    )


def patches(size: tuple[int, ...]) -> "PatchLayout":
    """A matrix [(t h w c) o] as the convolution [o c t h w], or so without t."""
    return PatchLayout(size=size)


def heads(count: int, *, axis: int) -> Layout:
    """A matrix whose `axis` is `count` heads' channels as one axis more."""

    def split(shape: Shape) -> Shape:
        channels = shape[axis] // count
        return (*shape[:axis], count, channels, *shape[axis + 1 :])

    return Layout(shape=split, axes=_straight)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatchLayout:
    """A linear map of patches, which the reference has as a convolution."""

    size: tuple[int, ...]

    def shape(self, ours: Shape) -> Shape:
        """Their shape of ours."""
        return (ours[1], ours[0] // math.prod(self.size), *self.size)

    def theirs(self, ours: np.ndarray) -> np.ndarray:
        """[o c t h w]."""
        volume = ours.reshape(*self.size, -1, ours.shape[1])
        return volume.transpose(_output_first(volume.ndim))

    def ours(self, theirs: np.ndarray, shape: Shape) -> np.ndarray:
        """[(t h w c) o]."""
        axes = _output_first(theirs.ndim)
        return theirs.transpose(np.argsort(axes)).reshape(shape)


SAME = Layout(shape=lambda shape: shape, axes=_straight)
LINEAR = conv()
FIRST = Layout(shape=lambda shape: (1, *shape), axes=_straight)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One of their tensors.

    Attributes:
      theirs: its name.
      ours: our path, "a/b/c".
      layer: which layer of ours it is, where ours is stacked over layers.
      layout: how it lies.
      copies: further names under which a file may hold the same tensor.
    """

    theirs: str
    ours: str
    layer: int | None = None
    layout: Layout | PatchLayout = SAME
    copies: tuple[str, ...] = ()


Table = Sequence[Entry]
Tensors = Mapping[str, LazyArray]


def their_shapes(table: Table, ours: Mapping[str, Any]) -> dict[str, Shape]:
    """The shape of each of their tensors.

    Args:
      table: the family's.
      ours: our parameters by path, or only their shapes.

    Raises:
      ValueError: if the table and our parameters are not of the same network.
    """
    _covers(table, ours)
    return {
        entry.theirs: tuple(entry.layout.shape(_one_shape(entry, ours)))
        for entry in table
    }


def from_theirs(
    table: Table, tensors: Tensors, ours: Mapping[str, Any], *, source: str, family: str
) -> dict[str, LazyArray]:
    """Our parameters, read from theirs when they are asked for.

    Args:
      table: the family's.
      tensors: theirs by name.
      ours: the shapes of our parameters by path.
      source: what the tensors come from, for the error.
      family: what they should be, for the error.

    Raises:
      UserError: naming every tensor that is missing, left over or of another shape.
    """
    tensors = _without_copies(table, tensors, source)
    expected = their_shapes(table, ours)
    problems = [
        *(f"missing {name}" for name in expected if name not in tensors),
        *(f"left over {name}" for name in tensors if name not in expected),
        *(
            f"{name} is {list(tensors[name].shape)} and should be {list(shape)}"
            for name, shape in expected.items()
            if name in tensors and tuple(tensors[name].shape) != shape
        ),
    ]
    if problems:
        raise UserError(f"{source} is not a {family}: {'; '.join(problems)}")
    stacks: dict[str, list[Entry]] = {}
    for entry in table:
        stacks.setdefault(entry.ours, []).append(entry)
    return {
        path: _read_ours(entries, tensors, tuple(ours[path].shape))
        for path, entries in stacks.items()
    }


def to_theirs(table: Table, ours: Mapping[str, Any]) -> dict[str, LazyArray]:
    """Their tensors, read from ours (arrays or lazy ones) when they are asked for."""
    shapes = their_shapes(table, ours)

    def read(entry: Entry, index: Index) -> np.ndarray:
        leaf = ours[entry.ours]
        if entry.layout is SAME:  # of a large table, no more than is asked for
            at = index if entry.layer is None else (entry.layer, *index)
            return np.asarray(leaf[at])
        one = leaf[...] if entry.layer is None else leaf[entry.layer]
        return entry.layout.theirs(np.asarray(one))[index]

    return {
        entry.theirs: LazyArray(
            shape=shapes[entry.theirs],
            dtype=np.dtype(ours[entry.ours].dtype),
            read=lambda index, entry=entry: read(entry, index),
            unit=1 if entry.layout is SAME else max(1, shapes[entry.theirs][0]),
        )
        for entry in table
    }


def _covers(table: Table, ours: Mapping[str, Any]) -> None:
    """Every layer of every parameter of ours is in the table, once."""
    listed = sorted((entry.ours, entry.layer or 0) for entry in table)
    stacked = {entry.ours for entry in table if entry.layer is not None}
    known = sorted(
        (path, layer)
        for path, leaf in ours.items()
        for layer in range(leaf.shape[0] if path in stacked else 1)
    )
    if listed != known:
        odd = sorted(set(listed) ^ set(known)) or "a path that is listed twice"
        raise ValueError(f"the table is of another network: {odd}")


def _one_shape(entry: Entry, ours: Mapping[str, Any]) -> Shape:
    shape = tuple(ours[entry.ours].shape)
    return shape if entry.layer is None else shape[1:]


def _without_copies(table: Table, tensors: Tensors, source: str) -> Tensors:
    """The tensors without their copies, one of which may stand for the original.

    Raises:
      UserError: if a copy has other values.
    """
    tensors = dict(tensors)
    for entry in table:
        for name in entry.copies:
            if name not in tensors:
                continue
            copy = tensors.pop(name)
            kept = tensors.setdefault(entry.theirs, copy)
            if copy.shape != kept.shape or not _equal(copy, kept):
                raise UserError(
                    f"{source}: {name} should be a copy of {entry.theirs}, and differs"
                )
    return tensors


def _equal(a: LazyArray, b: LazyArray) -> bool:
    return a is b or all(np.array_equal(a[index], b[index]) for index in a.blocks())


def _read_ours(entries: Sequence[Entry], tensors: Tensors, shape: Shape) -> LazyArray:
    """One parameter of ours; a layer is read when a part of it is asked for."""
    dtypes = [tensors[entry.theirs].dtype for entry in entries]
    dtype = dtypes[0]
    for other in dtypes[1:]:
        dtype = wider(dtype, other)
    if entries[0].layer is None:
        entry = entries[0]

        def read(index: Index) -> np.ndarray:
            if entry.layout is SAME:
                return tensors[entry.theirs][index]
            return entry.layout.ours(tensors[entry.theirs][...], shape)[index]

        return LazyArray(shape=shape, dtype=dtype, read=read)
    by_layer = {entry.layer: entry for entry in entries}

    def read_layers(index: Index) -> np.ndarray:
        layers = range(shape[0])[index[0]]
        sizes = [len(range(size)[part]) for size, part in zip(shape[1:], index[1:])]
        out = np.empty((len(layers), *sizes), dtype)
        for row, layer in zip(out, layers):
            entry = by_layer[layer]
            theirs = tensors[entry.theirs][...]
            row[...] = entry.layout.ours(theirs, shape[1:])[index[1:]]
        return out

    return LazyArray(shape=shape, dtype=dtype, read=read_layers)


def wider(a: np.dtype, b: np.dtype) -> np.dtype:
    """The float dtype that holds the values of both."""
    if a == b:
        return a
    halves = {np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)}
    return np.dtype(np.float32) if {a, b} == halves else max(a, b, key=_size)


def _size(dtype: np.dtype) -> int:
    return dtype.itemsize
