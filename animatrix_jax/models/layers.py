"""Layers that every network here is made of: linear, norms, MLP.

A layer computes in the dtype of its input and keeps its parameters in fp32; norms
compute in fp32 whatever comes. Layers are stacked by stacking.py.
"""

import math
from collections.abc import Callable

import jax
from flax import nnx
from jax import lax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from animatrix_jax.models.cpu_gradients import matmul, spread
from animatrix_jax.models.stacking import PRODUCT
from animatrix_jax.parallel.mesh import clips_a_device, platform
from animatrix_jax.parallel.sharding import gathered

Initializer = Callable[..., Array]

# How devices share a matrix: its outputs over "tensor", or its inputs.
COLUMNS, ROWS = ("fsdp", "tensor"), ("tensor", "fsdp")

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
        y = checkpoint_name(matmul(x, self._whole(x.dtype)), PRODUCT)
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
        y = checkpoint_name(y, PRODUCT)
        if self.bias is None:
            return y
        return y + spread(self.bias[...].reshape(shape).astype(x.dtype), y)

    def _whole(self, dtype: jnp.dtype) -> Array:
        return gathered(jnp.asarray(self.kernel[...], dtype), self.split)


def modulate(
    h: Float[Array, "b n d"], shift: Float[Array, "b m d"], scale: Float[Array, "b m d"]
) -> Float[Array, "b n d"]:
    """`(1 + scale) h + shift`."""
    return h * spread(1 + scale, h) + spread(shift, h)


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
