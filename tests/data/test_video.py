"""Video files: exact counts, sizes and rates; timestamps; what cannot be read."""

import errno
import fractions
import io
import shutil
import struct
import subprocess

import av
import numpy as np
import pytest
from PIL import Image

from animatrix_jax.curation.settings import Looking
from animatrix_jax.curation.shots import cut_film
from animatrix_jax.data import decoding, video
from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.data.video import (
    VideoError,
    fit,
    probe,
    read_image,
    read_video,
    scan,
)
from animatrix_jax.data.writing import write_image, write_video
from animatrix_jax.errors import UserError


def _ramp(frames: int, height: int = 32, width: int = 32) -> np.ndarray:
    """A clip whose brightness says the frame."""
    levels = np.linspace(20, 235, frames).astype(np.uint8)
    return np.broadcast_to(
        levels[:, None, None, None], (frames, height, width, 3)
    ).copy()


def _level(video: np.ndarray) -> np.ndarray:
    return video.astype(float).mean((1, 2, 3))


@pytest.mark.parametrize("fps", [12, 16, 24000 / 1001])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (36, 64), (33, 47)])
def test_mp4_round_trip(tmp_path, fps, height, width):
    path = tmp_path / "clip.mp4"
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 255, (3, 3, 3)).astype(np.uint8)
    picture = fit(smooth, height=height, width=width)
    video = np.stack([np.roll(picture, t, axis=1) for t in range(17)])
    write_video(path, video, fps)
    info = scan(path)
    assert (info.frames, info.decoded) == (17, 17)
    assert (info.height, info.width) == (height + height % 2, width + width % 2)
    assert info.codec == "h264"
    assert info.fps == pytest.approx(fps, rel=1e-6)
    read = read_video(path, frames=17, fps=fps, height=info.height, width=info.width)[
        :, :height, :width
    ]
    assert np.abs(read.astype(int) - video).mean() < 6


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
def test_ffprobe_agrees(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, _ramp(17), 12)
    entries = "stream=codec_name,width,height,pix_fmt,r_frame_rate,nb_read_frames"
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", entries]
    command += ["-of", "csv=p=0", str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "h264,32,32,yuv420p,12/1,17"


@pytest.mark.parametrize(("rate", "picks"), [(12, [0, 2, 4, 6]), (48, [0, 0, 1, 1])])
def test_resampling_shows_what_was_on_screen(tmp_path, rate, picks):
    path = tmp_path / "clip.mp4"
    clip = _ramp(12)
    write_video(path, clip, 24)
    read = read_video(path, frames=4, fps=rate, height=32, width=32)
    np.testing.assert_allclose(_level(read), _level(clip[picks]), atol=3)


def test_start_is_in_seconds_and_seeks(tmp_path):
    path = tmp_path / "clip.mp4"
    clip = _ramp(96)
    write_video(path, clip, 12)
    for start in (0.5, 3.0, 6.25):
        first = round(start * 12)
        read = read_video(path, frames=5, fps=12, height=32, width=32, start=start)
        expected = _level(clip[first : first + 5])
        np.testing.assert_allclose(_level(read), expected, atol=3)


def _uneven(path, clip, shown_at, *, last=0, sound=0.0):
    """Frames at times in milliseconds, the last for `last`, beside seconds of sound."""
    tick = fractions.Fraction(1, 1000)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = tick
        heard = output.add_stream("aac", rate=16000) if sound else None
        packets = []
        for image, time in zip(clip, shown_at):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = time, tick
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if last:
            packets[-1].duration = round(last * tick / packets[-1].time_base)
        for packet in packets:
            output.mux(packet)
        for n in range(int(sound * 16000 / 1024)):
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.rate, frame.pts = 16000, 1024 * n
            output.mux(heard.encode(frame))
        if heard is not None:
            output.mux(heard.encode(None))


def test_variable_frame_rate_is_read_by_timestamps(tmp_path):
    path = tmp_path / "vfr.mkv"
    clip = _ramp(4)
    _uneven(path, clip, [0, 100, 600, 700])
    assert scan(path).decoded == 4
    read = read_video(path, frames=8, fps=10, height=32, width=32)
    expected = clip[[0, 1, 1, 1, 1, 1, 2, 3]]
    np.testing.assert_allclose(_level(read), _level(expected), atol=3)


def test_a_last_drawing_stays_for_as_long_as_it_is_held(tmp_path):
    """A hold at the end is no missing part of the file."""
    path, clip = tmp_path / "hold.mp4", _ramp(8)
    _uneven(path, clip, [100 * n for n in range(8)], last=800)
    assert scan(path).seconds == pytest.approx(1.5, abs=0.01)
    read = read_video(path, frames=15, fps=10, height=32, width=32)
    expected = clip[[*range(8), *[7] * 7]]
    np.testing.assert_allclose(_level(read), _level(expected), atol=3)
    film = cut_film(path, Looking())
    assert film.seconds == pytest.approx(1.5, abs=1 / film.fps)
    with pytest.raises(VideoError, match="too short"):
        read_video(path, frames=17, fps=10, height=32, width=32)


def test_sound_that_goes_on_is_no_missing_picture(tmp_path):
    """Matroska says of its streams together how long they are."""
    path = tmp_path / "sound.mkv"
    _uneven(path, _ramp(8), [100 * n for n in range(8)], sound=2.0)
    assert scan(path).seconds == pytest.approx(0.8, abs=0.11)
    assert cut_film(path, Looking()).seconds == pytest.approx(0.8, abs=0.11)


def test_real_clips(real_videos):
    sizes = {"bigbuckbunny": (1280, 720, 132), "bikes": (640, 272, 250)}
    for name, (width, height, frames) in sizes.items():
        info = probe(real_videos[name])
        assert (info.width, info.height, info.frames) == (width, height, frames)
    read = read_video(
        real_videos["bigbuckbunny"], frames=17, fps=12, height=33, width=65, start=2.5
    )
    assert read.shape == (17, 33, 65, 3)
    assert read.std() > 20
    still = read_video(
        real_videos["bigbuckbunny"], frames=1, fps=12, height=33, width=65, start=2.5
    )
    np.testing.assert_array_equal(still[0], read[0])


# The upper left of a display matrix, and where a picture's left edge then is.
_TURNS = {
    "quarter": ((0, 1, -1, 0), (slice(0, 24), slice(None))),
    "half": ((-1, 0, 0, -1), (slice(None), slice(40, None))),
    "three quarters": ((0, -1, 1, 0), (slice(40, None), slice(None))),
}


@pytest.mark.parametrize("turn", _TURNS)
def test_rotation_metadata_turns_the_picture(tmp_path, turn):
    path, (_, white) = tmp_path / "clip.mp4", _TURNS[turn]
    _turn(path, turn)
    height, width = (32, 64) if turn == "half" else (64, 32)
    read = read_video(path, frames=1, fps=12, height=height, width=width)[0]
    opposite = read[::-1, ::-1]
    assert read[white].mean() > 230 and opposite[white].mean() < 25
    for info in (probe(path), scan(path)):
        assert (info.height, info.width) == (height, width)


def _turn(path, turn="quarter"):
    """Writes a clip that is white on its left, and turned clockwise."""
    clip = np.zeros((3, 32, 64, 3), np.uint8)
    clip[:, :, :32] = 255
    write_video(path, clip, 12)
    data = bytearray(path.read_bytes())
    # The matrix of the track header, in 16.16 fixed point (2.30 in the last column), as
    # phones write it; players do not heed where it moves the picture to.
    at = data.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 8
    a, b, c, d = (value << 16 for value in _TURNS[turn][0])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def _anamorphic(path, aspect):
    """A disc that is round where pixels have the aspect; 96 x 96 of them."""
    y, x = np.mgrid[:96, :96] - 47.5
    disc = 255 * ((y**2 + (x * float(aspect)) ** 2) < 20**2).astype(np.uint8)
    clip = np.repeat(np.repeat(disc[None, ..., None], 3, axis=-1), 3, axis=0)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = 96, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for image in clip:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("aspect", "width"), [("16/11", 140), ("8/9", 85), ("1", 96), ("9", 96)]
)
def test_pixels_are_made_square(tmp_path, suffix, aspect, width):
    aspect = fractions.Fraction(aspect)
    path = _anamorphic(tmp_path / f"clip.{suffix}", aspect)
    for info in (probe(path), scan(path)):
        assert (info.width, info.height) == (width, 96)
    if aspect > 4:
        return
    for height in (96, 48):
        (image, *_) = video.stream_video(path, height=height)
        assert image.shape[:2] == (height, round(width * height / 96))
        white = image[..., 0] > 127
        across, down = white.any(axis=0).sum(), white.any(axis=1).sum()
        assert abs(across - down) <= 2 and abs(down - 40 * height / 96) <= 2
    read = read_video(path, frames=1, fps=12, height=96, width=width)[0]
    np.testing.assert_array_equal(read, next(video.stream_video(path)))


def test_pixels_of_a_turned_picture_are_made_square(tmp_path):
    """Stored 96 x 96 with pixels twice as wide as high: shown 96 wide, 192 high."""
    path = _anamorphic(tmp_path / "clip.mp4", fractions.Fraction(2))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 8
    one, w = 1 << 16, 1 << 30
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 96 * one, 0, w)
    path.write_bytes(data)
    info = probe(path)
    assert (info.width, info.height) == (96, 192)
    assert next(video.stream_video(path)).shape == (192, 96, 3)
    assert next(video.stream_video(path, height=96)).shape == (96, 48, 3)


def test_fit_covers_and_crops_the_centre():
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, 15:25] = 200
    np.testing.assert_array_equal(fit(image, height=10, width=10), 200)
    assert fit(image, height=5, width=7).shape == (5, 7, 3)
    assert fit(image, height=31, width=29).shape == (31, 29, 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_loop_plays_at_its_rate_for_ever(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    write_video(path, _ramp(17), 12)
    with Image.open(path) as image:
        assert (image.n_frames, image.info["loop"]) == (17, 0)
        total = 0
        for n in range(17):
            image.seek(n)
            image.load()
            total += image.info["duration"]
    assert total == pytest.approx(17 / 12 * 1000, abs=10)
    if suffix == ".gif":
        assert scan(path).decoded == 17


def test_png_is_a_strip_of_all_frames(tmp_path):
    path = tmp_path / "sub" / "clip.png"
    write_video(path, _ramp(5), 12)
    with Image.open(path) as image:
        assert image.width > 5 * 96 and image.height > 96


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"'\.webm': expected .mp4, .gif, .webp or .png"
    ):
        write_video(tmp_path / "x.webm", _ramp(2), 12)


def _truncated(path, real_videos):
    data = real_videos["bigbuckbunny"].read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _cut_behind_index(path, real_videos):
    # Our own files have their index in front: they open, and then end too early.
    rng = np.random.default_rng(0)
    write_video(path, rng.integers(0, 255, (40, 64, 64, 3)).astype(np.uint8), 12)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 4])


def _text(path, real_videos):
    path.write_text("this is no video\n" * 100)


def _empty(path, real_videos):
    path.write_bytes(b"")


def _sound_only(path, real_videos):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


BROKEN = av.error.InvalidDataError(1094995529, "Invalid data\nfound")


# Where a decoder may raise, and what; a scan makes no pictures and does not seek.
RAISED = {
    "upright": ValueError("Conversion to numpy array\nis not yet supported"),
    "coded": ValueError("Cannot convert"),
    "timed_frames_from": OverflowError("value too large to convert"),
    "decoded_frames": BROKEN,
    "_deinterlacer": ValueError("wrong size"),
    "_pulled": BROKEN,
}
READS = [
    (read, place, error)
    for read in ("read_video", "stream_video", "scan", "coded")
    for place, error in [*RAISED.items(), ("upright", BROKEN)]
    if (place != "coded" if read != "coded" else place != "upright")
    and (read != "scan" or place not in ("upright", "timed_frames_from"))
]


@pytest.mark.parametrize(("read", "place", "error"), READS)
def test_what_a_decoder_raises_is_a_video_error(
    tmp_path, monkeypatch, read, place, error
):
    def fail(*args, **kwargs):
        raise error

    path = tmp_path / "clip.mp4"
    write_video(path, _ramp(6), 12)
    if place in ("_deinterlacer", "_pulled"):
        monkeypatch.setattr(decoding, "_is_woven", lambda frame: True)
    screen = decoding.Screen
    owners = {"upright": screen, "coded": screen, "timed_frames_from": video}
    used_in = owners.get(place, decoding)
    monkeypatch.setattr(used_in, place, fail)
    calls = {
        "read_video": lambda: read_video(path, frames=3, fps=12, height=8, width=8),
        "stream_video": lambda: list(video.stream_video(path)),
        "scan": lambda: scan(path),
        "coded": lambda: [
            picture.coded(height=8, width=8) for picture in video.stream_pictures(path)
        ],
    }
    with pytest.raises(VideoError, match="cannot decode: ") as raised:
        calls[read]()
    assert "\n" not in str(raised.value) and raised.value.__cause__ is error


class _Failing(io.BytesIO):
    """A file on a disk that stops answering halfway."""

    def read(self, *args):
        if self.tell() > len(self.getbuffer()) // 2:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(*args)


def test_a_disk_that_fails_is_told_from_a_file_that_is_cut(tmp_path):
    path, rng = tmp_path / "clip.mp4", np.random.default_rng(0)
    write_video(path, rng.integers(0, 255, (90, 96, 96, 3)).astype(np.uint8), 12)
    data = path.read_bytes()
    with pytest.raises(VideoError, match="Input/output error") as raised:
        scan(_Failing(data))
    assert video.is_of_system(raised.value.__cause__)
    with pytest.raises(VideoError, match="truncated") as raised:
        scan(io.BytesIO(data[: len(data) // 2]))
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("error", "system"),
    [
        (av.error.OSError(errno.EIO, "Input/output error"), True),
        (av.error.PermissionError(errno.EACCES, "Permission denied"), True),
        (av.error.PermissionError(errno.EPERM, "Operation not permitted"), False),
        (BROKEN, False),
        (None, False),
    ],
)
def test_what_is_of_the_system(error, system):
    assert video.is_of_system(error) == system


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_truncated, "cannot open|truncated"),
        (_cut_behind_index, r"truncated: 0\.\d\d of 3\.33 seconds|no frame decodes"),
        (_text, "cannot open"),
        (_empty, "cannot open"),
        (_sound_only, "no video stream"),
    ],
)
def test_bad_files_say_why(tmp_path, real_videos, make, reason):
    path = tmp_path / "bad.mp4"
    make(path, real_videos)
    with pytest.raises(VideoError, match=reason) as raised:
        scan(path)
    assert "\n" not in str(raised.value)


def test_too_short_says_how_many(tmp_path):
    path = tmp_path / "short.mp4"
    write_video(path, _ramp(6), 12)
    with pytest.raises(VideoError, match="too short: 6 of 17 frames at 12 fps"):
        read_video(path, frames=17, fps=12, height=32, width=32)
    with pytest.raises(VideoError, match="no such file"):
        probe(tmp_path / "absent.mp4")


def test_a_name_that_is_not_utf8(tmp_path):
    path = tmp_path / b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    write_video(tmp_path / "clip.mp4", _ramp(6), 12)
    shutil.copy(tmp_path / "clip.mp4", path)
    assert scan(path).decoded == 6


def test_images(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 20, 30), image)
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", 8, 8).min() == 255
    (tmp_path / "bad.png").write_text("no picture")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[60:90] = b"x" * 30
    (tmp_path / "hit.png").write_bytes(data)
    (tmp_path / "cut.png").write_bytes(data[:50])
    unreadable = "cannot read image"
    for name, reason in (
        *(("bad.png", unreadable), ("hit.png", unreadable), ("cut.png", unreadable)),
        ("x.png", "no such image"),
    ):
        with pytest.raises(UserError, match=reason):
            read_image(tmp_path / name, 8, 8)


def test_a_picture_taken_sideways_is_turned(tmp_path):
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, :6] = 255
    exif = Image.Exif()
    exif[274] = 6  # Orientation: turn it a quarter to the right.
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    turned = read_image(tmp_path / "a.png", 12, 8)
    assert turned[:6].min() == 255 and turned[6:].max() == 0


def test_contact_sheet_shows_the_clips_in_order():
    clips = np.stack([np.full((4, 8, 8, 3), n * 50, np.uint8) for n in range(3)])
    sheet = contact_sheet(clips, 2, labels=["a", "b", "c"], scale=4)
    assert sheet.shape[2] == 3 and sheet.dtype == np.uint8
    middle = sheet[:, sheet.shape[1] // 4]
    assert (middle == 0).all(-1).sum() >= 32 and (middle == 100).all(-1).sum() >= 32
    fewer = contact_sheet(clips, 1, frames=2)
    assert fewer.shape[1] < contact_sheet(clips, 1).shape[1]
    with pytest.raises(ValueError, match="expected 3 labels"):
        contact_sheet(clips, labels=["a"])
