"""Videos out: the same bytes, one matrix a file."""

import io

import av
import numpy as np
import pytest

from animatrix_jax.data import video
from animatrix_jax.data.video import fit
from animatrix_jax.data.writing import encode_mp4


@pytest.mark.parametrize(
    ("speed", "decoded"), [("veryfast", False), ("superfast", True)]
)
def test_the_same_pictures_give_the_same_bytes(tmp_path, speed, decoded):
    """Whatever memory held before; 90 x 160 went wrong once in eight."""
    rng = np.random.default_rng(0)
    picture = fit(
        rng.integers(0, 255, (4, 6, 3)).astype(np.uint8), height=90, width=160
    )
    clip = np.stack([np.roll(picture, t, axis=1) for t in range(18)])
    if decoded:
        kept = (av.VideoFrame.from_ndarray(image, "rgb24") for image in clip)
        clip = [frame.reformat(format="yuv420p") for frame in kept]
    found, junk = set(), []
    for n in range(60):
        junk = [*junk[n % 3 != 0 :], rng.bytes(1 << (10 + n % 9))]
        path = tmp_path / "clip.mp4"
        encode_mp4(path, clip, 12, crf=17, speed=speed, key_every=24, threads=1)
        found.add(path.read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("later", ["ITU601", "ITU709", "BT2020", "rgb24"])
@pytest.mark.parametrize("first", ["ITU601", "ITU709", "BT2020", "rgb24"])
def test_frames_of_another_matrix_are_brought_into_the_first_ones(first, later):
    """A file has one: what it says is of its first frame."""
    colours = np.full((32, 48, 3), (200, 60, 40), np.uint8)

    def image(space):
        if space == "rgb24":
            return colours
        frame = av.VideoFrame.from_ndarray(colours, "rgb24")
        return frame.reformat(format="yuv420p", dst_colorspace=space)

    file = io.BytesIO()
    encode_mp4(file, [image(first), image(later), image(first)], 12, crf=1)
    file.seek(0)
    for shown in video.stream_video(file):
        assert np.abs(shown.astype(int) - colours).mean() < 2.5
