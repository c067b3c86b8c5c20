"""Video and image files in; `writing.py` is the way out.

Reading resamples by timestamps, so variable frame rates come out even: output frame i
shows what was on screen at `start + i / fps`. Every frame is turned by its rotation
metadata, widened or narrowed to square pixels (its sample aspect ratio), scaled to cover
`height x width` (area averaging when it shrinks) and cropped at its centre. Interlaced
frames are deinterlaced (bwdif).
"""

import dataclasses
import math
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from animatrix_jax.data.decoding import (
    CLOCK_SLACK,
    Decoding,
    Path,
    Picture,
    Real,
    Screen,
    VideoError,
    VideoInfo,
    decoded_frames,
    held_to,
    is_of_system,
    on_screen,
    open_container,
    pixel_aspect,
    read_info,
    timed_frames,
    timed_frames_from,
    turned,
    video_stream,
)

__all__ = [
    "CLOCK_SLACK",
    "Picture",
    "VideoError",
    "VideoInfo",
    "fit",
    "is_of_system",
    "probe",
    "read_image",
    "read_video",
    "scan",
    "seconds_needed",
    "stream_pictures",
    "stream_video",
]

VIDEO_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg"),
        *("ts", "m2ts", "mts", "vob", "flv", "f4v", "wmv", "asf", "ogv", "ogm"),
        *("rm", "rmvb", "divx", "3gp", "mxf", "gif"),
    )
)


def probe(path: Path) -> VideoInfo:
    """Reads the header, and the first frame, which alone says how it is turned.

    Raises:
      VideoError: if it cannot be opened or holds no video stream.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        info = read_info(container, stream)
        return turned(info, next(decoded_frames(container, stream), None))


def scan(path: Path) -> VideoInfo:
    """Decodes the whole file once; `decoded` and `seconds` are what was really there.

    Raises:
      VideoError: if nothing decodes, or less than nine tenths of what the header claims.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        claimed = read_info(container, stream)
        count, end, decoding = 0, 0.0, Decoding()
        frames = timed_frames(container, stream, decoding)
        for timed in held_to(frames, claimed, decoding):
            if count == 0:
                claimed = turned(claimed, timed.frame)
            count, end = count + 1, timed.time + timed.seconds
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
    with open_container(path) as container:
        stream = video_stream(container)
        found = timed_frames_from(container, stream, start)
        screen = Screen(pixel_aspect(stream))
        end = start + (frames - 0.5) / fps
        images = []
        for frame, count in on_screen(found, start, fps, end):
            image = fit(screen.upright(frame), height=height, width=width)
            images += [image] * count
    if len(images) < frames:
        raise VideoError(f"too short: {len(images)} of {frames} frames at {fps:g} fps")
    return np.stack(images)


def stream_video(
    path: Path, *, height: int = 0, **span: Any
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The pixels of `stream_pictures`, scaled down to `height` where they are taller; 0
    leaves them."""
    for picture in stream_pictures(path, **span):
        yield picture.pixels(height)


def stream_pictures(
    path: Path,
    *,
    fps: Real | None = None,
    start: Real = 0.0,
    end: Real = math.inf,
    threads: int = 0,
    whole: bool = False,
) -> Iterator[Picture]:
    """Pictures one after the other, so that memory does not grow with the length.

    One that stays on screen is given again, the same object.

    Args:
      path: the file.
      fps: evenly spaced; the file's average rate if None.
      start, end: seconds, the end exclusive: frame i shows `start + i / fps`.
      threads: of the decoder; 0 for as many as there are processors.
      whole: of all of a file: hold it to what its header claims.

    Raises:
      VideoError: if the file cannot be opened; at its end, if it is `whole` and less than
        nine tenths of what the header claims decodes.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        stream.codec_context.thread_count = threads
        info = read_info(container, stream)
        rate = info.fps if fps is None else fps
        screen = Screen(pixel_aspect(stream))
        if whole:
            decoding = Decoding()
            frames = timed_frames(container, stream, decoding)
            found = held_to(frames, info, decoding)
        else:
            found = timed_frames_from(container, stream, start)
        for frame, count in on_screen(found, start, rate, end):
            picture = Picture(frame, screen)
            for _ in range(count):
                yield picture


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
