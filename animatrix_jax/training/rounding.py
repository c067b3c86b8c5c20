"""Parameters kept in bf16: rounded up or down by chance, so that small steps add up.

bf16 has 8 bits of significand: next to 1 lies 1 + 2^-7, and rounding to the nearest would
lose every step smaller than half of that. Rounding x, between its neighbours a < x < b, by

    P(b) = (x - a) / (b - a)

keeps the mean, E[round(x)] = x (Gupta et al. 2015, arXiv 1502.02551, "stochastic
rounding"). bf16 is the upper half of fp32's bits: add 16 random bits to the lower half,
and cut it off.

The random bits are a hash of a parameter's place and a salt, and not a generator's: they
are the same however parameters are split over devices, and cost a few integer operations.
"""

from typing import Any

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, BFloat16, Float32, UInt32

from animatrix_jax.parallel.sharding import path_name

_HALF = jnp.dtype("bfloat16")


def narrowed(params: Any) -> Any:
    """fp32 parameters with their kernels in bf16, rounded to the nearest.

    All else (norms, biases, tables: a thousandth of them) stays as it is.
    """

    def narrow(path: Any, leaf: Array) -> Array:
        is_kernel = path_name(path).split("/")[-1] == "kernel"
        return leaf.astype(_HALF) if is_kernel and leaf.ndim else leaf

    return jax.tree_util.tree_map_with_path(narrow, params)


def widened(params: Any) -> Any:
    """Parameters, or gradients, with what is bf16 in fp32."""
    return jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == _HALF else leaf, params
    )


def rounded_like(params: Any, like: Any, salt: UInt32[Array, ""]) -> Any:
    """fp32 `params` in the dtypes of `like`, by chance where that is bf16."""
    leaves, treedef = jax.tree.flatten(params)
    return treedef.unflatten(
        by_chance(leaf, mixed(salt + jnp.uint32(number))) if to.dtype == _HALF else leaf
        for number, (leaf, to) in enumerate(
            zip(leaves, jax.tree.leaves(like), strict=True)
        )
    )


def by_chance(
    x: Float32[Array, "*s"], salt: UInt32[Array, ""]
) -> BFloat16[Array, "*s"]:
    """x in bf16, each number rounded up or down by chance; what is not finite, as it is."""
    place = jnp.zeros(x.shape, jnp.uint32)
    for axis in range(x.ndim):
        place = place * jnp.uint32(x.shape[axis]) + lax.broadcasted_iota(
            jnp.uint32, x.shape, axis
        )
    chance = mixed(place ^ salt) & jnp.uint32(0xFFFF)
    bits = lax.bitcast_convert_type(x, jnp.uint32) + chance
    cut = lax.bitcast_convert_type((bits >> 16).astype(jnp.uint16), _HALF)
    return jnp.where(jnp.isfinite(x), cut, x.astype(_HALF))


def mixed(x: UInt32[Array, "*s"]) -> UInt32[Array, "*s"]:
    """A hash of 32 bits: MurmurHash3's last step (Appleby, public domain)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
