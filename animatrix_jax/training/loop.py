"""The one loop. Every stage of the programme runs here.

    restore or initialise -> [batch -> step -> log -> validate -> save]* -> summary.json

A run that is killed at any instant and started again goes on as if it had not been:
parameters, moments, EMA, step (and with it the RNG) and the data iterator come from one
atomic checkpoint, and metrics after that checkpoint are cut before they are written
again.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
from absl import logging
from jax.sharding import Mesh
from tqdm import tqdm

from animatrix_jax.errors import UserError, check_range
from animatrix_jax.parallel import distributed
from animatrix_jax.training.checkpoint import Checkpoints, latest_step
from animatrix_jax.training.faults import Session, Stopped, is_full_disk
from animatrix_jax.training.feed import Feed, StepProgram
from animatrix_jax.training.goodput import Ledger
from animatrix_jax.training.monitors import NonFiniteGuard, Profiler, log_overview
from animatrix_jax.training.optimizer import (
    OptimizerConfig,
    learning_rates,
    make_optimizer,
)
from animatrix_jax.training.placement import (
    Placed,
    abstract_batch,
    jit_train_step,
)
from animatrix_jax.training.same_run import check_same_run
from animatrix_jax.training.stage import Params, Stage
from animatrix_jax.training.step import TrainState
from animatrix_jax.training.summary import (
    Clock,
    params_digest,
    read_summary,
    write_summary,
)
from animatrix_jax.training.validate import Validation
from animatrix_jax.training.writers import Writer


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long a stage runs, how often it reports, and how long it waits for what.

    Attributes:
      steps: of the whole stage.
      log_every, validate_every, sample_every, checkpoint_every: in steps; 0 is never.
      keep: checkpoints.
      max_nonfinite: steps in a row whose loss or gradient is not finite end the run.
      compile_cache: keep compiled programs in WORKDIR/.compiled, unless
        JAX_COMPILATION_CACHE_DIR says where.
      start_seconds: within which all processes have to have come together.
      heartbeat_seconds: a process that is silent for so long is lost, and the run ends.
      hang_seconds: as long as a batch, a step, a validation or a save may take.
    """

    steps: int = 1000
    log_every: int = 20
    validate_every: int = 250
    sample_every: int = 0
    checkpoint_every: int = 250
    keep: int = 2
    max_nonfinite: int = 10
    compile_cache: bool = True
    start_seconds: int = 600
    heartbeat_seconds: int = 60
    hang_seconds: float = 1800.0

    def __post_init__(self):
        at_least_one = ("steps", "keep", "max_nonfinite", "start_seconds")
        check_range(self, *at_least_one, "heartbeat_seconds", low=1, section="loop")
        often = ("log_every", "validate_every", "sample_every", "checkpoint_every")
        check_range(self, *often, low=0, section="loop")
        check_range(self, "hang_seconds", low=0, above=True, section="loop")


@runtime_checkable
class Callback(Protocol):
    """Called every `sample_every` steps and after the last, with the EMA parameters.

    Where a run was stopped it is called for the step again: what is there stays.
    """

    def __call__(self, step: int, params: Params, writer: Writer) -> None: ...


def train(
    stage: Stage,
    config: LoopConfig,
    *,
    optimizer: OptimizerConfig,
    workdir: pathlib.Path,
    mesh: Mesh,
    run_config: dict[str, Any],
    seed: int = 0,
    profile: bool = False,
    callbacks: Sequence[Callback] = (),
    session: Session | None = None,
) -> dict[str, Any]:
    """Runs a stage to its last step and returns its summary (also summary.json).

    With several processes, each calls this with the same arguments.

    Args:
      stage: what to train.
      config: how long, and how often what.
      optimizer: how its parameters move.
      workdir: its folder is below, by its name.
      mesh: what it is trained on.
      run_config: all that the run is, to be saved with it and compared.
      seed: of fresh parameters, and of the noise of each step.
      profile: write a trace of some steps.
      callbacks: called along the way.
      session: the process's; it may ask the run to stop.

    Raises:
      UserError: if loss or gradient was not finite `max_nonfinite` times in a row, the
        disk is full, or no checkpoint of the run is whole.
      Stopped: if the session asked it to, once it has saved.
    """
    session = session or Session()
    folder = workdir / stage.name
    # Closing waits for a save that is under way, also when the run ends in an error.
    with (
        _full_disk_is_told(folder),
        contextlib.closing(
            Checkpoints(folder / "checkpoints", keep=config.keep)
        ) as checkpoints,
    ):
        done = checkpoints.latest or 0
        if done:
            check_same_run(checkpoints.config(), run_config, folder=folder)
        summary = read_summary(folder)
        # That of fewer steps was written before the run went on.
        if done >= config.steps and summary and summary["steps"] == done:
            logging.info("%s: done already, at step %d", stage.name, done)
            return summary
        if done > config.steps:
            raise UserError(f"{folder} is at step {done}, beyond {config.steps} steps")
        ledger = Ledger(folder, began=session.began)
        state = _run(
            stage,
            config,
            optimizer=optimizer,
            folder=folder,
            mesh=mesh,
            run_config=run_config,
            seed=seed,
            profile=profile,
            callbacks=callbacks,
            checkpoints=checkpoints,
            session=session,
            ledger=ledger,
        )
        session.at(config.steps, "finish")
        with ledger.on("finish"):
            stage.finish(state.averaged, folder)
            digest = params_digest(state.params)
        ledger.mark(config.steps)
    return distributed.agreed(
        lambda: write_summary(stage, folder, state, ledger=ledger, digest=digest)
    )


def _run(
    stage: Stage,
    config: LoopConfig,
    *,
    optimizer: OptimizerConfig,
    folder: pathlib.Path,
    mesh: Mesh,
    run_config: dict[str, Any],
    seed: int,
    profile: bool,
    callbacks: Sequence[Callback],
    checkpoints: Checkpoints,
    session: Session,
    ledger: Ledger,
) -> TrainState:
    """From the latest checkpoint, or the start, to the last step."""
    clock = Clock(folder)
    begun = _begin(
        stage,
        config,
        optimizer=optimizer,
        folder=folder,
        mesh=mesh,
        seed=seed,
        checkpoints=checkpoints,
        session=session,
        ledger=ledger,
    )
    state, done = begun.state, begun.done
    rates = learning_rates(optimizer, config.steps)
    validate = Validation(stage, mesh, seed)
    guard = NonFiniteGuard(config.max_nonfinite)
    profiler = Profiler(folder / "profile", done + 5 if profile else None)
    bar = tqdm(
        total=config.steps,
        initial=done,
        desc=stage.name,
        unit="step",
        mininterval=1.0,
        disable=not distributed.is_first(),
    )
    with (
        contextlib.closing(Writer(folder, resume_step=done)) as writer,
        contextlib.closing(profiler),
        contextlib.closing(begun.feed),
        bar,
    ):

        def sample(step: int) -> None:
            session.at(step, "samples")
            if callbacks:
                with ledger.on("samples"):
                    params = distributed.fetch(state.averaged)
                    with distributed.apart():
                        for callback in callbacks if distributed.is_first() else ():
                            callback(step, params, writer)

        if not done:
            session.at(0, "validation")
            with ledger.on("validation"):
                losses = validate(state.averaged, begun.frozen)
            writer.scalars(0, losses | {"seconds": clock.seconds()})
        if 0 < done < config.steps and _falls_on(done, config.sample_every):
            sample(done)  # of a run that was stopped there, or killed while it sampled
        ledger.switch("step")
        for step in range(done + 1, config.steps + 1):
            session.at(step, "data")
            with ledger.on("data"):
                clip_ids, batch = begun.feed.next()
            session.at(step, "step")
            profiler.at(step)
            state, metrics = begun.step_fn(state, begun.frozen, batch, rates[step - 1])
            guard.check(step, metrics, clip_ids)
            bar.update()
            if step == done + 1:
                jax.block_until_ready(metrics)
                ledger.first_step()
            last = step == config.steps
            stops = session.stops(step) and not last
            validates = last or _falls_on(step, config.validate_every)
            if validates or _falls_on(step, config.log_every):
                values = {name: float(value) for name, value in metrics.items()}
                values |= {name: float(v) for name, v in stage.counts().items()}
                values["learning_rate"] = float(rates[step - 1])
                if validates:
                    session.at(step, "validation")
                    with ledger.on("validation"):
                        values |= validate(state.averaged, begun.frozen)
                ledger.mark(step)
                values |= ledger.scalars()
                values["seconds"] = clock.seconds()
                writer.scalars(step, values)
                bar.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)
            if last or stops or _falls_on(step, config.checkpoint_every):
                session.at(step, "save")
                with ledger.on("save"):
                    guard.flush()
                    checkpoints.save(
                        step, state, iterator=begun.feed.iterator, config=run_config
                    )
                    if stops:
                        checkpoints.wait()
                ledger.mark(step)
            if stops:
                raise Stopped(f"{stage.name}: stopped at step {step}, which is saved")
            if not last and _falls_on(step, config.sample_every):
                sample(step)
        sample(config.steps)  # also of a run that was killed after its last checkpoint
    return state


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Begun:
    """What the steps start from, after step `done`."""

    done: int
    state: TrainState
    frozen: Params
    feed: Feed
    step_fn: StepProgram


def _begin(
    stage: Stage,
    config: LoopConfig,
    *,
    optimizer: OptimizerConfig,
    folder: pathlib.Path,
    mesh: Mesh,
    seed: int,
    checkpoints: Checkpoints,
    session: Session,
    ledger: Ledger,
) -> _Begun:
    """Restores or initialises, while the first batch is drawn and the step compiles."""
    done = checkpoints.latest or 0
    tx = make_optimizer(optimizer)
    with ledger.on("prepare"):
        placed = Placed(stage, tx, mesh, seed, optimizer)
        feed = Feed(iter(stage.batches()), placed.batch)
    step_fn = StepProgram(
        jit_train_step(stage, tx, optimizer, placed.shardings),
        state=placed.abstract,
        frozen=placed.abstract_frozen,
        mesh=mesh,
        on_compile=lambda: ledger.on("compile"),
    )

    def prepare(batch: Params) -> None:
        step_fn.prepare(batch)
        # Of several buckets all, so that none is left to compile on the way.
        shapes = stage.step_shapes()
        for known in (shapes.batch, *shapes.others) if shapes.others else ():
            step_fn.prepare(abstract_batch(known, mesh))

    if done < config.steps:
        feed.begin(prepare, checkpoints.position() if done else None)
    session.at(done, "restore" if done else "beginning")
    with ledger.on("restore"):
        if done:
            state = checkpoints.restore(placed.abstract)
            if checkpoints.latest != done:  # that one was damaged
                done = checkpoints.latest
                feed.move(checkpoints.position())
            logging.info("%s: resumed at step %d", stage.name, done)
        else:
            state = placed.initial_state()
            log_overview(stage.name, state.params, folder)
        frozen = placed.frozen()
    ledger.resumes(done)
    session.at(done, "compile")
    with ledger.on("compile"):
        feed.wait()
    return _Begun(done=done, state=state, frozen=frozen, feed=feed, step_fn=step_fn)


@contextlib.contextmanager
def _full_disk_is_told(folder: pathlib.Path) -> Iterator[None]:
    """One line in place of whatever the writer that met the end of the disk raised."""
    try:
        yield
    except Exception as error:
        if not is_full_disk(error):
            raise
        step = latest_step(folder / "checkpoints")
        raise UserError(
            f"the disk or quota of {folder} is full; the last whole checkpoint is of "
            f"step {step}: make room, and the same command goes on from there"
        ) from error


def _falls_on(step: int, every: int) -> bool:
    """Whether something that happens every so many steps (0: never) happens now."""
    return every > 0 and step % every == 0
