"""Frames as they are shown."""

import io

import av
import numpy as np
import pytest

from animatrix_jax.data import decoding, video
from animatrix_jax.data.writing import encode_mp4


def test_a_scaler_that_is_kept_gives_what_a_new_one_gives():
    """Whatever came before: other sizes, formats and ranges of colour."""
    rng = np.random.default_rng(0)
    screen = decoding.Screen(1.0)
    for turn, (height, width) in enumerate([(48, 64), (64, 48), (48, 64)]):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        plain = av.VideoFrame.from_ndarray(image, "rgb24")
        for name in ("yuv420p", "rgb24", "yuvj420p", "gray", "yuv444p10le", "yuv420p"):
            frame = plain.reformat(format=name)
            for most in (0, 24):
                size = {}
                if most:
                    size = {"height": 24, "width": round(width * 24 / height)}
                    size["interpolation"] = "AREA"
                expected = frame.to_ndarray(format="rgb24", **size)
                np.testing.assert_array_equal(
                    screen.upright(frame, most),
                    expected,
                    err_msg=f"{turn} {name} {most}",
                )


@pytest.mark.parametrize("space", ["ITU709", "ITU601", "BT2020"])
@pytest.mark.parametrize("range_of", ["MPEG", "JPEG"])
@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuv420p10le", "yuv444p"])
def test_what_is_coded_shows_what_is_shown(name, space, range_of):
    """Whatever the format, matrix and range; by way of RGB it is no more than 0.6 better."""
    plain = av.VideoFrame.from_ndarray(_colours(), "rgb24")
    frame = plain.reformat(format=name, dst_colorspace=space, dst_color_range=range_of)
    screen = decoding.Screen(1.0)
    shown = screen.upright(frame)
    by_rgb = np.abs(_written(shown) - shown).mean()
    found = np.abs(_written(screen.coded(frame, 48, 64)) - shown).mean()
    assert found <= by_rgb + 0.6
    if (name, range_of) == ("yuv420p", "MPEG"):
        assert found == 0.0  # its numbers are copied
    assert _written(screen.coded(frame, 24, 32)).shape == (24, 32, 3)


def test_what_is_no_yuv_or_turned_is_not_coded(monkeypatch):
    plain = av.VideoFrame.from_ndarray(_colours(), "rgb24")
    frame = plain.reformat(format="yuv420p")
    assert decoding.Screen(1.0).coded(frame, 48, 64) is not None
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_turns", lambda frame: 2)
        assert decoding.Screen(1.0).coded(frame, 48, 64) is None
    for name in ("rgb24", "gray"):
        frame = plain.reformat(format=name)
        assert decoding.Screen(1.0).coded(frame, 48, 64) is None


def _colours():
    y, x = np.mgrid[0:48, 0:64] / 64
    return (255 * np.stack([x, y, 0.9 - 0.6 * x], axis=-1)).astype(np.uint8)


def _written(image):
    """An image after H.264 that loses nothing but what its format does."""
    file = io.BytesIO()
    encode_mp4(file, [image] * 2, 24, crf=0)
    file.seek(0)
    return next(video.stream_video(file)).astype(int)
