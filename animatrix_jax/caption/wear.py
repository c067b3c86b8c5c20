"""What happens to clips on their way: coding, scaling, cropping, blur.

`worn` draws some of it, for training; the named ones are what the benchmark applies.
"""

import io
from collections.abc import Callable

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from animatrix_jax.data.writing import encode_mp4

Video = UInt8[np.ndarray, "t h w 3"]
Worn = UInt8[np.ndarray, "t i j 3"]

_FPS = 24


def coded(video: Video, *, crf: int) -> Worn:
    """The clip through H.264 in yuv420p; odd sizes lose a row or a column."""
    return decoded(encoded(video, crf=crf))


def encoded(video: Video, *, crf: int) -> bytes:
    """An .mp4 of the clip; the same bytes for the same clip."""
    height, width = (n - n % 2 for n in video.shape[1:3])
    file = io.BytesIO()
    images = video[:, :height, :width]
    encode_mp4(file, images, _FPS, crf=crf, speed="veryfast", threads=1)
    return file.getvalue()


def decoded(file: bytes) -> Worn:
    """What the .mp4 shows."""
    with av.open(io.BytesIO(file)) as source:
        return np.stack([f.to_ndarray(format="rgb24") for f in source.decode(video=0)])


def scaled(video: Video, *, factor: float) -> Worn:
    """The clip at another size."""
    height, width = (max(8, round(n * factor)) for n in video.shape[1:3])
    mode = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.stack([cv2.resize(f, (width, height), interpolation=mode) for f in video])


def cropped(video: Video, *, share: float, x: float = 0.5, y: float = 0.5) -> Worn:
    """The clip without `share` of its height and of its width, kept at (x, y) of 0..1."""
    height, width = video.shape[1:3]
    h, w = max(8, round(height * (1 - share))), max(8, round(width * (1 - share)))
    top, left = round((height - h) * y), round((width - w) * x)
    return np.ascontiguousarray(video[:, top : top + h, left : left + w])


def blurred(video: Video, *, sigma: float) -> Worn:
    """The clip out of focus by `sigma` pixels."""
    return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in video])


def worn(video: Video, rng: np.random.Generator) -> Worn:
    """One clip in three as it is, the others after some of it, each by a drawn amount."""
    if rng.random() < 1 / 3:
        return video
    if rng.random() < 0.5:
        share, x, y = rng.uniform(0.02, 0.14), rng.random(), rng.random()
        video = cropped(video, share=share, x=x, y=y)
    if rng.random() < 0.5:
        video = scaled(video, factor=float(np.exp(rng.uniform(-0.6, 0.5))))
    if rng.random() < 0.25:
        video = blurred(video, sigma=rng.uniform(0.3, 0.9))
    if rng.random() < 0.5:
        video = coded(video, crf=int(rng.integers(20, 37)))
    return video


VARIANTS: dict[str, Callable[[Video], Worn]] = {
    "encoded": lambda video: coded(video, crf=30),
    "scaled": lambda video: scaled(video, factor=0.75),
    "cropped": lambda video: cropped(video, share=0.1),
}
"""What the benchmark does to clips: H.264 at crf 30, three quarters of the size, and a
tenth of height and width cut off."""
