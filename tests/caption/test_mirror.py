"""A mirrored sight is the sight of the mirrored clip."""

import cv2
import numpy as np
import pytest

from animatrix_jax.caption.mirror import mirrored, mirrored_words
from animatrix_jax.caption.sight import SightConfig, look

CONFIG = SightConfig()


@pytest.fixture(scope="module")
def sights():
    """Of a turning, panning picture with a still spot, and of its mirror image."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    wide = cv2.resize(small, (300, 200), interpolation=cv2.INTER_CUBIC)
    video = []
    for t in range(12):
        turn = cv2.getRotationMatrix2D((150, 100), 1.5 * t, 1.0)
        turn[:, 2] += [3.0 * t, 1.0 * t]
        frame = cv2.warpAffine(wide, turn, (300, 200))[36:164, 86:214].copy()
        frame[90:110, 20:50] = 250
        video.append(frame)
    video = np.stack(video)
    return look(video, CONFIG), look(np.ascontiguousarray(video[:, :, ::-1]), CONFIG)


def test_pictures_are_those_of_the_mirror(sights):
    turned = mirrored(sights[0], CONFIG)
    np.testing.assert_array_equal(turned["pictures"], sights[1]["pictures"])
    assert np.abs(turned["thumbs"].astype(int) - sights[1]["thumbs"]).max() <= 1


@pytest.mark.parametrize("name", ["motion", "whole"])
def test_numbers_are_those_of_the_mirror(sights, name):
    before, turned = sights[0][name], mirrored(sights[0], CONFIG)[name]
    expected = sights[1][name].astype(np.float32)
    scale = np.abs(expected).mean()
    wrong = np.abs(before.astype(np.float32) - expected).mean() / scale
    right = np.abs(turned.astype(np.float32) - expected).mean() / scale
    assert right < 0.1 and right < 0.4 * wrong


def test_twice_is_not_at_all(sights):
    again = mirrored(mirrored(sights[0], CONFIG), CONFIG)
    for key, value in sights[0].items():
        np.testing.assert_array_equal(again[key], value)


def test_words_change_sides():
    assert mirrored_words("camera.camera_motion=pan_left") == (
        "camera.camera_motion=pan_right"
    )
    assert mirrored_words("It pans right, brightly.") == "It pans left, brightly."
