"""Which frame is shown when, and what is no whole file: clocks, orders, holes."""

import fractions

import av
import numpy as np
import pytest

from animatrix_jax.curation.settings import Looking
from animatrix_jax.curation.shots import cut_film
from animatrix_jax.data import decoding, video
from animatrix_jax.data.video import VideoError, probe, scan


def _numbered(path, frames, *, rate=24, size=64, start=0, **options):
    """A file of frames that say their numbers, a key frame every tenth, from a second on."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = size, size, "yuv420p"
        stream.gop_size = 10
        for number in range(frames):
            image = np.zeros((size, size, 3), np.uint8)
            for bit in range(10):
                image[:, bit * 6 : (bit + 1) * 6] = 255 * (number >> bit & 1)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = number + round(start * rate)
            frame.time_base = 1 / fractions.Fraction(rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _numbers(images):
    """What `_numbered` frames say."""
    return [
        sum(
            int(image[:, bit * 6 + 2 : bit * 6 + 4].mean() > 128) << bit
            for bit in range(10)
        )
        for image in images
    ]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("rate", [24, fractions.Fraction(24000, 1001)])
def test_a_start_on_a_key_frame_is_not_decoded_from_the_top(
    tmp_path, monkeypatch, suffix, rate
):
    """Whatever the clock of the file rounds to."""
    path = _numbered(tmp_path / f"a.{suffix}", 200, rate=rate, preset="ultrafast")
    decoded, real = [0], decoding.decoded_frames

    def counted(*args):
        for frame in real(*args):
            decoded[0] += 1
            yield frame

    monkeypatch.setattr(decoding, "decoded_frames", counted)
    fps = probe(path).fps
    for first in range(60, 200, 20):
        decoded[0] = 0
        span = {"start": first / fps, "end": (first + 5) / fps}
        found = _numbers(video.stream_video(path, fps=fps, threads=1, **span))
        assert found == list(range(first, first + 5))
        assert decoded[0] < 30


def test_avi_is_read_in_the_order_in_which_it_is_shown(tmp_path):
    """It says when frames are coded, not when they are shown."""
    path = _numbered(tmp_path / "a.avi", 60, bf="3", preset="veryfast")
    found = _numbers(video.stream_video(path, threads=1))
    assert found == list(range(60))
    assert scan(path).decoded == 60
    later = _numbers(video.stream_video(path, start=2.25, threads=1))
    assert later == found[54:]


@pytest.mark.parametrize("later", [0, 3600])
def test_a_clock_that_is_set_anew_is_a_reason_not_a_loss(tmp_path, later):
    parts = [_numbered(tmp_path / "0.ts", 60, rate=25)]
    parts += [_numbered(tmp_path / "1.ts", 100, rate=25, start=later)]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for read in (scan, lambda path: cut_film(path, Looking())):
        with pytest.raises(VideoError, match="its clock jumps, from 2"):
            read(path)


def test_a_hole_in_the_middle_is_damage(tmp_path):
    path = _numbered(tmp_path / "a.mp4", 200)
    data = bytearray(path.read_bytes())
    head = data.index(b"mdat") + 8
    size = data.index(b"moov") - head
    begin, end = head + int(0.3 * size), head + int(0.7 * size)
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    for read in (scan, lambda path: cut_film(path, Looking())):
        with pytest.raises(VideoError, match=r"damaged: \d+ of 200 pictures"):
            read(path)
