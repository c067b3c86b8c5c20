"""Camera motion from the ground's: pans, trucks, rolls, shakes, following.

The ground's affine steps are summed over the clip: how far it went, how much larger it
became, how far it turned. `pan_left` turns the camera left, so the ground goes right.
Steps that go back on the step
before are shake. A pan that leaves the figure
where it is in the frame follows it.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from animatrix_jax.data.measures.matching import Matches

# Below these a sum is drift: frame heights, log-scale, radians.
_PAN, _ZOOM, _TURN = 0.05, 0.06, 0.06
_SHAKE = 0.01
_FOLLOWS = 0.45
# A camera moves on ones and one way: of the pairs between its first step and its last
# most have a step, and the sum of the steps is most of their size.
_STEADY, _ONE_WAY, _STEP = 0.62, 0.6, 0.1


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
    steps = {
        "x": ground[:, 0, 0],
        "y": ground[:, 0, 1],
        "zoom": (ground[:, 1, 0] + ground[:, 2, 1]) / 2,
        "turn": (ground[:, 1, 1] - ground[:, 2, 0]) / 2,
    }
    least = {"x": _PAN, "y": _PAN, "zoom": _ZOOM, "turn": _TURN}
    pan_x, pan_y, zoom, turn = (float(s.sum()) for s in steps.values())
    shift = ground[:, 0]
    back = -(shift[1:] * shift[:-1]).sum(axis=1)
    shake = float(np.sqrt(np.maximum(back, 0.0).mean())) if len(back) else 0.0
    sizes = {
        name: abs(s.sum()) / least[name] if _is_steady(s) else 0.0
        for name, s in steps.items()
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


def _is_steady(steps: Float[np.ndarray, " s"]) -> bool:
    """Whether these are the steps of a camera, and not of a figure taken for ground."""
    smooth = np.convolve(np.pad(steps, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    size = np.abs(smooth)
    if size.sum() == 0 or abs(smooth.sum()) < _ONE_WAY * size.sum():
        return False
    moving = np.flatnonzero(np.abs(steps) > _STEP * np.quantile(np.abs(steps), 0.9))
    if len(moving) < 2:
        return False
    return len(moving) >= _STEADY * int(moving[-1] - moving[0] + 1)
