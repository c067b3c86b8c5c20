"""The one place that talks to Orbax.

One save is one atomic folder: `params`, `ema`, `optimizer` and `counters` as separate
items, so that inference reads the EMA alone; `data`, the state of the Grain iterator;
and `config`. A save that was killed half-way is a temporary folder, which the next
start removes and never loads.
"""

import pathlib
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp

from animatrix_jax.errors import UserError
from animatrix_jax.training.step import TrainState

_ITEMS = ("params", "ema", "optimizer", "counters")


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
            name: ocp.args.StandardSave(item) for name, item in _split(state).items()
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
    return tuple(_metadata(folder, "ema"))


def read_params(
    folder: pathlib.Path, component: str, item: str = "ema"
) -> dict[str, Any]:
    """One component of the latest checkpoint as numpy, whatever mesh saved it.

    Only that component's arrays are read.

    Args:
      folder: a stage's `checkpoints` folder.
      component: "generator", "vae", ...
      item: "ema" or "params".

    Raises:
      UserError: if there is no complete checkpoint.
    """
    shapes = {component: _metadata(folder, item)[component]}
    path = folder.absolute() / str(latest_step(folder)) / item
    restore_args = jax.tree.map(lambda _: ocp.RestoreArgs(np.ndarray), shapes)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        restored = reader.restore(
            path,
            args=ocp.args.PyTreeRestore(
                item=shapes, restore_args=restore_args, partial_restore=True
            ),
        )
    return restored[component]


def _metadata(folder: pathlib.Path, item: str) -> dict[str, Any]:
    """The tree of shapes and dtypes of an item."""
    step = latest_step(folder)
    if step is None:
        raise UserError(f"no checkpoint in {folder}")
    with ocp.StandardCheckpointer() as reader:
        tree = reader.metadata(folder.absolute() / str(step) / item).item_metadata.tree
    return jax.tree.map(lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype), dict(tree))
