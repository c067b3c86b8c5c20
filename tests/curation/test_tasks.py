"""What is written of a kept clip, pixel by pixel."""

import numpy as np
from small_videos import write

from animatrix_jax.curation.settings import Encoding
from animatrix_jax.curation.tasks import EncodeClips, media_path
from animatrix_jax.data import video


def _encoded(folder, images, **encoding):
    path = write(folder / "a.mkv", images, codec="ffv1", pix_fmt="yuv444p")
    settings = Encoding(crf=1, **encoding)
    task = EncodeClips(str(folder / "media"), str(folder / "failures"), settings)
    crop = [0.0, 1.0, 0.0, 1.0]
    clip = {"id": "ab", "start": 0.0, "end": 9.0, "fps": 12.0, "crop": crop}
    task({"path": str(path), "clips": [clip]})
    return np.stack(list(video.stream_video(media_path(folder / "media", "ab"))))


def _stripes(height, width):
    """Grey lines of one pixel, across and along: scaling by a little blurs them away."""
    lines = np.zeros((height, width), np.uint8)
    lines[:, : width // 2] = 60 + 120 * (np.arange(height) % 2)[:, None]
    lines[:, width // 2 :] = 60 + 120 * (np.arange(width - width // 2) % 2)
    return np.repeat(np.repeat(lines[None, ..., None], 3, axis=-1), 4, axis=0)


def test_an_odd_size_repeats_its_last_row_and_column(tmp_path):
    """Within what 8-bit YUV and the lightest compression lose, no pixel changes."""
    images = _stripes(73, 131)
    found = _encoded(tmp_path, images).astype(int)
    assert found.shape == (4, 74, 132, 3)
    assert np.abs(found[:, :73, :131] - images).max() <= 8
    assert np.abs(found[:, 73] - found[:, 72]).max() <= 8
    assert np.abs(found[:, :, 131] - found[:, :, 130]).max() <= 8


def test_what_is_too_tall_is_scaled_to_an_even_size(tmp_path):
    assert _encoded(tmp_path, _stripes(73, 131), max_height=37).shape == (4, 36, 66, 3)
