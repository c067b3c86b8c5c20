"""From shapes to painted cels: what a rendering and a line style do to every part.

A figure is a list of :class:`Op`, each a path on a bone with its paint, drawn in order.
:class:`Look` makes them: it knows the tags ``style.rendering`` and ``style.line``, the
palette, and how many pixels a head has, so that a small figure is drawn with fewer and
bigger shapes. Outlines are strokes *under* the fills, shifted a little away from the
light: limbs of several segments merge, and the line swells on the shadow side as a
drawn one does.
"""

import contextlib
import dataclasses
from collections.abc import Sequence

import skia

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import BLACK, WHITE, Colour, Palette, mix
from animatrix_jax.cels.rig import BONE
from animatrix_jax.cels.shapes import moved

PAPER: Colour = (0.985, 0.98, 0.965)
PENCIL: Colour = (0.22, 0.22, 0.27)
BLUE: Colour = (0.36, 0.55, 0.93)
RED: Colour = (0.90, 0.35, 0.32)
# Breadth of each `style.line`, as a factor.
LINE_WEIGHTS = {
    "thin_clean": 0.75,
    "bold_clean": 1.75,
    "tapered": 1.15,
    "rough": 1.25,
    "color_trace": 1.2,
    "lineless": 0.0,
}
_HAIRS = (0.0, 1e-3, -1e-3, 1e-2)  # of a path's breadth
_TRACED = (0.62, 0.2, 0.16)  # what coloured lines lean to, whatever they bound


@dataclasses.dataclass(frozen=True)
class Op:
    """One path to draw under the matrix of a bone."""

    bone: int
    path: skia.Path
    paint: skia.Paint


class Look:
    """Paints one figure's shapes into a list of ops.

    Args:
      palette: colours.
      rendering: value of ``style.rendering``.
      line: value of ``style.line``.
      pixels: height of the head in pixels, for the level of detail.
      medium: value of ``style.video_style``.
    """

    def __init__(
        self,
        palette: Palette,
        *,
        rendering: str,
        line: str,
        pixels: float,
        medium: str = "2d_japanese_anime",
    ):
        self.palette = palette
        self.medium_style = medium
        self.solid = medium in ("3d_cel_shaded", "3d_cg")
        self.rendering = rendering
        self.line = line
        self.pixels = pixels
        # A line is about a sixtieth of the head, and never thinner than can be seen.
        weight = LINE_WEIGHTS[line]
        width = max(0.0145, 0.42 / pixels) if pixels < 60 else max(0.0125, 0.9 / pixels)
        self.width = width * weight
        self.sketch = rendering in ("rough_genga", "tiedown")
        self.drift = self.width * (0.8 if line == "tapered" else 0.1)
        if self.solid:
            self.drift = 0.0  # a generated outline is the same all round
        self.ops: list[Op] = []

    @property
    def fine(self) -> bool:
        """Room for lashes, folds, fingers."""
        return self.pixels >= 34

    @property
    def medium(self) -> bool:
        """Room for whites of eyes, shine, collars."""
        return self.pixels >= 9.5

    @property
    def layered(self) -> bool:
        """Whether a second shadow and lights are painted by hand."""
        return not self.solid and self.rendering in (
            "multi_tone_cel",
            "illustration_look",
        )

    def tone(self, colour: Colour) -> Colour:
        """The local colour under this rendering."""
        if self.rendering == "rough_genga":
            return mix(colour, PAPER, 0.84)
        if self.rendering == "tiedown":
            return mix(colour, PAPER, 0.93)
        return colour

    def pen(self, beside: Colour) -> Colour:
        """The colour of a line around a part of the given local colour."""
        if self.rendering == "rough_genga":
            return PENCIL
        if self.line == "color_trace":
            r, g, b = beside
            deep = mix((0.42 * r, 0.36 * g, 0.42 * b), self.palette.line, 0.1)
            return mix(deep, self.palette.cel(_TRACED), 0.4)
        return self.palette.line

    def paint(self, path: skia.Path, colour: Colour) -> skia.Paint:
        colour = self.tone(colour)
        if self.solid:
            return self._solid(path, colour)
        if self.pixels >= 9.5 and self.rendering in ("illustration_look", "watercolor"):
            box = path.getBounds()
            if self.rendering == "illustration_look":
                dark = mix(colour, self.palette.shade(colour), 0.9)
                return ink.linear(
                    (box.left(), box.top()),
                    (0.35 * box.left() + 0.65 * box.right(), box.bottom()),
                    [mix(colour, WHITE, 0.22), colour, dark],
                )
            centre = (
                0.6 * box.left() + 0.4 * box.right(),
                0.65 * box.top() + 0.35 * box.bottom(),
            )
            radius = 0.62 * max(box.width(), box.height())
            wash = mix(colour, PAPER, 0.62)
            return ink.radial(
                centre,
                radius,
                [wash, mix(colour, PAPER, 0.34), mix(colour, PAPER, 0.1)],
            )
        return ink.fill(colour)

    def _solid(self, path: skia.Path, colour: Colour) -> skia.Paint:
        """A part lit as a body in space: in hard steps, or smoothly with a gleam."""
        box = path.getBounds()
        dark = self.palette.shade(colour)
        if colour == self.palette.skin:
            dark = self.palette.skin_shade  # blood shows through
        deep = mix(dark, self.palette.shadow_tint, 0.16)
        light = mix(colour, WHITE, 0.4)
        # Lit from above and before: what is low and behind is dark.
        left = (box.left(), box.bottom())
        right = (box.right(), box.bottom() - 0.35 * box.width())
        if self.medium_style == "3d_cel_shaded":
            if self.rendering == "two_tone_cel":
                return ink.linear(
                    left, right, [dark, dark, colour, colour], [0.0, 0.4, 0.4, 1.0]
                )
            steps = [deep, deep, dark, dark, colour, colour, light, light]
            stops = [0.0, 0.2, 0.2, 0.42, 0.42, 0.8, 0.8, 1.0]
            return ink.linear(left, right, steps, stops)
        if box.width() < 0.7 * box.height():
            stops = [0.0, 0.3, 0.62, 0.8, 1.0]
            return ink.linear(left, right, [deep, colour, light, colour, dark], stops)
        centre = (
            0.36 * box.left() + 0.64 * box.right(),
            0.68 * box.top() + 0.32 * box.bottom(),
        )
        radius = 0.78 * max(box.width(), box.height())
        return ink.radial(
            centre, radius, [light, colour, dark, deep], [0.0, 0.32, 0.75, 1.0]
        )

    def outline(self, bone: str, path: skia.Path, beside: Colour) -> None:
        """The line around a shape, to be covered by the shape itself."""
        if not self.width:
            return
        alpha = 0.75 if self.rendering == "watercolor" else 1.0
        paint = ink.stroke(self.pen(beside), 2 * self.width, alpha)
        if self.line == "rough" and self.pixels > 24:
            # Two passes of a searching pencil.
            step = 0.22
            for seed, dev in ((1, 0.007), (7, 0.014)):
                rough = skia.Paint(paint)
                rough.setStrokeWidth(1.3 * self.width)
                rough.setPathEffect(skia.DiscretePathEffect.Make(step, dev, seed))
                self.ops.append(Op(BONE[bone], path, rough))
            return
        under = (
            moved(path, 0.5 * self.drift, self.drift) if self.drift > 0.002 else path
        )
        self.ops.append(Op(BONE[bone], under, paint))

    def fill(self, bone: str, path: skia.Path, colour: Colour) -> None:
        """A shape without an outline."""
        self.ops.append(Op(BONE[bone], path, self.paint(path, colour)))

    def flat(self, bone: str, path: skia.Path, colour: Colour) -> None:
        """A shape in exactly this colour: eyes, ink, highlights."""
        self.ops.append(Op(BONE[bone], path, ink.fill(colour)))

    def shape(self, bone: str, path: skia.Path, colour: Colour) -> None:
        """A shape with its outline."""
        self.outline(bone, path, colour)
        self.fill(bone, path, colour)

    def group(self, parts: Sequence[tuple[str, skia.Path, Colour]]) -> None:
        """Shapes that merge: one outline around them all."""
        self.merge([(*part, part[1]) for part in parts])

    def merge(self, parts: Sequence[tuple[str, skia.Path, Colour, skia.Path]]) -> None:
        """Shapes that merge, each with a line of its own: bone, shape, colour, line."""
        for bone, _, colour, line in parts:
            self.outline(bone, line, colour)
        for bone, path, colour, _ in parts:
            self.fill(bone, path, colour)

    def detail(self, bone: str, path: skia.Path, colour: Colour) -> None:
        """A small shape; it keeps its outline only where there is room."""
        if self.pixels >= 24:
            self.outline(bone, path, colour)
        self.fill(bone, path, colour)

    def stroke(self, bone: str, path: skia.Path, beside: Colour) -> None:
        """An inner line, given as a filled taper; it stays where outlines are off."""
        colour = self.pen(beside)
        if self.line == "lineless":
            colour = mix(self.tone(beside), self.palette.line, 0.45)
        self.ops.append(Op(BONE[bone], path, ink.fill(colour)))

    def shade(self, bone: str, path: skia.Path, colour: Colour) -> None:
        """A shadow with a hard edge, where the rendering has shadows."""
        if self.rendering == "flat_cel" or self.solid:
            return
        if self.rendering == "tiedown":
            if self.medium:
                paint = ink.stroke(BLUE, 0.8 * max(self.width, 0.008), 0.8)
                self.ops.append(Op(BONE[bone], path, paint))
            return
        if self.rendering == "rough_genga":
            paint = ink.fill(mix(BLUE, PAPER, 0.55), 0.55)
        elif self.rendering == "mono_manga" and self.pixels > 110:
            paint = _screentone(colour, 0.028)
        elif self.rendering in ("watercolor", "illustration_look"):
            paint = ink.fill(colour, 0.62)
        else:
            paint = ink.fill(colour)
        self.ops.append(Op(BONE[bone], path, paint))
        if self.rendering == "multi_tone_cel" and self.medium:
            self.deep(bone, _core(path), colour)

    def deep(self, bone: str, path: skia.Path, colour: Colour) -> None:
        """The second shadow tone of a multi-tone cel."""
        if self.layered:
            second = mix(mix(colour, self.palette.shadow_tint, 0.22), BLACK, 0.2)
            self.ops.append(Op(BONE[bone], path, ink.fill(second)))

    def light(self, bone: str, path: skia.Path, colour: Colour) -> None:
        """The light tone of a multi-tone cel."""
        if self.layered:
            self.ops.append(Op(BONE[bone], path, ink.fill(mix(colour, WHITE, 0.45))))


def _core(path: skia.Path) -> skia.Path:
    """The part of a shadow that lies farthest from the light, up on the right."""
    box = path.getBounds()
    away = skia.Path(path)
    away.offset(-0.22 * box.width(), 0.16 * box.height())
    return overlap(path, away)


def overlap(path: skia.Path, other: skia.Path) -> skia.Path:
    """The part of ``path`` that lies in ``other``.

    Skia gives up on curves that all but touch, in one clip of twenty thousand: there the
    path is cut a hair further on, and stays whole where that does not help.

    Raises:
      ValueError: for a path that is nowhere.
    """
    if not path.isFinite():
        raise ValueError("a path with a point at infinity cannot be cut")
    for hair in _HAIRS:
        cut = skia.Path(path)
        if hair:
            cut.offset(hair * path.getBounds().width(), 0.0)
        with contextlib.suppress(RuntimeError):
            return skia.Op(cut, other, skia.PathOp.kIntersect_PathOp)
    return path


def _screentone(colour: Colour, pitch: float) -> skia.Paint:
    """Dots of manga, as a pattern that moves with the part."""
    dark = mix(colour, BLACK, 0.35)
    recorder = skia.PictureRecorder()
    cell = skia.Rect(0, 0, pitch, pitch)
    canvas = recorder.beginRecording(cell)
    canvas.drawColor(skia.Color4f(*mix(colour, WHITE, 0.35), 1.0))
    for x, y in ((0.25, 0.25), (0.75, 0.75)):
        canvas.drawCircle(x * pitch, y * pitch, 0.25 * pitch, ink.fill(dark))
    picture = recorder.finishRecordingAsPicture()
    shader = picture.makeShader(
        skia.TileMode.kRepeat, skia.TileMode.kRepeat, skia.FilterMode.kLinear
    )
    return skia.Paint(AntiAlias=True, Shader=shader)
