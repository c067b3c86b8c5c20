"""What stage `vae` settles at its end: how far apart the channels of latents stand."""

import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.models.vae_layers import tilt
from animatrix_jax.training.stages.vae import _statistics, reach

STRENGTH = np.array([2.0, 1.0, 0.5, 0.0])


def decode(latents):
    """Each channel moves the pixels by its strength."""
    return (np.asarray(latents) * STRENGTH).sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def latents():
    rng = np.random.default_rng(0)
    return rng.standard_normal((8, 3, 8, 8, 4)).astype(np.float32) * 3 + 1


@pytest.mark.parametrize("frames", [slice(0, 1), slice(1, None)])
def test_reach_is_how_far_a_channel_moves_the_pixels(latents, frames):
    found = reach(decode, latents, frames)
    np.testing.assert_allclose(found, [1.0, 0.5, 0.25, 0.05], rtol=0.1)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_normalised_latents_have_deviation_1_and_channels_their_reach(latents, power):
    weights = np.array([1.0, 0.5, 0.25, 0.05])
    found = _statistics("latents", latents, weights, power)
    mean, std = (np.array(found[f"latents_{name}"]) for name in ("mean", "std"))
    np.testing.assert_allclose(mean, 1.0, atol=0.2)
    normal = np.asarray(tilt(jnp.asarray((latents - mean) / std), power))
    assert normal.std() == pytest.approx(1.0, abs=0.01)
    spread = normal.std((0, 1, 2, 3))
    np.testing.assert_allclose(spread / spread[0], weights, rtol=0.1)
