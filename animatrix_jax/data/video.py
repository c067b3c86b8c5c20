"""Video and image files in; `writing.py` is the way out.

Reading resamples by timestamps, so variable frame rates come out even: output frame i
shows what was on screen at `start + i / fps`. Every frame is turned by its rotation
metadata, widened or narrowed to square pixels (its sample aspect ratio), scaled to cover
`height x width` (area averaging when it shrinks) and cropped at its centre. Interlaced
frames are deinterlaced (bwdif).
"""

import contextlib
import dataclasses
import errno
import fractions
import io
import itertools
import math
import os
import re
import struct
from collections.abc import Iterator

import av
import av.filter
import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from animatrix_jax.errors import UserError

__all__ = [
    "CLOCK_SLACK",
    "VideoError",
    "VideoInfo",
    "fit",
    "is_of_system",
    "probe",
    "read_image",
    "read_video",
    "scan",
    "seconds_needed",
    "stream_video",
]

VIDEO_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg"),
        *("ts", "m2ts", "mts", "vob", "flv", "wmv", "ogv", "3gp", "mxf", "gif"),
    )
)
# Matroska and FLV round timestamps to a millisecond.
CLOCK_SLACK = 2e-3
# Below this start time, decoding from the first frame is cheaper than a seek.
_SEEK_FROM_SECONDS = 2.0
Path = str | os.PathLike | io.IOBase
"""A file by name, or open for reading."""
Real = float | int
"""A rate or a time, as a person may write it."""


class VideoError(UserError):
    """A file that cannot be used; the message is the short reason."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file says of itself, before (probe) or after (scan) decoding it.

    `width` and `height` are those of its pictures as they are shown: upright, of square
    pixels. `frames` and `seconds` are 0 where the container does not say; `decoded` is
    how many frames did decode, None when none was tried.
    """

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    codec: str
    decoded: int | None = None


def probe(path: Path) -> VideoInfo:
    """Reads the header, and the first frame, which alone says how it is turned.

    Raises:
      VideoError: if it cannot be opened or holds no video stream.
    """
    with _open(path) as container:
        stream = _stream(container)
        info = _info(container, stream)
        return _turned(info, next(_decoded(container, stream), None))


def scan(path: Path) -> VideoInfo:
    """Decodes the whole file once; `decoded` and `seconds` are what was really there.

    Raises:
      VideoError: if nothing decodes, or less than nine tenths of what the header claims.
    """
    with _open(path) as container:
        stream = _stream(container)
        claimed = _info(container, stream)
        count, end = 0, 0.0
        for shot in _shots(container, stream):
            if count == 0:
                claimed = _turned(claimed, shot.frame)
            count, end = count + 1, shot.time + shot.seconds
    if count == 0:
        raise VideoError("no frame decodes")
    if count < 0.9 * claimed.frames:
        raise VideoError(f"truncated: {count} of {claimed.frames} frames decode")
    if not claimed.frames and end < 0.9 * claimed.seconds - 1.0 / claimed.fps:
        raise VideoError(
            f"truncated: {end:.2f} of {claimed.seconds:.2f} seconds decode"
        )
    return dataclasses.replace(claimed, decoded=count, seconds=end)


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
        shots = _shots_from(container, stream, start)
        aspect = _pixel_aspect(stream)
        end = start + (frames - 0.5) / fps
        images = []
        for frame, count in _on_screen(shots, start, fps, end):
            image = fit(_upright(frame, aspect), height=height, width=width)
            images += [image] * count
    if len(images) < frames:
        raise VideoError(f"too short: {len(images)} of {frames} frames at {fps:g} fps")
    return np.stack(images)


def stream_video(
    path: Path,
    *,
    fps: Real | None = None,
    height: int = 0,
    start: Real = 0.0,
    end: Real = math.inf,
    threads: int = 0,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames one after the other, so that memory does not grow with the length.

    Args:
      path: the file.
      fps: evenly spaced; the file's average rate if None.
      height: scaled down to it where they are taller; 0 leaves them.
      start, end: seconds, the end exclusive: frame i shows `start + i / fps`.
      threads: of the decoder; 0 for as many as there are processors.

    Raises:
      VideoError: if the file cannot be opened.
    """
    with _open(path) as container:
        stream = _stream(container)
        stream.codec_context.thread_count = threads
        info = _info(container, stream)
        rate = info.fps if fps is None else fps
        aspect = _pixel_aspect(stream)
        shots = _shots_from(container, stream, start)
        for frame, count in _on_screen(shots, start, rate, end):
            image = _upright(frame, aspect, height)
            for _ in range(count):
                yield image


def seconds_needed(frames: int, fps: Real) -> float:
    """Seconds from the first of some frames to the last, with room for clocks that
    round."""
    return (frames - 1) / fps + 2 * CLOCK_SLACK


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Shot:
    """A decoded frame, when it comes on screen and how long it stays, in seconds.

    A later frame may come sooner; of the last frame alone `seconds` counts.
    """

    frame: av.VideoFrame
    time: float
    seconds: float


def is_of_system(error: BaseException | None) -> bool:
    """Whether an error comes from the disk, the network or the memory, not from a file.

    FFmpeg's demuxers say "not permitted" (-1) of files that they do not understand.
    """
    if isinstance(error, av.FFmpegError) and error.errno == errno.EPERM:
        return False
    return isinstance(error, OSError | MemoryError)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[av.container.InputContainer]:
    """A file to decode; what goes wrong with it while it is open is a VideoError."""
    with _opened(path) as container:
        try:
            yield container
        except VideoError:
            raise
        # PyAV's own, and ValueError for what it cannot seek, filter or convert.
        except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
            reason = str(getattr(error, "strerror", None) or error)
            raise VideoError(f"cannot decode: {' '.join(reason.split())}") from error


def _opened(path: Path) -> av.container.InputContainer:
    try:
        if hasattr(path, "read"):
            return av.open(path, metadata_errors="ignore")
        if not os.path.exists(path):
            raise VideoError("no such file") from FileNotFoundError(path)
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
    return VideoInfo(
        width=_width(stream.codec_context.width, _pixel_aspect(stream)),
        height=stream.codec_context.height,
        fps=float(rate),
        frames=stream.frames,
        seconds=_seconds(container, stream),
        codec=stream.codec_context.name,
    )


def _seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """What a file says of its pictures' length; 0 where it speaks of its sound as well."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # Matroska's, as its writers note it for each stream.
    told = stream.metadata.get("DURATION", "")
    if found := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", told.strip()):
        hours, minutes, seconds = map(float, found.groups())
        return 3600 * hours + 60 * minutes + seconds
    return 0.0 if container.streams.audio else (container.duration or 0) / av.time_base


def _shots(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[_Shot]:
    """Decodes what can be decoded: a damaged packet costs its frame, not the file."""
    period = 1.0 / _info(container, stream).fps
    origin = 0.0
    if stream.start_time is not None and stream.time_base is not None:
        origin = float(stream.start_time * stream.time_base)
    guess = 0.0
    for frame in _progressive(_decoded(container, stream), stream):
        time = guess if frame.time is None else frame.time - origin
        guess = time + period
        # A last drawing that is held has a duration of its own.
        stays = float((frame.duration or 0) * (frame.time_base or 0))
        yield _Shot(frame=frame, time=time, seconds=max(stays, period))


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            # A damaged header may ask for any memory: that is the file's end.
            if is_of_system(error) and not isinstance(error, MemoryError):
                raise
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            continue
        yield from (frame for frame in decoded if not frame.is_corrupt)


def _progressive(
    frames: Iterator[av.VideoFrame], stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    """Frames as they are, and from the first interlaced one on through bwdif."""
    graph = None
    for frame in frames:
        if graph is None and _is_woven(frame) and stream.time_base is not None:
            graph = _deinterlacer(frame, stream)
        if graph is None:
            yield frame
            continue
        try:
            graph.push(frame)
        except (av.FFmpegError, ValueError):  # its size or format changed
            graph = _deinterlacer(frame, stream)
            graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _is_woven(frame: av.VideoFrame) -> bool:
    return frame.interlaced_frame


def _deinterlacer(frame: av.VideoFrame, stream: av.VideoStream) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        time_base=frame.time_base or stream.time_base,
    )
    graph.link_nodes(
        source,
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError):
            return


def _shots_from(
    container: av.container.InputContainer, stream: av.VideoStream, start: float
) -> Iterator[_Shot]:
    """The frames from one that is on screen at `start` seconds or before."""
    shots = _shots(container, stream)
    if start > _SEEK_FROM_SECONDS and _seek(container, stream, start):
        first = next(shots, None)
        if first is not None and first.time <= start:
            return itertools.chain([first], shots)
        # Some indices lie. From the top, then.
        container.seek(0)
        shots = _shots(container, stream)
    return shots


def _seek(
    container: av.container.InputContainer, stream: av.VideoStream, start: float
) -> bool:
    try:
        offset = round(start / stream.time_base) + (stream.start_time or 0)
        container.seek(offset, stream=stream, backward=True)
    except (av.FFmpegError, TypeError, ValueError, OverflowError):
        return False
    return True


def _on_screen(
    shots: Iterator[_Shot], start: float, fps: float, end: float
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Each frame that is on screen at one or more of start + i / fps, with how many.

    A file whose first frame comes late shows that frame before it, and the last frame
    stays for as long as the file says.
    """

    def before(time: float) -> int:
        """How many of the times come before `time`."""
        time = min(time, end) - start - CLOCK_SLACK
        return max(0, math.ceil(time * fps - 1e-9))

    done, shown = 0, None
    for shot in shots:
        passed = before(shot.time)
        if shown is not None and passed > done:
            yield shown.frame, passed - done
            done = passed
        if shot.time >= end:
            return
        shown = shot
    if shown is not None:
        passed = before(shown.time + shown.seconds)
        if passed > done:
            yield shown.frame, passed - done


def _pixel_aspect(stream: av.VideoStream) -> float:
    """A stored pixel's width over its height; 1 where the file does not say.

    None is beyond 4: that is a mistake in the file.
    """
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 1 / 4 <= aspect <= 4 else 1.0


def _width(stored: int, aspect: float) -> int:
    return max(1, round(stored * aspect))


def _turns(frame: av.VideoFrame) -> int:
    """Quarter turns counter-clockwise of the display matrix, as rot90 takes them."""
    return round(frame.rotation / 90) % 4


def _turned(info: VideoInfo, frame: av.VideoFrame | None) -> VideoInfo:
    """With the sides of the pictures as they are shown."""
    if frame is None or _turns(frame) % 2 == 0:
        return info
    return dataclasses.replace(info, width=info.height, height=info.width)


def _upright(frame: av.VideoFrame, aspect: float, height: int = 0) -> np.ndarray:
    """A frame's pixels as they are shown, no taller than `height` if it is not 0."""
    turns, wide, tall = _turns(frame), _width(frame.width, aspect), frame.height
    shown = wide if turns % 2 else tall
    if height and shown > height:
        wide = max(1, round(wide * height / shown))
        tall = max(1, round(tall * height / shown))
    size = {}
    if (wide, tall) != (frame.width, frame.height):
        grows = wide > frame.width
        size = {"width": wide, "height": tall}
        size["interpolation"] = "BICUBIC" if grows else "AREA"
    image = frame.to_ndarray(format="rgb24", **size)
    return np.ascontiguousarray(np.rot90(image, k=turns))
