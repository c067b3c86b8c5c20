"""The set as images: planes that move alike, painted once, as large as they are seen.

Between ``backgrounds``, which says what the planes are, and ``render``, which slides
the images under the camera, what is near over the figure. What the lens does to a plane
is done here too: the blur of what lies far, or nearest, on a multiplane stand, the surfaces
of a photographed place.
"""

import dataclasses

import numpy as np
import skia
from jaxtyping import Float

from animatrix_jax.cels.backgrounds import Background, make_background
from animatrix_jax.cels.books import choose, make_book
from animatrix_jax.cels.palettes import Palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.scenery import Plane
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.staging import Stage

MAX_SIDE = 6000
TILTS = {"pan_up", "pan_down"}
SIDEWAYS = {"pan_left", "pan_right", "follow", "follow_pan"}
# What a camera makes of a place: less colour, more contrast, a cool cast.
PHOTO = skia.ColorFilters.Matrix(
    [0.86, 0.28, 0.06, 0, -0.10]
    + [0.12, 1.02, 0.06, 0, -0.10]
    + [0.14, 0.32, 0.74, 0, -0.06]
    + [0, 0, 0, 1, 0]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """Planes that move alike, as one image with its matrices to pixels."""

    image: skia.Image
    matrices: Float[np.ndarray, "t 3 3"]


def paint_set(
    spec: ClipSpec, palette: Palette, stage: Stage, *, height: int, width: int
) -> tuple[list[Board], list[Board]]:
    """The set of a clip, from the back, for frames of a size; and the books before the
    figure, where layers slide apart."""
    painter = _BoardPainter(
        spec=spec, palette=palette, stage=stage, height=height, width=width
    )
    background = make_background(
        Draws(spec.set_art, "background"),
        spec.value("style.background"),
        palette,
        spec.character.place,
    )
    return painter.boards(background.planes), painter.books(background)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _BoardPainter:
    spec: ClipSpec
    palette: Palette
    stage: Stage
    height: int
    width: int

    def boards(self, planes: tuple[Plane, ...]) -> list[Board]:
        """Planes that move alike, each run of them on one board."""
        runs: list[tuple[np.ndarray, list]] = []
        for plane in planes:
            matrices = self.stage.camera.matrices(
                height=self.height,
                width=self.width,
                parallax=plane.parallax,
                scenery=True,
            )
            if runs and np.array_equal(runs[-1][0], matrices):
                runs[-1][1].append(plane)
            else:
                runs.append((matrices, [plane]))
        return [self._board(matrices, planes) for matrices, planes in runs]

    def books(self, background: Background) -> list[Board]:
        """What stands before the figure: where layers slide apart, along the one way or
        the other."""
        moves = set(self.spec.camera.moves)
        upright = bool(moves & TILTS)
        both = upright and moves & SIDEWAYS
        if self.stage.camera.depth == "single_plane" or both:
            return []
        draws = Draws(self.spec.set_art, "book")
        kind = choose(draws, background.near, upright=upright)
        if not kind:
            return []
        aspect = self.width / self.height
        book = make_book(background.setting, kind, aspect=aspect, upright=upright)
        matrices = self.stage.camera.book_matrices(
            height=self.height, width=self.width, upright=upright
        )
        # As large as where all of it is in the picture: what is near leaves it first.
        return [self._board(matrices, [book], scale=float(self.height))]

    def _board(
        self, matrices: np.ndarray, planes: list, *, scale: float | None = None
    ) -> Board:
        """Draw planes that move alike into one image, as large as is ever seen, or at so
        many pixels a unit."""
        w, h = self.width, self.height
        corners = np.array([[0, w, 0, w], [0, 0, h, h], [1, 1, 1, 1]], float)
        seen = np.linalg.inv(matrices) @ corners
        left, right = seen[:, 0].min(), seen[:, 0].max()
        top, bottom = seen[:, 1].min(), seen[:, 1].max()
        if scale is None:
            scale = float(np.hypot(matrices[:, 0, 0], matrices[:, 1, 0]).max())
        if np.ptp(matrices, axis=0).max() == 0 and matrices[0, 0, 1] == 0:
            # Never moves: draw it where it is seen.
            offset = matrices[0, :2, 2]
            columns, rows = w, h
        else:
            pad = 2.0 / scale
            left, top = left - pad, top - pad
            size = max(right + pad - left, bottom + pad - top)
            scale = min(scale, MAX_SIDE / size)
            offset = np.array([-left * scale, -top * scale])
            columns = int(np.ceil((right + pad - left) * scale))
            rows = int(np.ceil((bottom + pad - top) * scale))
        surface = skia.Surface(columns, rows)
        canvas = surface.getCanvas()
        canvas.translate(float(offset[0]), float(offset[1]))
        canvas.scale(scale, scale)
        real = self.spec.values("style.background") == ("photo_based",)
        if real:
            canvas.saveLayer(None, skia.Paint(ColorFilter=PHOTO))
        for plane in planes:
            self._photograph(canvas, plane, scale)
        if real:
            canvas.restore()
            self._surfaces(canvas)
        to_world = np.array(
            [
                [1 / scale, 0, -offset[0] / scale],
                [0, 1 / scale, -offset[1] / scale],
                [0, 0, 1],
            ]
        )
        return Board(image=surface.makeImageSnapshot(), matrices=matrices @ to_world)

    def _surfaces(self, canvas: skia.Canvas) -> None:
        """The grain of real surfaces over all that a board shows, and nowhere else."""
        often = min(max(80.0 / self.height, 0.06), 0.7)
        seed = Draws(self.spec.set_art, "photo").integer(0, 1000)
        noise = skia.PerlinNoiseShader.MakeFractalNoise(often, 0.7 * often, 4, seed)
        row = [2.4, 0.0, 0.0, 0.0, -0.75]
        grey = skia.ColorFilters.Matrix([*row, *row, *row, 0, 0, 0, 0, 0.16])
        canvas.resetMatrix()
        canvas.drawPaint(
            skia.Paint(
                Shader=noise, ColorFilter=grey, BlendMode=skia.BlendMode.kSrcATop
            )
        )

    def _photograph(self, canvas: skia.Canvas, plane: Plane, scale: float) -> None:
        """A plane under the lens: on a multiplane stand the far ones are out of focus,
        and the nearest."""
        far = abs(1.0 - plane.parallax)
        sigma = 0.02 * self.height * far
        if self.stage.camera.depth != "multiplane" or sigma < 0.3 or far > 0.98:
            plane.draw(canvas)
            return
        soft = skia.ImageFilters.Blur(
            sigma / scale, sigma / scale, skia.TileMode.kClamp
        )
        canvas.saveLayer(None, skia.Paint(ImageFilter=soft))
        plane.draw(canvas)
        canvas.restore()
