"""Layers that every network here is made of: linear, norms, MLP, and stacking.

A layer computes in the dtype of its input and keeps its parameters in fp32; norms
compute in fp32 whatever comes. `stack` gives a module whose every parameter has a
leading layer axis, and `scan_layers` runs it with one compiled body, unless it is small.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import lax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from animatrix_jax.models.config import Remat
from animatrix_jax.parallel.attention import ATTENTION_OUTPUT
from animatrix_jax.parallel.mesh import clips_a_device, platform
from animatrix_jax.parallel.sharding import gathered

Initializer = Callable[..., Array]

# How devices share a matrix: its outputs over "tensor", or its inputs.
COLUMNS, ROWS = ("fsdp", "tensor"), ("tensor", "fsdp")

# Stacks of fewer parameters are unrolled: on a CPU the loop around them, which copies what
# the backward pass needs, takes a fifth of a step of pico.
_UNROLLED = 40_000_000

_LAYER_INPUT, _PRODUCT = "layer_input", "product"
_POLICIES = {
    "block": None,
    "attention": jax.checkpoint_policies.save_only_these_names(ATTENTION_OUTPUT),
    "dots": jax.checkpoint_policies.save_only_these_names(_PRODUCT, ATTENTION_OUTPUT),
    "offload": jax.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[_LAYER_INPUT],
        offload_src="device",
        offload_dst="pinned_host",
    ),
}

xavier_uniform = nnx.initializers.xavier_uniform()
normal_002 = nnx.initializers.normal(0.02)
zeros = nnx.initializers.zeros_init()


class Linear(nnx.Module):
    """`y = x W + b` over the last axis, W being [in out].

    Args:
      split: how devices share W, as in the sharding table: `COLUMNS`, or `ROWS` for a
        projection back to the residual stream.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        bias: bool = True,
        kernel_init: Initializer = xavier_uniform,
        split: tuple[str, str] = COLUMNS,
        rngs: nnx.Rngs,
    ):
        self.split = split
        self.kernel = nnx.Param(kernel_init(rngs.params(), (in_dim, out_dim)))
        self.bias = nnx.Param(jnp.zeros((out_dim,))) if bias else None

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        y = checkpoint_name(matmul(x, self._whole(x.dtype)), _PRODUCT)
        return y if self.bias is None else y + spread(self.bias[...].astype(x.dtype), y)

    def gated(
        self, x: Float[Array, "b n i"], gate: Float[Array, "b m o"]
    ) -> Float[Array, "b n o"]:
        """`gate * (x W + b)` in fp32.

        Where a device has one clip, and all its tokens one gate, the gate goes into W: the
        gradient of the gate is then a sum over W's own, and the backward pass need not
        compute `x W` again, as it must to have the sum over tokens of dy (x W).
        """
        if gate.shape[1] > 1 or clips_a_device(len(x)) > 1:
            y = self(x)
            return y * spread(gate, y)
        kernel = (self._whole(x.dtype) * gate).astype(x.dtype)
        if len(x) == 1 and platform() == "cpu":
            y = matmul(x, kernel[0])
        else:
            y = jnp.einsum("bni,bio->bno", x, kernel)
        return y if self.bias is None else y + spread(self.bias[...] * gate, y)

    def heads(
        self, x: Float[Array, "b n i"], shape: tuple[int, ...]
    ) -> Float[Array, "b n *g e"]:
        """The output cut into heads of `shape`.

        Behind a barrier, so that on a TPU the product writes it head by head at once.
        Whatever else was worked into the product would have it written token by token,
        and copied.
        """
        y = matmul(x, self._whole(x.dtype)).reshape(*x.shape[:2], *shape)
        if platform() == "tpu":
            y = lax.optimization_barrier(y)
        y = checkpoint_name(y, _PRODUCT)
        if self.bias is None:
            return y
        return y + spread(self.bias[...].reshape(shape).astype(x.dtype), y)

    def _whole(self, dtype: jnp.dtype) -> Array:
        return gathered(jnp.asarray(self.kernel[...], dtype), self.split)


def matmul(
    x: Float[Array, "... i"], kernel: Float[Array, "i o"]
) -> Float[Array, "... o"]:
    """`x @ kernel`, with a gradient of its own on a CPU."""
    return _narrow_matmul(x, kernel) if platform() == "cpu" else x @ kernel


@jax.custom_vjp
def _narrow_matmul(x: Array, kernel: Array) -> Array:
    """One of x and dy must lie transposed for dkernel = x^T dy, which takes a copy there.

    Automatic differentiation has dy so, in a slow loop that also makes it anew from all
    that it is the sum of. This takes the narrower of the two.
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


_narrow_matmul.defvjp(_matmul_forward, _matmul_backward)


def modulate(
    h: Float[Array, "b n d"], shift: Float[Array, "b m d"], scale: Float[Array, "b m d"]
) -> Float[Array, "b n d"]:
    """`(1 + scale) h + shift`."""
    return h * spread(1 + scale, h) + spread(shift, h)


def spread(
    vector: Float[Array | np.ndarray, "..."], x: Float[Array, "..."]
) -> Float[Array | np.ndarray, "..."]:
    """The vector as it is, to be broadcast over x; on one CPU, with a gradient that is quick.

    The gradient is a sum over tokens, in XLA for CPU a loop on one thread. There it is a
    product with ones.

    Args:
      vector: of x's last axes; or with as many as x, those of x or 1.
    """
    alone = jax.sharding.get_abstract_mesh().size <= 1  # else the ones would gather x
    if platform() != "cpu" or not alone or vector.size == x.size:
        return vector
    return _spread(
        vector.reshape((1,) * (x.ndim - vector.ndim) + vector.shape), x.shape
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _spread(vector: Array, shape: tuple[int, ...]) -> Array:
    return jnp.broadcast_to(vector, shape)


def _spread_forward(vector: Array, shape: tuple[int, ...]) -> tuple[Array, tuple]:
    return jnp.broadcast_to(vector, shape), vector.shape


def _spread_backward(shape: tuple[int, ...], own: tuple, dy: Array) -> tuple[Array]:
    # Runs of leading axes that the vector shares with x, then of those it lacks.
    shared = next((i for i, n in enumerate(own) if n != shape[i]), len(shape))
    lacking = next((i for i in range(shared, len(own)) if own[i] != 1), len(own))
    if own[lacking:] != shape[lacking:]:
        axes = tuple(i for i, n in enumerate(own) if n != shape[i])
        return (dy.sum(axes, keepdims=True),)
    rows, summed = math.prod(shape[:shared]), math.prod(shape[shared:lacking])
    dy = dy.reshape(rows, summed, -1)
    ones = jnp.ones((rows, summed), dy.dtype)
    return (jnp.einsum("rs,rsd->rd", ones, dy).reshape(own),)


_spread.defvjp(_spread_forward, _spread_backward)


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
        y = layer_norm(x, self.eps)
        return y * spread(self.scale[...], y) + spread(self.bias[...], y)


class RMSNorm(nnx.Module):
    """`x / rms(x) * scale` over the last axes, those that hold as many numbers as the
    scale (heads and their channels); in fp32, given back in x's dtype."""

    def __init__(self, dim: int, *, eps: float):
        self.eps = eps
        self.scale = nnx.Param(jnp.ones((dim,)))

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        scale = self.scale[...]
        count = next(n for n in range(1, 4) if math.prod(x.shape[-n:]) == scale.size)
        axes = tuple(range(-count, 0))
        y = x.astype(jnp.float32)
        y = y * lax.rsqrt(jnp.square(y).mean(axes, keepdims=True) + self.eps)
        return (y * spread(scale.reshape(x.shape[-count:]), y)).astype(x.dtype)


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
        self.down = Linear(
            hidden_dim, out_dim, kernel_init=kernel_init, split=ROWS, rngs=rngs
        )

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        return self.down(self.activation(self.up(x)))

    def gated(
        self, x: Float[Array, "b n i"], gate: Float[Array, "b m o"]
    ) -> Float[Array, "b n o"]:
        """The output times `gate`, in fp32."""
        return self.down.gated(self.activation(self.up(x)), gate)


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
        x = checkpoint_name(x, _LAYER_INPUT)
        return body(nnx.merge(graphdef, layer), x), None

    if remat != "none":
        step = jax.checkpoint(step, prevent_cse=False, policy=_POLICIES[remat])
    small = sum(leaf.size for leaf in jax.tree.leaves(state)) < _UNROLLED
    # Outside a loop XLA would merge what is recomputed with what it should replace.
    return lax.scan(step, x, state, unroll=small and remat == "none")[0]
