"""Diffusion-DPO: ln 2 at the start, the right sign, given frames and the reference."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.objectives.preference import (
    PreferenceConfig,
    free_mean,
    preference_loss,
)

SHAPE = (3, 4, 2, 2, 5)


@pytest.fixture(scope="module")
def pair():
    keys = jax.random.split(jax.random.key(0), 4)
    return {
        "winner": jax.random.normal(keys[0], SHAPE),
        "loser": jax.random.normal(keys[1], SHAPE),
        "noise": jax.random.normal(keys[2], SHAPE),
        "sigma": jnp.array([0.2, 0.5, 0.9]),
        "given": jnp.zeros(SHAPE[:2], bool).at[1, 0].set(True),
    }


def linear(weight):
    def velocity(xt, sigma):
        return (
            jnp.einsum("bthwc,cd->bthwd", xt, weight) + sigma[:, None, None, None, None]
        )

    return velocity


WEIGHT = jax.random.normal(jax.random.key(7), (5, 5)) * 0.3


@pytest.mark.parametrize("beta", [1.0, 500.0, 5000.0])
def test_starts_at_exactly_ln_2(pair, beta):
    config = PreferenceConfig(beta=beta)
    terms = jax.jit(
        lambda policy, reference: preference_loss(
            linear(policy), linear(reference), **pair, config=config
        )
    )(WEIGHT, jnp.array(WEIGHT))
    assert float(terms.loss) == np.float32(math.log(2.0))
    assert float(terms.margin) == 0.0
    assert float(terms.drift) == 0.0


def test_rounding_does_not_grow_with_beta(pair):
    """Policy and reference compiled apart differ in the last bit; beta must not show."""
    config = PreferenceConfig(beta=5000.0)
    terms = jax.jit(
        lambda w: preference_loss(linear(w), linear(WEIGHT), **pair, config=config)
    )(WEIGHT)
    assert float(terms.loss) == pytest.approx(math.log(2.0), abs=1e-5)


def test_matches_the_equation_in_float64(pair):
    policy = WEIGHT + 0.02
    config = PreferenceConfig(beta=40.0)
    terms = preference_loss(linear(policy), linear(WEIGHT), **pair, config=config)
    given = np.asarray(pair["given"])
    level = np.where(given, 0.0, np.asarray(pair["sigma"])[:, None])
    s = level[:, :, None, None, None]
    noise = np.asarray(pair["noise"], np.float64)

    def error(x0, weight):
        x0 = np.asarray(x0, np.float64)
        xt = (1 - s) * x0 + s * noise
        velocity = xt @ np.asarray(weight, np.float64) + s
        square = (velocity - (noise - x0)) ** 2
        return np.array([square[i][~given[i]].mean() for i in range(3)])

    winner = error(pair["winner"], policy) - error(pair["winner"], WEIGHT)
    loser = error(pair["loser"], policy) - error(pair["loser"], WEIGHT)
    expected = np.log1p(np.exp(0.5 * 40.0 * (winner - loser))).mean()
    assert float(terms.loss) == pytest.approx(expected, rel=1e-4)
    assert float(terms.winner_drift) == pytest.approx(winner.mean(), abs=1e-5)


def test_descent_prefers_the_winner(pair):
    config = PreferenceConfig(beta=50.0)

    def run(weight):
        return preference_loss(linear(weight), linear(WEIGHT), **pair, config=config)

    step = jax.jit(jax.grad(lambda w: run(w).loss))
    weight = WEIGHT
    for _ in range(30):
        weight = weight - 0.01 * step(weight)
    end = run(weight)
    assert float(end.loss) < math.log(2.0)
    assert float(end.winner_drift) < float(end.loser_drift)
    assert float(end.accuracy) >= 2 / 3


def test_reference_gets_no_gradient(pair):
    config = PreferenceConfig()
    gradient = jax.grad(
        lambda w: (
            preference_loss(linear(WEIGHT + 0.1), linear(w), **pair, config=config).loss
        )
    )(WEIGHT)
    assert float(jnp.abs(gradient).max()) == 0.0


def test_given_frames_do_not_count_and_stay_clean(pair):
    seen = {}

    def watch(xt, sigma):
        seen["xt"], seen["sigma"] = xt, sigma
        return jnp.zeros_like(xt)

    terms = preference_loss(watch, linear(WEIGHT), **pair, config=PreferenceConfig())
    np.testing.assert_array_equal(seen["xt"][1, 0], pair["winner"][1, 0])
    np.testing.assert_array_equal(seen["xt"][4, 0], pair["loser"][1, 0])
    assert float(seen["sigma"][1]) == float(seen["sigma"][4]) == 0.5

    def spoiled(xt, sigma):
        return jnp.zeros_like(xt).at[1, 0].set(100.0).at[4, 0].set(-50.0)

    other = preference_loss(spoiled, linear(WEIGHT), **pair, config=PreferenceConfig())
    assert float(other.loss) == pytest.approx(float(terms.loss), rel=1e-6)


def test_noise_and_level_are_shared(pair):
    """With winner = loser all four evaluations agree, whatever the policy."""
    same = pair | {"loser": pair["winner"]}
    terms = preference_loss(
        linear(WEIGHT * 2), linear(WEIGHT), **same, config=PreferenceConfig()
    )
    assert float(terms.loss) == pytest.approx(math.log(2.0), abs=1e-6)


def test_anchor_adds_the_winners_error(pair):
    plain = preference_loss(
        linear(WEIGHT), linear(WEIGHT), **pair, config=PreferenceConfig()
    )
    held = preference_loss(
        linear(WEIGHT), linear(WEIGHT), **pair, config=PreferenceConfig(anchor=0.5)
    )
    expected = float(plain.loss) + 0.5 * float(plain.winner_error)
    assert float(held.loss) == pytest.approx(expected, rel=1e-6)


def test_a_clip_with_all_frames_given_has_no_error():
    error = free_mean(jnp.ones(SHAPE), jnp.ones(SHAPE[:2], bool))
    np.testing.assert_array_equal(error, np.zeros(3))
