"""Log-probabilities of captions, and the preference between two."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.objectives.captioning import (
    CaptioningConfig,
    caption_preference_loss,
    shown_loss,
    token_log_probs,
)
from animatrix_jax.objectives.fields import FieldTable, field_log_probs, field_loss

TABLE = FieldTable(
    fields=("a.one", "a.several"),
    owner=np.array([0, 0, 0, 1, 1], np.int32),
    multiple=np.array([False, True]),
)
LOGITS = jnp.array([[1.0, -0.5, 0.3, 2.0, -1.0]])


def tags(*places):
    return jnp.array([[i in places for i in range(5)]])


def test_probabilities_of_a_field_add_up_to_one():
    single = [field_log_probs(LOGITS, tags(i), table=TABLE)[0, 0] for i in range(3)]
    assert float(jnp.exp(jnp.array(single)).sum()) == pytest.approx(1.0, rel=1e-6)
    sets = [(3,), (4,), (3, 4)]
    several = [field_log_probs(LOGITS, tags(*s), table=TABLE)[0, 1] for s in sets]
    none = -jax.nn.softplus(LOGITS[0, 3:]).sum()  # of no value at all: never stated
    total = jnp.exp(jnp.array(several)).sum() + jnp.exp(none)
    assert float(total) == pytest.approx(1.0, rel=1e-6)


def test_a_field_that_is_not_stated_has_no_log_probability():
    assert field_log_probs(LOGITS, tags(1), table=TABLE)[0, 1] == 0.0


def test_the_loss_is_the_mean_over_stated_fields_of_all_clips():
    logits = jnp.concatenate([LOGITS, -LOGITS])
    truth = jnp.concatenate([tags(2, 4), tags(0)])  # three fields are stated
    found = field_log_probs(logits, truth, table=TABLE)
    log_p = jax.nn.log_softmax(logits[:, :3])[[0, 1], [2, 0]]
    sigmoid = jax.nn.sigmoid(LOGITS[0, 3:])
    several = jnp.log((1 - sigmoid[0]) * sigmoid[1])
    loss = field_loss(logits, truth, table=TABLE).loss
    assert float(loss) == pytest.approx(-float(found.sum()) / 3, rel=1e-6)
    assert float(loss) == pytest.approx(-float(log_p.sum() + several) / 3, rel=1e-5)


def test_padding_has_no_log_probability():
    logits = jax.random.normal(jax.random.key(0), (1, 3, 7))
    targets, mask = jnp.array([[2, 5, 0]]), jnp.array([[True, True, False]])
    found = token_log_probs(logits, targets, mask)
    expected = jax.nn.log_softmax(logits)[0, jnp.arange(2), targets[0, :2]]
    np.testing.assert_allclose(found[0, :2], expected, rtol=1e-5)
    assert found[0, 2] == 0.0


def test_fields_that_are_not_drawn_teach_nothing():
    shown, truth = jnp.zeros((1, 2)), tags(0)
    drawn = np.array([True, False])
    gradient = jax.grad(
        lambda x: shown_loss(x, truth, table=TABLE, drawn=drawn), argnums=0
    )(shown)
    assert gradient[0, 0] < 0 and gradient[0, 1] == 0


def prefer(winner, loser, anchor=0.0):
    start = jnp.array([-40.0, -30.0])
    return caption_preference_loss(
        start + winner,
        start + loser,
        reference_winner=start,
        reference_loser=start,
        counts=jnp.array([20.0, 20.0]),
        config=CaptioningConfig(beta=0.1, anchor=anchor),
    )


def test_where_the_policy_is_the_reference_the_loss_is_ln_2():
    assert float(prefer(0.0, 0.0).loss) == pytest.approx(math.log(2), rel=1e-6)
    anchored = prefer(0.0, 0.0, anchor=0.5).loss
    assert float(anchored) == pytest.approx(math.log(2) + 0.5 * 35 / 20, rel=1e-6)


def test_a_winner_that_gains_lowers_the_loss():
    up, down = prefer(2.0, 0.0), prefer(-2.0, 0.0)
    assert float(up.loss) < math.log(2) < float(down.loss)
    assert float(up.accuracy) == 1.0 and float(up.margin) == pytest.approx(2.0)
