"""Which frames of pixels are given, as channels of latent frames."""

import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.models.reference import frame_mask, frames_of_pixels


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("at", [(0,), (0, -1), (3,), (0, 2, 5)])
def test_a_channel_a_frame_of_pixels(stride, at):
    """Latent frame f stands for frames 1 + stride (f - 1) .. stride f, the first for one."""
    frames = 1 + 3 * stride
    given = np.zeros((1, frames), bool)
    given[:, list(at)] = True
    mask = np.asarray(frame_mask(jnp.asarray(given), stride))
    assert mask.shape == (1, 4, stride)
    assert (mask[0, 0] == given[0, 0]).all()
    for f in range(1, 4):
        first = 1 + stride * (f - 1)
        np.testing.assert_array_equal(mask[0, f], given[0, first : first + stride])


def test_latent_frames_are_whole_runs_of_pixels():
    given = jnp.asarray([[True, False, True], [False, True, False]])
    pixels = np.asarray(frames_of_pixels(given, 4))
    expected = [[1] + 4 * [0] + 4 * [1], [0] + 4 * [1] + 4 * [0]]
    np.testing.assert_array_equal(pixels, np.asarray(expected, bool))
    whole = np.asarray(frame_mask(jnp.asarray(pixels), 4)).all(-1)
    np.testing.assert_array_equal(whole, given)
