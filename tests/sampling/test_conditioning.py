"""Frames that are given: held clean, and at their own noise level 0."""

import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.sampling.conditioning import first_frame, hold


def _latents(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (2, 1, 4, 4, 3)])
def test_first_frame_gives_only_the_first(shape):
    latents = _latents(*shape)
    frames = first_frame(latents, frames=5)
    assert frames.clean.shape == (2, 5, 4, 4, 3)
    np.testing.assert_array_equal(frames.clean[:, 0], latents.reshape(2, 4, 4, 3))
    np.testing.assert_array_equal(
        frames.given, [[True, False, False, False, False]] * 2
    )


def test_hold_replaces_given_frames_and_no_other():
    xt, frames = _latents(2, 5, 4, 4, 3), first_frame(_latents(2, 4, 4, 3), frames=5)
    held = hold(xt, frames)
    np.testing.assert_array_equal(held[:, 0], frames.clean[:, 0])
    np.testing.assert_array_equal(held[:, 1:], xt[:, 1:])
    np.testing.assert_array_equal(hold(held, frames), held)
    assert hold(xt, None) is xt
