"""The one place that talks to Orbax.

One save is one atomic folder: `params`, `ema`, `optimizer` and `counters` as separate
items, so that inference reads the EMA alone; `data`, the state of the Grain iterator;
and `config`. A save that was killed half-way is a temporary folder, which the next
start removes and never loads.
"""

import collections
import itertools
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from animatrix_jax.errors import UserError
from animatrix_jax.training.lazy import Index, LazyArray
from animatrix_jax.training.step import TrainState

_ITEMS = ("params", "ema", "optimizer", "counters")
# Of a chunk on disk, which is read as a whole: who reads a part reads not much more.
_CHUNK_BYTES = 4 << 20
# Chunks are read whole and unpacked before a part is taken: all at once would hold an
# array several times over.
_CHUNKS_AT_ONCE = 4


class Checkpoints:
    """The checkpoints of one stage, in `folder`."""

    def __init__(self, folder: pathlib.Path, *, keep: int = 2):
        self.folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=True,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def latest(self) -> int | None:
        """The newest complete checkpoint's step, or None."""
        return self._manager.latest_step()

    def config(self) -> dict[str, Any]:
        """The config that the newest checkpoint was trained with."""
        return read_config(self.folder)

    def save(
        self,
        step: int,
        state: TrainState,
        *,
        iterator: grain.DatasetIterator,
        config: dict[str, Any],
    ) -> None:
        """Saves in the background; the iterator's state is taken now."""
        if step == self.latest:
            return
        items = {
            name: ocp.args.StandardSave(
                item,
                save_args=jax.tree.map(
                    lambda _: ocp.SaveArgs(chunk_byte_size=_CHUNK_BYTES), item
                ),
            )
            for name, item in _split(state).items()
        }
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **items,
                data=grain.checkpoint.CheckpointSave(iterator),
                config=ocp.args.JsonSave(config),
            ),
            force=True,
        )

    def restore(self, like: TrainState, *, iterator: Any) -> TrainState:
        """The latest state, in the shapes and shardings of `like`; moves `iterator`."""
        items = {
            name: ocp.args.StandardRestore(item) for name, item in _split(like).items()
        }
        restored = self._manager.restore(
            self.latest,
            args=ocp.args.Composite(
                **items, data=grain.checkpoint.CheckpointRestore(iterator)
            ),
        )
        return TrainState(
            params=restored["params"],
            ema=restored["ema"],
            optimizer=restored["optimizer"],
            **restored["counters"],
        )

    def wait(self) -> None:
        """Blocks until the last save is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Finishes pending saves and releases the manager."""
        self._manager.close()


def _split(state: TrainState) -> dict[str, Any]:
    counters = {
        "step": state.step,
        "key": state.key,
        "skipped": state.skipped,
        "skipped_in_row": state.skipped_in_row,
    }
    values = (state.params, state.ema, state.optimizer, counters)
    return dict(zip(_ITEMS, values))


def latest_step(folder: pathlib.Path) -> int | None:
    """The newest complete checkpoint in `folder`, or None; creates nothing."""
    if not folder.is_dir():
        return None
    steps = [
        int(path.name)
        for path in folder.iterdir()
        if path.name.isdigit() and (path / "_CHECKPOINT_METADATA").exists()
    ]
    return max(steps, default=None)


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """The config that the latest checkpoint in `folder` was trained with."""
    with ocp.CheckpointManager(folder.absolute(), item_names=("config",)) as manager:
        restored = manager.restore(
            latest_step(folder),
            args=ocp.args.Composite(config=ocp.args.JsonRestore()),
        )
    return restored["config"]


def component_names(folder: pathlib.Path) -> tuple[str, ...]:
    """The components whose weights the latest checkpoint in `folder` holds."""
    return tuple(_metadata(_item(folder, "ema")))


def read_params(
    folder: pathlib.Path, component: str, item: str = "ema"
) -> dict[str, Any]:
    """One component of the latest checkpoint as `LazyArray`s, whatever mesh saved it.

    Args:
      folder: a stage's `checkpoints` folder.
      component: "generator", "vae", ...
      item: "ema" or "params"; nothing else of the checkpoint is opened.

    Raises:
      UserError: if there is no complete checkpoint.
    """
    return read_tree(_item(folder, item))[component]


def _item(folder: pathlib.Path, item: str) -> pathlib.Path:
    """Where the latest checkpoint has an item."""
    step = latest_step(folder)
    if step is None:
        raise UserError(f"no checkpoint in {folder}")
    return folder / str(step) / item


def save_tree(folder: pathlib.Path, tree: dict[str, Any]) -> None:
    """Saves a tree of `LazyArray`s, a block at a time; `read_tree` gives it back.

    The form on disk is that of any Orbax checkpoint of arrays.
    """
    with ocp.Checkpointer(_handler()) as writer:
        writer.save(folder.absolute(), args=ocp.args.PyTreeSave(tree))


def read_tree(folder: pathlib.Path) -> dict[str, Any]:
    """The tree of an Orbax checkpoint as `LazyArray`s, of which nothing is read yet."""
    restore_args = jax.tree.map(lambda _: ocp.RestoreArgs(LazyArray), _metadata(folder))
    return _handler().restore(
        folder.absolute(), args=ocp.args.PyTreeRestore(restore_args=restore_args)
    )


def _metadata(folder: pathlib.Path) -> dict[str, Any]:
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
        most = max(1, _CHUNK_BYTES // max(1, bytes_of_one))
        shape[axis] = max(n for n in range(1, size + 1) if size % n == 0 and n <= most)
        if shape[axis] > 1:
            break
    return tuple(shape)
