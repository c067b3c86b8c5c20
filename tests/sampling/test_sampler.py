"""The sampler on fields whose answer is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.presets import Experts
from animatrix_jax.sampling.conditioning import first_frame
from animatrix_jax.sampling.guidance import GuidanceConfig
from animatrix_jax.sampling.sampler import SamplerConfig, begin, sample_latents, turns
from animatrix_jax.sampling.solvers import get_solver

MEAN, SCALE = 0.8, 0.4
SHAPE = (64, 3, 4, 4, 2)
SOLVERS = ["euler", "dpm++2m", "unipc"]
EMPTY = Conditioning(
    text=jnp.zeros((SHAPE[0], 1, 1)),
    tag_fields=jnp.zeros((SHAPE[0], 1), jnp.int32),
    tag_values=jnp.zeros((SHAPE[0], 1), jnp.int32),
    tag_mask=jnp.zeros((SHAPE[0], 1), bool),
)
UNGUIDED = {"guidance": GuidanceConfig(text=1.0, tag=1.0)}


def gaussian_velocity(xt, sigma, conditioning):
    """E[noise - x0 | xt] for x0 ~ N(MEAN, SCALE^2): the exact velocity."""
    s = sigma[:, None, None, None, None]
    variance = (1 - s) ** 2 * SCALE**2 + s**2
    centred = (xt - (1 - s) * MEAN) / variance
    return s * centred - (MEAN + (1 - s) * SCALE**2 * centred)


def _sample(velocity_fn, config, **given):
    noise = jax.random.normal(jax.random.key(3), SHAPE)
    run = jax.jit(
        functools.partial(
            sample_latents, velocity_fn, conditioning=EMPTY, null=EMPTY, config=config
        )
    )
    return np.asarray(noise), np.asarray(run(begin(noise, config), **given).xt)


@pytest.mark.parametrize("solver", SOLVERS)
def test_gaussian_target_has_its_mean_and_deviation(solver):
    config = SamplerConfig(steps=100, shift=3.0, solver=solver, **UNGUIDED)
    noise, latents = _sample(gaussian_velocity, config)
    assert abs(latents.mean() - MEAN) < 0.02
    assert abs(latents.std() - SCALE) < 0.02
    # The flow of one Gaussian into another is known point by point.
    np.testing.assert_allclose(latents, MEAN + SCALE * noise, atol=0.06)


@pytest.mark.parametrize("solver", SOLVERS)
def test_given_frame_is_untouched_and_told_to_be_clean(solver):
    frames = first_frame(
        jax.random.normal(jax.random.key(4), SHAPE[:1] + SHAPE[2:]), frames=SHAPE[1]
    )

    def velocity(xt, sigma, conditioning):
        # Any deviation from a clean first frame, told to be so, spoils every frame.
        spoilt = jnp.abs(xt[:, :1] - frames.clean[:, :1]).max()
        spoilt += (conditioning.clean != (jnp.arange(SHAPE[1]) == 0)).any()
        return gaussian_velocity(xt, sigma, conditioning) + 1e3 * spoilt

    config = SamplerConfig(steps=20, solver=solver, **UNGUIDED)
    _, latents = _sample(velocity, config, frames=frames)
    np.testing.assert_array_equal(latents[:, 0], np.asarray(frames.clean)[:, 0])
    _, free = _sample(gaussian_velocity, config)
    np.testing.assert_allclose(latents[:, 1:], free[:, 1:], atol=1e-5)


def test_the_trajectory_is_float32_whatever_the_network_computes_in():
    def velocity(xt, sigma, conditioning):
        assert xt.dtype == jnp.float32 and sigma.shape == xt.shape[:1]
        return gaussian_velocity(xt, sigma, conditioning).astype(jnp.bfloat16)

    _, latents = _sample(velocity, SamplerConfig(steps=4, **UNGUIDED))
    assert latents.dtype == np.float32 and np.isfinite(latents).all()


def test_the_network_is_traced_once_and_called_once_a_step():
    traced, called = [], []

    def velocity(xt, sigma, conditioning):
        traced.append(xt.shape[0])
        jax.debug.callback(lambda level: called.append(float(level)), sigma[0])
        return gaussian_velocity(xt, sigma, conditioning)

    _sample(velocity, SamplerConfig(steps=7, shift=1.0))
    jax.effects_barrier()
    assert set(traced) == {3 * SHAPE[0]} and len(traced) <= 2
    np.testing.assert_allclose(sorted(called), np.arange(1, 8) / 7, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("first", [1, 4, 6])
def test_a_trajectory_in_two_parts_is_the_whole_one(solver, first):
    config = SamplerConfig(steps=7, solver=solver, **UNGUIDED)
    noise, whole = _sample(gaussian_velocity, config)
    at = begin(jnp.asarray(noise), config)
    for steps in ((0, first), (first, 7)):
        at = sample_latents(
            gaussian_velocity,
            at,
            conditioning=EMPTY,
            null=EMPTY,
            config=config,
            steps=steps,
        )
    np.testing.assert_allclose(at.xt, whole, atol=1e-5)


def test_experts_share_the_steps_by_noise_level():
    config = SamplerConfig(
        steps=40,
        shift=12.0,
        guidance=GuidanceConfig(text=3.0),
        guidance_high=4.0,
        solver="unipc",
    )
    high, low = turns(config, Experts(boundary=0.875, guidance_high=4.0))
    told = get_solver("unipc").told(40, 12.0)
    assert (high.generator, low.generator) == ("generator", "generator_low")
    assert high.steps == (0, low.steps[0]) and low.steps[1] == 40
    assert told[high.steps[1] - 1] >= 0.875 > told[low.steps[0]]
    assert (high.guidance.text, low.guidance.text) == (4.0, 3.0)
    # One step is of noise alone, and nobody's but the high-noise expert's.
    (only,) = turns(SamplerConfig(steps=1), Experts(boundary=0.9, guidance_high=2.0))
    assert only.generator == "generator" and only.steps == (0, 1)
    (all_,) = turns(config, None)
    assert all_.generator == "generator" and all_.steps == (0, 40)
