"""The train step against what its equations say."""

import jax
import numpy as np
import optax
import pytest
from toy_stage import LeastSquares, make_batch

from animatrix_jax.training.optimizer import (
    OptimizerConfig,
    make_optimizer,
    make_schedule,
)
from animatrix_jax.training.step import init_state, make_train_step


def one_step(accumulation=1, poison=range(0), steps=1):
    stage = LeastSquares(10)
    config = OptimizerConfig(
        learning_rate=0.1, warmup_steps=1, accumulation=accumulation, clip_norm=1e9
    )
    tx = make_optimizer(config, 10)
    state = init_state(stage.init(jax.random.key(0)), tx, 0)
    step = jax.jit(make_train_step(stage, tx, config))
    for number in range(steps):
        batch = make_batch(number, poison)
        batch.pop("clip_id")
        state, metrics = step(state, {}, batch)
    return state, metrics


def test_ema_warms_up():
    state, _ = one_step()
    before = LeastSquares(1).init(jax.random.key(0))["vae"]["kernel"]
    after = state.params["vae"]["kernel"]
    expected = 0.1 * before + 0.9 * after  # d = (1 + 0) / (10 + 0)
    np.testing.assert_allclose(state.ema["vae"]["kernel"], expected, rtol=1e-6)


def test_accumulation_is_the_mean_over_micro_batches():
    """Only the noise of the toy loss differs, since each micro-batch has its key."""
    whole, metrics = one_step(steps=2)
    parts, micro_metrics = one_step(accumulation=4, steps=2)
    np.testing.assert_allclose(
        whole.params["vae"]["kernel"], parts.params["vae"]["kernel"], atol=5e-3
    )
    assert float(micro_metrics["loss"]) == pytest.approx(
        float(metrics["loss"]), rel=0.02
    )


def test_a_non_finite_step_changes_nothing_but_the_count():
    good, _ = one_step(steps=1)
    bad, metrics = one_step(steps=2, poison=range(1, 2))
    for name in ("params", "ema", "optimizer"):
        for a, b in zip(
            jax.tree.leaves(getattr(good, name)), jax.tree.leaves(getattr(bad, name))
        ):
            np.testing.assert_array_equal(a, b)
    assert int(bad.step) == 2
    assert int(metrics["skipped"]) == int(metrics["skipped_in_row"]) == 1


def test_schedule_warms_up_then_decays_to_its_end():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=10, final_fraction=0.1)
    schedule = make_schedule(config, 100)
    assert float(schedule(0)) == 0.0
    assert float(schedule(10)) == pytest.approx(1.0)
    assert float(schedule(55)) == pytest.approx(0.55, abs=0.01)  # half of the cosine
    assert float(schedule(100)) == pytest.approx(0.1)


def test_vectors_are_not_decayed():
    config = OptimizerConfig(learning_rate=0.1, weight_decay=1.0, warmup_steps=1)
    tx = make_optimizer(config, 10)
    params = {"a": {"kernel": np.ones((2, 2)), "bias": np.ones(2)}}
    zeros = jax.tree.map(np.zeros_like, params)
    state = tx.init(params)
    updates, state = tx.update(zeros, state, params)
    updates, _ = tx.update(zeros, state, params)
    moved = optax.apply_updates(params, updates)
    assert (np.asarray(moved["a"]["kernel"]) < 1).all()
    assert (np.asarray(moved["a"]["bias"]) == 1).all()
