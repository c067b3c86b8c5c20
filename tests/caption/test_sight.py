"""What is made plain for small networks: motion, cadence, unusual frames."""

import numpy as np
import pytest

from animatrix_jax.caption.sight import SightConfig, look

CONFIG = SightConfig()
_AFFINE = slice(6, 12)


@pytest.fixture(scope="module")
def picture():
    """A smooth random picture, larger than a frame."""
    import cv2

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)
    return cv2.resize(small, (400, 240), interpolation=cv2.INTER_CUBIC)


def pan(picture, steps, size=128):
    """Windows of a picture that move right by `steps` pixels a frame."""
    return np.stack([picture[50 : 50 + size, int(x) : int(x) + size] for x in steps])


def test_shapes_are_those_of_the_config_whatever_the_clip():
    rng = np.random.default_rng(0)
    for shape in ((33, 90, 160, 3), (7, 33, 21, 3), (1, 8, 300, 3)):
        sight = look(rng.integers(0, 256, shape, dtype=np.uint8), CONFIG)
        assert sight["pictures"].shape == (7, 128, 128, 3)
        assert sight["thumbs"].shape == (33, 24, 24, 3)
        assert sight["motion"].shape == (33, CONFIG.motion)
        assert sight["whole"].shape == (CONFIG.whole,)
        assert sight["seen"].sum() == shape[0]
        assert all(np.isfinite(v.astype(np.float32)).all() for v in sight.values())


def test_too_many_frames_are_refused():
    with pytest.raises(ValueError, match="expected 1 to 33 frames, got 34"):
        look(np.zeros((34, 16, 16, 3), np.uint8), CONFIG)


@pytest.mark.parametrize(
    "wrong", [{"size": 100}, {"thumb": 10}, {"grid": 7}, {"grid": 12}]
)
def test_shapes_that_do_not_divide_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SightConfig(**wrong)


@pytest.mark.parametrize("shift", [-2, 3])
def test_a_pan_is_a_shift_of_all(picture, shift):
    start = 130
    sight = look(pan(picture, start + shift * np.arange(20)), CONFIG)
    root = sight["motion"][:19, _AFFINE].astype(np.float64).mean(0) / 4.0
    moved = np.sign(root) * root**2
    # The window goes right, so the content goes left: by pixels of a height of 128.
    assert moved[0] == pytest.approx(-shift / 128, rel=0.1)
    assert abs(moved[1]) < 0.1 * abs(shift) / 128


def test_what_a_pan_changes_is_laid_back(picture):
    sight = look(pan(picture, 100 + 3 * np.arange(20)), CONFIG)
    n = CONFIG.grid**2
    laid, raw = sight["motion"][:19, -2 * n : -n], sight["motion"][:19, -n:]
    assert laid.mean() < 0.5 * raw.mean()


@pytest.mark.parametrize(("period", "place"), [(2, 0), (3, 1), (4, 2)])
def test_a_cadence_is_its_own_period(period, place):
    rng = np.random.default_rng(1)
    drawings = np.full((33, 64, 64, 3), 200, np.uint8)
    for t in range(33):
        at = (t - t % period) // 2 + 18  # in the middle, where figures are
        drawings[t, 20:40, at : at + 12] = 30
    noisy = drawings + rng.integers(0, 3, drawings.shape)
    sight = look(noisy.astype(np.uint8), CONFIG)
    beats = sight["whole"][:3]
    assert beats.argmax() == place
    assert beats[place] > 0.99


@pytest.mark.parametrize("length", [1, 3, 6])
def test_a_drawing_that_comes_and_goes_is_among_the_pictures(length):
    """While a figure walks by, which no two frames show in one place."""
    video = np.full((33, 64, 64, 3), 200, np.uint8)
    for t in range(33):
        video[t, 30:50, 1 + t : 9 + t] = 40
    video[12 : 12 + length, 10:24, 10:54] = 40
    sight = look(video, CONFIG)
    times = np.round(sight["times"][CONFIG.even :] * 32).astype(int)
    assert ((times >= 12) & (times < 12 + length)).any()


def test_a_flash_is_among_the_pictures():
    video = np.full((33, 32, 32, 3), 90, np.uint8)
    video[17] = 255
    sight = look(video, CONFIG)
    assert (sight["pictures"][CONFIG.even :].min((1, 2, 3)) == 255).any()
