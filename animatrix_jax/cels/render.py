"""Drawing a clip: set, character, effects, and the camera over them.

`render` turns a spec into frames. Everything that stays the same is drawn once: each
plane of the set becomes one image, each drawing of the character one run of ops under
matrices, and a frame whose camera and cels have not changed is copied.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import skia
from jaxtyping import Float, UInt8

from animatrix_jax.cels import deform, effects, energy, ink, props
from animatrix_jax.cels.casting import HELD_OUT, USUAL
from animatrix_jax.cels.elementals import draw_elemental
from animatrix_jax.cels.figure import Figure, make_figure, smear_ops
from animatrix_jax.cels.finish import finish
from animatrix_jax.cels.look import PAPER, Op
from animatrix_jax.cels.manpu import draw_manpu
from animatrix_jax.cels.palettes import Colour, draw_palette, mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE
from animatrix_jax.cels.sets import paint_set
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.staging import (
    Cel,
    Stage,
    ghost_bones,
    head_on_screen,
    make_stage,
)

LINEAR = skia.SamplingOptions(skia.FilterMode.kLinear)
# How far the set fades to paper, so that the figure's style reaches behind it.
WASH = {"rough_genga": 0.62, "tiedown": 0.55, "watercolor": 0.28, "mono_manga": 0.25}


def render(
    spec: ClipSpec,
    *,
    height: int,
    width: int,
    stage: Stage | None = None,
    only: int | None = None,
) -> UInt8[np.ndarray, "t h w 3"]:
    """The frames of a clip, or ``only`` one; ``stage`` saves making it again."""
    renderer = Renderer(spec, height=height, width=width, stage=stage)
    numbers = range(spec.frames) if only is None else (only,)
    return renderer.finished(renderer.frames(numbers), numbers)


class Renderer:
    """Draws one clip at one size."""

    def __init__(
        self, spec: ClipSpec, *, height: int, width: int, stage: Stage | None = None
    ):
        self.spec, self.height, self.width = spec, height, width
        self.aspect = width / height
        who = spec.character
        self.palette = draw_palette(
            Draws(who.art, "palette"),
            spec.value("style.palette"),
            spec.value("style.rendering"),
            hair_colour=who.hair_colour,
            eye_colour=who.eye_colour,
            cloth_colour=who.cloth_colour,
            pigments=(HELD_OUT if spec.held_out else USUAL).pigments,
        )
        self.stage: Stage = stage or make_stage(spec)
        self.camera = self.stage.camera.matrices(height=height, width=width)
        zoom = float(np.exp(np.log(self.stage.camera.zoom).mean()))
        self.figures: list[list[tuple[int, Figure]]] = []
        for model in self.stage.models:
            pixels = height * zoom / model.framing.view
            structural = tuple(
                d for d in spec.defects if d.family != "motion_coherence"
            )
            starts = sorted({0, *(d.start for d in structural)})
            self.figures.append(
                [
                    (
                        start,
                        make_figure(
                            spec,
                            self.palette,
                            pixels=pixels,
                            proportion=model.proportion,
                            turn=model.turn,
                            defects=tuple(d for d in structural if d.start <= start),
                        ),
                    )
                    for start in starts
                ]
            )
        self.pixels = [height * zoom / m.framing.view for m in self.stage.models]
        self.sheets = paint_set(
            spec, self.palette, self.stage, height=height, width=width
        )
        self.array = np.zeros((height, width, 4), np.uint8)
        self.surface = skia.Surface(self.array, colorType=skia.kRGBA_8888_ColorType)
        self.canvas = self.surface.getCanvas()
        self._own = self.canvas
        self._still_set: np.ndarray | None = None
        self.draws = Draws(spec.art, "effects")
        self._powers = self.draws.child("energy")

    @functools.cached_property
    def _hue(self) -> Colour:
        return energy.draw_hue(self._powers, self.palette)

    @functools.cached_property
    def _far_first(self) -> bool:
        return Draws(self.spec.art, "rack").chance(0.5)

    def figure(self, cel: Cel, frame: int) -> Figure:
        """The model that a frame shows: defects come in at their start."""
        found = [f for start, f in self.figures[cel.model] if start <= frame]
        return found[-1]

    # The set.

    def _blur(self, frame: int) -> tuple[float, float]:
        """Sigma of the set's and of the figure's blur, in pixels: a rack of focus."""
        if "rack_focus" not in self.spec.effects.composite:
            return 0.0, 0.0
        u = frame / max(self.spec.frames - 1, 1)
        s = min(max((u - 0.3) / 0.35, 0.0), 1.0)
        s = s * s * (3.0 - 2.0 * s)
        if self._far_first:
            s = 1.0 - s
        return 0.026 * self.height * s, 0.026 * self.height * (1.0 - s)

    def draw_set(self, frame: int) -> None:
        """The set under the camera; one that never moves is photographed once."""
        if self._still_set is not None and self.canvas is self._own:
            self.surface.flushAndSubmit()
            self.array[:] = self._still_set
            return
        self._draw_set(frame)
        still = all(np.ptp(sheet.matrices, axis=0).max() == 0 for sheet in self.sheets)
        racked = "rack_focus" in self.spec.effects.composite
        if still and not racked and self.canvas is self._own:
            self.surface.flushAndSubmit()
            self._still_set = self.array.copy()

    def _draw_set(self, frame: int) -> None:
        canvas = self.canvas
        canvas.resetMatrix()
        canvas.clear(skia.ColorWHITE)
        blur = self._blur(frame)[0]
        if blur > 0.3:
            soft = skia.ImageFilters.Blur(blur, blur, skia.TileMode.kClamp)
            canvas.saveLayer(None, skia.Paint(ImageFilter=soft))
        for sheet in self.sheets:
            canvas.setMatrix(to_skia(sheet.matrices[frame]))
            canvas.drawImage(sheet.image, 0, 0, LINEAR)
        canvas.resetMatrix()
        if blur > 0.3:
            canvas.restore()
        wash = WASH.get(self.spec.value("style.rendering"), 0.0)
        if wash:
            canvas.drawColor(skia.Color4f(*PAPER, wash))

    # The character.

    def draw_extras(self, cel: Cel, frame: int) -> None:
        """What a cel has behind the figure: shadow, repeats, the streaks of a smear."""
        canvas, camera = self.canvas, self.camera[frame]
        figure = self.figure(cel, frame)
        self._shadow(cel, camera, figure)
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

    def draw_cel(self, cel: Cel, frame: int) -> None:
        """The figure and what is behind it."""
        blur = self._blur(frame)[1]
        if blur > 0.3:
            self.canvas.resetMatrix()
            soft = skia.ImageFilters.Blur(blur, blur)
            self.canvas.saveLayer(None, skia.Paint(ImageFilter=soft))
        self.draw_extras(cel, frame)
        figure = self.figure(cel, frame)
        boiling = [
            d
            for d in self.spec.defects
            if d.kind in ("boiling_line", "colour_flicker") and d.start <= frame
        ]
        ops = figure.ops
        for defect in boiling:
            ops = _boil(ops, defect.kind, defect.severity, defect.key, frame)
        draw_ops(self.canvas, ops, self.camera[frame] @ cel.bones)
        if "transformation_glow" in self.spec.effects.energy:
            self._glow(ops, cel, frame)
        if blur > 0.3:
            self.canvas.restore()

    def _glow(self, ops: tuple[Op, ...], cel: Cel, frame: int) -> None:
        """The figure again, as light."""
        amount = energy.glow_amount(frame, self.spec.frames)
        if amount <= 0.0:
            return
        hue = self._power(cel, frame).hue
        tone = mix(hue, (1.0, 1.0, 1.0), 0.66)
        rows = [0, 0, 0, 0, tone[0], 0, 0, 0, 0, tone[1], 0, 0, 0, 0, tone[2]]
        light = skia.ColorFilters.Matrix([*rows, 0, 0, 0, 1, 0])
        self.canvas.resetMatrix()
        self.canvas.saveLayer(None, skia.Paint(ColorFilter=light, Alphaf=amount))
        draw_ops(self.canvas, ops, self.camera[frame] @ cel.bones)
        self.canvas.restore()

    def _power(self, cel: Cel, frame: int) -> energy.Power:
        """The figure's place on the screen, for what is drawn about it."""
        placed = self.camera[frame] @ cel.bones
        x, y, radius, _ = head_on_screen(cel, self.camera[frame], height=self.height)

        def at(*names: str) -> tuple[float, float]:
            found = placed[[BONE[name] for name in names]][:, :, 2]
            middle = (found[:, :2] / found[:, 2:]).mean(0) / self.height
            return float(middle[0]), float(middle[1])

        return energy.Power(
            canvas=self.canvas,
            frame=frame,
            frames=self.spec.frames,
            aspect=self.aspect,
            draws=self._powers,
            palette=self.palette,
            hue=self._hue,
            actor=energy.Actor(
                head=(x, y),
                hand=at("hand_near"),
                feet=at("foot_near", "foot_far"),
                radius=radius,
                facing=self.spec.character.facing,
            ),
            strength=1.25 if self.spec.effects.level == "dominant" else 0.85,
        )

    def _shadow(self, cel: Cel, camera: np.ndarray, figure: Figure) -> None:
        if self.spec.camera.shot not in ("full", "long", "extreme_long"):
            return
        model = self.stage.models[cel.model]
        matrix = camera @ cel.bones[BONE["root"]]
        ground = camera @ model.place
        # It stays on the ground under a leaping figure.
        foot = model.place @ np.array([0.0, 0.0, 1.0])
        x = cel.bones[BONE["root"], 0, 2] / cel.bones[BONE["root"], 2, 2]
        matrix = np.array(
            [
                [abs(ground[0, 0]), 0, 0],
                [0, abs(ground[1, 1]), 0],
                [0, 0, 1],
            ]
        )
        at = camera @ np.array([x, foot[1] / foot[2], 1.0])
        matrix[:2, 2] = at[:2] / at[2]
        self.canvas.setMatrix(to_skia(matrix))
        r = 1.5 * figure.body.hip + 0.15
        dark = mix(self.palette.line, (0.0, 0.0, 0.0), 0.3)
        self.canvas.drawOval(skia.Rect(-r, -0.28 * r, r, 0.28 * r), ink.fill(dark, 0.4))

    # The clip.

    def base(self, frame: int) -> None:
        """Set, effects behind, character."""
        spec = self.spec
        self.draw_set(frame)
        if spec.effects.lines:
            self._screen()
            effects.apply_before(
                self.canvas,
                spec.effects,
                frame,
                spec.frames,
                self.aspect,
                self.draws,
                self.palette,
            )
        cel = self.stage.cels[self.stage.sheet[frame]]
        if set(spec.effects.energy) & set(energy.BEHIND):
            power = self._power(cel, frame)
            self._screen()
            energy.draw_behind(power, spec.effects.energy)
        self.draw_cel(cel, frame)

    def _screen(self) -> None:
        self.canvas.resetMatrix()
        self.canvas.scale(self.height, self.height)

    def overlay(self, frame: int) -> None:
        """Elements, symbols and effects over the character."""
        spec, canvas = self.spec, self.canvas
        e = spec.effects
        cel = self.stage.cels[self.stage.sheet[frame]]
        head = (0.0, 0.0, 0.0, 0.0)
        if e.manpu or e.lines or e.impact or "double_exposure" in e.composite:
            head = head_on_screen(cel, self.camera[frame], height=self.height)
        if self.attended:
            power = self._power(cel, frame)
            self._screen()
            props.draw_prop(power, spec.action.style, spec.action.variant)
            energy.draw_over(power, e.energy)
            # Who stands before the lens is a drawing too, on the same sheet.
            drawn = dataclasses.replace(power, frame=int(cel.time))
            props.draw_foreground(drawn, spec.camera.angle)
        if "double_exposure" in e.composite:
            self._second_picture(cel, frame, head)
        for value in e.elemental:
            self._screen()
            draw_elemental(
                canvas,
                value,
                frame,
                spec.frames,
                self.draws,
                self.palette,
                self.aspect,
                e.level,
            )
        for value in e.manpu:
            self._screen()
            draw_manpu(
                canvas, value, head, frame, spec.frames, self.draws, self.palette
            )
        if e.lines or e.impact:
            self._screen()
            effects.apply_after(
                canvas,
                e,
                frame,
                spec.frames,
                self.aspect,
                self.draws,
                self.palette,
                self._focus(head),
            )

    def _second_picture(
        self, cel: Cel, frame: int, head: tuple[float, float, float, float]
    ) -> None:
        """The same character again, large, mirrored and half transparent."""
        h = self.height
        size = 0.4 / max(head[2], 1e-3)
        side = 0.3 if self.spec.character.facing < 0 else 0.7
        drift = 0.03 * (frame / max(self.spec.frames - 1, 1) - 0.5)
        place = np.array(
            [
                [-size, 0.0, (self.aspect * (side + drift) + size * head[0]) * h],
                [0.0, size, (0.5 - size * head[1]) * h],
                [0.0, 0.0, 1.0],
            ]
        )
        self.canvas.resetMatrix()
        self.canvas.saveLayerAlpha(None, 118)
        ops = self.figure(cel, frame).ops
        draw_ops(self.canvas, ops, place @ self.camera[frame] @ cel.bones)
        self.canvas.restore()

    def _focus(self, head: tuple[float, float, float, float]) -> tuple[float, float]:
        """Where effects gather: the face, kept inside the picture."""
        x = min(max(head[0], 0.15 * self.aspect), 0.85 * self.aspect)
        return x, min(max(head[1], 0.15), 0.85)

    @property
    def attended(self) -> bool:
        """Whether the figure has things, powers or people about it."""
        return (
            bool(set(self.spec.effects.energy) & {*energy.OVER, "transformation_glow"})
            or self.spec.action.style in ("ranged", "sport")
            or self.spec.camera.angle in ("over_shoulder", "pov")
        )

    def finished(
        self, video: UInt8[np.ndarray, "t h w 3"], numbers: Sequence[int]
    ) -> UInt8[np.ndarray, "t h w 3"]:
        """Drawn frames as they are delivered: composite, and the period's finish."""
        era = (self.spec.values("style.era") or ("modern_digital",))[0]
        composite = self.spec.effects.composite
        if era == "modern_digital" and not composite:
            return video
        draws = Draws(self.spec.art, "finish")
        frames = [
            finish(image, composite, era, frame, draws, self.palette)
            for image, frame in zip(video, numbers, strict=True)
        ]
        return np.stack(frames)

    def frames(self, numbers: Sequence[int]) -> UInt8[np.ndarray, "t h w 3"]:
        """The frames of these numbers, drawn but not yet finished."""
        spec = self.spec
        e = spec.effects
        video = np.empty((len(numbers), self.height, self.width, 3), np.uint8)
        flat = bool(e.lines) or "rack_focus" in e.composite
        flat |= bool(set(e.energy) & {*energy.BEHIND, "transformation_glow"})
        flat |= any(d.kind in ("boiling_line", "colour_flicker") for d in spec.defects)
        changing = bool(e.lines or e.impact or e.elemental or e.manpu) or self.attended
        changing |= "double_exposure" in e.composite
        made: dict[tuple, np.ndarray] = {}
        for place, frame in enumerate(numbers):
            key = (
                self.stage.sheet[frame],
                tuple(start <= frame for start, _ in self.figures[0]),
                self.camera[frame].tobytes(),
                *(sheet.matrices[frame].tobytes() for sheet in self.sheets),
                frame if flat else 0,
            )
            if key in made:
                self.array[:] = made[key]
            else:
                self.base(frame)
                self.surface.flushAndSubmit()
                made[key] = self.array.copy()
            if changing:
                self.overlay(frame)
            video[place] = self.array[..., :3]
            if e.impact:
                cel = self.stage.cels[self.stage.sheet[frame]]
                head = head_on_screen(cel, self.camera[frame], height=self.height)
                video[place] = effects.post(
                    video[place],
                    e,
                    frame,
                    spec.frames,
                    self.draws,
                    self.palette,
                    self._focus(head),
                )
        return video


def to_skia(matrix: Float[np.ndarray, "3 3"]) -> skia.Matrix:
    return skia.Matrix.MakeAll(*matrix.ravel().tolist())


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


def _boil(
    ops: tuple[Op, ...], kind: str, severity: float, key: int, frame: int
) -> tuple[Op, ...]:
    """Lines that crawl, or colours that flicker, from frame to frame."""
    draws = Draws(key, "boil", frame)
    if kind == "colour_flicker":
        shift = [draws.uniform(-1.0, 1.0) * (0.06 + 0.34 * severity) for _ in range(3)]
        rows = [1.0, 0, 0, 0, shift[0], 0, 1, 0, 0, shift[1], 0, 0, 1, 0, shift[2]]
        tint = skia.ColorFilters.Matrix([*rows, 0, 0, 0, 1, 0])
        changed = []
        for op in ops:
            paint = skia.Paint(op.paint)
            paint.setColorFilter(tint)
            changed.append(dataclasses.replace(op, paint=paint))
        return tuple(changed)
    changed = []
    for i, op in enumerate(ops):
        paint = skia.Paint(op.paint)
        if paint.getStyle() == skia.Paint.kStroke_Style:
            width = paint.getStrokeWidth() * (1.0 + severity * draws.uniform(0.0, 1.6))
            paint.setStrokeWidth(width)
        seed = (draws.raw() >> 40) + i
        paint.setPathEffect(
            skia.DiscretePathEffect.Make(0.12, 0.012 + 0.05 * severity, seed)
        )
        changed.append(dataclasses.replace(op, paint=paint))
    return tuple(changed)
