"""The set under the camera: boards that slide, and where the lens is sharp.

Between ``sets``, which paints the boards, and ``render``. A set that never moves is
photographed once; a rack of focus blurs set and figure in turn.
"""

from collections.abc import Sequence

import numpy as np
import skia
from jaxtyping import UInt8

from animatrix_jax.cels.look import PAPER
from animatrix_jax.cels.page import Page, to_skia
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.sets import Board
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.timing import smoothstep

LINEAR = skia.SamplingOptions(skia.FilterMode.kLinear)
# How far the set fades to paper, so that the figure's style reaches behind it.
WASH = {"rough_genga": 0.62, "tiedown": 0.55, "watercolor": 0.28, "mono_manga": 0.25}
SHARP = 0.3  # pixels of sigma that nobody sees


class RackFocus:
    """What the lens is sharp on: first the figure and then the set, or the reverse.

    Blurs are Gaussian, in pixels of sigma; there is none without a rack of focus.
    """

    def __init__(self, spec: ClipSpec, *, height: int):
        self.wanted = "rack_focus" in spec.effects.composite
        self._figure_first = self.wanted and Draws(spec.art, "rack").chance(0.5)
        self._last = max(spec.frames - 1, 1)
        self._most = 0.026 * height

    def set_blur(self, frame: int) -> float:
        """Of the set, largest where the lens is sharp on the figure."""
        return self._most * self._nearness(frame) if self.wanted else 0.0

    def figure_blur(self, frame: int) -> float:
        """Of the figure, largest where the lens is sharp on the set."""
        return self._most * (1.0 - self._nearness(frame)) if self.wanted else 0.0

    def _nearness(self, frame: int) -> float:
        """0 where the lens is sharp on the set, 1 on the figure."""
        s = smoothstep(min(max((frame / self._last - 0.3) / 0.35, 0.0), 1.0))
        return 1.0 - s if self._figure_first else s


class SetPhoto:
    """The set of one clip as its frames show it."""

    def __init__(self, spec: ClipSpec, boards: Sequence[Board], rack: RackFocus):
        self._boards, self._rack = boards, rack
        self._wash = WASH.get(spec.value("style.rendering"), 0.0)
        moving = any(np.ptp(board.matrices, axis=0).max() != 0 for board in boards)
        self._still = not moving and not rack.wanted
        self._photo: UInt8[np.ndarray, "h w 4"] | None = None

    def draw(self, page: Page, frame: int) -> None:
        """Cover the page with the set of a frame."""
        if self._photo is not None:
            page.lay(self._photo)
            return
        self._draw(page.canvas, frame)
        if self._still:
            self._photo = page.pixels.copy()

    def _draw(self, canvas: skia.Canvas, frame: int) -> None:
        canvas.resetMatrix()
        canvas.clear(skia.ColorWHITE)
        lay(canvas, self._boards, frame, blur=self._rack.set_blur(frame))
        if self._wash:
            canvas.drawColor(skia.Color4f(*PAPER, self._wash))


class BookPhoto:
    """Near scenery as a frame shows it: of the set's paint and focus, over the figure."""

    def __init__(self, spec: ClipSpec, boards: Sequence[Board], rack: RackFocus):
        self.boards, self._rack = boards, rack
        self._wash = WASH.get(spec.value("style.rendering"), 0.0)

    def __bool__(self) -> bool:
        return bool(self.boards)

    def draw(self, canvas: skia.Canvas, frame: int) -> None:
        """Draw what stands before the figure."""
        blur = self._rack.set_blur(frame)
        lay(canvas, self.boards, frame, blur=blur, wash=self._wash)


def lay(
    canvas: skia.Canvas,
    boards: Sequence[Board],
    frame: int,
    *,
    blur: float = 0.0,
    wash: float = 0.0,
) -> None:
    """Draw boards as they lie in a frame, `blur` pixels out of focus, and faded to paper
    by a share."""
    paint = skia.Paint()
    if blur > SHARP:
        paint.setImageFilter(skia.ImageFilters.Blur(blur, blur, skia.TileMode.kClamp))
    if wash:
        paper = skia.Color4f(*PAPER, wash).toColor()
        paint.setColorFilter(skia.ColorFilters.Blend(paper, skia.BlendMode.kSrcATop))
    canvas.resetMatrix()
    if blur > SHARP or wash:
        canvas.saveLayer(None, paint)
    for board in boards:
        canvas.setMatrix(to_skia(board.matrices[frame]))
        canvas.drawImage(board.image, 0, 0, LINEAR)
    canvas.resetMatrix()
    if blur > SHARP or wash:
        canvas.restore()
