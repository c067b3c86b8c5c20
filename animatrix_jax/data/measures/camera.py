"""Camera motion from the ground's: pans, trucks, rolls, shakes, following.

The ground's affine steps are summed over the clip: how far it went, how much larger it
became, how far it turned. `pan_left` turns the camera left, so the ground goes right.
What is left of the steps when they are smoothed is shake. A pan that leaves the figure
where it is in the frame follows it.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from animatrix_jax.data.measures.matching import Matches

# Below these a sum is drift: frame heights, log-scale, radians.
_PAN, _ZOOM, _TURN = 0.05, 0.06, 0.06
_SHAKE = 6e-3
_FOLLOWS = 0.45
_KERNEL = np.array([1.0, 2.0, 2.0, 2.0, 1.0]) / 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera:
    """See data.measures.Measures."""

    moves: tuple[str, ...]
    pan_x: float
    pan_y: float
    zoom: float
    turn: float
    shake: float


def read_camera(matches: Matches, figure_follows: float) -> Camera:
    """The camera of a clip.

    Args:
      matches: of the clip.
      figure_follows: the figure's motion along the ground's, as a share of it.
    """
    ground = matches.ground
    shift = ground[:, 0]
    smooth = _smoothed(shift)
    shake = float(np.linalg.norm(shift - smooth, axis=1).mean())
    pan_x, pan_y = (float(s) for s in smooth.sum(axis=0))
    zoom = float(np.sum(ground[:, 1, 0] + ground[:, 2, 1]) / 2)
    turn = float(np.sum(ground[:, 1, 1] - ground[:, 2, 0]) / 2)
    # In units of what is seen; a zoom moves the edges by half of its size.
    sizes = {
        "x": abs(pan_x) / _PAN,
        "y": abs(pan_y) / _PAN,
        "zoom": abs(zoom) / _ZOOM,
        "turn": abs(turn) / _TURN,
    }
    largest = max(sizes, key=lambda name: sizes[name])
    moves = []
    if sizes[largest] > 1.0:
        match largest:
            case "x" if figure_follows < _FOLLOWS:
                moves.append("follow")
            case "x":
                moves.append("pan_left" if pan_x > 0 else "pan_right")
            case "y":
                moves.append("pan_up" if pan_y > 0 else "pan_down")
            case "zoom":
                moves.append("truck_up" if zoom > 0 else "truck_back")
            case _:
                moves.append("roll")
    if shake > _SHAKE:
        moves.append("shake")
    return Camera(
        moves=tuple(moves) or ("fix",),
        pan_x=pan_x,
        pan_y=pan_y,
        zoom=zoom,
        turn=turn,
        shake=shake,
    )


def _smoothed(steps: Float[np.ndarray, "s 2"]) -> Float[np.ndarray, "s 2"]:
    """Steps without what alternates from frame to frame."""
    half = len(_KERNEL) // 2
    if len(steps) <= half:
        return np.repeat(steps.mean(axis=0)[None], len(steps), axis=0)
    padded = np.pad(steps, ((half, half), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(_KERNEL), axis=0)
    return windows @ _KERNEL
