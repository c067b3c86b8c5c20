"""The technical filters on pictures whose fault is known."""

import cv2
import numpy as np
import pytest
from small_videos import scene

from animatrix_jax.curation.technical import (
    WHOLE,
    Change,
    crete_blur,
    cut,
    find_bars,
    inspect,
)
from animatrix_jax.curation.text import text_share


def _grey(video):
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in video])


@pytest.mark.parametrize(("axis", "bar"), [(1, 30), (2, 40)])
def test_bars_are_cut_away_and_dark_pictures_are_not(axis, bar):
    video = np.maximum(scene(1, 6, 240, 320), 40)
    shown = np.zeros_like(video)
    inside = [slice(None)] * 4
    inside[axis] = slice(bar, video.shape[axis] - bar)
    shown[tuple(inside)] = video[tuple(inside)]
    crop = find_bars(_grey(shown))
    left = cut(shown, crop)
    assert left.min() >= 40
    assert left.shape[axis] >= video.shape[axis] - 2 * bar - 3
    assert find_bars(_grey(video)) == WHOLE
    assert find_bars(np.zeros((4, 40, 60), np.uint8)) == WHOLE
    one_side = video.copy()
    one_side[:, :30] = 0
    assert find_bars(_grey(one_side)) == WHOLE


def test_blank_frames_say_what_they_are():
    video = scene(0, 10)
    assert inspect(video).blank == 0
    video[:6] = 0
    found = inspect(video)
    assert found.blank == pytest.approx(0.6) and found.black
    video[:6] = 230
    assert not inspect(video).black


def test_blur_grows_with_blur_and_flat_art_is_sharp():
    image = _grey(scene(3, 1, 360, 640))[0]
    values = [crete_blur(image)]
    values += [crete_blur(cv2.GaussianBlur(image, (0, 0), s)) for s in (1, 3, 8)]
    assert values == sorted(values)
    assert values[0] < 0.4 and values[-1] > 0.8


def test_change_counts_a_moving_mouth_and_no_noise():
    rng = np.random.default_rng(0)
    still = scene(4, 1, 240, 320)[0]
    talking, noisy = Change(), Change()
    for t in range(24):
        mouth = still.copy()
        if t % 4 < 2:
            mouth[150:156, 150:170] = 255 - mouth[150:156, 150:170]
        talking.see(mouth)
        noise = rng.normal(0, 2, still.shape)
        noisy.see(np.clip(still + noise, 0, 255).astype(np.uint8))
    assert talking.share == pytest.approx(11 / 23)
    assert noisy.share == 0


def _subtitled(video, words):
    video = video.copy()
    place = (video.shape[2] // 6, video.shape[1] - 24)
    for image in video:
        for ink, thick in (((0, 0, 0), 5), ((255, 255, 255), 2)):
            cv2.putText(image, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, thick)
    return video


def test_subtitles_are_found_and_pictures_are_not_text():
    found = missed = 0
    for seed in range(8):
        video = scene(seed, 6, 360, 640)
        missed += text_share(_grey(_subtitled(video, "We will never make it!"))) < 1
        found += text_share(_grey(video)) > 0
    assert (found, missed) == (0, 0)
    # Shown for a part of the clip.
    video = scene(1, 8, 360, 640)
    video[:4] = _subtitled(video, "Where are you going?")[:4]
    assert text_share(_grey(video)) == pytest.approx(0.5)
