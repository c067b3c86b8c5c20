"""Everything that is found out about a clip, in one pass over its frames.

    frames at 24 a second
      every one, 256 high  -> does anything change?
      15 of them, 360 high -> bars, blank, blur, text; pHashes of 5
      the middle 4 s, 256  -> the anime measures; what a labeller is shown

What is held is those few frames, so memory does not grow with a clip's length. The result
is plain JSON for the journal; what follows from it (rules.py) is decided later.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from animatrix_jax.curation.duplicates import signature
from animatrix_jax.curation.measured import measured_tags
from animatrix_jax.curation.settings import Looking
from animatrix_jax.curation.shots import Film
from animatrix_jax.curation.technical import Change, Crop, cut, find_bars, inspect
from animatrix_jax.data import measures, video


def look(
    path: str | os.PathLike,
    film: Film,
    span: tuple[float, float],
    looking: Looking,
) -> dict[str, Any]:
    """What is known of a span of a file.

    Raises:
      VideoError: if it does not decode now.
    """
    start, end = span
    change = Change()
    frames = _frames(path, span, looking, see=change.see)
    if len(frames.middle) < 2:
        raise video.VideoError(f"one frame decodes from {start:g} s on")
    height, width = frames.size
    technical = inspect(frames.samples)
    shown = cut(frames.samples, technical.crop)
    middle = frames.without_bars(technical.crop)
    top, bottom, left, right = technical.crop
    found = measures.measure(middle)
    return {
        "start": start,
        "end": end,
        "height": round((bottom - top) * height),
        "width": round((right - left) * width),
        "fps": film.fps,
        "technical": dataclasses.asdict(technical),
        "change": change.share,
        "signature": [f"{bits:016x}" for bits in signature(_grey(shown))],
        "measures": _rounded(dataclasses.asdict(found)),
        "measured": measured_tags(found),
    }


def captioned_frames(
    path: str | os.PathLike, span: tuple[float, float], looking: Looking
) -> UInt8[np.ndarray, "n h w 3"]:
    """What a labeller is shown of a span: its middle, at `measure_fps`, without bars.

    The same to every verb, so that it says the same wherever it is asked.

    Raises:
      VideoError: if nothing decodes.
    """
    frames = _frames(path, span, looking)
    return frames.without_bars(find_bars(_grey(frames.samples)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Frames:
    size: tuple[int, int]  # of the first: a recording may go on in another
    samples: UInt8[np.ndarray, "t h w 3"]
    middle: UInt8[np.ndarray, "n i j 3"]

    def without_bars(self, crop: Crop) -> UInt8[np.ndarray, "n i j 3"]:
        return np.ascontiguousarray(cut(self.middle, crop))


def _frames(
    path: str | os.PathLike,
    span: tuple[float, float],
    looking: Looking,
    *,
    see: Callable[[np.ndarray], None] | None = None,
) -> _Frames:
    """Frames of a span, every one of which `see` is shown."""
    start, end = span
    total = max(2, int((end - start) * looking.measure_fps))
    places = (np.arange(looking.samples) + 0.5) * total / looking.samples
    wanted = set(places.astype(int).tolist())
    first = max(0, (total - looking.measure_frames) // 2)
    last = first + looking.measure_frames
    size, samples, middle = None, [], []
    stream = video.stream_pictures(
        path, fps=looking.measure_fps, start=start, end=end, threads=1
    )
    for place, picture in enumerate(stream):
        size = size or picture.size
        if see is not None:
            see(picture.pixels(looking.measure_height))
        if place in wanted:
            samples.append(picture.pixels(looking.sample_height))
        if first <= place < last:
            middle.append(picture.pixels(looking.measure_height))
    if size is None or not middle or not samples:
        raise video.VideoError(f"no frame decodes from {start:g} s on")
    return _Frames(size=size, samples=_stack(samples), middle=_stack(middle))


def _grey(frames: np.ndarray) -> UInt8[np.ndarray, "t h w"]:
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def _rounded(found: dict[str, Any]) -> dict[str, Any]:
    # OpenCV's flow differs in its last bits from run to run; a dataset should not.
    return {
        name: round(value, 5) if isinstance(value, float) else value
        for name, value in found.items()
    }


def _stack(images: list[np.ndarray]) -> np.ndarray:
    """Stacks them; a file that changes its size on the way keeps its first."""
    height, width = images[0].shape[:2]
    return np.stack([video.fit(image, height=height, width=width) for image in images])
