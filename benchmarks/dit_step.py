"""The transformer's speed on this machine against diffusers', and against its own peak.

    python -m benchmarks.dit_step --peer=diffusers [--rounds=7] [--json]

One run, one process, the same weights, batch and work, fp32 (`stack.py`): 8 layers, 8
heads x 64, ffn 2048, 128 text tokens x 1024, 2,048 tokens, batch 1. It first asserts that
both give one velocity and, over a few steps of AdamW, the same losses. Then in each round
it times, one after another, a large matrix product by each library, a forward pass by
each, and a training step by each; a round's ratios are of its own times, and a figure is
the median over the rounds, so that what else the machine does falls on both sides.

    forward_ratio, step_ratio        diffusers' time over ours
    forward_fraction, step_fraction  our rate of the matrix products that the work needs
                                     (`stack.forward_flops`), over the faster library's
                                     rate of one large product; `peer_` ones: diffusers'

The steps: diffusers' is forward, backward and torch's AdamW. Ours is the whole train step
of the package: the same, and clipping by the global norm, the average of the parameters
and the guard against what is not finite, which diffusers' does not have to do.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch
from absl import flags
from jax import numpy as jnp

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError
from animatrix_jax.training.optimizer import OptimizerConfig
from benchmarks import references, stack

FLAGS = flags.FLAGS
# Products of fp32 numbers, summed in another order.
_TOLERANCE = 1e-4
_CHECKED_STEPS = 3


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    if FLAGS.peer != "diffusers":
        raise UserError(f"--peer={FLAGS.peer}: there is diffusers")
    size = stack.SIZES[FLAGS.size]
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    report: dict[str, Any] = {
        "tokens": size.tokens,
        "threads": threads,
        "load_before": round(os.getloadavg()[0], 2),
    }
    report |= measure(size, rounds=FLAGS.rounds, matrix=FLAGS.matrix)
    for name, value in report.items():
        print(f"{name}: {value}")
    app.print_json(report)


def measure(size: stack.Size, *, rounds: int, matrix: int) -> dict[str, Any]:
    """The figures of a stack.

    Args:
      size: of the stack.
      rounds: over which each figure is a median.
      matrix: rows and columns of the matrices whose product is the peak.
    """
    batch = stack.draw_batch(size)
    peer = stack.Diffusers(size)
    ours = stack.Ours(size, peer.params())
    forward = {"ours": ours.forward(batch), "peer": peer.forward(batch)}
    error = references.relative_error(forward["ours"](), forward["peer"]())
    _check("the velocity", error)
    optimizer = OptimizerConfig(learning_rate=1e-4, clip_norm=1e9)
    step = {
        "ours": ours.train(batch, optimizer),
        "peer": peer.train(batch, optimizer),
    }
    losses = {
        side: np.array([step[side]() for _ in range(_CHECKED_STEPS)]) for side in step
    }
    loss_error = references.relative_error(losses["ours"], losses["peer"])
    _check(f"the losses of {_CHECKED_STEPS} steps", loss_error)
    # A model that has trained is another one to differentiate, but not another to time.
    tasks = {f"matmul_{name}": run for name, run in products(matrix).items()}
    tasks |= {f"forward_{side}": forward[side] for side in ("peer", "ours")}
    tasks |= {f"step_{side}": step[side] for side in ("peer", "ours")}
    times = interleave(tasks, rounds)
    return {
        "parameters": peer.count(),
        "max_rel_error": error,
        "loss_rel_error": loss_error,
    } | figures(times, flops=stack.forward_flops(size), matrix=matrix)


def figures(
    times: Mapping[str, list[float]], *, flops: float, matrix: int
) -> dict[str, Any]:
    """Medians over rounds of the ratios of times, and of the times themselves."""
    both = zip(times["matmul_jax"], times["matmul_torch"], strict=True)
    peaks = [2.0 * matrix**3 / min(pair) for pair in both]
    report = {}
    for name, work in (("forward", flops), ("step", 3 * flops)):
        ours, peer = times[f"{name}_ours"], times[f"{name}_peer"]
        report[f"{name}_ratio"] = _median(t / o for t, o in zip(peer, ours))
        for prefix, side in (("", ours), ("peer_", peer)):
            fractions = (work / t / peak for t, peak in zip(side, peaks))
            report[f"{prefix}{name}_fraction"] = _median(fractions)
        report[f"{name}_gflop"] = round(work / 1e9, 1)
    report["peak_gflops"] = round(_median(peaks) / 1e9, 1)
    report |= {f"{name}_seconds": _median(values) for name, values in times.items()}
    return report


def products(rows: int) -> dict[str, Callable[[], Any]]:
    """A product of two square matrices by each library."""
    a, b = np.random.default_rng(0).standard_normal((2, rows, rows), np.float32)
    product = jax.jit(jnp.matmul)
    a_jax, b_jax, a_torch, b_torch = (
        *map(jnp.asarray, (a, b)),
        *map(torch.tensor, (a, b)),
    )
    return {
        "jax": lambda: product(a_jax, b_jax).block_until_ready(),
        "torch": lambda: torch.matmul(a_torch, b_torch),
    }


def interleave(
    tasks: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each task in each round, after one call that does not count."""
    for run in tasks.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, run in tasks.items():
            # The other library's threads spin for a while after their last task.
            time.sleep(FLAGS.pause)
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def _check(what: str, error: float) -> None:
    if not error <= _TOLERANCE:
        raise AssertionError(f"{what} differ by {error:.3g}, more than {_TOLERANCE}")


def _median(values: Any) -> float:
    return round(statistics.median(values), 4)


if __name__ == "__main__":
    flags.DEFINE_string("peer", "diffusers", "Whom to compare with.")
    flags.DEFINE_enum("size", "reference", list(stack.SIZES), "Of the stack.")
    flags.DEFINE_integer("rounds", 7, "Over which a figure is the median.")
    flags.DEFINE_integer("matrix", 4096, "Rows of the matrices of the peak.")
    flags.DEFINE_float("pause", 0.3, "Seconds between two timings.")
    app.run(main)
