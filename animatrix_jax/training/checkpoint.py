"""The checkpoints of a run, by Orbax; lazy_orbax.py reads and writes weights alone.

One save is one atomic folder: `params`, `ema`, `optimizer` and `counters` as separate
items, so that inference reads the EMA alone; `data`, the state of the Grain iterator;
and `config`. A save that was killed half-way is a temporary folder, which the next
start removes and never loads. One that is complete is digested (manifest.py), and held
to its digests before it is read.
"""

import concurrent.futures
import itertools
import json
import pathlib
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from absl import logging

from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.training import manifest
from animatrix_jax.training.lazy_orbax import CHUNK_BYTES, read_tree, tree_metadata
from animatrix_jax.training.step import TrainState

_ITEMS = ("params", "ema", "optimizer", "counters")
# Of arrays on their way from disk to devices at one time, a host.
_RESTORE_GB = 8


class Checkpoints:
    """The checkpoints of one stage, in `folder`.

    A checkpoint counts once it is sealed (manifest.py): its files are complete and
    digested. What is damaged, or was cut short before that, is set aside when this
    opens or restores, into `damaged` beside the folder, and the one before is taken.

    Raises:
      UserError: if there have been checkpoints, and none is whole.
    """

    def __init__(self, folder: pathlib.Path, *, keep: int = 2):
        self.folder = folder.absolute()
        self._latest = distributed.agreed(lambda: _newest(self.folder))
        self._asked = self._latest
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=True,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
        )
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=options,
            item_handlers={
                **{
                    name: ocp.StandardCheckpointHandler(
                        restore_concurrent_gb=_RESTORE_GB
                    )
                    for name in _ITEMS
                },
                **{name: ocp.JsonCheckpointHandler() for name in ("data", "config")},
            },
        )
        distributed.check_shared(self.folder)
        self._sealer = concurrent.futures.ThreadPoolExecutor(1)
        self._sealing: concurrent.futures.Future[None] | None = None

    @property
    def latest(self) -> int | None:
        """The newest whole checkpoint's step, or None."""
        return self._latest

    def config(self) -> dict[str, Any]:
        """The config that the newest checkpoint was trained with."""
        return _read_config(self.folder / str(self._latest))

    def position(self) -> dict[str, Any]:
        """Where the newest checkpoint's data iterator stood, on any number of hosts."""
        folder = self.folder / str(self._latest) / "data"
        # The other name is that of earlier versions, which saved one for each process.
        paths = [folder / "metadata", folder / "process_0-of-1.json"]
        return json.loads(_first_there(paths).read_text(encoding="utf-8"))

    def save(
        self,
        step: int,
        state: TrainState,
        *,
        iterator: grain.DatasetIterator,
        config: dict[str, Any],
    ) -> None:
        """Saves in the background; the iterator's state is taken now.

        Raises:
          Exception: whatever kept the save before this one from being written.
        """
        if step == self._asked:
            return
        self.wait()
        self._asked = step
        items = {
            name: ocp.args.StandardSave(
                item,
                save_args=jax.tree.map(
                    lambda _: ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES), item
                ),
            )
            for name, item in _split(state).items()
        }
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **items,
                # A step's batch is one for all hosts, and so is its number.
                data=ocp.args.JsonSave(iterator.get_state()),
                config=ocp.args.JsonSave(config),
            ),
            force=True,
        )
        self._sealing = self._sealer.submit(self._seal, step)

    def restore(self, like: TrainState) -> TrainState:
        """The newest whole state, in the shapes and shardings of `like`.

        Every file is read twice: first against its digest, by the processes together.

        Raises:
          UserError: if no checkpoint is whole; `latest` is the one that was restored.
        """
        while found := self._damage():
            _set_aside(self.folder, self._latest, found)
            self._latest = distributed.agreed(lambda: _newest(self.folder))
            self._asked = self._latest
            self._manager.reload()
        items = {
            name: ocp.args.StandardRestore(item) for name, item in _split(like).items()
        }
        restored = self._manager.restore(self._latest, args=ocp.args.Composite(**items))
        return TrainState(
            params=restored["params"],
            ema=restored["ema"] if "ema" in items else None,
            optimizer=restored["optimizer"],
            **restored["counters"],
        )

    def wait(self) -> None:
        """Blocks until the last save is on disk and sealed.

        Raises:
          Exception: whatever kept it from being written.
        """
        if self._sealing is not None:
            self._sealing.result()
            self._sealing = None

    def close(self) -> None:
        """Finishes pending saves and releases the manager."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def _seal(self, step: int) -> None:
        """Waits until the save of `step` is complete on all hosts, and digests it."""
        self._manager.wait_until_finished()
        manifest.write_part(
            self.folder / str(step),
            process=jax.process_index(),
            processes=jax.process_count(),
        )
        self._latest = step

    def _damage(self) -> str | None:
        """What the processes, each reading its share, find wrong with the newest."""
        found = manifest.damage(
            self.folder / str(self._latest),
            process=jax.process_index(),
            processes=jax.process_count(),
        )
        return next(filter(None, distributed.gather(found)), None)


def _first_there(paths: list[pathlib.Path]) -> pathlib.Path:
    return next((path for path in paths if path.exists()), paths[0])


def _is_complete(folder: pathlib.Path) -> bool:
    return (folder / "_CHECKPOINT_METADATA").exists()


def _steps(folder: pathlib.Path) -> list[int]:
    """The steps whose save has come to its end, newest first."""
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if _is_complete(path))
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def _newest(folder: pathlib.Path) -> int | None:
    """The newest sealed checkpoint whose files have their sizes; None at the start.

    What is newer is set aside. Where none is sealed (all are of an earlier version, or
    the first was cut short at its very end), the newest is taken as it is.
    """
    steps = _steps(folder)
    sealed = [s for s in steps if manifest.is_sealed(folder / str(s))]
    if steps and not sealed:
        logging.warning("%s is taken unverified: it has no manifest", steps[0])
        return steps[0]
    for step in steps:
        if step not in sealed:
            found = f"{folder / str(step)} was cut short before its manifest"
        else:
            found = manifest.damage(folder / str(step), digests=False)
        if found is None:
            return step
        _set_aside(folder, step, found)
    if any(_aside(folder).glob("*")):
        raise UserError(
            f"no checkpoint in {folder} is whole, and there have been some: they are in "
            f"{_aside(folder)}. Remove {folder.parent} to start anew"
        )
    return None


def _aside(folder: pathlib.Path) -> pathlib.Path:
    return folder.parent / "damaged"


def _set_aside(folder: pathlib.Path, step: int, found: str) -> None:
    """Moves a checkpoint out of the way; only process 0 does, and warns."""
    if not distributed.is_first():
        return
    logging.warning("%s: set aside, and the checkpoint before it is used", found)
    _aside(folder).mkdir(exist_ok=True)
    for number in itertools.count():
        place = _aside(folder) / (f"{step}-{number}" if number else str(step))
        if not place.exists():
            (folder / str(step)).rename(place)
            return


def _split(state: TrainState) -> dict[str, Any]:
    counters = {
        "step": state.step,
        "key": state.key,
        "skipped": state.skipped,
        "skipped_in_row": state.skipped_in_row,
    }
    values = (state.params, state.ema, state.optimizer, counters)
    return {name: item for name, item in zip(_ITEMS, values) if item is not None}


def latest_step(folder: pathlib.Path) -> int | None:
    """The newest complete checkpoint in `folder`, or None; creates nothing.

    Of sealed ones, if there are any.
    """
    steps = _steps(folder)
    sealed = (step for step in steps if manifest.is_sealed(folder / str(step)))
    return next(sealed, steps[0] if steps else None)


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """The config that the latest checkpoint in `folder` was trained with.

    Raises:
      UserError: if there is no checkpoint, or its config is damaged.
    """
    return _read_config(_item(folder, "config").parent)


def _read_config(step_folder: pathlib.Path) -> dict[str, Any]:
    path = step_folder / "config" / "metadata"
    return json.loads(path.read_text(encoding="utf-8"))


def component_names(folder: pathlib.Path) -> tuple[str, ...]:
    """The components whose weights the latest checkpoint in `folder` holds.

    Raises:
      UserError: if there is no checkpoint, or what tells its components is damaged.
    """
    return tuple(tree_metadata(_item(folder, "averaged", digests=False)))


def read_params(
    folder: pathlib.Path, component: str, item: str = "averaged"
) -> dict[str, Any]:
    """One component of the latest checkpoint as `LazyArray`s, whatever mesh saved it.

    The item's files are read once before, against their digests.

    Args:
      folder: a stage's `checkpoints` folder.
      component: "generator", "vae", ...
      item: "ema", "params", or "averaged", the first of them that there is; nothing else
        of the checkpoint is opened.

    Raises:
      UserError: if there is no complete checkpoint, or a file of the item is damaged.
    """
    return read_tree(_item(folder, item))[component]


def _item(folder: pathlib.Path, item: str, *, digests: bool = True) -> pathlib.Path:
    """Where the latest checkpoint has an item, once it is seen to be whole."""
    step = latest_step(folder)
    if step is None:
        raise UserError(f"no checkpoint in {folder}")
    if item == "averaged":
        item = "ema" if (folder / str(step) / "ema").exists() else "params"
    found = manifest.damage(folder / str(step), below=item, digests=digests)
    if found:
        raise UserError(
            f"damaged checkpoint: {found}. Training goes on from the one before it, and "
            f"so does this once {folder / str(step)} is moved away"
        )
    return folder / str(step) / item
