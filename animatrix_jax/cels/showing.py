"""Which defects of a clip can be seen.

A leg too few is no fault of a clip that shows a face, nor an arm too many behind the
body's back. Some frames are drawn without a defect, and must be others than with it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.cels.defects import UNASKED, Defect
from animatrix_jax.cels.render import Renderer
from animatrix_jax.cels.spec import ClipSpec

_LOOKS = 4  # frames, evenly from where a defect begins
_CHANGED = 32  # grey levels by which it must change a pixel
_SHARE = 1e-3  # of a frame's pixels, in the mean of the frames looked at


def showing(
    spec: ClipSpec,
    video: UInt8[np.ndarray, "t h w 3"],
    *,
    numbers: Sequence[int] | None = None,
) -> tuple[Defect, ...]:
    """The defects without which the clip would be another to look at.

    Args:
      spec: the clip.
      video: frames of it as they are drawn.
      numbers: which frames those are; None for all.
    """
    numbers = np.arange(len(video)) if numbers is None else np.asarray(numbers)
    return tuple(d for d in spec.defects if _shows(d, spec, video, numbers))


def _shows(
    defect: Defect,
    spec: ClipSpec,
    video: UInt8[np.ndarray, "t h w 3"],
    numbers: np.ndarray,
) -> bool:
    if defect.kind == UNASKED:
        return True  # against the tags
    (since,) = np.nonzero(numbers >= defect.start)
    if not len(since):
        return False
    looks = since[np.unique(np.linspace(0, len(since) - 1, _LOOKS).astype(int))]
    others = tuple(other for other in spec.defects if other is not defect)
    _, height, width, _ = video.shape
    sound = Renderer(
        dataclasses.replace(spec, defects=others), height=height, width=width
    )
    at = numbers[looks].tolist()
    without = sound.finished(sound.frames(at), at)
    change = np.abs(video[looks].astype(int) - without).max(axis=-1)
    return float((change > _CHANGED).mean()) >= _SHARE
