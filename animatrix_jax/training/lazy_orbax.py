"""Trees of `LazyArray`s as Orbax checkpoints, written and read a block at a time.

The form on disk is that of any Orbax checkpoint of arrays, so what training saves is read
lazily for inference, and what a conversion writes can be restored in any way.
"""

import collections
import itertools
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from animatrix_jax.training.lazy import Index, LazyArray

# Of a chunk on disk, which is read as a whole: who reads a part reads not much more.
CHUNK_BYTES = 4 << 20
# Chunks are read whole and unpacked before a part is taken: all at once would hold an
# array several times over.
_CHUNKS_AT_ONCE = 4


def save_tree(folder: pathlib.Path, tree: dict[str, Any]) -> None:
    """Saves a tree of `LazyArray`s, a block at a time; `read_tree` gives it back.

    The form on disk is that of any Orbax checkpoint of arrays.
    """
    with ocp.Checkpointer(_handler()) as writer:
        writer.save(folder.absolute(), args=ocp.args.PyTreeSave(tree))


def read_tree(folder: pathlib.Path) -> dict[str, Any]:
    """The tree of an Orbax checkpoint as `LazyArray`s, of which nothing is read yet."""
    restore_args = jax.tree.map(
        lambda _: ocp.RestoreArgs(LazyArray), tree_metadata(folder)
    )
    return _handler().restore(
        folder.absolute(), args=ocp.args.PyTreeRestore(restore_args=restore_args)
    )


def tree_metadata(folder: pathlib.Path) -> dict[str, Any]:
    """The tree of what Orbax knows of each array, without its values.

    By the handler alone: a `Checkpointer` would warn that an item of a save is no whole
    one.
    """
    return dict(_handler().metadata(folder.absolute()).tree)


class _LazyHandler(ocp.type_handlers.NumpyHandler):
    """Arrays on disk as `NumpyHandler` has them, never in memory as a whole."""

    async def serialize(
        self,
        values: Sequence[LazyArray],
        infos: Sequence[ocp.type_handlers.ParamInfo],
        args: Sequence[ocp.SaveArgs] | None = None,
    ) -> Sequence[Any]:
        for value, info in zip(values, infos, strict=True):
            await info.await_path_creation()
            chunk = _chunk_shape(value)
            spec = ocp.type_handlers.get_json_tspec_write(
                info,
                use_ocdbt=True,
                global_shape=value.shape,
                local_shape=chunk,
                dtype=value.dtype,
                process_index=jax.process_index(),
            )
            store = await tensorstore.open(
                tensorstore.Spec(spec), create=True, open=True, context=info.ts_context
            )
            for index in value.blocks(chunk[0] if chunk else 1):
                await store[index].write(value[index])
        return []

    async def deserialize(
        self,
        infos: Sequence[ocp.type_handlers.ParamInfo],
        args: Sequence[ocp.RestoreArgs] | None = None,
    ) -> Sequence[LazyArray]:
        arrays = []
        for info in infos:
            await info.await_path_creation()
            spec = ocp.type_handlers.get_json_tspec_read(
                info, use_ocdbt=bool(info.is_ocdbt_checkpoint)
            )
            store = await tensorstore.open(
                tensorstore.Spec(spec), open=True, context=info.ts_context
            )
            arrays.append(_from_store(store))
        return arrays


def _handler() -> ocp.PyTreeCheckpointHandler:
    registry = ocp.type_handlers.create_type_handler_registry(
        (jax.Array, ocp.type_handlers.ArrayHandler()), (LazyArray, _LazyHandler())
    )
    return ocp.PyTreeCheckpointHandler(type_handler_registry=registry)


def _from_store(store: tensorstore.TensorStore) -> LazyArray:
    dtype = np.dtype(store.dtype.numpy_dtype)

    def read(index: Index) -> np.ndarray:
        made = np.empty([part.stop - part.start for part in index], dtype)
        into = tensorstore.array(made).translate_to[[part.start for part in index]]
        reads: collections.deque[Any] = collections.deque()
        for piece in _chunks(store, index):
            if len(reads) == _CHUNKS_AT_ONCE:
                reads.popleft().result()
            reads.append(into[piece].write(store[piece]))
        while reads:
            reads.popleft().result()
        return made

    return LazyArray(shape=tuple(store.shape), dtype=dtype, read=read)


def _chunks(store: tensorstore.TensorStore, index: Index) -> Iterator[Index]:
    """The part of `index` in each chunk on disk that it touches."""
    cuts = []
    for part, size in zip(index, store.chunk_layout.read_chunk.shape, strict=True):
        starts = range(part.start // size * size, part.stop, size)
        cuts.append(
            [slice(max(at, part.start), min(at + size, part.stop)) for at in starts]
        )
    return itertools.product(*cuts)


def _chunk_shape(value: LazyArray) -> tuple[int, ...]:
    """Leading axes cut until a chunk is small, each into equal parts."""
    shape = list(value.shape)
    for axis, size in enumerate(shape):
        bytes_of_one = value.dtype.itemsize * math.prod(shape[axis + 1 :])
        most = max(1, CHUNK_BYTES // max(1, bytes_of_one))
        shape[axis] = max(n for n in range(1, size + 1) if size % n == 0 and n <= most)
        if shape[axis] > 1:
            break
    return tuple(shape)
