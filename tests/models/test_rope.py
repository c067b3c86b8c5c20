"""Rotary positions: Wan's angles."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.models.rope import (
    rotary_table,
    rotate,
    split_head,
)


def turned(x, grid, rotary):
    """Turns x [t h w e]."""
    return rotate(x.reshape(1, -1, 1, x.shape[-1]), rotary).reshape(*grid, -1)


@pytest.mark.parametrize(
    "head_dim,parts", [(128, (44, 42, 42)), (32, (12, 10, 10)), (20, (8, 6, 6))]
)
def test_split(head_dim, parts):
    assert split_head(head_dim) == parts


def test_turns_equal_wans():
    """Which turns neighbouring channels as complex numbers."""
    grid, head_dim = (3, 4, 2), 20
    q, k = jax.random.normal(jax.random.key(0), (2, *grid, head_dim))
    rotary = rotary_table(grid, head_dim=head_dim)
    ours_q, ours_k = (turned(x, grid, rotary).reshape(-1, head_dim) for x in (q, k))

    angles = []
    for axis, channels in enumerate(split_head(head_dim)):
        shape = [1, 1, 1, 1]
        shape[axis] = grid[axis]
        position = np.arange(grid[axis]).reshape(shape)
        frequencies = 10000.0 ** -(np.arange(0, channels, 2) / channels)
        angles.append(np.broadcast_to(position * frequencies, (*grid, channels // 2)))
    turn = np.exp(1j * np.concatenate(angles, axis=-1))

    def wan(x):
        pairs = np.asarray(x, np.float64).reshape(*grid, -1, 2)
        return ((pairs[..., 0] + 1j * pairs[..., 1]) * turn).reshape(24, -1)

    for ours, theirs in ((ours_q, wan(q)), (ours_k, wan(k))):
        np.testing.assert_allclose(ours[:, 0::2], theirs.real, atol=1e-5)
        np.testing.assert_allclose(ours[:, 1::2], theirs.imag, atol=1e-5)


def test_scores_depend_on_offsets_alone():
    grid, head_dim = (4, 4, 4), 32
    q, k = jax.random.normal(jax.random.key(0), (2, head_dim))
    rotary = rotary_table(grid, head_dim=head_dim)
    q, k = (
        turned(jnp.broadcast_to(x, (*grid, head_dim)), grid, rotary) for x in (q, k)
    )
    np.testing.assert_allclose(
        q[0, 1, 2] @ k[1, 2, 0], q[2, 2, 3] @ k[3, 3, 1], atol=1e-5
    )
    assert abs(q[0, 0, 0] @ k[1, 0, 0] - q[0, 0, 0] @ k[0, 1, 0]) > 1e-3


def test_grid_beyond_the_positions_is_refused():
    with pytest.raises(ValueError, match="16 positions"):
        rotary_table((2, 17, 3), head_dim=32, max_positions=16)
