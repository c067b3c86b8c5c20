"""Schools of animating (values of `motion.idiom`), as what each does to a pose track.

*Limited*: the body holds its key poses and only a part moves. *Full*: everything moves
all the time, each part a little after the one it hangs on. *Realist*: smaller than
acting, with weight that shifts. *Kanada*: bent knees, twisted chests, poses that
alternate. Timing and spacing of a school are its tags' business (``tagging``).
"""

import numpy as np
from jaxtyping import Float

from animatrix_jax.cels.keyposes import HIT
from animatrix_jax.cels.rig import CHANNEL

TAU = 2.0 * np.pi
# What a limited drawing holds; legs of a walk go on, and so do mouth, lids, near arm.
_HELD = (
    "lean",
    "hips",
    "chest",
    "head",
    "look",
    "nod",
    "hair",
    "tail",
    "skirt",
    "flare",
    "stretch",
    "widen",
)
_HELD += ("arm_far", "fore_far", "hand_far")
_LAGS = (
    ("hips", 0.05, 0.0),
    ("chest", 0.07, 0.6),
    ("head", 0.09, 1.3),
    ("arm_near", 0.16, 1.6),
    ("arm_far", -0.16, 1.6),
    ("fore_near", 0.16, 2.3),
    ("fore_far", 0.16, 2.3),
    ("hand_near", 0.3, 3.0),
    ("hand_far", 0.3, 3.0),
)


def held_times(times: Float[np.ndarray, " d"], frames: int) -> Float[np.ndarray, " d"]:
    """The key whose pose a limited body holds: the first, the accent, the last."""
    last = max(frames - 1, 1)
    u = times / last
    return np.where(u < 0.4, 0.0, np.where(u < 0.8, HIT * last, float(last)))


def shape(
    track: Float[np.ndarray, "d c"],
    held: Float[np.ndarray, "d c"],
    idiom: str,
    *,
    times: Float[np.ndarray, " d"],
    frames: int,
    phase: float,
    rate: float,
    gain: float,
) -> Float[np.ndarray, "d c"]:
    """The track in an idiom.

    Args:
      track: poses at ``times``.
      held: poses at ``held_times(times)``.
      idiom: a value of `motion.idiom`, or "" for none.
      times: in frames.
      frames: length of the clip.
      phase: of the clip, 0..1.
      rate: of the action: how fast what a school adds goes.
      gain: of the action: how large it is.
    """
    if not idiom:
        return track
    track = track.copy()
    u = times / max(frames - 1, 1)

    def put(name: str, value: np.ndarray | float) -> None:
        track[:, CHANNEL[name]] += gain * value

    if idiom == "limited":
        for name in _HELD:
            track[:, CHANNEL[name]] = held[:, CHANNEL[name]]
        flap = np.array([0.12, 1.0, 0.5, 1.15])
        put("mouth", 0.6 * (flap[(times // 3).astype(int) % 4] - 0.7))
    elif idiom == "full":
        for name in ("hair", "tail", "skirt"):
            track[:, CHANNEL[name]] *= 1.7
        beat = TAU * (1.6 * rate * u + phase)
        for name, size, lag in _LAGS:
            put(name, size * np.sin(beat - lag))
        for name, size in (("hair", 0.22), ("tail", 0.3), ("skirt", 0.12)):
            put(name, size * np.sin(beat - 3.4))
        put("drop", 0.02 * (1 - np.cos(beat)))
    elif idiom == "realist":
        beat = TAU * (0.8 * rate * u + phase)
        put("hips", 0.05 * np.sin(beat))
        put("chest", -0.04 * np.sin(beat - 0.5))
        put("head", 0.05 * np.sin(beat - 1.2) + 0.02 * np.sin(2.7 * beat))
        put("drop", 0.012 * (1 - np.cos(2 * beat)))
        put("look", 0.03 * np.sin(0.7 * beat))
    else:
        side = np.where(
            np.floor(3.0 * rate * u + phase).astype(int) % 2 == 0, 1.0, -1.0
        )
        put("drop", 0.13)
        put("leg_near", 0.38 * side + 0.15)
        put("shin_near", -0.55 - 0.3 * side)
        put("leg_far", -0.38 * side + 0.15)
        put("shin_far", -0.55 + 0.3 * side)
        put("chest", 0.24 * side)
        put("head", -0.22 * side)
        put("lean", -0.1 * side)
        put("arm_near", -0.55 * side)
        put("fore_near", 0.95)
        put("arm_far", 0.55 * side)
        put("fore_far", 0.95)
        put("hand_near", 0.5 * side)
        put("hand_far", -0.5 * side)
    return track
