"""Video and image files out: H.264 by PyAV, GIF, WebP and still images by Pillow."""

import fractions
import io
import os
import pathlib
from collections.abc import Iterable

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8
from PIL import Image

from animatrix_jax.data.gif import write_gif
from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.errors import UserError

Path = str | os.PathLike
Real = float | int
"""A rate, as a person may write it."""

_H264 = ("libx264", "libopenh264", "h264")
# With its macroblock tree x264 reads memory that it has not written: at some sizes the same
# pictures then give other bytes, up to once in eight. Without, files are larger. Captions
# that a frame may bring along are not of its picture.
_PLAIN = {"x264-params": "mbtree=0", "a53cc": "0"}
_ROUNDED = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
# H.264's numbers of matrices to swscale's; all others are taken for BT.601's.
_MATRICES = {1: Colorspace.ITU709, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}


def write_image(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes a still image in the format of the suffix, making its folder."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_video(path: Path, video: UInt8[np.ndarray, "t h w 3"], fps: Real) -> None:
    """Writes .mp4 (H.264, yuv420p), .gif or .webp (looping), or .png (a strip of frames).

    H.264 in yuv420p needs even sizes: an odd one repeats its last row or column.

    Raises:
      UserError: for another suffix.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix.lower():
        case ".mp4":
            encode_mp4(path, video, fps)
        case ".gif":
            write_gif(path, video, fps)
        case ".webp":
            first, *rest = map(Image.fromarray, video)
            loop = {"duration": round(1000 / fps), "loop": 0, "save_all": True}
            first.save(path, append_images=rest, quality=75, method=6, **loop)
        case ".png":
            scale = max(1, 96 // video.shape[1])
            write_image(path, contact_sheet(video[None], scale=scale))
        case suffix:
            raise UserError(
                f"cannot write {suffix!r}: expected .mp4, .gif, .webp or .png"
            )


def encode_mp4(
    target: Path | io.BytesIO,
    images: Iterable[UInt8[np.ndarray, "h w 3"] | av.VideoFrame],
    fps: Real,
    *,
    crf: int = 14,
    speed: str = "medium",
    key_every: int = 250,
    threads: int = 0,
) -> int:
    """Writes H.264 in yuv420p as the images come; returns how many came.

    Even sizes are needed: an odd one repeats its last row or column.

    Args:
      target: the file's name, or memory.
      images: all of one size; or frames in yuv420p of even sides, which are encoded as they
        are, in the matrix of the first, and lose what they say of their time and kind.
      fps: their rate.
      crf: x264's quality, less is better.
      speed: x264's preset.
      key_every: frames from one to the next that a reader can start from, at most.
      threads: of the encoder; 0 for as many as there are processors.

    Raises:
      UserError: if PyAV has no encoder.
    """
    codec = next((name for name in _H264 if name in av.codecs_available), None)
    if codec is None:
        raise UserError("PyAV was built without an H.264 encoder: write a .gif instead")
    rate, count = fractions.Fraction(fps).limit_denominator(1001), 0
    options = {}
    if isinstance(target, Path):
        # The index in front, so that a browser plays while it loads.
        target, options = os.fspath(target), {"movflags": "+faststart"}
    with av.open(target, "w", format="mp4", options=options) as output:
        stream = output.add_stream(codec, rate=rate)
        context, scaler, matrix = stream.codec_context, VideoReformatter(), None
        for frame in map(_frame, images):
            if count == 0:
                matrix = _matrix(frame)
                stream.height, stream.width = frame.height, frame.width
                context.colorspace = frame.colorspace
                context.color_primaries = frame.color_primaries
                context.color_trc = frame.color_trc
                stream.pix_fmt = "yuv420p"
                stream.gop_size = key_every
                context.thread_count = threads
                if codec == "libx264":
                    stream.options = {"crf": str(crf), "preset": speed} | _PLAIN
                else:
                    stream.bit_rate = 4_000_000
            if _matrix(frame) != matrix:
                frame = scaler.reformat(
                    frame,
                    format="yuv420p",
                    dst_colorspace=matrix,
                    interpolation=_ROUNDED,
                    threads=1,
                )
            frame.pts, frame.time_base = count, 1 / rate
            output.mux(stream.encode(frame))
            count += 1
        if count:
            output.mux(stream.encode(None))
    return count


def _matrix(frame: av.VideoFrame) -> Colorspace:
    return _MATRICES.get(frame.colorspace, Colorspace.ITU601)


def _frame(image: UInt8[np.ndarray, "h w 3"] | av.VideoFrame) -> av.VideoFrame:
    """An image as an encoder takes it, without what a decoder said of its time and kind."""
    if isinstance(image, av.VideoFrame):
        image.duration, image.pict_type = 0, PictureType.NONE
        return image
    odd = ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0))
    image = np.pad(image, odd, mode="edge") if np.any(odd) else image
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
