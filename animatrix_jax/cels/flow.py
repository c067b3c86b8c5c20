"""True optical flow, by construction.

Every drawn part has a known matrix per frame, so a pixel of part k at frame t goes to

    p + flow[t](p) = M_k[t+1] M_k[t]^-1 p.

A pass without anti-aliasing paints the number of the part instead of its colour.
``visible`` holds where the part is still on top at the place the pixel goes to, and no
effect and no light hides it on either frame.
"""

import dataclasses

import numpy as np
import skia
from jaxtyping import Bool, Float32, Int32, UInt8

from animatrix_jax.cels.page import Page, to_skia
from animatrix_jax.cels.render import Renderer
from animatrix_jax.cels.rig import BONES
from animatrix_jax.cels.sets import Board
from animatrix_jax.cels.spec import ClipSpec

UNKNOWN = 0  # streaks, ghosts and shadows, which are no part's
BOOK = 90  # part numbers of near scenery start here
FIGURE = 100  # part numbers of a model start at FIGURE * (1 + model)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrueFlow:
    """A clip with its flow: ``frame[t+1](p + flow[t](p))`` shows ``frame[t](p)``."""

    video: UInt8[np.ndarray, "t h w 3"]
    flow: Float32[np.ndarray, "s h w 2"]
    visible: Bool[np.ndarray, "s h w"]
    parts: Int32[np.ndarray, "t h w"]  # the number of the part that a pixel shows
    covered: Bool[np.ndarray, "t h w"]  # where an effect is painted over the parts


def true_flow(spec: ClipSpec, *, height: int, width: int) -> TrueFlow:
    """Frames, flow from each to the next, and where the flow can be seen."""
    renderer = Renderer(spec, height=height, width=width)
    parts, covered, hidden = [], [], []
    video = renderer.frames(range(spec.frames))
    for frame in range(spec.frames):
        ids = _part_ids(renderer, frame)
        parts.append(ids)
        covered.append(renderer.covered(video[frame], frame))
        light = renderer.burnt(frame) | (renderer.dazzling(frame) & (ids >= FIGURE))
        hidden.append(covered[-1] | light)
    flow = np.zeros((max(spec.frames - 1, 0), height, width, 2), np.float32)
    visible = np.zeros(flow.shape[:3], bool)
    rows, columns = np.mgrid[0:height, 0:width]
    for t in range(spec.frames - 1):
        matrices = _matrices(renderer, t), _matrices(renderer, t + 1)
        for part in np.unique(parts[t]):
            if part == UNKNOWN or part not in matrices[0] or part not in matrices[1]:
                continue
            at = parts[t] == part
            step = matrices[1][part] @ np.linalg.inv(matrices[0][part])
            x, y = columns[at] + 0.5, rows[at] + 0.5
            placed = step @ np.stack([x, y, np.ones_like(x)])
            goal = (placed[:2] / placed[2]).T
            flow[t][at] = goal - np.stack([x, y], -1)
            tx = np.floor(goal[:, 0]).astype(int)
            ty = np.floor(goal[:, 1]).astype(int)
            inside = (tx >= 0) & (tx < width) & (ty >= 0) & (ty < height)
            tx, ty = np.clip(tx, 0, width - 1), np.clip(ty, 0, height - 1)
            same = inside & (parts[t + 1][ty, tx] == part)
            visible[t][at] = same & ~hidden[t][at] & ~hidden[t + 1][ty, tx]
    video = renderer.finished(video, range(spec.frames))
    return TrueFlow(
        video=video,
        flow=flow,
        visible=visible,
        parts=np.stack(parts),
        covered=np.stack(covered),
    )


def _matrices(renderer: Renderer, frame: int) -> dict[int, np.ndarray]:
    """Part number -> matrix to pixels."""
    sets = [*enumerate(renderer.boards, start=1), *_books(renderer)]
    found = {number: board.matrices[frame] for number, board in sets}
    cel = renderer.stage.cel(frame)
    placed = renderer.camera[frame] @ cel.bones
    base = FIGURE * (1 + cel.model)
    # A model with a defect that has come in is another model.
    base += len(BONES) * renderer.painter.version(frame)
    found |= {base + i: placed[i] for i in range(len(BONES))}
    return found


def _books(renderer: Renderer) -> list[tuple[int, Board]]:
    return list(enumerate(renderer.overlays.books.boards, start=BOOK))


def _part_ids(renderer: Renderer, frame: int) -> Int32[np.ndarray, "h w"]:
    """The number of the part that each pixel shows."""
    page = Page(renderer.height, renderer.width)
    canvas = page.canvas
    for number, board in enumerate(renderer.boards, start=1):
        _paint_board(canvas, board, number, frame)
    cel = renderer.stage.cel(frame)
    numbers = [number for number in _matrices(renderer, frame) if number >= FIGURE]
    _draw_unknown(renderer, canvas, frame)
    matrices = renderer.camera[frame] @ cel.bones
    for op in renderer.painter.figure(cel, frame).ops:
        canvas.setMatrix(to_skia(matrices[op.bone]))
        canvas.drawPath(op.path, _id_paint(op.paint, numbers[op.bone]))
    for number, board in _books(renderer):
        _paint_board(canvas, board, number, frame)
    pixels = page.pixels.astype(np.int32)
    return pixels[..., 0] + 256 * pixels[..., 1]


def _paint_board(canvas: skia.Canvas, board: Board, number: int, frame: int) -> None:
    """Alpha of 128 and more becomes opaque with the part's number as its colour."""
    canvas.setMatrix(to_skia(board.matrices[frame]))
    low, high = _code(number)
    rows = [0, 0, 0, 0, low, 0, 0, 0, 0, high, 0, 0, 0, 0, 0]
    solid = skia.ColorFilters.Matrix([*rows, 0, 0, 0, 510, -255])
    paint = skia.Paint(AntiAlias=False, ColorFilter=solid)
    nearest = skia.SamplingOptions(skia.FilterMode.kNearest)
    canvas.drawImage(board.image, 0, 0, nearest, paint)


def _id_paint(paint: skia.Paint, number: int) -> skia.Paint:
    """The same fill or stroke in the colour that says ``number``."""
    plain = skia.Paint(
        AntiAlias=False,
        Style=paint.getStyle(),
        StrokeWidth=paint.getStrokeWidth(),
        StrokeCap=paint.getStrokeCap(),
        StrokeJoin=paint.getStrokeJoin(),
        Color4f=skia.Color4f(*_code(number), 0, 1),
    )
    if paint.getPathEffect() is not None:
        plain.setPathEffect(paint.getPathEffect())
    return plain


def _code(number: int) -> tuple[float, float]:
    return (number % 256) / 255, (number // 256) / 255


def _draw_unknown(renderer: Renderer, canvas: skia.Canvas, frame: int) -> None:
    """Shadows, ghosts and streaks: drawn as no part, so nothing is claimed there."""
    black = skia.ColorFilters.Matrix([0] * 15 + [0, 0, 0, 255, -8])
    canvas.resetMatrix()
    canvas.saveLayer(None, skia.Paint(ColorFilter=black))
    renderer.painter.draw_extras(canvas, renderer.stage.cel(frame), frame)
    canvas.restore()
