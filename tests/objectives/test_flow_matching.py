"""Flow matching against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.objectives import flow_matching as fm


def test_path_runs_from_data_to_noise_with_the_target_as_slope():
    x0, noise = jax.random.normal(jax.random.key(0), (2, 2, 3, 4, 4, 5))
    at = [
        fm.interpolate(x0, noise, jnp.full((2, 3), s)) for s in (0.0, 1.0, 0.3, 0.3001)
    ]
    np.testing.assert_allclose(at[0], x0, atol=1e-6)
    np.testing.assert_allclose(at[1], noise, atol=1e-6)
    np.testing.assert_allclose((at[3] - at[2]) / 1e-4, noise - x0, atol=2e-2)


def test_shift_one_is_the_identity_and_shift_fixes_both_ends():
    u = jnp.linspace(0.0, 1.0, 11)
    np.testing.assert_allclose(fm.shift_sigma(u, 1.0), u, atol=1e-6)
    np.testing.assert_allclose(fm.shift_sigma(u, 5.0)[jnp.array([0, -1])], [0.0, 1.0])
    assert float(fm.shift_sigma(jnp.array(0.5), 3.0)) == pytest.approx(0.75)


def test_median_noise_level_is_the_shifted_half():
    config = fm.FlowConfig(shift=3.0)
    sigma = fm.sample_sigma(jax.random.key(0), 20_000, config)
    assert float(jnp.median(sigma)) == pytest.approx(0.75, abs=0.01)
    assert 0.0 < float(sigma.min()) and float(sigma.max()) < 1.0


def test_noise_levels_of_a_batch_are_spread_evenly():
    """A sixteenth of the distribution each; and each slot's own is the whole of it."""
    config = fm.FlowConfig(shift=3.0)
    draw = jax.jit(lambda key: fm.sample_sigma(key, 16, config))
    edges = jnp.quantile(
        fm.sample_sigma(jax.random.key(9), 16_000, config), jnp.arange(1, 16) / 16
    )
    rows = np.stack([draw(jax.random.key(seed)) for seed in range(400)])
    counts = np.stack(
        [np.bincount(np.searchsorted(edges, r), minlength=16) for r in rows]
    )
    # A level beside an edge may fall on either side of it.
    assert (counts >= 0).all() and (counts <= 2).all() and (counts == 1).mean() > 0.95
    for slot in (0, 7):
        middle = np.median(rows[:, slot])
        assert middle == pytest.approx(float(edges[7]), abs=0.03)


@pytest.mark.parametrize("low,high", [(0.0, 0.875), (0.875, 1.0)])
def test_an_expert_sees_its_own_noise_levels_alone(low, high):
    config = fm.FlowConfig(shift=5.0, low=low, high=high)
    sigma = fm.sample_sigma(jax.random.key(0), 5_000, config)
    assert low - 1e-5 <= float(sigma.min()) and float(sigma.max()) <= high + 1e-5
    whole = fm.sample_sigma(jax.random.key(1), 50_000, fm.FlowConfig(shift=5.0))
    inside = whole[(whole >= low) & (whole <= high)]
    assert float(jnp.median(sigma)) == pytest.approx(
        float(jnp.median(inside)), abs=0.01
    )


def test_error_counts_free_frames_only():
    x0, noise = jax.random.normal(jax.random.key(0), (2, 2, 3, 4, 4, 5))
    given = jnp.array([[True, False, False], [False, False, False]])
    velocity = noise - x0
    assert fm.flow_error(velocity, x0, noise, given).tolist() == [0.0, 0.0]
    wrong = velocity.at[:, 0].add(7.0)  # wrong in the given frame
    first, second = fm.flow_error(wrong, x0, noise, given).tolist()
    assert first == 0.0 and second == pytest.approx(49.0 / 3, rel=1e-5)
    levels = fm.frame_sigma(jnp.array([0.4, 0.6]), given)
    np.testing.assert_allclose(levels[:, :2], [[0.0, 0.4], [0.6, 0.6]])


def test_bad_range_is_refused():
    with pytest.raises(ValueError, match="flow.low 0.9 and flow.high 0.5"):
        fm.FlowConfig(low=0.9, high=0.5)
