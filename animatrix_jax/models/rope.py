"""Rotary position embedding over time, height and width.

A head's e channels are split into e - 4*floor(e/6) for time and 2*floor(e/6) for each of
height and width (Wan). Within a part of c channels, pair i at position p turns by
`p * theta^(-2i/c)`.

Wan pairs neighbouring channels (2i, 2i+1). Turning those needs strided reads of every
query and key. Scores do not change when the channels of queries and keys are permuted
alike, so we permute the *weights* that make them, once a layer (`pairs_to_halves`), and
turn the first half of a head's channels against the second: contiguous reads. The
parameters stay in Wan's order.
"""

import dataclasses

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotary:
    """Cosine and sine of each token's angles, [n, e/2], fp32."""

    cos: Array
    sin: Array


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
        angles = np.outer(np.arange(length), frequencies)
        shape = [1, 1, 1, channels // 2]
        shape[axis] = length
        parts.append(angles.reshape(shape))

    def table(function: np.ufunc) -> Array:
        wide = [
            jnp.broadcast_to(
                jnp.asarray(function(part), jnp.float32), (*grid, part.shape[-1])
            )
            for part in parts
        ]
        return jnp.concatenate(wide, axis=-1).reshape(-1, head_dim // 2)

    return Rotary(cos=table(np.cos), sin=table(np.sin))


def pairs_to_halves(x: Float[Array, "... d"], head_dim: int) -> Float[Array, "... d"]:
    """Reorders each head's channels from (0 1)(2 3)... to (0 2 ...)(1 3 ...)."""
    pairs = x.reshape(*x.shape[:-1], -1, head_dim // 2, 2)
    return pairs.swapaxes(-1, -2).reshape(x.shape)


def rotate(x: Float[Array, "b n g e"], rotary: Rotary) -> Float[Array, "b n g e"]:
    """Turns each head, its channels in the order of `pairs_to_halves`; fp32 inside."""
    cos, sin = rotary.cos[:, None], rotary.sin[:, None]
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = (first * cos - second * sin, first * sin + second * cos)
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)
