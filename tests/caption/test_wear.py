"""Wear keeps a clip a clip."""

import numpy as np
import pytest

from animatrix_jax.caption.wear import VARIANTS, coded, cropped, encoded, worn


@pytest.fixture(scope="module")
def video():
    t, y, x = np.meshgrid(np.arange(9), np.arange(45), np.arange(61), indexing="ij")
    grey = (127 + 90 * np.sin(0.2 * x + 0.1 * y + 0.5 * t)).astype(np.uint8)
    return np.stack([grey, grey, 255 - grey], axis=-1)


def test_every_variant_keeps_frames_and_changes_pixels(video):
    for name, wear in VARIANTS.items():
        found = wear(video)
        assert found.dtype == np.uint8 and len(found) == len(video), name
        assert found.shape != video.shape or (found != video).any(), name


def test_coding_is_close_and_a_lower_rate_is_further(video):
    near, far = (
        np.abs(coded(video, crf=c).astype(int) - video[:, :44, :60]).mean()
        for c in (18, 40)
    )
    assert near < far < 20


def test_coding_gives_the_same_bytes_every_time(video):
    assert len({encoded(video, crf=28) for _ in range(200)}) == 1


def test_a_crop_is_a_part(video):
    part = cropped(video, share=0.2, x=0.0, y=1.0)
    np.testing.assert_array_equal(part, video[:, 9:, :49])


def test_what_is_drawn_is_a_function_of_the_generator(video):
    first = [worn(video, np.random.default_rng(s)) for s in range(6)]
    again = [worn(video, np.random.default_rng(s)) for s in range(6)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(a.shape != video.shape or (a != video).any() for a in first)
