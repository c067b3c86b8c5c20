"""Diffusion-DPO: ln 2 at the start, the right sign, given frames and the reference."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.objectives.flow_matching import free_mean
from animatrix_jax.objectives.preference import (
    PreferenceConfig,
    pair_errors,
    preference_loss,
)

SHAPE = (3, 4, 2, 2, 5)


def pair_of(shape):
    keys = jax.random.split(jax.random.key(0), 4)
    return {
        "winner": jax.random.normal(keys[0], shape),
        "loser": jax.random.normal(keys[1], shape),
        "noise": jax.random.normal(keys[2], shape),
        "sigma": jnp.array([0.2, 0.5, 0.9]),
        "given": jnp.zeros(shape[:2], bool).at[1, 0].set(True),
    }


@pytest.fixture(scope="module")
def pair():
    return pair_of(SHAPE)


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


def float64_margin(pair, policy, reference):
    """Each pair's margin by the equation, in float64, of linear fields."""
    pair = {name: np.asarray(value) for name, value in pair.items()}
    level = np.where(pair["given"], 0.0, pair["sigma"][:, None])
    s = level[:, :, None, None, None].astype(np.float64)
    noise = pair["noise"].astype(np.float64)

    def error(x0, weight):
        x0 = x0.astype(np.float64)
        velocity = ((1 - s) * x0 + s * noise) @ np.asarray(weight, np.float64)
        # The level that the field is told is that of the free frames.
        velocity += pair["sigma"].astype(np.float64)[:, None, None, None, None]
        square = (velocity - (noise - x0)) ** 2
        return np.array([square[i][~pair["given"][i]].mean() for i in range(3)])

    def drift(x0):
        return error(x0, policy) - error(x0, reference)

    return drift(pair["winner"]) - drift(pair["loser"])


def test_errors_from_before_give_the_same_loss_and_gradient(pair):
    config = PreferenceConfig(beta=100.0, anchor=0.1)
    known = jax.jit(lambda w: pair_errors(linear(w), **pair))(WEIGHT)

    def loss(weight, reference):
        terms = preference_loss(linear(weight), reference, **pair, config=config)
        return terms.loss, terms

    run = jax.value_and_grad(loss, has_aux=True)
    policy = WEIGHT + 0.02 * jax.random.normal(jax.random.key(3), WEIGHT.shape)
    (_, fresh), fresh_gradient = jax.jit(lambda w: run(w, linear(WEIGHT)))(policy)
    (_, cached), cached_gradient = jax.jit(run)(policy, known)
    assert float(fresh.loss) != pytest.approx(math.log(2.0), abs=1e-2)
    for name in ("loss", "accuracy", "winner_drift", "loser_drift", "margin"):
        ours, theirs = float(getattr(cached, name)), float(getattr(fresh, name))
        assert ours == pytest.approx(theirs, rel=1e-4, abs=2e-6), name
    np.testing.assert_allclose(cached_gradient, fresh_gradient, rtol=1e-3, atol=1e-5)
    assert cached.drift is None and float(fresh.drift) > 0


@pytest.mark.parametrize("beta", [1.0, 100.0, 5000.0])
def test_errors_from_before_start_at_ln_2_within_their_precision(beta):
    """2^-24 of the four errors, times beta / 2 in the logit, of which the loss has half;
    at pico's number of values, and by programs of their own."""
    pair = pair_of((3, 5, 8, 8, 8))
    weight = jax.random.normal(jax.random.key(7), (8, 8)) * 0.3
    known = jax.jit(lambda w: pair_errors(linear(w), **pair))(weight)
    config = PreferenceConfig(beta=beta)

    def loss(weight):
        terms = preference_loss(linear(weight), known, **pair, config=config)
        return terms.loss, terms

    (_, terms), _ = jax.jit(jax.value_and_grad(loss, has_aux=True))(weight)
    errors = 2 * (float(terms.winner_error) + float(terms.loser_error))
    bound = 0.25 * beta * 2.0**-24 * errors + np.finfo(np.float32).eps
    assert abs(float(terms.loss) - math.log(2.0)) <= bound


def test_margins_from_errors_keep_the_precision_that_is_told():
    """Against float64, a policy so near that its margin is the size of its rounding."""
    pair = pair_of((3, 5, 8, 8, 8))
    weight = jax.random.normal(jax.random.key(7), (8, 8)) * 0.3
    policy = weight + 1e-6 * jax.random.normal(jax.random.key(8), (8, 8))
    expected = float64_margin(pair, policy, weight)
    known = jax.jit(lambda w: pair_errors(linear(w), **pair))(weight)
    config = PreferenceConfig()

    def run(reference):
        return jax.jit(
            lambda w: preference_loss(linear(w), reference, **pair, config=config)
        )(policy)

    cached, fresh = run(known), run(linear(weight))
    errors = 2 * (float(cached.winner_error) + float(cached.loser_error))
    assert abs(float(cached.margin) - expected.mean()) <= 2.0**-24 * errors
    # With the reference at hand it is closer by more than an order of magnitude.
    assert abs(float(fresh.margin) - expected.mean()) <= 2.0**-28 * errors


def test_a_number_of_draws_below_zero_is_refused():
    with pytest.raises(ValueError, match="reference_draws is -1; expected 0 or more"):
        PreferenceConfig(reference_draws=-1)
