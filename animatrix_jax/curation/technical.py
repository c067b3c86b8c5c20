"""What is technically wrong with a clip, from a few of its frames.

    bars     rows or columns at opposite edges that are black on every frame
    blank    the share of frames whose 1st and 99th percentile of luma are 16 or less apart
    blur     F. Crete et al., "The blur effect" (2007): how little a picture changes when
             it is blurred again, 0 to 1; of the sharpest quarter of the frames, since
             smears and rack focus blur others on purpose
    text     the share of frames with a line of burnt-in text (text.py)
    change   the share of frames on which any of 8 x 8 cells changes by 2 of 255 or more

Crete's measure compares sums of differences, so the large flat areas of cel art, which
fool the variance of a Laplacian, weigh nothing.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import UInt8

from animatrix_jax.curation.text import text_share

_DARK, _SPREAD, _CELL_CHANGE = 24, 16, 2.0
_GRID = 8
# Bars of less are left: so is a dark picture that is bars nearly everywhere.
_MIN_BAR, _MIN_LEFT = 0.02, 0.4

Crop = tuple[float, float, float, float]
"""Top, bottom, left, right of what is kept, as shares of the height and width."""

WHOLE: Crop = (0.0, 1.0, 0.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Technical:
    """See the module's docstring; `black` is whether blank frames are dark."""

    crop: Crop
    blank: float
    black: bool
    blur: float
    text: float


def inspect(frames: UInt8[np.ndarray, "t h w 3"]) -> Technical:
    """Looks at frames that are spread over a clip."""
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    crop = find_bars(grey)
    inner = cut(grey, crop)
    low, high = np.percentile(inner.reshape(len(inner), -1), [1, 99], axis=1)
    blank = high - low <= _SPREAD
    blurs = [crete_blur(frame) for frame in inner[~blank]] or [0.0]
    return Technical(
        crop=crop,
        blank=float(blank.mean()),
        black=bool(blank.any() and np.median(inner[blank]) < 2 * _DARK),
        blur=float(np.quantile(blurs, 0.25)),
        text=text_share(inner),
    )


def find_bars(grey: UInt8[np.ndarray, "t h w"]) -> Crop:
    """What is left within black bars above and below, or left and right."""
    crop = list(WHOLE)
    for axis, place in ((2, 0), (1, 2)):
        dark = np.percentile(grey, 90, axis=axis).max(axis=0) <= _DARK
        first = int(np.argmin(dark)) if not dark.all() else 0
        last = int(np.argmin(dark[::-1])) if not dark.all() else 0
        size = len(dark)
        both = min(first, last) >= _MIN_BAR * size
        even = abs(first - last) <= 0.03 * size + 1
        if both and even and size - first - last >= _MIN_LEFT * size:
            # Compression blurs a bar's edge: a pixel more is taken.
            crop[place : place + 2] = (first + 1) / size, (size - last - 1) / size
    return tuple(crop)


def cut(frames: np.ndarray, crop: Crop) -> np.ndarray:
    """The rows and columns [t h w ...] within a crop."""
    height, width = frames.shape[1:3]
    top, bottom = round(crop[0] * height), round(crop[1] * height)
    left, right = round(crop[2] * width), round(crop[3] * width)
    return frames[:, top:bottom, left:right]


def crete_blur(grey: UInt8[np.ndarray, "h w"], window: int = 9) -> float:
    """The blur effect of Crete et al., the greater of both directions."""
    image = grey.astype(np.float32)
    found = []
    for axis, size in ((0, (1, window)), (1, (window, 1))):
        blurred = cv2.blur(image, size)
        before = np.abs(np.diff(image, axis=axis))
        after = np.abs(np.diff(blurred, axis=axis))
        total = float(before.sum())
        lost = float(np.maximum(before - after, 0).sum())
        found.append((total - lost) / total if total else 0.0)
    return max(found)


class Change:
    """Counts the frames on which something changes, as they come."""

    def __init__(self):
        self._last: np.ndarray | None = None
        self._pairs = self._changed = 0

    def see(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Takes the next frame, of any size, always the same."""
        small = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA)
        small = small.astype(np.int16)
        if self._last is not None:
            difference = np.abs(small - self._last).mean(axis=-1)
            cells = difference.reshape(_GRID, 8, _GRID, 8).mean(axis=(1, 3))
            self._pairs += 1
            self._changed += bool(cells.max() >= _CELL_CHANGE)
        self._last = small

    @property
    def share(self) -> float:
        """Changes a frame, from 0 to 1."""
        return self._changed / max(self._pairs, 1)
