"""Layers that every network here is made of: linear, norms, MLP, and stacking.

A layer computes in the dtype of its input and keeps its parameters in fp32; norms
compute in fp32 whatever comes. `stack` gives a module whose every parameter has a
leading layer axis, and `scan_layers` runs it with one compiled body, unless it is small.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from animatrix_jax.models.config import Remat

Initializer = Callable[..., Array]

# Stacks of fewer parameters are unrolled: on a CPU the loop around them, which copies what
# the backward pass needs, takes a fifth of a step of pico.
_UNROLLED = 8_000_000

xavier_uniform = nnx.initializers.xavier_uniform()
normal_002 = nnx.initializers.normal(0.02)
zeros = nnx.initializers.zeros_init()


class Linear(nnx.Module):
    """`y = x W + b` over the last axis, W being [in out]."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        bias: bool = True,
        kernel_init: Initializer = xavier_uniform,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(kernel_init(rngs.params(), (in_dim, out_dim)))
        self.bias = nnx.Param(jnp.zeros((out_dim,))) if bias else None

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        y = matmul(x, self.kernel[...].astype(x.dtype))
        return y if self.bias is None else y + self.bias[...].astype(x.dtype)


@jax.custom_vjp
def matmul(
    x: Float[Array, "... i"], kernel: Float[Array, "i o"]
) -> Float[Array, "... o"]:
    """`x @ kernel`.

    One of x and dy must lie transposed for dkernel = x^T dy, and on a CPU that takes a
    copy. Automatic differentiation has it of dy always, fused with all that makes dy; here
    it is of the narrower of the two.
    """
    return x @ kernel


def _matmul_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _matmul_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    rows = tuple(range(x.ndim - 1))
    axes = ((rows, rows), ((), ()))
    if kernel.shape[0] <= kernel.shape[1]:
        d_kernel = lax.dot_general(x, dy, axes)
    else:
        d_kernel = lax.dot_general(dy, x, axes).T
    return dy @ kernel.T, d_kernel


matmul.defvjp(_matmul_forward, _matmul_backward)


def layer_norm(x: Float[Array, "... d"], eps: float) -> Float[Array, "... d"]:
    """Zero mean and unit variance over the last axis, in and to fp32."""
    x = x.astype(jnp.float32)
    x = x - x.mean(-1, keepdims=True)
    return x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + eps)


class LayerNorm(nnx.Module):
    """Affine layer norm, in and to fp32."""

    def __init__(self, dim: int, *, eps: float):
        self.eps = eps
        self.scale = nnx.Param(jnp.ones((dim,)))
        self.bias = nnx.Param(jnp.zeros((dim,)))

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        return layer_norm(x, self.eps) * self.scale[...] + self.bias[...]


class RMSNorm(nnx.Module):
    """`x / rms(x) * scale` over the last axis; in fp32, given back in x's dtype."""

    def __init__(self, dim: int, *, eps: float):
        self.eps = eps
        self.scale = nnx.Param(jnp.ones((dim,)))

    def __call__(
        self,
        x: Float[Array, "... d"],
        permute: Callable[[Array], Array] = lambda scale: scale,
    ) -> Float[Array, "... d"]:
        """Normalises x, whose channels are in the order that `permute` gives."""
        y = x.astype(jnp.float32)
        y = y * lax.rsqrt(jnp.square(y).mean(-1, keepdims=True) + self.eps)
        return (y * permute(self.scale[...])).astype(x.dtype)


class MLP(nnx.Module):
    """Linear, activation, Linear."""

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int,
        out_dim: int,
        *,
        activation: Callable[[Array], Array],
        kernel_init: Initializer = xavier_uniform,
        rngs: nnx.Rngs,
    ):
        self.activation = activation
        self.up = Linear(in_dim, hidden_dim, kernel_init=kernel_init, rngs=rngs)
        self.down = Linear(hidden_dim, out_dim, kernel_init=kernel_init, rngs=rngs)

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        return self.down(self.activation(self.up(x)))


def gelu_tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """GELU by its tanh approximation, as Wan and T5 1.1 have it."""
    return jax.nn.gelu(x, approximate=True)


def gelu_exact(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """GELU by the error function."""
    return jax.nn.gelu(x, approximate=False)


def stack(
    build: Callable[[nnx.Rngs], nnx.Module], num_layers: int, *, rngs: nnx.Rngs
) -> Any:
    """`num_layers` modules as one, each parameter with a leading layer axis."""
    graphdef = nnx.graphdef(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    keys = jax.random.split(rngs.params(), num_layers)
    state = jax.vmap(lambda key: nnx.state(build(nnx.Rngs(key))))(keys)
    return nnx.merge(graphdef, state)


def scan_layers(
    body: Callable[[Any, Array], Array],
    stacked: Any,
    x: Array,
    *,
    depth: int | None = None,
    remat: Remat = "none",
) -> Array:
    """Runs `x = body(layer, x)` over the layers of `stacked` in order.

    Args:
      body: takes one layer of `stacked` (one module, or a tuple of modules).
      stacked: a module from `stack`, or a tuple of them of one depth.
      depth: only the first so many layers; None: all.
      remat: what the backward pass recomputes.
    """
    graphdef, state = nnx.split(stacked)
    if depth is not None:
        state = jax.tree.map(lambda leaf: leaf[:depth], state)

    def step(x: Array, layer: Any) -> tuple[Array, None]:
        return body(nnx.merge(graphdef, layer), x), None

    if remat == "block":
        step = jax.checkpoint(step, prevent_cse=False)
    elif remat == "dots":
        policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        step = jax.checkpoint(step, prevent_cse=False, policy=policy)
    small = sum(leaf.size for leaf in jax.tree.leaves(state)) < _UNROLLED
    # Outside a loop XLA would merge what is recomputed with what it should replace.
    return lax.scan(step, x, state, unroll=small and remat == "none")[0]
