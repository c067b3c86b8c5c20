"""Containers opened and decoded, frame by frame, each with its time on screen.

What `video.py` reads by: a damaged packet costs its frame, not the file; interlaced frames
are deinterlaced (bwdif); a start in the middle is sought by key frames, and found by
decoding from the top where an index lies. Times are the file's own, from its first frame on.
A file whose clock is set anew in the middle is refused: what comes then has no time.
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
from collections.abc import Iterator
from typing import Any

import av
import av.filter
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from animatrix_jax.errors import UserError

# Matroska and FLV round timestamps to a millisecond.
CLOCK_SLACK = 2e-3
# Below this start time, decoding from the first frame is cheaper than a seek.
_SEEK_FROM_SECONDS = 2.0
# A clock that goes back or on by more was set anew: two recordings behind each other.
_BACK, _ON = 1.0, 300.0
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
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
def open_container(path: Path) -> Iterator[av.container.InputContainer]:
    """A file to decode; what goes wrong with it while it is open is a VideoError."""
    with _opened(path) as container, _as_video_error():
        yield container


@contextlib.contextmanager
def _as_video_error() -> Iterator[None]:
    try:
        yield
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
        # A name that is not UTF-8 reaches FFmpeg through a file object only; of a bare
        # one with a colon it takes what is before that for a protocol.
        try:
            os.fspath(path).encode()
            whole = os.path.join(os.getcwd(), os.fspath(path))
            return av.open(whole, metadata_errors="ignore")
        except UnicodeEncodeError:
            return av.open(open(path, "rb"), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise VideoError(f"cannot open: {reason}") from error


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    # Cover art of audio files is a video stream of one attached picture.
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        raise VideoError("no video stream")
    if streams[0].codec_context is None or not streams[0].codec_context.width:
        raise VideoError("no decoder for its video stream")
    return streams[0]


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def read_info(
    container: av.container.InputContainer, stream: av.VideoStream
) -> VideoInfo:
    rate = stream.average_rate or stream.guessed_rate or fractions.Fraction(25)
    return VideoInfo(
        width=_width(stream.codec_context.width, pixel_aspect(stream)),
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


@dataclasses.dataclass(kw_only=True)
class Decoding:
    """What comes to light while a file decodes.

    Attributes:
      packets: how many there were.
      lost: how many of them gave no sound picture.
      late: of AVI, how many packets a picture comes out after its own.
    """

    packets: int = 0
    lost: int = 0
    late: int | None = None


def timed_frames(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    decoding: Decoding | None = None,
) -> Iterator[Timed]:
    """Decodes what can be decoded: a damaged packet costs its frame, not the file."""
    period = 1.0 / read_info(container, stream).fps
    origin = 0.0
    if stream.start_time is not None and stream.time_base is not None:
        origin = float(stream.start_time * stream.time_base)
    guess, last = 0.0, None
    for frame in _progressive(decoded_frames(container, stream, decoding), stream):
        time = guess if frame.time is None else frame.time - origin
        guess = time + period
        last = time if last is None else last
        if not last - _BACK <= time <= last + _ON:
            raise VideoError(f"its clock jumps, from {last:.2f} to {time:.2f} s")
        last = max(last, time)
        # A last drawing that is held has a duration of its own.
        stays = float((frame.duration or 0) * (frame.time_base or 0))
        yield Timed(frame=frame, time=time, seconds=max(stays, period))


def decoded_frames(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    decoding: Decoding | None = None,
) -> Iterator[av.VideoFrame]:
    """The sound pictures; `decoding` counts the others."""
    decoding = Decoding() if decoding is None else decoding
    packets, in_order = container.demux(stream), container.format.name == "avi"
    first = None
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
        decoding.packets += packet.size > 0
        first = packet.dts if first is None else first
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            decoding.lost += 1
            continue
        for frame in decoded:
            if frame.is_corrupt:
                decoding.lost += 1
                continue
            if in_order:
                # AVI says when frames are coded, not when they are shown: decoders give
                # them in the order in which they are shown, some packets later.
                if decoding.late is None and None not in (frame.dts, first):
                    decoding.late = frame.dts - first
                known = None not in (frame.dts, decoding.late)
                frame.pts = frame.dts - decoding.late if known else None
            yield frame


def held_to(
    frames: Iterator[Timed], claimed: VideoInfo, decoding: Decoding
) -> Iterator[Timed]:
    """All frames of a file.

    Args:
      frames: which count their `decoding` as they come.
      claimed: by its header.

    Raises:
      VideoError: after the last, if less than nine tenths of it decoded.
    """
    count, end = 0, 0.0
    for timed in frames:
        count, end = count + 1, timed.time + timed.seconds
        yield timed
    if count == 0:
        raise VideoError("no frame decodes")
    if decoding.lost > 0.1 * decoding.packets:
        raise VideoError(
            f"damaged: {decoding.lost} of {decoding.packets} pictures do not decode"
        )
    if end < 0.9 * claimed.seconds - 1.0 / claimed.fps:
        raise VideoError(
            f"truncated: {end:.2f} of {claimed.seconds:.2f} seconds decode"
        )
    if not claimed.seconds and count < 0.9 * claimed.frames:
        raise VideoError(f"truncated: {count} of {claimed.frames} frames decode")


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


def timed_frames_from(
    container: av.container.InputContainer, stream: av.VideoStream, start: float
) -> Iterator[Timed]:
    """The frames from one that is on screen at `start` seconds or before."""
    decoding = Decoding()
    frames = timed_frames(container, stream, decoding)
    if start > _SEEK_FROM_SECONDS:
        begun = container.format.name == "avi"
        if begun:
            next(frames, None)  # how late pictures come is seen at the top alone
        if _seek(container, stream, start):
            frames = timed_frames(container, stream, decoding)
            first = next(frames, None)
            if first is not None and first.time <= start + CLOCK_SLACK:
                return itertools.chain([first], frames)
        elif not begun:
            return frames
        # Some indices lie. From the top, then.
        container.seek(0)
        frames = timed_frames(container, stream, decoding)
    return frames


def _seek(
    container: av.container.InputContainer, stream: av.VideoStream, start: float
) -> bool:
    try:
        offset = round(start / stream.time_base) + (stream.start_time or 0)
        container.seek(offset, stream=stream, backward=True)
    except (av.FFmpegError, TypeError, ValueError, OverflowError):
        return False
    return True


def on_screen(
    frames: Iterator[Timed], start: float, fps: float, end: float
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
    for timed in frames:
        passed = before(timed.time)
        if shown is not None and passed > done:
            yield shown.frame, passed - done
            done = passed
        if timed.time >= end:
            return
        shown = timed
    if shown is not None:
        passed = before(shown.time + shown.seconds)
        if passed > done:
            yield shown.frame, passed - done


def pixel_aspect(stream: av.VideoStream) -> float:
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


def turned(info: VideoInfo, frame: av.VideoFrame | None) -> VideoInfo:
    """With the sides of the pictures as they are shown."""
    if frame is None or _turns(frame) % 2 == 0:
        return info
    return dataclasses.replace(info, width=info.height, height=info.width)


class Screen:
    """How frames of a stream are shown: upright, of square pixels.

    Keeps FFmpeg's scalers from frame to frame: to set one up costs about as much as it does.
    """

    def __init__(self, aspect: float):
        self._aspect = aspect
        self._scalers: dict[Any, VideoReformatter] = {}

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Height and width of a frame as it is shown."""
        sides = frame.height, _width(frame.width, self._aspect)
        return sides[::-1] if _turns(frame) % 2 else sides

    def upright(
        self, frame: av.VideoFrame, height: int = 0
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The pixels of a frame, no taller than `height` if it is not 0."""
        turns, tall = _turns(frame), frame.height
        wide = _width(frame.width, self._aspect)
        shown, _ = self.size(frame)
        if height and shown > height:
            wide = max(1, round(wide * height / shown))
            tall = max(1, round(tall * height / shown))
        scaled = self._scaled(frame, (tall, wide), format="rgb24")
        return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), k=turns))

    def coded(
        self, frame: av.VideoFrame, height: int, width: int
    ) -> av.VideoFrame | None:
        """A frame of even sides as an encoder takes it (yuv420p of limited range, in the
        frame's own matrix), which never was RGB: the frame itself where it is one. None
        where it is no planar YUV, or has to be turned."""
        if _turns(frame) or not frame.format.name.startswith("yuv"):
            return None
        size = height, width
        return self._scaled(frame, size, format="yuv420p", dst_color_range="MPEG")

    def _scaled(
        self, frame: av.VideoFrame, size: tuple[int, int], **wanted: Any
    ) -> av.VideoFrame:
        tall, wide = size
        if (tall, wide) != (frame.height, frame.width):
            grows = wide > frame.width
            wanted |= {"width": wide, "height": tall}
            wanted["interpolation"] = "BICUBIC" if grows else "AREA"
        scaler = self._scalers.setdefault((*size, wanted["format"]), VideoReformatter())
        # One thread, of all cores by default: callers run a process a core.
        return scaler.reformat(frame, threads=1, **wanted)


class Picture:
    """What is on screen at some time: a frame, whose pixels are made when asked for."""

    def __init__(self, frame: av.VideoFrame, screen: Screen):
        self._frame, self._screen = frame, screen
        self._made: dict[int, np.ndarray] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, upright, of square pixels."""
        return self._screen.size(self._frame)

    def pixels(self, height: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        """RGB, scaled down to `height` where it is taller; 0 leaves it."""
        if height not in self._made:
            with _as_video_error():
                self._made[height] = self._screen.upright(self._frame, height)
        return self._made[height]

    def coded(self, *, height: int, width: int) -> av.VideoFrame | None:
        """What an encoder takes, see `Screen.coded`."""
        with _as_video_error():
            return self._screen.coded(self._frame, height, width)
