"""One frame of a shot, as all that is drawn on it sees it.

Effects, elements, symbols, powers and props draw on the same frame: this is what they
share, and each that needs more extends it (`blasts.Air`, `energy.Power`).
"""

import dataclasses
from typing import NamedTuple

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import Palette
from animatrix_jax.cels.random import Draws


class Head(NamedTuple):
    """Where the figure's head is: its middle, in screen units, and where its up is."""

    x: float
    y: float
    radius: float
    angle: float  # radians, clockwise from upright


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shot:
    """A frame that is being drawn.

    Attributes:
      canvas: in screen units, x in [0, aspect] and y in [0, 1].
      frame: its number.
      frames: how many the clip has.
      aspect: width of the picture over its height.
      draws: names the constants of what is drawn.
      palette: the clip's colours.
    """

    canvas: skia.Canvas
    frame: int
    frames: int
    aspect: float
    draws: Draws
    palette: Palette

    @property
    def scale(self) -> float:
        """Pixels to a unit of the canvas as it stands, for levels of detail."""
        return ink.pixels_per_unit(self.canvas)

    @property
    def progress(self) -> float:
        """How far the clip is, 0..1."""
        return self.frame / max(self.frames - 1, 1)

    def table(self, name: str, rows: int, columns: int) -> tuple[ink.Row, ...]:
        """The constants in [0, 1) of the parts called ``name``, a row to a part."""
        return ink.table(self.draws, name, rows, columns)
