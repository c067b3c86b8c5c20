"""What is drawn about the figure: effects behind it, over it, and on the whole frame.

The order of the stack is here: lines and auras lie between set and figure; things in
the hand, powers, near scenery, elements, symbols and impacts over it. Each kind has a
module of its own, and all but the scenery draw in screen units, x in [0, aspect] and y in
[0, 1].
"""

import dataclasses
import functools

import numpy as np
import skia
from jaxtyping import Float, UInt8

from animatrix_jax.cels import effects, energy, props
from animatrix_jax.cels.elementals import draw_elemental
from animatrix_jax.cels.manpu import draw_manpu
from animatrix_jax.cels.page import Page
from animatrix_jax.cels.painter import CelPainter
from animatrix_jax.cels.palettes import Colour, Palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE
from animatrix_jax.cels.rostrum import BookPhoto
from animatrix_jax.cels.shot import Head, Shot
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.staging import Cel, head_on_screen


class Overlays:
    """Draws the effects of one clip.

    Args:
      spec: the clip.
      palette: its colours.
      camera: world to pixels, for every frame.
      painter: of its cels, one of which may be shown twice.
      books: near scenery, over the figure.
      height: of the frames, pixels.
      width: of the frames, pixels.
    """

    def __init__(
        self,
        spec: ClipSpec,
        palette: Palette,
        camera: Float[np.ndarray, "t 3 3"],
        painter: CelPainter,
        books: BookPhoto,
        *,
        height: int,
        width: int,
    ):
        self.spec, self.palette, self.camera = spec, palette, camera
        self.painter, self.books = painter, books
        self.height, self.aspect = height, width / height
        self.draws = Draws(spec.art, "effects")
        self._powers = self.draws.child("energy")
        e = spec.effects
        self._lines = bool(e.lines)
        self._powers_behind = bool(set(e.energy) & set(energy.BEHIND))
        self._double = "double_exposure" in e.composite
        # Whether the figure has things, powers or people about it.
        self._attended = (
            bool(set(e.energy) & {*energy.OVER, "transformation_glow"})
            or spec.action.style in ("ranged", "sport")
            or spec.camera.angle in ("over_shoulder", "pov")
        )

    @property
    def behind(self) -> bool:
        """Whether anything is drawn behind the figure."""
        return self._lines or self._powers_behind

    @property
    def over(self) -> bool:
        """Whether anything is drawn over it."""
        e = self.spec.effects
        drawn = bool(e.lines or e.impact or e.elemental or e.manpu)
        return drawn or self._attended or self._double or bool(self.books)

    def draw_behind(self, canvas: skia.Canvas, cel: Cel, frame: int) -> None:
        """Lines and powers between the set and the figure."""
        e = self.spec.effects
        if self._lines:
            effects.apply_before(self._shot(canvas, frame), e)
        if self._powers_behind:
            energy.draw_behind(self._power(canvas, cel, frame), e.energy)

    def draw_over(self, canvas: skia.Canvas, cel: Cel, frame: int) -> None:
        """Things, elements, symbols and impacts over the figure."""
        spec, e = self.spec, self.spec.effects
        head = head_on_screen(cel, self.camera[frame], height=self.height)
        if self._attended:
            power = self._power(canvas, cel, frame)
            props.draw_prop(power, spec.action.style, spec.action.variant)
            energy.draw_over(power, e.energy)
            # Who stands before the lens is a drawing too, on the same sheet.
            drawn = dataclasses.replace(power, frame=int(cel.time))
            props.draw_foreground(drawn, spec.camera.angle)
        if self._double:
            self.painter.draw_double(canvas, cel, frame, head)
        if self.books:
            self.books.draw(canvas, frame)
        for value in e.elemental:
            draw_elemental(self._shot(canvas, frame), value, e.level)
        for value in e.manpu:
            draw_manpu(self._shot(canvas, frame), value, head, e.level)
        if e.lines or e.impact:
            shot = self._shot(canvas, frame)
            effects.apply_after(shot, e, self._gathering(head))

    def photographed(
        self, page: Page, cel: Cel, frame: int
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The page as a frame, with what an impact makes of all of it."""
        image = page.pixels[..., :3]
        if not self.spec.effects.impact:
            return image
        head = head_on_screen(cel, self.camera[frame], height=self.height)
        shot = self._shot(page.canvas, frame)
        return effects.post(image, shot, self.spec.effects, self._gathering(head))

    def _shot(self, canvas: skia.Canvas, frame: int) -> Shot:
        """The frame as effects see it: their canvas is in screen units."""
        canvas.resetMatrix()
        canvas.scale(self.height, self.height)
        return Shot(
            canvas=canvas,
            frame=frame,
            frames=self.spec.frames,
            aspect=self.aspect,
            draws=self.draws,
            palette=self.palette,
        )

    @functools.cached_property
    def _hue(self) -> Colour:
        return energy.draw_hue(self._powers, self.palette)

    def _power(self, canvas: skia.Canvas, cel: Cel, frame: int) -> energy.Power:
        """The same with the figure's place in it, for what is drawn about it."""
        placed = self.camera[frame] @ cel.bones
        head = head_on_screen(cel, self.camera[frame], height=self.height)

        def at(*names: str) -> tuple[float, float]:
            found = placed[[BONE[name] for name in names]][:, :, 2]
            middle = (found[:, :2] / found[:, 2:]).mean(0) / self.height
            return float(middle[0]), float(middle[1])

        shot = dataclasses.replace(self._shot(canvas, frame), draws=self._powers)
        return energy.Power(
            **vars(shot),
            hue=self._hue,
            actor=energy.Actor(
                head=(head.x, head.y),
                hand=at("hand_near"),
                feet=at("foot_near", "foot_far"),
                radius=head.radius,
                facing=self.spec.character.facing,
            ),
            strength=1.25 if self.spec.effects.level == "dominant" else 0.85,
        )

    def _gathering(self, head: Head) -> tuple[float, float]:
        """Where effects gather: the face, kept inside the picture."""
        x = min(max(head.x, 0.15 * self.aspect), 0.85 * self.aspect)
        return x, min(max(head.y, 0.15), 0.85)
