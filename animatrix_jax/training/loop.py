"""The one loop. Every stage of the programme runs here.

    restore or initialise -> [batch -> step -> log -> validate -> save]* -> summary.json

A run that is killed at any instant and started again goes on as if it had not been:
parameters, moments, EMA, step (and with it the RNG) and the data iterator come from one
atomic checkpoint, and metrics after that checkpoint are cut before they are written
again.
"""

import collections
import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from absl import logging
from flax import traverse_util
from jax.sharding import Mesh
from tqdm import tqdm

from animatrix_jax.data.latents import fingerprint
from animatrix_jax.errors import UserError
from animatrix_jax.parallel import mesh as mesh_lib
from animatrix_jax.parallel import sharding
from animatrix_jax.training.checkpoint import Checkpoints
from animatrix_jax.training.optimizer import (
    OptimizerConfig,
    learning_rates,
    make_optimizer,
)
from animatrix_jax.training.placement import (
    abstract_state,
    fresh_state,
    jit_train_step,
    shardings_of,
)
from animatrix_jax.training.stage import Batch, Params, Stage
from animatrix_jax.training.step import TrainState, init_state
from animatrix_jax.training.writers import Writer, read_metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long a stage runs, and how often it reports. All in steps; 0 is never."""

    steps: int = 1000
    log_every: int = 20
    validate_every: int = 250
    sample_every: int = 0
    checkpoint_every: int = 250
    keep: int = 2
    max_nonfinite: int = 10
    profile: bool = False
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"loop.{name} must be 1 or more")


@runtime_checkable
class Callback(Protocol):
    """Called every `sample_every` steps and after the last, with the EMA parameters."""

    def __call__(self, step: int, params: Params, writer: Writer) -> None: ...


def train(
    stage: Stage,
    config: LoopConfig,
    *,
    optimizer: OptimizerConfig,
    workdir: pathlib.Path,
    mesh: Mesh,
    run_config: dict[str, Any],
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Runs a stage to its last step and returns its summary (also summary.json).

    Raises:
      UserError: if loss or gradient was not finite `max_nonfinite` times in a row.
    """
    folder = workdir / stage.name
    summary_path = folder / "summary.json"
    # Closing waits for a save that is under way, also when the run ends in an error.
    with contextlib.closing(
        Checkpoints(folder / "checkpoints", keep=config.keep)
    ) as checkpoints:
        done = checkpoints.latest or 0
        if done:
            check_same_run(checkpoints.config(), run_config, folder=folder)
        if done >= config.steps and summary_path.exists():
            logging.info("%s: done already, at step %d", stage.name, done)
            return json.loads(summary_path.read_text(encoding="utf-8"))
        if done > config.steps:
            raise UserError(f"{folder} is at step {done}, beyond {config.steps} steps")
        state = _run(
            stage,
            config,
            optimizer=optimizer,
            folder=folder,
            mesh=mesh,
            run_config=run_config,
            callbacks=callbacks,
            checkpoints=checkpoints,
        )
    stage.finish(state.ema, folder)
    summary = _summary(stage, folder, state)
    temporary = summary_path.with_suffix(".tmp")
    temporary.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    temporary.replace(summary_path)
    return summary


def _run(
    stage: Stage,
    config: LoopConfig,
    *,
    optimizer: OptimizerConfig,
    folder: pathlib.Path,
    mesh: Mesh,
    run_config: dict[str, Any],
    callbacks: Sequence[Callback],
    checkpoints: Checkpoints,
) -> TrainState:
    """From the latest checkpoint, or the start, to the last step."""
    done = checkpoints.latest or 0
    tx = make_optimizer(optimizer)
    placed = _Placed(stage, tx, mesh, config.seed)
    clock = _Clock(folder)
    iterator = iter(stage.batches())
    if done:
        state = checkpoints.restore(placed.abstract, iterator=iterator)
        logging.info("%s: resumed at step %d", stage.name, done)
    else:
        state = placed.initial_state()
        _log_overview(stage.name, state.params, folder)
    frozen = placed.frozen()
    step_fn = jit_train_step(stage, tx, optimizer, placed.shardings)
    validate = _Validation(stage, mesh, config.seed)
    writer = Writer(folder, resume_step=done)
    guard = _NonFiniteGuard(config.max_nonfinite)
    rates = learning_rates(optimizer, config.steps)
    profiler = _Profiler(folder / "profile", done + 5 if config.profile else None)
    if not done:
        loss = validate(state.ema, frozen)
        writer.scalars(0, {"validation_loss": loss, "seconds": clock.seconds()})
    bar = tqdm(
        total=config.steps, initial=done, desc=stage.name, unit="step", mininterval=1.0
    )
    for step in range(done + 1, config.steps + 1):
        batch = next(iterator)
        profiler.at(step)
        clip_ids = batch.pop("clip_id", None)
        state, metrics = step_fn(state, frozen, placed.batch(batch), rates[step - 1])
        guard.check(step, metrics, clip_ids)
        bar.update()
        last = step == config.steps
        validates = last or _falls_on(step, config.validate_every)
        if validates or _falls_on(step, config.log_every):
            values = {name: float(value) for name, value in metrics.items()}
            values |= {name: float(v) for name, v in stage.counts().items()}
            values["learning_rate"] = float(rates[step - 1])
            if validates:
                values["validation_loss"] = validate(state.ema, frozen)
            values["seconds"] = clock.seconds()
            writer.scalars(step, values)
            bar.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)
        if last or _falls_on(step, config.checkpoint_every):
            guard.flush()
            checkpoints.save(step, state, iterator=iterator, config=run_config)
        if not last and _falls_on(step, config.sample_every):
            for callback in callbacks:
                callback(step, state.ema, writer)
    # Also of a run that was killed after its last checkpoint.
    for callback in callbacks:
        callback(config.steps, state.ema, writer)
    bar.close()
    profiler.close()
    writer.close()
    return state


def _falls_on(step: int, every: int) -> bool:
    """Whether something that happens every so many steps (0: never) happens now."""
    return every > 0 and step % every == 0


# What may change between two calls of one run: none of it is in the weights, or, as the
# number of steps, it is a wish to go on.
_MAY_CHANGE = (
    *("loop", "mesh", "profile", "init", "data.workers", "data.path"),
    *("model.dit.remat", "model.dit.attention"),
)


def check_same_run(
    before: dict[str, Any], now: dict[str, Any], *, folder: pathlib.Path
) -> None:
    """Refuses to go on, or to be done, with what another config trained.

    Raises:
      UserError: naming each field with both values.
    """
    old, new = (traverse_util.flatten_dict(c, sep=".") for c in (before, now))
    changed = [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
        and not any(f"{name}.".startswith(f"{may}.") for may in _MAY_CHANGE)
    ]
    if changed:
        raise UserError(
            f"{folder} holds another run: {'; '.join(changed)}. Use another --workdir,"
            " or remove that folder to train it anew"
        )


class _Placed:
    """The train state on the mesh: shapes, shardings, and how to fill them."""

    def __init__(self, stage: Stage, tx: Any, mesh: Mesh, seed: int):
        self._stage, self._mesh, self._seed, self._tx = stage, mesh, seed, tx
        self._fresh = fresh_state(stage, tx, seed)
        self.abstract = abstract_state(stage, tx, mesh, seed)
        self.shardings = shardings_of(self.abstract)

    def initial_state(self) -> TrainState:
        """The state before the first step, from `stage.initial()` or fresh."""
        start = self._stage.initial()
        if start is None:
            return jax.jit(self._fresh, out_shardings=self.shardings)()
        start = sharding.put(start, self.shardings.params)
        return jax.jit(
            lambda params: init_state(params, self._tx, self._seed),
            out_shardings=self.shardings,
        )(start)

    def frozen(self) -> Params:
        """The frozen parameters, sharded by the same table."""
        tree = self._stage.frozen()
        return sharding.put(tree, sharding.tree_shardings(tree, self._mesh))

    def batch(self, batch: Batch) -> Params:
        """This host's slots of a batch, placed as part of the global batch."""
        return place_batch(batch, self._mesh)


def place_batch(batch: Batch, mesh: Mesh) -> Params:
    """A host's part of a global batch, split over the batch axes of the mesh."""
    place = mesh_lib.batch_sharding(mesh)
    return {
        name: jax.make_array_from_process_local_data(place, np.asarray(value))
        for name, value in batch.items()
    }


class _Validation:
    """The loss on fixed clips with fixed noise, so that two values compare."""

    def __init__(self, stage: Stage, mesh: Mesh, seed: int):
        self._batches = [
            place_batch({k: v for k, v in batch.items() if k != "clip_id"}, mesh)
            for batch in stage.held_out()
        ]
        self._keys = jax.random.split(
            jax.random.key(seed + 1), max(len(self._batches), 1)
        )
        self._loss = jax.jit(lambda *args: stage.loss(*args)[0])

    def __call__(self, params: Params, frozen: Params) -> float:
        losses = [
            self._loss(params, frozen, batch, key)
            for batch, key in zip(self._batches, self._keys)
        ]
        return float(np.mean([float(loss) for loss in losses]))


class _NonFiniteGuard:
    """Stops a run whose loss or gradient stays non-finite, and says on which clips.

    It reads the metrics of a step only when the next one has been dispatched, so that
    the accelerator never waits for it.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._pending: tuple[int, Any] | None = None
        self._recent: collections.deque[Any] = collections.deque(maxlen=max(limit, 1))

    def check(self, step: int, metrics: Any, clip_ids: np.ndarray | None) -> None:
        self.flush()
        self._recent.append(None if clip_ids is None else clip_ids.tolist())
        self._pending = (step, metrics["skipped_in_row"])

    def flush(self) -> None:
        if self._pending is None:
            return
        step, in_row = self._pending
        self._pending = None
        if int(in_row) >= self._limit:
            raise UserError(
                f"loss or gradient was not finite in the last {int(in_row)} steps, up "
                f"to step {step}; clip ids of those batches: {list(self._recent)}"
            )


class _Clock:
    """Seconds of training so far, over all restarts that left a checkpoint."""

    def __init__(self, folder: pathlib.Path):
        lines = read_metrics(folder)
        self._before = lines[-1].get("seconds", 0.0) if lines else 0.0
        self._start = time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start


class _Profiler:
    """Writes a trace of three steps, once."""

    def __init__(self, folder: pathlib.Path, start: int | None):
        self._folder, self._start, self._open = folder, start, False

    def at(self, step: int) -> None:
        if self._start is None:
            return
        if step == self._start:
            jax.profiler.start_trace(str(self._folder))
            self._open = True
        elif step == self._start + 3:
            self.close()

    def close(self) -> None:
        if self._open:
            jax.profiler.stop_trace()
            logging.info("profile written to %s", self._folder)
            self._open = False


def _log_overview(name: str, params: Params, folder: pathlib.Path) -> None:
    """The number of parameters to the log, every one of them to parameters.txt."""
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    logging.info("%s: %s trainable parameters", name, f"{count:,}")
    try:
        from clu import parameter_overview
    except ImportError:
        return
    overview = parameter_overview.get_parameter_overview(params, include_stats=False)
    (folder / "parameters.txt").write_text(overview + "\n", encoding="utf-8")


def _summary(stage: Stage, folder: pathlib.Path, state: TrainState) -> dict[str, Any]:
    lines = read_metrics(folder)
    validation = [
        line["validation_loss"] for line in lines if "validation_loss" in line
    ]
    return {
        "name": stage.name,
        "steps": int(state.step),
        "loss_first": validation[0],
        "loss_last": validation[-1],
        "seconds": round(lines[-1]["seconds"], 1),
        "skipped": int(state.skipped),
        **stage.counts(),
        "params_digest": fingerprint(state.params),
    }
