"""What matches what between neighbouring frames: flow, and the camera's part of it.

A clip is looked at in grey at a working size of 96 lines, in cells of 4 x 4 pixels. Of a
pair of frames, OpenCV's DIS gives the flow u(p), in frame heights per frame, and the
ground is the affine motion

    A(p) = a + L p

that best says how the picture as a whole moved: of a few candidates (none, the last
pair's, robust fits to the flow) the one under which most of what has structure comes out
as it was, |I[t+1](p + A(p)) - I[t](p)| < tolerance, with the borders of the frame counting
more than its middle. Choosing by the pixels and not by the flow keeps effects that
flicker from dragging the camera along.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

CELL = 4
_HEIGHT = 96
# DIS matches 8-pixel patches over a pyramid: smaller frames are enlarged for it.
_FLOW_HEIGHT = 64
# Grey levels, and grey levels per grey level of slope, that a match may be off.
_LEVELS, _SLOPE = 4.0, 0.35
_STRUCTURE = 8.0
_SAME = 3
# Robust scales of the fits, from coarse to fine, in frame heights.
_SCALES = (0.02, 0.01, 0.004, 0.004, 0.004)
_MOVING_COSTS = 0.01
# A candidate that explains this share of the structure is taken at once.
_SURE = 0.97


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matches:
    """All pairs of neighbouring frames of a clip, in cells.

    Attributes:
      flow: u, frame heights per frame.
      structure: how much there is to see motion by, 0 to 1.
      change: |I[t+1](p) - I[t](p)|, grey levels.
      matched: share of the structure that the flow explains.
      grounded: share of the structure that the ground's motion explains.
      unexplained: |I[t+1](p + A(p)) - I[t](p)|, grey levels.
      slope: mean gradient, grey levels per pixel.
      ground: a and L of each pair, rows (a, L by x, L by y), in frame heights.
      same: pairs that show the same picture.
      fit: share of the structure that the ground explains, over the frame.
    """

    flow: Float32[np.ndarray, "s h w 2"]
    structure: Float32[np.ndarray, "s h w"]
    change: Float32[np.ndarray, "s h w"]
    matched: Float32[np.ndarray, "s h w"]
    grounded: Float32[np.ndarray, "s h w"]
    unexplained: Float32[np.ndarray, "s h w"]
    slope: Float32[np.ndarray, "s h w"]
    ground: Float[np.ndarray, "s 3 2"]
    same: Bool[np.ndarray, " s"]
    fit: Float[np.ndarray, " s"]

    def __len__(self) -> int:
        return len(self.same)

    @property
    def basis(self) -> Float[np.ndarray, "n 3"]:
        """(1, x, y) of each cell, from the middle of the frame, in frame heights."""
        return cell_basis(*self.flow.shape[1:3])

    @property
    def ground_flow(self) -> Float[np.ndarray, "s h w 2"]:
        """A(p) at each cell."""
        flat = np.einsum("nk,skc->snc", self.basis, self.ground)
        return flat.reshape(self.flow.shape).astype(np.float32)


def working_frames(video: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t H W"]:
    """The frames in grey, `_HEIGHT` pixels on the shorter side, whole cells."""
    height, width = video.shape[1:3]
    scale = _HEIGHT / min(height, width)
    rows, columns = (max(CELL, round(s * scale / CELL) * CELL) for s in (height, width))
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grey = np.empty((len(video), rows, columns), np.uint8)
    for image, into in zip(video, grey):
        into[:] = cv2.resize(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (columns, rows), interpolation=mode
        )
    return grey


def match(grey: UInt8[np.ndarray, "t h w"]) -> Matches:
    """Matches each frame of `working_frames` with the next."""
    _, height, width = grey.shape
    engine = _flow_engine()
    borders = _borders(height, width)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    basis = cell_basis(height // CELL, width // CELL)
    coarse = _borders(height // CELL, width // CELL).ravel()
    last = np.zeros((3, 2))
    found = []
    for first, second in itertools.pairwise(grey):
        before = first.astype(np.float32)
        slope = _slope(before)
        structure = np.minimum(slope, _STRUCTURE) / _STRUCTURE
        structure[slope < 1.0] = 0.0
        change = cv2.absdiff(first, second)
        if change.max() <= _SAME:
            found.append(_unchanged(structure, slope, change))
            last = np.zeros((3, 2))
            continue
        tolerance = _LEVELS + _SLOPE * slope
        flow = engine.calc(first, second, None)
        arrived = cv2.remap(
            *(second, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR),
            borderMode=cv2.BORDER_REPLICATE,
        )
        matched = structure * (cv2.absdiff(arrived, first) < tolerance)
        weight = matched + 1e-3 * structure + 1e-5
        total = cell_mean(weight)
        u = np.stack(
            [cell_mean(weight * flow[..., k]) / total for k in (0, 1)], axis=-1
        )
        u /= height
        ground = _choose_ground(
            first=first,
            second=second,
            flow=u.reshape(-1, 2),
            weight=cell_mean(matched).ravel() * coarse,
            basis=basis,
            last=last,
            structure=structure * borders,
            tolerance=tolerance,
        )
        last = ground.motion
        near = cv2.blur(structure, (9, 9)) + 1e-3
        found.append(
            {
                "flow": u,
                "structure": cell_mean(structure),
                "change": cell_mean(change.astype(np.float32)),
                "matched": cell_mean(cv2.blur(matched, (9, 9)) / near),
                "grounded": cell_mean(cv2.blur(structure * ground.kept, (9, 9)) / near),
                "unexplained": cell_difference(
                    warp_affine(second, ground.motion), first
                ),
                "slope": cell_mean(slope),
                "ground": ground.motion,
                "same": False,
                "fit": ground.score,
            }
        )
    return Matches(**{name: np.stack([f[name] for f in found]) for name in found[0]})


def optical_flow(
    video: UInt8[np.ndarray, "t h w 3"],
) -> Float32[np.ndarray, "t-1 h w 2"]:
    """Forward flow in pixels by DIS: frame t+1 at p + flow[t](p) shows frame t at p."""
    _, height, width, _ = video.shape
    scale = max(1.0, _FLOW_HEIGHT / min(height, width))
    size = (round(width * scale), round(height * scale))
    grey = []
    for image in video:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if scale > 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        grey.append(image)
    engine = _flow_engine()
    flows = np.zeros((len(video) - 1, height, width, 2), np.float32)
    for t, (first, second) in enumerate(itertools.pairwise(grey)):
        if np.array_equal(first, second):
            continue
        flow = engine.calc(first, second, None)
        if scale > 1:
            flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA)
        flows[t] = flow / scale
    return flows


def cell_basis(rows: int, columns: int) -> Float[np.ndarray, "n 3"]:
    """(1, x, y) of each cell, from the middle of the frame, in frame heights."""
    y, x = np.mgrid[0:rows, 0:columns]
    x, y = (x + 0.5 - columns / 2) / rows, (y + 0.5 - rows / 2) / rows
    return np.stack([np.ones(x.size), x.ravel(), y.ravel()], axis=1)


def fit_affine(
    flow: Float[np.ndarray, "n 2"],
    basis: Float[np.ndarray, "n 3"],
    weight: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "3 2"]:
    """The weighted least-squares affine motion; next to none where little has weight."""
    weighted = basis * weight[:, None]
    normal = basis.T @ weighted + 1e-6 * np.diag([1.0, 10.0, 10.0])
    return np.linalg.solve(normal, weighted.T @ flow)


def warp_affine(
    image: UInt8[np.ndarray, "h w"], motion: Float[np.ndarray, "3 2"]
) -> UInt8[np.ndarray, "h w"]:
    """The image at p + A(p)."""
    if not motion.any():
        return image
    height, width = image.shape
    linear = np.eye(2) + motion[1:].T
    middle = np.array([width / 2 - 0.5, height / 2 - 0.5])
    offset = middle + motion[0] * height - linear @ middle
    return cv2.warpAffine(
        image,
        np.column_stack([linear, offset]).astype(np.float32),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ground:
    motion: np.ndarray
    kept: np.ndarray
    score: float


def _choose_ground(
    *,
    first: np.ndarray,
    second: np.ndarray,
    flow: np.ndarray,
    weight: np.ndarray,
    basis: np.ndarray,
    last: np.ndarray,
    structure: np.ndarray,
    tolerance: np.ndarray,
) -> _Ground:
    """The candidate that explains the most structure; standing still has a head start."""
    total = structure.sum() + 1e-6
    best = None
    for place, motion in enumerate(_candidates(flow, weight, basis, last)):
        error = cv2.absdiff(warp_affine(second, motion), first)
        kept = error < tolerance
        score = float((kept * structure).sum() / total)
        if best is None or score - _MOVING_COSTS * (place > 0) > best.score:
            best = _Ground(motion=motion, kept=kept, score=score)
        if best.score > _SURE:
            break
    return best


def _candidates(
    flow: np.ndarray, weight: np.ndarray, basis: np.ndarray, last: np.ndarray
) -> Iterator[np.ndarray]:
    """Motions to try, the cheapest first."""
    yield np.zeros((3, 2))
    if last.any():
        yield last
    yield _robust(flow, basis, weight, None)
    sure = weight > 1e-3
    if sure.sum() > 8:
        start = np.zeros((3, 2))
        start[0] = np.median(flow[sure], axis=0)
        yield _robust(flow, basis, weight, start)


def _robust(
    flow: np.ndarray, basis: np.ndarray, weight: np.ndarray, start: np.ndarray | None
) -> np.ndarray:
    """An affine fit that lets go of what does not follow it (Geman-McClure)."""
    motion = fit_affine(flow, basis, weight) if start is None else start
    for scale in _SCALES if start is None else _SCALES[1:]:
        square = np.square(flow - basis @ motion).sum(axis=1) / scale**2
        motion = fit_affine(flow, basis, weight / np.square(1.0 + square))
    return motion


def _unchanged(
    structure: np.ndarray, slope: np.ndarray, change: np.ndarray
) -> dict[str, np.ndarray | float | bool]:
    cells = cell_mean(structure)
    error = cell_mean(change.astype(np.float32))
    return {
        "flow": np.zeros((*cells.shape, 2), np.float32),
        "structure": cells,
        "change": error,
        "matched": np.ones_like(cells),
        "grounded": np.ones_like(cells),
        "unexplained": error,
        "slope": cell_mean(slope),
        "ground": np.zeros((3, 2)),
        "same": True,
        "fit": 1.0,
    }


def _flow_engine() -> cv2.DISOpticalFlow:
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    engine.setFinestScale(1)
    return engine


def _slope(grey: np.ndarray) -> np.ndarray:
    x = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.125)
    y = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.125)
    return cv2.magnitude(x, y)


def cell_mean(pixels: np.ndarray) -> np.ndarray:
    """The mean of pixels [h w] in each cell."""
    height, width = pixels.shape
    size = (width // CELL, height // CELL)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def cell_difference(
    image: UInt8[np.ndarray, "H W"], other: UInt8[np.ndarray, "H W"]
) -> Float32[np.ndarray, "h w"]:
    """The mean size, in each cell, of the difference of two images.

    It is smoothed with its sign: what resampling adds to an edge on one side it takes
    from the other, and the noise of a codec has no sign either.
    """
    signed = image.astype(np.float32) - other
    return cell_mean(np.abs(cv2.blur(signed, (3, 3))))


def _borders(height: int, width: int) -> np.ndarray:
    """The weight of each place for the ground: the figure stands in the middle."""
    y, x = np.mgrid[0:height, 0:width]
    edge = np.minimum.reduce([y, x, height - 1 - y, width - 1 - x]) / height
    return (0.35 + (edge < 0.12) + 0.4 * (edge < 0.22)).astype(np.float32)
