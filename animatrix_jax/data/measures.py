"""What a clip's pixels say of its motion: amplitude, deformation, cadence.

With flow u_t(p) from OpenCV's DIS, in frame heights per frame,

    m(x) = mean |u_t(p)|,    d(x) = mean |u_t(p) - A_l(t,p)(p)|

where A_l are affine motions fitted to at most two layers of frame t (ground and
figure), each pixel in the layer that explains it better: what a camera or a rigid cel
can do is not deformation.

Cadence is read from how much the middle of the picture changes from frame to frame and
how much of the flow no layer explains, as the sum of their ranks in the clip. On twos
every second change is a new drawing and the others only what moves on ones, camera and
effects. Each period is scored, over its phases, by the chance that a change on the beat
is greater than one off it (the area under the ROC curve).
"""

import dataclasses
import itertools

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

# DIS matches 8-pixel patches over a pyramid: smaller frames are enlarged for it.
_FLOW_HEIGHT = 64
_GRID = 24
_FITS = 3
# In frame heights a frame: motion below it is noise of the flow itself.
_STILL = 6e-3
_HELD = 0.9
_PERIODS = {2: "twos", 3: "threes", 4: "fours_plus"}
# A longer period has more phases to be lucky with, and fewer beats.
_ON_ONES, _LUCK = 0.75, 0.03


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """The measures of one clip.

    Attributes:
      motion: m(x), frame heights per frame.
      deformation: d(x), frame heights per frame.
      repeated: the share of frames on which nothing moves but the camera.
      cadence: a value of motion.timing: ones, twos, threes, fours_plus or held.
    """

    motion: float
    deformation: float
    repeated: float
    cadence: str


STILL = Measures(motion=0.0, deformation=0.0, repeated=1.0, cadence="held")
"""The measures of a clip on which nothing moves."""


def measure(video: UInt8[np.ndarray, "t h w 3"]) -> Measures:
    """Measures a clip of two frames or more.

    Raises:
      ValueError: for a single frame.
    """
    if len(video) < 2:
        raise ValueError(f"expected 2 frames or more, got {len(video)}")
    flows = optical_flow(video)
    height = video.shape[1]
    grid = _grid(*flows.shape[1:3])
    amplitudes, residuals, repeated = [], [], 0
    for t, flow in enumerate(flows):
        u = flow.reshape(-1, 2)[grid.index] / height
        amplitudes.append(np.linalg.norm(u, axis=1).mean())
        layers = _affine_layers(u, grid.basis)
        residuals.append(layers.min(axis=0)[_inside(layers, grid.shape)].mean())
        repeated += bool(np.array_equal(video[t], video[t + 1])) or bool(
            np.quantile(layers[0], 0.97) < _STILL
        )
    held = repeated >= _HELD * len(flows)
    return Measures(
        motion=float(np.mean(amplitudes)),
        deformation=float(np.mean(residuals)),
        repeated=repeated / len(flows),
        cadence="held" if held else _cadence(video, np.array(residuals)),
    )


def _cadence(video: np.ndarray, residuals: np.ndarray) -> str:
    """Which period's beat the changes [t-1] of the clip follow."""
    width = video.shape[2]
    middle = video[:, :, width // 5 : width - width // 5].astype(np.int16)
    pixels = np.abs(np.diff(middle, axis=0)).max(-1).mean((1, 2))
    change = _ranks(pixels) + _ranks(residuals)
    best, cadence = _ON_ONES, "ones"
    times = np.arange(len(change))
    for period, name in _PERIODS.items():
        for phase in range(min(period, len(change))):
            beat = times % period == phase
            if beat.all():
                continue
            above = change[beat][:, None] > change[~beat]
            score = above.mean() - _LUCK * (period - 2)
            if score > best:
                best, cadence = score, name
    return cadence


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


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
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    engine.setFinestScale(1)
    flows = np.zeros((len(video) - 1, height, width, 2), np.float32)
    for t, (first, second) in enumerate(itertools.pairwise(grey)):
        if np.array_equal(first, second):
            continue
        flow = engine.calc(first, second, None)
        if scale > 1:
            flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA)
        flows[t] = flow / scale
    return flows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Grid:
    index: np.ndarray  # the pixels that are looked at, as flat indices
    basis: np.ndarray  # [n 3]: one, x, y, centred, in frame heights
    shape: tuple[int, int]


def _grid(height: int, width: int) -> _Grid:
    rows = np.linspace(0, height - 1, min(height, _GRID)).round().astype(int)
    columns = np.linspace(0, width - 1, min(width, _GRID)).round().astype(int)
    y, x = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    basis = np.stack(
        [np.ones(x.size), (x - width / 2) / height, (y - height / 2) / height], axis=1
    )
    shape = (len(rows), len(columns))
    return _Grid(index=y * width + x, basis=basis, shape=shape)


def _affine_layers(u: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Distance [2 n] of the flow [n 2] from the ground's and the figure's motion."""
    ground = _fit(u, basis, np.ones(len(u)))
    for _ in range(_FITS):
        ground = _fit(u, basis, 1.0 / (ground + 0.25 * _STILL))
    outside = ground > max(_STILL, float(np.median(ground)) * 2)
    # Too few pixels would let an affine motion explain what deforms.
    if outside.mean() < 0.04:
        return np.stack([ground, ground])
    figure = _fit(u, basis, outside.astype(float))
    for _ in range(_FITS):
        figure = _fit(u, basis, outside / (figure + 0.25 * _STILL))
    return np.stack([ground, figure])


def _inside(layers: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which pixels [n] lie off the borders of layers, where flow blends the two."""
    figure = (layers[1] < layers[0]).reshape(shape).astype(np.uint8)
    border = cv2.morphologyEx(figure, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    inside = border.ravel() == 0
    return inside if inside.any() else ~inside


def _fit(u: np.ndarray, basis: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Distance [n] of the flow from its weighted least-squares affine motion."""
    weighted = basis * weights[:, None]
    normal = basis.T @ weighted + 1e-9 * np.eye(3)
    return np.linalg.norm(u - basis @ np.linalg.solve(normal, weighted.T @ u), axis=1)
