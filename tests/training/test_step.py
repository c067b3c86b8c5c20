"""The train step against what its equations say."""

import jax
import numpy as np
import pytest
from toy_stage import LeastSquares, make_batch

from animatrix_jax.training.optimizer import (
    OptimizerConfig,
    learning_rates,
    make_optimizer,
    make_schedule,
)
from animatrix_jax.training.step import init_state, make_train_step


def one_step(accumulation=1, poison=range(0), steps=1):
    stage = LeastSquares(10)
    config = OptimizerConfig(
        learning_rate=0.1, warmup_steps=1, accumulation=accumulation, clip_norm=1e9
    )
    tx, rates = make_optimizer(config), learning_rates(config, 10)
    state = init_state(stage.init(jax.random.key(0)), tx, 0)
    step = jax.jit(make_train_step(stage, tx, config))
    for number in range(steps):
        batch = make_batch(number, poison)
        batch.pop("clip_id")
        state, metrics = step(state, {}, batch, rates[number])
    return state, metrics


def test_ema_warms_up():
    """The first step has rate 0, so the parameters move at the second."""
    state, _ = one_step(steps=2)
    before = LeastSquares(1).init(jax.random.key(0))["vae"]["kernel"]
    after = state.params["vae"]["kernel"]
    assert (after != before).any()
    expected = (2 * before + 9 * after) / 11  # d = (1 + 1) / (10 + 1)
    np.testing.assert_allclose(state.ema["vae"]["kernel"], expected, rtol=1e-6)


def test_without_an_average_the_parameters_stand_for_it():
    stage, config = LeastSquares(10), OptimizerConfig(ema_decay=0, warmup_steps=1)
    tx = make_optimizer(config)
    state = init_state(stage.init(jax.random.key(0)), tx, 0, config)
    batch = make_batch(0, range(0))
    batch.pop("clip_id")
    step = jax.jit(make_train_step(stage, tx, config))
    state, _ = step(state, {}, batch, np.float32(0.1))
    assert state.ema is None
    assert state.averaged is state.params


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


def test_a_rate_of_nothing_moves_nothing():
    """The first of a warm-up is 0: what comes with the batch decides."""
    start = LeastSquares(1).init(jax.random.key(0))["vae"]["kernel"]
    np.testing.assert_array_equal(one_step()[0].params["vae"]["kernel"], start)


def second_update(config, params, gradient):
    """Scaled by the learning rate at its peak."""
    tx = make_optimizer(config)
    state = tx.init(params)
    _, state = tx.update(gradient, state, params)
    updates, _ = tx.update(gradient, state, params)
    return jax.tree.map(lambda update: config.learning_rate * update, updates)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_only_kernels_are_decayed(kind):
    """Vectors are not, nor the vectors of a scanned stack."""
    config = OptimizerConfig(
        kind=kind, learning_rate=0.1, weight_decay=1.0, warmup_steps=1
    )
    params = {
        "a": {"kernel": np.ones((2, 2), "f"), "bias": np.ones(2, "f")},
        "layers": {"kernel": np.ones((3, 2, 2), "f"), "bias": np.ones((3, 2), "f")},
    }
    updates = second_update(config, params, jax.tree.map(np.zeros_like, params))
    for part in params:
        np.testing.assert_allclose(updates[part]["kernel"], -0.1, rtol=1e-5)
        np.testing.assert_array_equal(updates[part]["bias"], 0)


@pytest.mark.parametrize(
    ("shape", "matrices"),
    [
        ((6, 4), (1, 6, 4)),
        ((3, 6, 4), (3, 6, 4)),  # a stack of layers
        ((3, 3, 6, 4), (1, 54, 4)),  # a convolution
    ],
)
def test_muon_moves_every_direction_of_a_kernel_alike(shape, matrices):
    config = OptimizerConfig(
        kind="muon", learning_rate=0.1, weight_decay=0.0, warmup_steps=1, clip_norm=1e9
    )
    gradient = {
        "kernel": np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    }
    update = second_update(config, jax.tree.map(np.zeros_like, gradient), gradient)
    stack = np.reshape(update["kernel"], matrices)
    for matrix, slope in zip(stack, gradient["kernel"].reshape(matrices)):
        values = np.linalg.svd(matrix, compute_uv=False)
        # Newton and Schulz's five rounds bring singular values to 0.7 .. 1.2.
        unit = 0.1 * 0.2 * max(matrices[1:]) ** 0.5
        assert (values > 0.65 * unit).all() and (values < 1.25 * unit).all()
        assert (matrix * slope).sum() < 0


def test_muon_leaves_the_rest_to_adam():
    """Which moves entries of slopes 1 and -3 equally far."""
    gradient = {
        "kernel": np.ones((2, 2), np.float32),
        "bias": np.array([1.0, -3.0], np.float32),
    }
    params = jax.tree.map(np.zeros_like, gradient)
    bias = second_update(
        OptimizerConfig(kind="muon", warmup_steps=1), params, gradient
    )["bias"]
    assert bias[0] < 0
    assert bias[1] == pytest.approx(-float(bias[0]))


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="'lion' is not 'adamw' or 'muon'"):
        OptimizerConfig(kind="lion")


# Muon makes the smallest directions of a momentum as large as the largest, and with them
# what rounding did to them.
@pytest.mark.parametrize("kind,apart", [("adamw", 0.02), ("muon", 0.2)])
def test_moments_kept_in_half_the_bytes_move_parameters_alike(kind, apart):
    draw = np.random.default_rng(0)
    params = {
        "kernel": draw.standard_normal((8, 8)).astype(np.float32),
        "bias": draw.standard_normal(8).astype(np.float32),
    }
    whole, half = (
        make_optimizer(OptimizerConfig(kind=kind, moments=moments, clip_norm=1e9))
        for moments in ("float32", "bfloat16")
    )
    states = [whole.init(params), half.init(params)]
    shapes = {leaf.shape for leaf in params.values()}
    kept = [leaf for leaf in jax.tree.leaves(states[1]) if leaf.shape in shapes]
    assert kept and all(leaf.dtype == "bfloat16" for leaf in kept)
    for step in range(5):
        gradient = jax.tree.map(
            lambda p: draw.standard_normal(p.shape).astype(np.float32), params
        )
        updates = []
        for i, tx in enumerate((whole, half)):
            update, states[i] = tx.update(gradient, states[i], params)
            assert all(leaf.dtype == "float32" for leaf in jax.tree.leaves(update))
            updates.append(update)
        if not step:  # no moment that was kept is in it
            jax.tree.map(np.testing.assert_array_equal, *updates)
    for ours, theirs in zip(*map(jax.tree.leaves, updates), strict=True):
        off = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        assert 0 < off < apart
