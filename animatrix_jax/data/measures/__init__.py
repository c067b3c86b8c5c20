"""What a clip's pixels say of it: motion, deformation, cadence, camera, surface.

    m(x) = mean over t of m_t        d(x)^2 = mean over t of d_t^2

m_t is how fast the figure and the set move between two frames, d_t what remains of the
figure's motion after its best affine fit: what a camera, parallax or a rigid cel can do is
no deformation. Both are in frame heights per frame. Rules read them from OpenCV's DIS flow
u, and a small network that has seen the truth of Cel World mends what the rules miss:

    m'_t   = mean over p of |u_t(p)|
    d'_t^2 = mean over p of min over l of |u_t(p) - A_{t,l}(p)|^2 + (c r_t)^2

The means weigh a place by what there is to see motion by, and the middle of the frame over
its edges. A_{t,l} are the affine motions of three layers: the ground, a second plane that
follows the camera in proportion, and the figure's own. r_t is the share of the picture
that nothing matches, drawn anew.

`matching.py` has the flow and the ground, `layers.py` the planes, m' and d', `readout.py`
the network and the exposure sheet, `camera.py` the moves, `surface.py` flat colour and
lines. All is measured at 96 lines on one thread; measure clips side by side for speed.
"""

import dataclasses

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.data.measures import readout
from animatrix_jax.data.measures.camera import read_camera
from animatrix_jax.data.measures.layers import (
    Layers,
    camera_residual,
    measure_layers,
)
from animatrix_jax.data.measures.matching import (
    Matches,
    match,
    optical_flow,
    working_frames,
)
from animatrix_jax.data.measures.surface import read_surface

__all__ = ["STILL", "Measures", "evidence_of", "measure", "optical_flow"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """The measures of one clip.

    Attributes:
      motion: m(x), frame heights per frame.
      deformation: d(x), frame heights per frame.
      repeated: the share of frames on which the figure's drawing stays.
      cadence: a value of motion.timing: ones, twos, threes, fours_plus, modulated or
        held.
      camera: values of camera.camera_motion: fix, or one of pan_left, pan_right, pan_up,
        pan_down, truck_up, truck_back, roll and follow, and shake.
      pan_x, pan_y: how far the ground went right and down over the clip, frame heights.
      zoom: the logarithm of how much larger the ground became.
      turn: how far the ground turned clockwise, radians.
      grounded: the share of what there is to see motion by that moves with the ground:
        how far the camera is to be believed.
      shake: root mean size of the ground's steps that go back on the step before, frame
        heights.
      flatness: the share of the picture that lies in areas of one colour.
      line_density: the share of the picture that is dark line.
    """

    motion: float
    deformation: float
    repeated: float
    cadence: str
    camera: tuple[str, ...] = ("fix",)
    pan_x: float = 0.0
    pan_y: float = 0.0
    zoom: float = 0.0
    turn: float = 0.0
    shake: float = 0.0
    grounded: float = 1.0
    flatness: float = 0.0
    line_density: float = 0.0


STILL = Measures(motion=0.0, deformation=0.0, repeated=1.0, cadence="held")
"""The measures of a clip on which nothing moves."""


def measure(video: UInt8[np.ndarray, "t h w 3"]) -> Measures:
    """Measures a clip of two frames or more.

    Raises:
      ValueError: for a single frame.
    """
    if len(video) < 2:
        raise ValueError(f"expected 2 frames or more, got {len(video)}")
    matches, layers, found = _look(video)
    read = readout.read(found, readout.packaged())
    camera = read_camera(matches, layers.figure_follows)
    surface = read_surface(video)
    seen = float(matches.structure.sum())
    held = float((matches.structure * matches.grounded).sum())
    return Measures(
        motion=read.motion,
        deformation=read.deformation,
        repeated=read.repeated,
        cadence=read.cadence,
        camera=camera.moves,
        pan_x=camera.pan_x,
        pan_y=camera.pan_y,
        zoom=camera.zoom,
        turn=camera.turn,
        shake=camera.shake,
        grounded=held / seen if seen else 1.0,
        flatness=surface.flatness,
        line_density=surface.line_density,
    )


def evidence_of(video: UInt8[np.ndarray, "t h w 3"]) -> readout.Evidence:
    """What the reading of m, d and cadence is made from."""
    return _look(video)[2]


def _look(
    video: UInt8[np.ndarray, "t h w 3"],
) -> tuple[Matches, Layers, readout.Evidence]:
    grey = working_frames(video)
    matches = match(grey)
    residual = camera_residual(matches, grey)
    layers = measure_layers(matches, residual.plane)
    return matches, layers, readout.evidence(matches, residual, layers)
