"""All that is known of a clip's pixels: layers, cadence, deformation, defects.

Made by the same drawing that makes the clip, not measured from it, and only where it is
asked for: it costs several renderings. Flow is ``flow``'s. The deformation of a step is
what an affine motion of each layer leaves of the flow,

    d[t](p) = | flow[t](p) - A_l (p, 1) |,   A_l = argmin sum over the layer's pixels,

so that neither the camera nor parallax counts, and a bent limb does.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from animatrix_jax.cels import deform
from animatrix_jax.cels.flow import BOOK, FIGURE, UNKNOWN, TrueFlow, true_flow
from animatrix_jax.cels.render import render
from animatrix_jax.cels.spec import ClipSpec

FIGURE_LAYER = 255
EFFECT_LAYER = 254
BOOK_LAYER = 253
_CHANGED = 3  # grey levels by which a defect must change a pixel to be there


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What is true of every pixel and frame of a clip.

    Attributes:
      flow, visible: as ``flow.TrueFlow`` has them.
      layers: 0 where nothing is claimed (shadow, streaks, ghosts), 1, 2, ... the planes
        of the set from the back, BOOK_LAYER (near scenery), EFFECT_LAYER, FIGURE_LAYER.
      new_drawing: whether the exposure sheet has another drawing than for the frame
        before; the first frame's is new. Its runs are the cadence, which a defect that
        shows on ones does not change.
      exposure: how many frames each frame's drawing stays.
      deformed: whether the drawing is deformed on purpose.
      deformation: d, pixels; 0 where the flow is not known.
      energy: root mean square of d over the figure, in frame heights per frame.
      defects: where the picture is not what it would be without its defects.
    """

    flow: Float32[np.ndarray, "s h w 2"]
    visible: Bool[np.ndarray, "s h w"]
    layers: UInt8[np.ndarray, "t h w"]
    new_drawing: Bool[np.ndarray, " t"]
    exposure: UInt8[np.ndarray, " t"]
    deformed: Bool[np.ndarray, " t"]
    deformation: Float32[np.ndarray, "s h w"]
    energy: Float32[np.ndarray, " s"]
    defects: Bool[np.ndarray, "t h w"]


def true_clip(
    spec: ClipSpec, *, height: int, width: int
) -> tuple[UInt8[np.ndarray, "t h w 3"], Truth]:
    """The clip's frames, and the truth of them."""
    found = true_flow(spec, height=height, width=width)
    layers = _layers(found)
    deformation = _deformation(found, layers)
    return found.video, Truth(
        flow=found.flow,
        visible=found.visible,
        layers=layers,
        **cadence(spec),
        deformed=_deformed(spec),
        deformation=deformation,
        energy=_energy(deformation, layers),
        defects=_defects(spec, found.video),
    )


def cadence(spec: ClipSpec) -> dict[str, np.ndarray]:
    """``new_drawing`` and ``exposure`` of every frame, from the exposure sheet."""
    sheet = np.array(spec.exposure)
    new = np.concatenate([[True], sheet[1:] != sheet[:-1]])
    starts = np.flatnonzero(new)
    runs = np.diff(np.append(starts, len(sheet)))
    exposure = np.repeat(runs, runs).clip(0, 255).astype(np.uint8)
    return {"new_drawing": new, "exposure": exposure}


def _layers(found: TrueFlow) -> UInt8[np.ndarray, "t h w"]:
    layers = found.parts.astype(np.uint8)
    layers[found.parts >= BOOK] = BOOK_LAYER
    layers[found.parts >= FIGURE] = FIGURE_LAYER
    layers[found.covered] = EFFECT_LAYER
    return layers


def _deformed(spec: ClipSpec) -> Bool[np.ndarray, " t"]:
    if not spec.deform.kinds:
        return np.zeros(spec.frames, bool)
    return deform.window(spec.deform, np.array(spec.exposure, float)) >= 0


def _deformation(
    found: TrueFlow, layers: UInt8[np.ndarray, "t h w"]
) -> Float32[np.ndarray, "s h w"]:
    left = np.zeros(found.flow.shape[:3], np.float32)
    for t in range(len(left)):
        known = found.parts[t] != UNKNOWN
        known &= np.isfinite(found.flow[t]).all(-1)
        for layer in np.unique(layers[t]):
            if layer in (UNKNOWN, EFFECT_LAYER):
                continue
            at = known & (layers[t] == layer)
            if at.sum() < 6:
                continue
            y, x = np.nonzero(at)
            base = np.stack([x, y, np.ones_like(x)], -1) / np.float64(at.shape[0])
            fit, *_ = np.linalg.lstsq(base, found.flow[t][at].astype(float), rcond=None)
            left[t][at] = np.linalg.norm(found.flow[t][at] - base @ fit, axis=-1)
    return left


def _energy(
    deformation: Float32[np.ndarray, "s h w"], layers: UInt8[np.ndarray, "t h w"]
) -> Float32[np.ndarray, " s"]:
    figure = layers[:-1] == FIGURE_LAYER
    count = figure.sum((1, 2)).clip(1)
    mean = (np.square(deformation) * figure).sum((1, 2)) / count
    return (np.sqrt(mean) / deformation.shape[1]).astype(np.float32)


def _defects(
    spec: ClipSpec, video: UInt8[np.ndarray, "t h w 3"]
) -> Bool[np.ndarray, "t h w"]:
    if not spec.defects:
        return np.zeros(video.shape[:3], bool)
    height, width = video.shape[1:3]
    sound = render(dataclasses.replace(spec, defects=()), height=height, width=width)
    return (np.abs(sound.astype(np.int16) - video) > _CHANGED).any(-1)
