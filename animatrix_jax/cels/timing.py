"""Timing and spacing: when drawings are made, and how far apart they are.

The exposure sheet (x-sheet) says which drawing each frame shows: on ones every frame
is a new drawing, on twos a drawing stays for two frames, and so on; ``modulated``
changes the rate with the action. Spacing is another thing: how the distance between
two key poses is divided among the drawings between them. Both act on the character;
camera and effects move on ones.
"""

from typing import TypeVar

import numpy as np
from jaxtyping import Float

S = TypeVar("S", float, np.ndarray)
RATES = {"ones": 1, "twos": 2, "threes": 3, "fours_plus": 4}


def exposure_sheet(
    timing: str, *, frames: int, hit: int = -1, hold: int = 0
) -> tuple[int, ...]:
    """For each frame, the frame whose drawing it shows.

    Args:
      timing: value of ``motion.timing``.
      frames: length of the clip.
      hit: with ``hold``, the frame at which hitstop freezes the drawing.
      hold: how many frames after ``hit`` show the same drawing.
    """
    if timing == "held":
        sheet = [0] * frames
    elif timing == "modulated":
        # Slow ends are exposed on threes, the fast middle on ones.
        sheet, start = [], 0
        while start < frames:
            middle = frames * 0.3 <= start < frames * 0.7
            rate = 1 if middle else 3
            sheet += [start] * rate
            start += rate
        sheet = sheet[:frames]
    else:
        rate = RATES[timing]
        sheet = [frame - frame % rate for frame in range(frames)]
    if hold and 0 <= hit < frames:
        for frame in range(hit, min(hit + hold + 1, frames)):
            sheet[frame] = sheet[hit]
    return tuple(sheet)


def smoothstep(s: S) -> S:
    """3 s^2 - 2 s^3, for a number or an array in [0, 1]: at rest at both ends."""
    return s * s * (3.0 - 2.0 * s)


def ease(s: Float[np.ndarray, "..."], spacing: str) -> Float[np.ndarray, "..."]:
    """Progress between two keys; maps 0 to 0 and 1 to 1.

    Args:
      s: time between the keys, 0..1.
      spacing: value of ``motion.spacing``.
    """
    s = np.clip(s, 0.0, 1.0)
    if spacing == "linear":
        return s
    if spacing in ("eased", "vibration"):
        # Slow out, slow in, by the cube.
        return np.where(s < 0.5, 4.0 * s**3, 1.0 - 4.0 * (1.0 - s) ** 3)
    if spacing == "snap":
        # Tame-tsume: creep, then nearly the whole way in a fifth of the time.
        fast = np.clip((s - 0.45) / 0.2, 0.0, 1.0)
        return 0.06 * s + 0.94 * fast * fast * (3.0 - 2.0 * fast)
    if spacing == "overshoot_settle":
        # A damped spring that has arrived, and come to rest, at s = 1.
        spring = 1.0 - np.exp(-3.4 * s) * np.cos(2.6 * np.pi * s)
        return spring * (1.0 - s**6) + s**6
    raise ValueError(f"spacing must be a value of motion.spacing, got {spacing!r}")


def ease_cycles(
    beats: Float[np.ndarray, " d"], spacing: str
) -> Float[np.ndarray, " d"]:
    """The same easing within each beat (a step, a sway) of a repeated motion."""
    whole = np.floor(beats)
    return whole + ease(beats - whole, spacing)
