"""Pixel measures: what blurring takes, and what flats, lines and colour are."""

import numpy as np

from animatrix_jax.evaluation.instruments import blur, read_finish


def test_blur_takes_the_drawing_and_leaves_the_colour():
    rng = np.random.default_rng(0)
    video = np.repeat(rng.integers(0, 255, (1, 1, 8, 8, 3), np.uint8), 4, axis=2)
    video = np.repeat(video, 4, axis=3)
    video[..., ::3, :, :] = 0
    soft = blur(video)
    assert soft.shape == video.shape and soft.dtype == np.uint8
    assert abs(float(soft.mean()) - float(video.mean())) < 3
    sharp = read_finish(video[0])
    assert read_finish(soft[0])[1] < 0.5 * sharp[1]


def test_finish_of_a_flat_frame_with_one_line():
    video = np.full((3, 32, 32, 3), 230, np.uint8)
    flat = read_finish(video)
    np.testing.assert_allclose(flat, [1.0, 0.0, 0.0])
    video[:, :, 16] = 10
    lined = read_finish(video)
    assert lined[0] < 1.0
    video[..., 0] = 0
    assert read_finish(video)[2] > 0.5
