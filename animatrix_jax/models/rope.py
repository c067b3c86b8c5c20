"""Rotary position embedding over time, height and width.

A head's e channels are split into e - 4*floor(e/6) for time and 2*floor(e/6) for each of
height and width (Wan). Within a part of c channels, pair i at position p, channels 2i and
2i + 1, turns by `p * theta^(-2i/c)`:

    (a, b) -> (a cos - b sin, b cos + a sin) = cos (a, b) + sin (a, b) T

with T the quarter turn of every pair, a matrix of 0, 1 and -1. As a product it is exact and
nearly free, where cutting heads into pairs or halves would have whole clips copied: half a
head is half of a TPU's lanes.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotary:
    """Cosine and sine of each token's angles, fp32 [n e], the same for both of a pair; a
    pytree, so typed loosely."""

    cos: Any
    sin: Any


def split_head(head_dim: int) -> tuple[int, int, int]:
    """Channels of a head that carry time, height and width."""
    space = 2 * (head_dim // 6)
    return head_dim - 2 * space, space, space


def rotary_table(
    grid: tuple[int, int, int],
    *,
    head_dim: int,
    theta: float = 10000.0,
    max_positions: int = 1024,
) -> Rotary:
    """The angles of a (frames, rows, columns) grid of tokens.

    Raises:
      ValueError: if an axis of the grid is longer than `max_positions`.
    """
    if max(grid) > max_positions:
        raise ValueError(f"grid {grid} is beyond the {max_positions} positions")
    parts = []
    for axis, (length, channels) in enumerate(
        zip(grid, split_head(head_dim), strict=True)
    ):
        # In fp64 and per axis: exact, and small as constants of the compiled program.
        frequencies = theta ** -(np.arange(0, channels, 2) / channels)
        angles = np.outer(np.arange(length), np.repeat(frequencies, 2))
        shape = [1, 1, 1, channels]
        shape[axis] = length
        parts.append(angles.reshape(shape))

    def table(function: np.ufunc) -> Array:
        wide = [
            jnp.broadcast_to(
                jnp.asarray(function(part), jnp.float32), (*grid, part.shape[-1])
            )
            for part in parts
        ]
        return jnp.concatenate(wide, axis=-1).reshape(-1, head_dim)

    return Rotary(cos=table(np.cos), sin=table(np.sin))


def rotate(x: Float[Array, "b n *g e"], rotary: Rotary) -> Float[Array, "b n *g e"]:
    """Turns each head's pairs of channels; fp32 inside."""
    turn = _quarter_turn(x.shape[-1]).astype(x.dtype)
    turned = jnp.einsum("...e,ef->...f", x, turn, precision=lax.Precision.HIGHEST)
    x32, turned = x.astype(jnp.float32), turned.astype(jnp.float32)
    shape = (x.shape[1], *(1,) * (x.ndim - 3), x.shape[-1])
    cos, sin = rotary.cos.reshape(shape), rotary.sin.reshape(shape)
    return (x32 * cos + turned * sin).astype(x.dtype)


def _quarter_turn(head_dim: int) -> np.ndarray:
    """T [e e]: (a, b) T = (-b, a) of each pair."""
    return np.kron(np.eye(head_dim // 2), [[0, 1], [-1, 0]])
