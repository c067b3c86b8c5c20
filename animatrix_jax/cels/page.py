"""A page to draw on: an array of pixels, and the canvas over it.

What draws frames shares this file; the matrices of `staging` and `camera` become those
of the canvas here.
"""

import numpy as np
import skia
from jaxtyping import Float, UInt8


class Page:
    """An RGBA picture of a size, transparent black at first."""

    def __init__(self, height: int, width: int):
        self._array = np.zeros((height, width, 4), np.uint8)
        self._surface = skia.Surface(self._array, colorType=skia.kRGBA_8888_ColorType)
        self.canvas: skia.Canvas = self._surface.getCanvas()

    @property
    def pixels(self) -> UInt8[np.ndarray, "h w 4"]:
        """All that is drawn so far; a view, which what is drawn next changes."""
        self._surface.flushAndSubmit()
        return self._array

    def lay(self, pixels: UInt8[np.ndarray, "h w 4"]) -> None:
        """Cover the page with the pixels of an earlier one."""
        self._surface.flushAndSubmit()
        self._array[:] = pixels


def to_skia(matrix: Float[np.ndarray, "3 3"]) -> skia.Matrix:
    """The same matrix for a canvas."""
    return skia.Matrix.MakeAll(*matrix.ravel().tolist())
