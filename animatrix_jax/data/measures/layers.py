"""Motion by layer: planes that follow the camera, the figure, and what is left of it.

Planes of a multiplane stand answer to one camera in proportion to their nearness: where
the ground moves by A, another moves by q A. The second plane's q is the commonest ratio,
over the clip, of the flow that the ground does not explain to the ground's own. The
figure's own motion is an affine fit to the middle of the frame; d(x) is what the best of
the three leaves of the flow. A smear, a repeated or a shifted figure is drawn anew and has
no flow: the share of structure that nothing matches, beyond what is covered and
uncovered, adds to d(x) by a fixed length.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32, UInt8

from animatrix_jax.data.measures.matching import (
    Matches,
    cell_difference,
    fit_affine,
    warp_affine,
)

# Widths of the middle, in frame heights.
_MIDDLE = (0.2, 0.3)
# A ground that moves less than this, in frame heights, says nothing of planes.
_STILL = 2e-3
# What a picture that is wholly drawn anew counts as, in frame heights.
_REDRAWN = 0.15
# What planes and figures cover and uncover as they move, as a share of structure.
_COVERED = 0.08
_RATIOS = np.linspace(-0.25, 4.0, 86)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CameraResidual:
    """What the camera does not explain.

    Attributes:
      plane: q of the second plane; 1 where there is none.
      unexplained: grey levels that are left in each cell after the better of ground and
        plane.
    """

    plane: float
    unexplained: Float32[np.ndarray, "s h w"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers:
    """What each pair of frames says.

    Attributes:
      motion: mean speed, frame heights per frame; m(x) is its mean.
      deformation: what is left of the flow, frame heights per frame; d(x) is its root
        mean square.
      figure_follows: the ratio of the figure's motion along the camera's to the
        ground's, over the clip: 1 and more under a pan, 0 where the camera follows; 1 if
        there is no say.
    """

    motion: Float[np.ndarray, " s"]
    deformation: Float[np.ndarray, " s"]
    figure_follows: float


def camera_residual(
    matches: Matches, grey: UInt8[np.ndarray, "t h w"]
) -> CameraResidual:
    """Tests every pair of frames against the ground and the second plane."""
    plane = _plane_ratio(matches)
    unexplained = matches.unexplained.copy()
    if abs(plane - 1.0) > 0.08:
        for t, ground in enumerate(matches.ground):
            if ground.any():
                warped = warp_affine(grey[t + 1], plane * ground)
                error = cell_difference(warped, grey[t])
                unexplained[t] = np.minimum(unexplained[t], error)
    return CameraResidual(plane=plane, unexplained=unexplained)


def measure_layers(matches: Matches, plane: float) -> Layers:
    """Motion and deformation of a clip whose second plane is `plane`."""
    flow, ground = matches.flow, matches.ground_flow
    middle = middle_weight(*flow.shape[1:3])
    weight = (matches.structure + 0.02) * middle
    speed = np.linalg.norm(flow, axis=-1)
    motion = (speed * weight).sum((1, 2)) / weight.sum((1, 2))
    # The camera's planes are no deformation, and neither is the figure's own motion.
    camera = np.minimum(
        np.square(flow - ground).sum(axis=-1),
        np.square(flow - plane * ground).sum(axis=-1),
    ).reshape(len(matches), -1)
    sure = (matches.structure * matches.matched * middle).reshape(camera.shape)
    basis = matches.basis
    squares = np.zeros(len(matches))
    for t in np.flatnonzero(~matches.same):
        u = flow[t].reshape(-1, 2)
        own = np.square(u - basis @ fit_affine(u, basis, sure[t])).sum(axis=1)
        squares[t] = np.minimum(own, camera[t]) @ sure[t] / (sure[t].sum() + 0.05)
    # What no flow matches was drawn anew.
    lost = matches.structure * middle * (1.0 - matches.grounded.clip(0.0, 1.0))
    seen = (matches.structure * middle).sum((1, 2)) + 0.05
    redrawn = (lost * (1.0 - matches.matched)).sum((1, 2)) / seen
    squares += np.square(_REDRAWN * np.maximum(redrawn - _COVERED, 0.0))
    return Layers(
        motion=motion,
        deformation=np.sqrt(squares),
        figure_follows=_follows(matches, middle),
    )


def middle_weight(rows: int, columns: int) -> Float[np.ndarray, "h w"]:
    """A bell over the middle of the frame, where figures stand."""
    y, x = np.mgrid[0:rows, 0:columns]
    x, y = (x + 0.5 - columns / 2) / rows, (y + 0.5 - rows / 2) / rows
    return np.exp(-0.5 * ((x / _MIDDLE[0]) ** 2 + (y / _MIDDLE[1]) ** 2))


def _plane_ratio(matches: Matches) -> float:
    ground = matches.ground_flow
    square = np.square(ground).sum(axis=-1)
    size = np.sqrt(square) + 1e-9
    along = (matches.flow * ground).sum(axis=-1) / (square + 1e-9)
    across = (
        matches.flow[..., 0] * ground[..., 1] - matches.flow[..., 1] * ground[..., 0]
    )
    parallel = np.abs(across) / size < 0.15 * size + 1e-3
    weight = matches.structure * np.clip(1.0 - matches.grounded, 0.0, 1.0)
    weight = weight * matches.matched * size * parallel * (size > _STILL)
    if weight.sum() < 0.02:
        return 1.0
    counts, edges = np.histogram(along, bins=_RATIOS, weights=weight)
    best = int(np.convolve(counts, [0.5, 1, 1, 1, 0.5], "same").argmax())
    return float(edges[best : best + 2].mean())


def _follows(matches: Matches, middle: np.ndarray) -> float:
    ground = matches.ground_flow
    weight = matches.structure * matches.matched * middle
    weight = weight * (matches.grounded < 0.5)
    total = (weight * np.square(ground).sum(axis=-1)).sum()
    if total < 1e-6:
        return 1.0
    return float((weight * (matches.flow * ground).sum(axis=-1)).sum() / total)
