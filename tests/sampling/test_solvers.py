"""Solvers: step-by-step parity with diffusers, exactness and order of convergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.sampling import solvers

FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}


def _reference(name, shift):
    if name == "euler":
        return FlowMatchEulerDiscreteScheduler(shift=shift)
    if name == "unipc":
        return UniPCMultistepScheduler(flow_shift=shift, **FLOW)
    return DPMSolverMultistepScheduler(flow_shift=shift, **FLOW)


def _velocity(x, sigma, sin):
    """A smooth, nonlinear field; the same in numpy, jax and torch."""
    return 0.7 * sin(2.0 * x) + (1.5 - sigma) * x - 0.3


@pytest.mark.parametrize("shift", [1.0, 3.0, 12.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 20, 40])
@pytest.mark.parametrize("name", ["euler", "dpm++2m", "unipc"])
def test_equals_diffusers_step_by_step(name, steps, shift):
    reference = _reference(name, shift)
    if name == "euler":
        reference.set_timesteps(sigmas=np.linspace(1, 0, steps + 1)[:-1])
    else:
        reference.set_timesteps(steps)
    solver = solvers.get_solver(name)
    sigmas = solver.grid(steps, shift)
    np.testing.assert_allclose(sigmas, reference.sigmas.numpy(), rtol=2e-7)
    told = 1000 * solver.told(steps, shift)
    np.testing.assert_allclose(told, reference.timesteps.numpy(), rtol=2e-7)

    start = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 2)).astype(np.float32)
    theirs, ours = torch.from_numpy(start), jnp.asarray(start)
    state, table = solver.init(ours), solver.table(sigmas)
    step = jax.jit(solver.step)
    reference.set_begin_index(0)
    for i in range(steps):
        sigma = float(sigmas[i])
        velocity = _velocity(theirs, sigma, torch.sin)
        theirs = reference.step(velocity, reference.timesteps[i], theirs)[0]
        row = {key: jnp.asarray(values[i]) for key, values in table.items()}
        after = step(state, ours, _velocity(ours, sigma, jnp.sin), row)
        ours, state = after.xt, after.state
        error = np.abs(np.asarray(ours) - theirs.numpy()).max()
        assert error <= 1e-5 * np.abs(theirs.numpy()).max(), f"step {i}"


def _solve(name, steps, x, velocity):
    solver = solvers.get_solver(name)
    sigmas = solver.grid(steps, 1.0)
    table, state = solver.table(sigmas), solver.init(x)
    for i in range(steps):
        row = {key: jnp.asarray(values[i]) for key, values in table.items()}
        after = solver.step(state, x, velocity(x, sigmas[i]), row)
        x, state = after.xt, after.state
    return np.asarray(x)


@given(
    steps=st.integers(1, 60),
    shift=st.floats(0.25, 20.0),
    name=st.sampled_from(["euler", "dpm++2m", "unipc"]),
)
@settings(max_examples=60, deadline=None)
def test_grid_falls_from_near_one_to_zero(steps, shift, name):
    sigmas = solvers.get_solver(name).grid(steps, shift)
    assert sigmas.shape == (steps + 1,) and sigmas.dtype == np.float32
    assert (np.diff(sigmas) < 0).all()
    assert 0.99 < sigmas[0] <= 1.0 and sigmas[-1] == 0.0
    table = solvers.get_solver(name).table(sigmas)
    assert all(len(rows) == steps for rows in table.values())
    assert all(np.isfinite(rows).all() for rows in table.values())


@given(shift=st.floats(0.5, 15.0), steps=st.integers(2, 50))
@settings(max_examples=40, deadline=None)
def test_shift_is_the_stated_map(shift, steps):
    u = np.linspace(1, 0, steps + 1)
    expected = shift * u / (1 + (shift - 1) * u)
    np.testing.assert_allclose(solvers.noise_grid(steps, shift), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["euler", "dpm++2m", "unipc"])
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_a_single_clean_clip_is_reached_exactly(name, steps):
    """The target is one point: v = (x - x0) / sigma, and every solver is exact."""
    target = jnp.asarray([0.3, -1.2, 2.0])
    noise = jnp.asarray([1.0, 0.5, -0.7])
    got = _solve(name, steps, noise, lambda x, sigma: (x - target) / sigma)
    np.testing.assert_allclose(got, target, atol=2e-6)


def test_orders_of_convergence():
    """Doubling the steps halves Euler's error and cuts the others' to a third or less.

    Each starts on the true trajectory at its grid's first level, which is below 1.
    """
    mean, scale = 0.4, 0.5

    def velocity(x, sigma):  # exact for x0 ~ N(mean, scale^2)
        variance = (1 - sigma) ** 2 * scale**2 + sigma**2
        centred = (x - (1 - sigma) * mean) / variance
        return sigma * centred - (mean + (1 - sigma) * scale**2 * centred)

    noise = np.asarray([-1.5, -0.2, 0.9, 1.7], np.float32)
    exact = mean + scale * noise
    ratio = {}
    for name in ("euler", "dpm++2m", "unipc"):
        first = solvers.get_solver(name).grid(64, 1.0)[0]
        spread = np.sqrt((1 - first) ** 2 * scale**2 + first**2)
        start = jnp.asarray((1 - first) * mean + spread * noise)
        errors = [
            np.abs(_solve(name, steps, start, velocity) - exact).max()
            for steps in (64, 128)
        ]
        ratio[name] = errors[0] / errors[1]
    assert 1.7 < ratio["euler"] < 2.4, ratio
    assert ratio["dpm++2m"] > 2.6 and ratio["unipc"] > 2.6, ratio


@pytest.mark.parametrize("call", [
    lambda: solvers.noise_grid(0, 3.0),
    lambda: solvers.noise_grid(4, 0.0),
    lambda: solvers.get_solver("heun"),
])  # fmt: skip
def test_impossible_requests_say_what_was_expected(call):
    with pytest.raises(ValueError, match="at least 1|positive|one of euler"):
        call()
