"""Files to shots."""

import fractions

import av
import numpy as np
import pytest
from small_videos import scene, write

from animatrix_jax.curation.look import look
from animatrix_jax.curation.settings import Looking
from animatrix_jax.curation.shots import cut_film
from animatrix_jax.data.video import VideoError
from animatrix_jax.data.writing import write_video


def test_cuts_are_found_to_the_frame(tmp_path):
    shots = [scene(seed, frames) for seed, frames in ((0, 20), (1, 13), (2, 27))]
    film = cut_film(write(tmp_path / "a.mp4", np.concatenate(shots)), Looking())
    frames = [(round(a * 12), round(b * 12)) for a, b in film.spans]
    assert frames == [(0, 20), (20, 33), (33, 60)]
    assert film.seconds == pytest.approx(5.0)


def test_long_shots_are_cut_evenly_and_labels_take_their_place(tmp_path):
    path = write(tmp_path / "a.mp4", scene(0, 60))
    film = cut_film(path, Looking(max_seconds=2.0))
    assert [b - a for a, b in film.spans] == pytest.approx([5 / 3] * 3)
    assert film.spans[0][1] == film.spans[1][0] and film.spans[-1][1] == 5.0
    labelled = cut_film(path, Looking(), [(0.5, 1.5), (3.0, None), (9.0, 10.0)])
    assert labelled.spans == ((0.5, 1.5), (3.0, 5.0))


def test_a_recording_that_changes_its_size_is_cut_all_the_same(tmp_path):
    path, time = tmp_path / "a.ts", fractions.Fraction(1, 25)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 144, "yuv420p"
        for number, width in enumerate((192, 256)):
            coder = av.CodecContext.create("libx264", "w")
            coder.width, coder.height, coder.pix_fmt = width, 144, "yuv420p"
            coder.time_base, coder.framerate = time, 1 / time
            coder.options = {"bf": "0", "preset": "ultrafast"}
            packets = []
            for n, image in enumerate(scene(number, 40, 144, width)):
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = 40 * number + n, time
                packets += coder.encode(frame)
            for packet in [*packets, *coder.encode(None)]:
                packet.stream, packet.time_base = stream, time
                output.mux(packet)
    film = cut_film(path, Looking())
    frames = [(round(a * 25), round(b * 25)) for a, b in film.spans]
    assert frames == [(0, 40), (40, 80)]
    sizes = [look(path, film, span, Looking()) for span in film.spans]
    assert [(s["height"], s["width"]) for s in sizes] == [(144, 192), (144, 256)]


@pytest.mark.parametrize(("share", "whole"), [(0.6, False), (0.99, True)])
def test_a_file_that_ends_too_early_is_truncated(tmp_path, share, whole):
    """With its index in front it opens, and claims what is not there."""
    path, rng = tmp_path / "a.mp4", np.random.default_rng(0)
    noise = rng.integers(0, 255, (40, 48, 64, 3)).astype(np.uint8)
    write_video(path, noise, 12)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    path.write_bytes(data[: int(share * len(data))])
    if whole:
        assert cut_film(path, Looking()).seconds == pytest.approx(40 / 12, rel=0.1)
        return
    with pytest.raises(VideoError, match=r"truncated: [12]\.\d\d of 3\.33 seconds"):
        cut_film(path, Looking())
