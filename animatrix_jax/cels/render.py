"""Drawing a clip: set, character, effects, and the camera over them.

`render` turns a spec into frames. Everything that stays the same is drawn once: each
plane of the set becomes one image (`sets`, `rostrum`), each drawing of the character
one run of ops under matrices (`figure`, `painter`), and a frame whose camera and cels
have not changed is copied. What is drawn about the figure is in `overlays`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from animatrix_jax.cels.casting import HELD_OUT, USUAL
from animatrix_jax.cels.energy import glow_amount
from animatrix_jax.cels.finish import burnt, finish
from animatrix_jax.cels.overlays import Overlays
from animatrix_jax.cels.page import Page
from animatrix_jax.cels.painter import CelPainter
from animatrix_jax.cels.palettes import Palette, draw_palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rostrum import BookPhoto, RackFocus, SetPhoto
from animatrix_jax.cels.sets import paint_set
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.staging import Stage, make_stage

_TOUCHED = 3  # grey levels by which an effect must change a pixel to hide it


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
    """Draws one clip at one size.

    Attributes:
      stage: poses and cels.
      camera: world to pixels for the figure, for every frame.
      boards: the set's planes, from the back.
      painter: of the cels.
    """

    def __init__(
        self, spec: ClipSpec, *, height: int, width: int, stage: Stage | None = None
    ):
        self.spec, self.height, self.width = spec, height, width
        size = {"height": height, "width": width}
        self.palette = clip_palette(spec)
        self.stage = stage or make_stage(spec)
        self.camera = self.stage.camera.matrices(**size)
        rack = RackFocus(spec, height=height)
        self.boards, books = paint_set(spec, self.palette, self.stage, **size)
        self.photo = SetPhoto(spec, self.boards, rack)
        self.painter = CelPainter(
            spec, self.stage, self.palette, self.camera, rack, **size
        )
        near = BookPhoto(spec, books, rack)
        self.overlays = Overlays(
            spec, self.palette, self.camera, self.painter, near, **size
        )
        self._page = Page(height, width)
        self._finish = Draws(spec.art, "finish")

    def frames(self, numbers: Sequence[int]) -> UInt8[np.ndarray, "t h w 3"]:
        """The frames of these numbers, drawn but not yet finished."""
        page, overlays = self._page, self.overlays
        video = np.empty((len(numbers), self.height, self.width, 3), np.uint8)
        # Frames that share a cel and their matrices look alike, unless the base moves.
        moving = overlays.behind or self.painter.restless
        made: dict[tuple, np.ndarray] = {}
        for place, frame in enumerate(numbers):
            cel = self.stage.cel(frame)
            key = (
                self.stage.sheet[frame],
                self.painter.version(frame),
                self.camera[frame].tobytes(),
                *(board.matrices[frame].tobytes() for board in self.boards),
                frame if moving else 0,
            )
            if key in made:
                page.lay(made[key])
            else:
                self.photo.draw(page, frame)
                overlays.draw_behind(page.canvas, cel, frame)
                self.painter.draw(page.canvas, cel, frame)
                made[key] = page.pixels.copy()
            if overlays.over:
                overlays.draw_over(page.canvas, cel, frame)
            video[place] = overlays.photographed(page, cel, frame)
        return video

    def covered(
        self, image: UInt8[np.ndarray, "h w 3"], frame: int
    ) -> Bool[np.ndarray, "h w"]:
        """Where an effect is painted over set, character and near scenery of a drawn
        frame."""
        if not (self.overlays.behind or self.overlays.over):
            return np.zeros(image.shape[:2], bool)
        self.photo.draw(self._page, frame)
        self.painter.draw(self._page.canvas, self.stage.cel(frame), frame)
        self.overlays.books.draw(self._page.canvas, frame)
        bare = self._page.pixels[..., :3].astype(np.int16)
        return (np.abs(bare - image) > _TOUCHED).any(-1)

    def burnt(self, frame: int) -> Bool[np.ndarray, "h w"]:
        """Where the light of the composite leaves nothing of a frame's picture."""
        shape, composite = (self.height, self.width, 3), self.spec.effects.composite
        return burnt(shape, composite, frame, self._finish, self.palette)

    def dazzling(self, frame: int) -> bool:
        """Whether the figure is more light than drawing."""
        glowing = "transformation_glow" in self.spec.effects.energy
        return glowing and glow_amount(frame, self.spec.frames) > 0.5

    def finished(
        self, video: UInt8[np.ndarray, "t h w 3"], numbers: Sequence[int]
    ) -> UInt8[np.ndarray, "t h w 3"]:
        """Drawn frames as they are delivered: composite, and the period's finish."""
        era = (self.spec.values("style.era") or ("modern_digital",))[0]
        composite = self.spec.effects.composite
        if era == "modern_digital" and not composite:
            return video
        frames = [
            finish(image, composite, era, frame, self._finish, self.palette)
            for image, frame in zip(video, numbers, strict=True)
        ]
        return np.stack(frames)


def clip_palette(spec: ClipSpec) -> Palette:
    """The colours of a clip: its character's, under its tags."""
    who = spec.character
    return draw_palette(
        Draws(who.art, "palette"),
        spec.value("style.palette"),
        spec.value("style.rendering"),
        hair_colour=who.hair_colour,
        eye_colour=who.eye_colour,
        cloth_colour=who.cloth_colour,
        pigments=(HELD_OUT if spec.held_out else USUAL).pigments,
    )
