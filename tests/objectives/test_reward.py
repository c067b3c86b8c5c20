"""The reward loss: analytic values, probabilities, and what the gradients touch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.objectives.reward import (
    RewardConfig,
    comparison_log_probs,
    comparison_loss,
    huber,
    reward_loss,
)


def test_huber_values():
    error = jnp.array([0.0, 0.5, -0.5, 1.0, 3.0, -3.0])
    expected = [0.0, 0.125, 0.125, 0.5, 2.5, 2.5]
    np.testing.assert_allclose(huber(error, delta=1.0), expected, rtol=1e-6)


@settings(deadline=None, max_examples=50)
@given(
    st.floats(-30, 30, allow_nan=False),
    st.floats(1.01, 50, allow_nan=False),
)
def test_outcomes_sum_to_one(difference, tie_width):
    log_probs = comparison_log_probs(jnp.array([difference]), tie_width=tie_width)
    total = sum(
        float(jnp.exp(p)[0]) for p in (log_probs.better, log_probs.tie, log_probs.worse)
    )
    assert total == pytest.approx(1.0, abs=2e-5)


def test_papers_equations():
    """The two branches, as Rao and Kupper state them, at k = 5."""
    config = RewardConfig()
    difference = jnp.array([1.3, -0.4, 0.7])
    log_k, sigmoid = math.log(5.0), lambda x: 1 / (1 + np.exp(-x))
    d = np.asarray(difference, np.float64)
    won = -np.log(sigmoid(d - log_k))
    tied = won - np.log(sigmoid(-d - log_k)) - math.log(24.0)
    np.testing.assert_allclose(
        comparison_loss(difference, jnp.full(3, 2.0), config=config), won, rtol=1e-5
    )
    np.testing.assert_allclose(
        comparison_loss(difference, jnp.full(3, 0.25), config=config), tied, rtol=1e-5
    )
    np.testing.assert_allclose(
        comparison_loss(-difference, jnp.full(3, -2.0), config=config), won, rtol=1e-5
    )


def test_tie_is_best_at_equal_scores():
    grid = jnp.linspace(-3, 3, 61)
    config = RewardConfig()
    loss = comparison_loss(grid, jnp.zeros(61), config=config)
    assert int(jnp.argmin(loss)) == 30
    log_probs = comparison_log_probs(jnp.zeros(1), tie_width=5.0)
    assert float(jnp.exp(log_probs.tie)[0]) == pytest.approx(4 / 6, abs=1e-6)


def test_reward_loss_parts_and_mask():
    config = RewardConfig()
    targets = jnp.array([[[5.0, 1.0], [1.0, 5.0]], [[3.0, 3.0], [3.0, 3.0]]])
    perfect = reward_loss(targets, targets, config=config)
    assert float(perfect.huber) == 0.0
    assert float(perfect.pair_accuracy) == 1.0
    assert float(perfect.loss) == pytest.approx(0.5 * float(perfect.pairs), rel=1e-6)
    flipped = reward_loss(targets[:, ::-1], targets, config=config)
    assert float(flipped.pair_accuracy) == 0.0
    assert float(flipped.loss) > float(perfect.loss) + 2.0

    weights = jnp.array([[1.0, 0.5], [0.0, 1.0]])
    gradient = jax.grad(
        lambda s: reward_loss(s, targets, config=config, weights=weights).loss
    )(targets + 0.3)
    assert float(jnp.abs(gradient[1, 0]).max()) == 0.0
    assert float(jnp.abs(gradient[1, 1]).max()) > 0.0


def test_every_pair_of_a_group_is_compared():
    config = RewardConfig()
    scores = jnp.array([[[3.0], [2.0], [4.0]]])
    targets = jnp.array([[[5.0], [1.0], [3.0]]])
    terms = reward_loss(scores, targets, config=config)
    losses = [
        comparison_loss(
            scores[0, i] - scores[0, j], targets[0, i] - targets[0, j], config=config
        )
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert float(terms.pairs) == pytest.approx(float(np.mean(losses)), rel=1e-6)
    assert float(terms.pair_accuracy) == pytest.approx(2 / 3)


def test_a_candidate_alone_is_refused():
    with pytest.raises(ValueError, match="two candidates or more, got 1"):
        reward_loss(jnp.zeros((3, 1, 4)), jnp.zeros((3, 1, 4)), config=RewardConfig())


def test_tie_width_must_exceed_one():
    with pytest.raises(ValueError, match="above 1"):
        RewardConfig(tie_width=1.0)


def test_gradient_pulls_the_pair_apart():
    """From equal scores, descent raises the better clip's score and lowers the other."""
    config = RewardConfig(huber_delta=1e-6)
    targets = jnp.array([[[4.0], [2.0]]])
    gradient = jax.grad(lambda s: reward_loss(s, targets, config=config).pairs)(
        jnp.full((1, 2, 1), 3.0)
    )
    assert gradient[0, 0, 0] < 0 < gradient[0, 1, 0]
