"""Parameters in bf16: rounding by chance keeps the mean, and steps too small to see."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.training.optimizer import OptimizerConfig, make_optimizer
from animatrix_jax.training.rounding import by_chance, narrowed, rounded_like
from animatrix_jax.training.step import init_state, make_train_step
from tests.training.toy_stage import LeastSquares

SPACING = 2.0**-7  # of bf16 in [1, 2)


def test_the_mean_is_kept():
    """A binomial of 10^5 draws; four standard deviations."""
    count, part = 100_000, 0.3
    x = jnp.full(count, 1.0 + part * SPACING, jnp.float32)
    rounded = np.asarray(by_chance(x, jnp.uint32(7)), np.float32)
    assert set(np.unique(rounded)) == {1.0, np.float32(1.0 + SPACING)}
    deviation = SPACING * np.sqrt(part * (1 - part) / count)
    assert abs(rounded.mean() - x[0]) < 4 * deviation


def test_neighbours_and_salts_are_independent():
    x = jnp.full((256, 256), 1.0 + 0.5 * SPACING, jnp.float32)
    draws = [np.asarray(by_chance(x, jnp.uint32(salt)), "f") > 1 for salt in (1, 2)]
    pairs = {
        "rows": (draws[0][1:], draws[0][:-1]),
        "columns": (draws[0][:, 1:], draws[0][:, :-1]),
        "salts": draws,
    }
    for name, (a, b) in pairs.items():
        correlation = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(a.size), name


def test_what_bf16_can_hold_stays():
    x = jnp.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 2.0**-130], "f")
    for salt in range(4):
        np.testing.assert_array_equal(
            np.asarray(by_chance(x, jnp.uint32(salt)), "f"), x
        )


def dtypes(tree):
    return jax.tree.map(lambda leaf: leaf.dtype, tree)


def test_only_kernels_are_narrowed():
    params = {"a": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
    like = narrowed(params)
    assert like["a"]["kernel"].dtype == "bfloat16"
    assert like["a"]["bias"].dtype == "float32"
    back = rounded_like(params, like, jnp.uint32(0))
    assert dtypes(back) == dtypes(like)


class Slope(LeastSquares):
    """A loss whose gradient is 1 everywhere: Adam goes down by the rate each step."""

    def init(self, key):
        return {"vae": {"kernel": jnp.full((64, 64), 1.5)}}

    def loss(self, params, frozen, batch, key):
        return jnp.sum(params["vae"]["kernel"].astype(jnp.float32)), {}


@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
def test_steps_that_bf16_cannot_resolve_add_up(moments):
    """Each is a thousandth of its spacing: to the nearest, all would be lost."""
    config = OptimizerConfig(masters="bfloat16", moments=moments, weight_decay=0)
    stage, tx = Slope(200), make_optimizer(config)
    state = init_state(stage.init(jax.random.key(0)), tx, 0, config)
    assert state.ema["vae"]["kernel"].dtype == "float32"
    step = jax.jit(make_train_step(stage, tx, config))
    for _ in range(200):
        state, _ = step(state, {}, {}, np.float32(SPACING / 1000))
    kernel = state.params["vae"]["kernel"]
    assert kernel.dtype == "bfloat16"
    moved = 1.5 - np.asarray(kernel, "f").mean()
    deviation = SPACING * np.sqrt(0.2 / kernel.size)  # of the mean, at most
    assert moved == pytest.approx(0.2 * SPACING, abs=4 * deviation)
