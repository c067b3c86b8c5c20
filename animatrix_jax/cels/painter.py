"""Painting a cel: the figure in its pose, and what belongs to its drawing.

Between ``figure``, which draws up the models, and ``render``. Behind the figure lie its
shadow, the repeats of a multiple and the streaks of a smear; over it the light of a
transformation. Every method draws on the canvas that it is given, in pixels.
"""

import functools

import numpy as np
import skia
from jaxtyping import Float

from animatrix_jax.cels import deform, energy, ink
from animatrix_jax.cels.figure import Figure, make_figure, smear_ops
from animatrix_jax.cels.look import Op
from animatrix_jax.cels.page import to_skia
from animatrix_jax.cels.palettes import BLACK, WHITE, Colour, Palette, mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE
from animatrix_jax.cels.rostrum import SHARP, RackFocus
from animatrix_jax.cels.shot import Head
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.spoiling import RESTLESS, boil
from animatrix_jax.cels.staging import Cel, Stage, ghost_bones


class CelPainter:
    """Draws the cels of one clip.

    Args:
      spec: the clip.
      stage: its poses and models.
      palette: its colours.
      camera: world to pixels, for every frame.
      rack: of the lens.
      height: of the frames, pixels.
      width: of the frames, pixels.
    """

    def __init__(
        self,
        spec: ClipSpec,
        stage: Stage,
        palette: Palette,
        camera: Float[np.ndarray, "t 3 3"],
        rack: RackFocus,
        *,
        height: int,
        width: int,
    ):
        self.spec, self.stage, self.palette = spec, stage, palette
        self.camera, self.rack = camera, rack
        self.height, self.width = height, width
        self._restless = [d for d in spec.defects if d.kind in RESTLESS]
        self._glowing = "transformation_glow" in spec.effects.energy
        # A model with a defect that has come in is another model.
        drawn = tuple(d for d in spec.defects if d.family != "motion_coherence")
        self._starts = sorted({0, *(d.start for d in drawn)})
        zoom = float(np.exp(np.log(stage.camera.zoom).mean()))
        shown = {cel.model for cel in stage.cels}
        self._figures = {
            number: [
                make_figure(
                    spec,
                    palette,
                    pixels=height * zoom / model.framing.view,
                    proportion=model.proportion,
                    turn=model.turn,
                    defects=tuple(d for d in drawn if d.start <= start),
                )
                for start in self._starts
            ]
            for number, model in enumerate(stage.models)
            if number in shown
        }

    @property
    def restless(self) -> bool:
        """Whether one cel may look otherwise on every frame."""
        return bool(self._restless) or self._glowing or self.rack.wanted

    def version(self, frame: int) -> int:
        """Which drawing-up of its model a frame shows: defects come in at their start."""
        return sum(start <= frame for start in self._starts) - 1

    def figure(self, cel: Cel, frame: int) -> Figure:
        """The model of a cel as a frame shows it."""
        return self._figures[cel.model][self.version(frame)]

    def draw(self, canvas: skia.Canvas, cel: Cel, frame: int) -> None:
        """The figure and what is behind and on it."""
        blur = self.rack.figure_blur(frame)
        if blur > SHARP:
            canvas.resetMatrix()
            soft = skia.ImageFilters.Blur(blur, blur)
            canvas.saveLayer(None, skia.Paint(ImageFilter=soft))
        self.draw_extras(canvas, cel, frame)
        ops = self.figure(cel, frame).ops
        for defect in self._restless:
            if defect.start <= frame:
                ops = boil(ops, defect, frame)
        draw_ops(canvas, ops, self.camera[frame] @ cel.bones)
        if self._glowing:
            self._glow(canvas, ops, cel, frame)
        if blur > SHARP:
            canvas.restore()

    def draw_extras(self, canvas: skia.Canvas, cel: Cel, frame: int) -> None:
        """What a cel has behind the figure: shadow, repeats, the streaks of a smear."""
        camera, figure = self.camera[frame], self.figure(cel, frame)
        if self.spec.camera.shot in ("full", "long", "extreme_long"):
            self._shadow(canvas, cel, camera, figure)
        for bones, opacity in ghost_bones(self.spec, self.stage, cel):
            canvas.resetMatrix()
            canvas.saveLayerAlpha(None, int(255 * opacity))
            draw_ops(canvas, figure.ops, camera @ bones)
            canvas.restore()
        if cel.smeared:
            level = self.spec.deform.level
            way = deform.direction(self.spec)
            streaks = smear_ops(figure, self.palette, level, way)
            draw_ops(canvas, streaks, camera @ cel.bones)

    def draw_double(
        self, canvas: skia.Canvas, cel: Cel, frame: int, head: Head
    ) -> None:
        """The same character again, large, mirrored and half transparent."""
        h = self.height
        size = 0.4 / max(head.radius, 1e-3)
        side = 0.3 if self.spec.character.facing < 0 else 0.7
        drift = 0.03 * (frame / max(self.spec.frames - 1, 1) - 0.5)
        across = self.width / h * (side + drift)
        place = np.array(
            [
                [-size, 0.0, (across + size * head.x) * h],
                [0.0, size, (0.5 - size * head.y) * h],
                [0.0, 0.0, 1.0],
            ]
        )
        canvas.resetMatrix()
        canvas.saveLayerAlpha(None, 118)
        ops = self.figure(cel, frame).ops
        draw_ops(canvas, ops, place @ self.camera[frame] @ cel.bones)
        canvas.restore()

    @functools.cached_property
    def _hue(self) -> Colour:
        draws = Draws(self.spec.art, "effects", "energy")
        return energy.draw_hue(draws, self.palette)

    def _glow(
        self, canvas: skia.Canvas, ops: tuple[Op, ...], cel: Cel, frame: int
    ) -> None:
        """The figure again, as light."""
        amount = energy.glow_amount(frame, self.spec.frames)
        if amount <= 0.0:
            return
        tone = mix(self._hue, WHITE, 0.66)
        rows = [0, 0, 0, 0, tone[0], 0, 0, 0, 0, tone[1], 0, 0, 0, 0, tone[2]]
        light = skia.ColorFilters.Matrix([*rows, 0, 0, 0, 1, 0])
        canvas.resetMatrix()
        canvas.saveLayer(None, skia.Paint(ColorFilter=light, Alphaf=amount))
        draw_ops(canvas, ops, self.camera[frame] @ cel.bones)
        canvas.restore()

    def _shadow(
        self,
        canvas: skia.Canvas,
        cel: Cel,
        camera: Float[np.ndarray, "3 3"],
        figure: Figure,
    ) -> None:
        """An oval that stays on the ground under a leaping figure."""
        model = self.stage.models[cel.model]
        ground = camera @ model.place
        foot = model.place @ np.array([0.0, 0.0, 1.0])
        x = cel.bones[BONE["root"], 0, 2] / cel.bones[BONE["root"], 2, 2]
        at = camera @ np.array([x, foot[1] / foot[2], 1.0])
        matrix = np.diag([abs(ground[0, 0]), abs(ground[1, 1]), 1.0])
        matrix[:2, 2] = at[:2] / at[2]
        canvas.setMatrix(to_skia(matrix))
        r = 1.5 * figure.body.hip + 0.15
        dark = mix(self.palette.line, BLACK, 0.3)
        canvas.drawOval(skia.Rect(-r, -0.28 * r, r, 0.28 * r), ink.fill(dark, 0.4))


def draw_ops(
    canvas: skia.Canvas, ops: tuple[Op, ...], matrices: Float[np.ndarray, "b 3 3"]
) -> None:
    """Draw ops under their bones' matrices, on top of the canvas' layers."""
    last = -1
    ready: dict[int, skia.Matrix] = {}
    rows = matrices.reshape(len(matrices), 9).tolist()
    for op in ops:
        if op.bone != last:
            last = op.bone
            if last not in ready:
                ready[last] = skia.Matrix.MakeAll(*rows[last])
            canvas.setMatrix(ready[last])
        canvas.drawPath(op.path, op.paint)
