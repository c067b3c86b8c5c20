"""Two operations whose gradients a CPU computes quickly: a product, and a broadcast.

XLA for CPU takes what automatic differentiation gives in slow loops. Elsewhere both are
what they are without this.
"""

import functools
import math

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from animatrix_jax.parallel.mesh import platform


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
