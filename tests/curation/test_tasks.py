"""What is written of a kept clip, pixel by pixel."""

import av
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


def test_what_needs_no_change_is_encoded_as_it_was_decoded(tmp_path):
    """Its own YUV, and not the source's kinds of frames: all of FFV1's are key frames."""
    rng = np.random.default_rng(0)
    images = (
        rng.integers(0, 200, (1, 64, 96, 3)) + 4 * np.arange(9)[:, None, None, None]
    )
    images = images.astype(np.uint8)
    path = write(tmp_path / "a.mkv", images, codec="ffv1", pix_fmt="yuv420p")
    task = EncodeClips(str(tmp_path), str(tmp_path / "f"), Encoding(crf=0, key_every=4))
    crop = [0.0, 1.0, 0.0, 1.0]
    clip = {"id": "ab", "start": 0.0, "end": 9.0, "fps": 12.0, "crop": crop}
    task({"path": str(path), "clips": [clip]})
    with av.open(str(path)) as a, av.open(str(media_path(tmp_path, "ab"))) as b:
        before, after = (list(container.decode(video=0)) for container in (a, b))
    assert [frame.key_frame for frame in after] == [n % 4 == 0 for n in range(9)]
    assert [round(12 * frame.time, 3) for frame in after] == list(range(9))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new.to_ndarray(), old.to_ndarray())
