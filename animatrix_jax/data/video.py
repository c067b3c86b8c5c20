"""Video and image files in and out: the only module that talks to PyAV and Pillow.

Reading resamples by timestamps, so variable frame rates come out even: output frame i
shows what was on screen at `start + i / fps`. Every frame is turned by its rotation
metadata, scaled to cover `height x width` (area averaging when it shrinks) and cropped
at its centre.
"""

import dataclasses
import fractions
import itertools
import os
import pathlib
import struct
from collections.abc import Iterator

import av
import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.errors import UserError

__all__ = [
    "CLOCK_SLACK",
    "VideoError",
    "VideoInfo",
    "contact_sheet",
    "fit",
    "probe",
    "read_image",
    "read_video",
    "scan",
    "write_image",
    "write_video",
]

VIDEO_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg"),
        *("ts", "flv", "wmv", "ogv", "gif"),
    )
)
_H264 = ("libx264", "libopenh264", "h264")
# Matroska and FLV round timestamps to a millisecond.
CLOCK_SLACK = 2e-3
# Below this start time, decoding from the first frame is cheaper than a seek.
_SEEK_FROM_SECONDS = 2.0
Path = str | os.PathLike
Real = float | int
"""A rate or a time, as a person may write it."""


class VideoError(UserError):
    """A file that cannot be used; the message is the short reason."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file says of itself, before (probe) or after (scan) decoding it.

    `frames` and `seconds` are 0 where the container does not say; `decoded` is how many
    frames did decode, None when none was tried.
    """

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    codec: str
    decoded: int | None = None


def probe(path: Path) -> VideoInfo:
    """Reads the header only.

    Raises:
      VideoError: if it cannot be opened or holds no video stream.
    """
    with _open(path) as container:
        return _info(container, _stream(container))


def scan(path: Path) -> VideoInfo:
    """Decodes the whole file once; `decoded` and `seconds` are what was really there.

    Raises:
      VideoError: if nothing decodes, or less than nine tenths of what the header claims.
    """
    with _open(path) as container:
        stream = _stream(container)
        claimed = _info(container, stream)
        count, last = 0, 0.0
        for shot in _shots(container, stream):
            count, last = count + 1, shot.time
    if count == 0:
        raise VideoError("no frame decodes")
    expected = claimed.frames or round(claimed.seconds * claimed.fps)
    if count < 0.9 * expected:
        raise VideoError(f"truncated: {count} of {expected} frames decode")
    seconds = last + 1.0 / claimed.fps
    return dataclasses.replace(claimed, decoded=count, seconds=seconds)


def read_video(
    path: Path,
    *,
    frames: int,
    fps: Real,
    height: int,
    width: int,
    start: Real = 0.0,
) -> UInt8[np.ndarray, "t h w 3"]:
    """Decodes `frames` frames at `fps` from `start` seconds on.

    Raises:
      VideoError: if the file cannot be opened or decoded, or ends too early.
    """
    with _open(path) as container:
        stream = _stream(container)
        shots = _shots(container, stream)
        if start > _SEEK_FROM_SECONDS and _seek(container, stream, start):
            first = next(shots, None)
            if first is not None and first.time <= start:
                shots = itertools.chain([first], shots)
            else:  # Some indices lie. From the top, then.
                container.seek(0)
                shots = _shots(container, stream)
        period = 1.0 / _info(container, stream).fps
        times = start + np.arange(frames) / fps
        images = []
        for frame, count in _on_screen(shots, times, period):
            images += [_pixels(frame, height=height, width=width)] * count
    if len(images) < frames:
        raise VideoError(f"too short: {len(images)} of {frames} frames at {fps:g} fps")
    return np.stack(images)


def fit(image: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Scales [h w 3] to cover `height x width` and crops the centre."""
    source_height, source_width = image.shape[:2]
    scale = max(height / source_height, width / source_width)
    size = (
        max(width, round(source_width * scale)),
        max(height, round(source_height * scale)),
    )
    if size != (source_width, source_height):
        mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, size, interpolation=mode)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def read_image(path: Path, height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Reads a still image, on white where it is transparent, fitted to the size.

    Raises:
      VideoError: if it is missing or is no image.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image).convert("RGBA")
    except FileNotFoundError as error:
        raise VideoError(f"no such image: {path}") from error
    # Pillow raises SyntaxError and EOFError for damaged PNG and GIF files.
    except (
        *(OSError, ValueError, SyntaxError, EOFError, struct.error),
        Image.DecompressionBombError,
    ) as error:
        raise VideoError(f"cannot read image {path}: not a readable picture") from error
    ground = Image.new("RGBA", image.size, "white")
    pixels = np.asarray(Image.alpha_composite(ground, image).convert("RGB"))
    return fit(pixels, height=height, width=width)


def write_image(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes a still image in the format of the suffix, making its folder."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_video(path: Path, video: UInt8[np.ndarray, "t h w 3"], fps: Real) -> None:
    """Writes .mp4 (H.264, yuv420p), .gif (looping) or .png (a strip of frames).

    H.264 in yuv420p needs even sizes: an odd one repeats its last row or column.

    Raises:
      UserError: for another suffix.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix.lower():
        case ".mp4":
            _write_mp4(path, video, fps)
        case ".gif":
            _write_gif(path, video, fps)
        case ".png":
            scale = max(1, 96 // video.shape[1])
            write_image(path, contact_sheet(video[None], scale=scale))
        case suffix:
            raise UserError(f"cannot write {suffix!r}: expected .mp4, .gif or .png")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Shot:
    """A decoded frame and when it comes on screen, in seconds."""

    frame: av.VideoFrame
    time: float


def _open(path: Path) -> av.container.InputContainer:
    try:
        if not os.path.exists(path):
            raise VideoError("no such file")
        # A name that is not UTF-8 reaches FFmpeg through a file object only.
        try:
            os.fspath(path).encode()
            return av.open(os.fspath(path), metadata_errors="ignore")
        except UnicodeEncodeError:
            return av.open(open(path, "rb"), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise VideoError(f"cannot open: {reason}") from error


def _stream(container: av.container.InputContainer) -> av.VideoStream:
    # Cover art of audio files is a video stream of one attached picture.
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        raise VideoError("no video stream")
    if streams[0].codec_context is None or not streams[0].codec_context.width:
        raise VideoError("no decoder for its video stream")
    return streams[0]


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _info(container: av.container.InputContainer, stream: av.VideoStream) -> VideoInfo:
    rate = stream.average_rate or stream.guessed_rate or fractions.Fraction(25)
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    else:
        seconds = (container.duration or 0) / av.time_base
    return VideoInfo(
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        fps=float(rate),
        frames=stream.frames,
        seconds=seconds,
        codec=stream.codec_context.name,
    )


def _shots(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[_Shot]:
    """Decodes what can be decoded: a damaged packet costs its frame, not the file."""
    period = 1.0 / _info(container, stream).fps
    origin = 0.0
    if stream.start_time is not None and stream.time_base is not None:
        origin = float(stream.start_time * stream.time_base)
    guess = 0.0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            continue
        for frame in decoded:
            if frame.is_corrupt:
                continue
            time = guess if frame.time is None else frame.time - origin
            guess = time + period
            yield _Shot(frame=frame, time=time)


def _seek(
    container: av.container.InputContainer, stream: av.VideoStream, start: float
) -> bool:
    try:
        offset = round(start / stream.time_base) + (stream.start_time or 0)
        container.seek(offset, stream=stream, backward=True)
    except (av.FFmpegError, TypeError):
        return False
    return True


def _on_screen(
    shots: Iterator[_Shot], times: np.ndarray, period: float
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Each frame that is on screen at one or more of `times`, with how many.

    A file whose first frame comes late shows that frame before it, and the last frame
    stays for one `period`.
    """
    times = times + CLOCK_SLACK
    done, shown = 0, None
    for shot in shots:
        passed = int(np.searchsorted(times, shot.time, side="left"))
        if shown is not None and passed > done:
            yield shown.frame, passed - done
            done = passed
        if done == len(times):
            return
        shown = shot
    if shown is not None:
        passed = int(np.searchsorted(times, shown.time + period))
        if passed > done:
            yield shown.frame, passed - done


def _pixels(frame: av.VideoFrame, *, height: int, width: int) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    # The display matrix turns counter-clockwise, as rot90 does.
    image = np.rot90(image, k=round(frame.rotation / 90) % 4)
    return fit(np.ascontiguousarray(image), height=height, width=width)


def _write_mp4(path: pathlib.Path, video: np.ndarray, fps: Real) -> None:
    codec = next((name for name in _H264 if name in av.codecs_available), None)
    if codec is None:
        raise UserError("PyAV was built without an H.264 encoder: write a .gif instead")
    height, width = video.shape[1:3]
    odd = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    video = np.pad(video, odd, mode="edge")
    rate = fractions.Fraction(fps).limit_denominator(1001)
    # The index in front, so that a browser plays while it loads.
    with av.open(os.fspath(path), "w", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "14", "preset": "medium"}
        else:
            stream.bit_rate = 4_000_000
        for image in video:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _write_gif(path: pathlib.Path, video: np.ndarray, fps: Real) -> None:
    # One palette for all frames, taken from the clip laid out as one image: a palette a
    # frame would make flat colours flicker. No dithering, for the same reason.
    t, h, w, _ = video.shape
    palette = Image.fromarray(video.reshape(t * h, w, 3)).quantize(
        256, method=Image.Quantize.MEDIANCUT
    )
    images = [
        Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE)
        for image in video
    ]
    # GIF counts in hundredths of a second: round the running time, not each frame.
    ticks = np.round(np.arange(t + 1) * 100.0 / fps).astype(int)
    durations = (np.maximum(np.diff(ticks), 2) * 10).tolist()
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=durations,
        loop=0,
        disposal=1,
    )
