"""The tags that a clip's measures alone support: timing, amplitude and camera motion.

They stand in where no label and no captioner says anything of a field. Amplitude is m(x)
in frame heights a second, cut at values that were set by eye.
"""

from animatrix_jax.data.measures import Measures

_AMPLITUDES = (
    (0.01, "none"),
    (0.10, "small"),
    (0.35, "medium"),
    (1.00, "large"),
    (float("inf"), "extreme"),
)


def measured_tags(found: Measures, fps: float) -> list[str]:
    """Tags of a clip measured at `fps` frames a second."""
    amplitude = next(name for most, name in _AMPLITUDES if found.motion * fps <= most)
    return [
        f"motion.amplitude={amplitude}",
        f"motion.timing={found.cadence}",
        *(f"camera.camera_motion={move}" for move in found.camera),
    ]
