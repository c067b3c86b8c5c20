"""What the parts of a transformer block cost on this machine's CPU, in processor time.

    python -m benchmarks.dit_parts [--json] [--size=reference] [--repeats=7]

Of each part of the stack that `benchmarks.dit_step` times, forward and with its gradients:
the processor's milliseconds, the least of some calls, and how many times that is what its
matrix products alone need, at the rate of one large product. Processor time hardly feels
what else the machine does, and so tells changes from each other where wall time cannot;
it does not tell whether all cores were at work.

`mlp by autodiff` is the MLP with `x @ kernel` in the place of `layers.matmul`.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags
from flax import nnx
from jax import numpy as jnp

from animatrix_jax.cli import app
from animatrix_jax.models.attention import attention
from animatrix_jax.models.layers import MLP, Linear, gelu_tanh
from benchmarks.stack import SIZES, Size

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    size = SIZES[FLAGS.size]
    rows = FLAGS.matrix
    square = jnp.asarray(_normal(rows, rows))
    rate = 2.0 * rows**3 / processor_time(jax.jit(jnp.matmul), square, square)
    report: dict[str, Any] = {"gflops_a_processor_second": round(rate / 1e9, 1)}
    for name, (function, arguments, flops) in parts(size).items():
        forward = processor_time(jax.jit(function), *arguments)
        both = processor_time(jax.jit(with_gradients(function)), *arguments)
        report[name] = {
            "forward_ms": round(1e3 * forward, 2),
            "forward_over_products": round(forward / (flops / rate), 2),
            "both_ms": round(1e3 * both, 2),
            "both_over_products": round(both / (3 * flops / rate), 2),
        }
    for name, figures in report.items():
        print(f"{name:<26} {figures}")
    app.print_json(report)


def parts(size: Size) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...], float]]:
    """Each part's function, its arguments, and the flops of its forward pass."""
    config, n, m = size.config, size.tokens, size.text
    dim, ffn, heads = config.dim, config.ffn_dim, config.num_heads
    x = jnp.asarray(_normal(1, n, dim))
    q = jnp.asarray(_normal(1, n, heads, config.head_dim))
    keys = jnp.asarray(_normal(1, m, heads, config.head_dim))

    def attend(implementation: str) -> Callable[..., Any]:
        return lambda q, k, v: attention(q, k, v, implementation=implementation)

    linear, linear_state = _split(lambda rngs: Linear(dim, dim, rngs=rngs))
    mlp, mlp_state = _split(
        lambda rngs: MLP(dim, ffn, dim, activation=gelu_tanh, rngs=rngs)
    )

    def by_autodiff(x: Any, up: Any, down: Any) -> Any:
        return gelu_tanh(x @ up + up[0]) @ down + down[0]

    up, down = (
        jnp.asarray(0.04 * _normal(dim, ffn)),
        jnp.asarray(0.02 * _normal(ffn, dim)),
    )
    scores = 4.0 * n * dim
    return {
        "attention, plain": (attend("plain"), (q, q, q), scores * n),
        "attention, blocked": (attend("blocked"), (q, q, q), scores * n),
        "attention to text": (attend("auto"), (q, keys, keys), scores * m),
        "linear": (linear, (linear_state, x), 2.0 * n * dim * dim),
        "mlp": (mlp, (mlp_state, x), 4.0 * n * dim * ffn),
        "mlp by autodiff": (by_autodiff, (x, up, down), 4.0 * n * dim * ffn),
    }


def with_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function's value, and its pullback of 0.3 everywhere."""

    def run(*arguments: Any) -> Any:
        value, pull = jax.vjp(function, *arguments)
        return value, pull(jnp.full_like(value, 0.3))

    return run


def processor_time(function: Callable[..., Any], *arguments: Any) -> float:
    """Seconds of all cores together, the least of some calls after one that compiles."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(FLAGS.repeats):
        start = time.process_time()
        jax.block_until_ready(function(*arguments))
        times.append(time.process_time() - start)
    return min(times)


def _split(build: Callable[[nnx.Rngs], nnx.Module]) -> tuple[Callable[..., Any], Any]:
    """A module as a function of its parameters and x."""
    graphdef, state = nnx.split(build(nnx.Rngs(0)))
    return lambda state, x: nnx.merge(graphdef, state)(x), state


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


if __name__ == "__main__":
    flags.DEFINE_enum("size", "reference", list(SIZES), "Of the stack.")
    flags.DEFINE_integer("repeats", 7, "Calls of which the least counts.")
    flags.DEFINE_integer("matrix", 2048, "Rows of the matrices of the peak.")
    app.run(main)
