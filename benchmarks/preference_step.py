"""What a step of the preference stage costs, with the reference in it and without.

    python -m benchmarks.preference_step [--rounds=15] [--json]

The whole train step of configs/pico.py:stage=preference from the shipped generator, on a
batch of its shapes: with `preference.reference_draws=0` the reference is evaluated in
the step, above 0 its errors come with the batch. The two run in turn; a round's ratio is
of its own times, and figures are medians over the rounds, so that what else the machine
does falls on both. FLOPs are XLA's count of the compiled step.
"""

import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.judge.preference import PreferenceStage
from animatrix_jax.training.config import section
from animatrix_jax.training.lazy import loaded
from animatrix_jax.training.optimizer import OptimizerConfig, make_optimizer
from animatrix_jax.training.step import init_state, make_train_step
from configs import pico

FLAGS = flags.FLAGS

flags.DEFINE_integer("rounds", 15, "Over which figures are medians.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    report: dict[str, Any] = {
        "threads": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
    }
    with tempfile.TemporaryDirectory() as folder:
        report |= measure(pathlib.Path(folder), rounds=FLAGS.rounds)
    for name, value in report.items():
        print(f"{name}: {value}")
    app.print_json(report)


def measure(folder: pathlib.Path, *, rounds: int) -> dict[str, Any]:
    """The figures of both steps."""
    steps, report = {}, {}
    for name, draws in (("in_step", 0), ("cached", 8)):
        steps[name], flops = _step(folder, draws)
        report[f"{name}_gflop"] = round(flops / 1e9, 2)
        steps[name]()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, run in steps.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    for name, values in times.items():
        report[f"{name}_seconds"] = round(statistics.median(values), 4)
    ratios = [b / a for a, b in zip(times["in_step"], times["cached"], strict=True)]
    report["flop_ratio"] = round(report["cached_gflop"] / report["in_step_gflop"], 3)
    report["time_ratio"] = round(statistics.median(ratios), 3)
    return report


def _step(folder: pathlib.Path, draws: int) -> tuple[Callable[[], None], float]:
    """One more step at each call, and the FLOPs of one."""
    config = pico.get_config("stage=preference")
    config.init.generator = "pico"
    config.preference.reference_draws = draws
    stage = PreferenceStage(config, workdir=folder)
    optimizer = section(OptimizerConfig, config.optimizer)
    tx = make_optimizer(optimizer)
    start = jax.tree.map(jnp.asarray, loaded(stage.initial()))
    state = jax.jit(lambda params: init_state(params, tx, 0))(start)
    frozen = jax.device_put(loaded(stage.frozen()))
    batch = jax.device_put(_batch(stage.step_shapes().batch))
    rate = jnp.float32(optimizer.learning_rate)
    step = jax.jit(make_train_step(stage, tx, optimizer), donate_argnums=0)
    compiled = step.lower(state, frozen, batch, rate).compile()

    def run() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(compiled(state, frozen, batch, rate))

    return run, compiled.cost_analysis()["flops"]


def _batch(shapes: dict[str, Any]) -> dict[str, np.ndarray]:
    """Any batch of these shapes: what is in it does not change the time."""
    rng = np.random.default_rng(0)

    def draw(name: str, shape: Any) -> np.ndarray:
        if shape.dtype == np.bool_:
            return np.full(shape.shape, name != "given")
        if shape.dtype == np.int32:
            return np.arange(np.prod(shape.shape)).reshape(shape.shape) % 16
        return rng.uniform(0.2, 0.8, shape.shape)

    return {k: draw(k, s).astype(s.dtype) for k, s in shapes.items()}


if __name__ == "__main__":
    app.run(main)
