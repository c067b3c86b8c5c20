"""Surface: how much of the picture is flat colour, and how much is dark line.

    flatness      share of pixels whose 5 x 5 neighbourhood spans at most a few levels
    line density  share of pixels that a closing by 5 x 5 brightens by a good step: what is
                  dark and narrower than the closing

Both at 256 lines, or the clip's own if it has fewer, over a few of its frames.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import UInt8

_HEIGHT = 256
_FRAMES = 3
_FLAT, _DARKER = 8, 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surface:
    """Shares of the picture, 0 to 1."""

    flatness: float
    line_density: float


def read_surface(video: UInt8[np.ndarray, "t h w 3"]) -> Surface:
    """The surface of a clip."""
    numbers = np.linspace(0, len(video) - 1, min(_FRAMES, len(video)))
    square = np.ones((5, 5), np.uint8)
    flat, dark = [], []
    for number in numbers.round().astype(int):
        image = video[number]
        height, width = image.shape[:2]
        if height > _HEIGHT:
            size = (round(width * _HEIGHT / height), _HEIGHT)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        span = cv2.morphologyEx(image, cv2.MORPH_GRADIENT, square)
        flat.append((span.max(axis=-1) <= _FLAT).mean())
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        hat = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, square)
        dark.append((hat > _DARKER).mean())
    return Surface(flatness=float(np.mean(flat)), line_density=float(np.mean(dark)))
