"""What a character does: pose tracks for every ``motion.motion_style``.

Repeated motions (a walk, a run, a dance, talk) are written as functions of phase;
single actions (a dash, a leap, a blow, a take) as key poses that ``timing.ease``
interpolates. Amplitude scales how far a pose departs from the stance, speed how much
of the action fits into the clip, and the main accent falls on ``spec.HIT``. Hair and
skirts follow the body with a delay.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from animatrix_jax.cels import idioms
from animatrix_jax.cels.keyposes import CYCLES, HIT, KEYS, STANCE, Pose
from animatrix_jax.cels.rig import CHANNEL, CHANNELS
from animatrix_jax.cels.spec import ActionSpec
from animatrix_jax.cels.timing import ease, ease_cycles

TAU = 2.0 * np.pi
Put = Callable[[str, np.ndarray | float], None]


def pose_track(
    action: ActionSpec, times: Float[np.ndarray, " d"], *, frames: int
) -> Float[np.ndarray, "d c"]:
    """Poses at the given times.

    Args:
      action: what is done.
      times: in frames; fractions give in-betweens.
      frames: length of the clip.

    Returns:
      Values of CHANNELS for every time.
    """
    now = _track(action, times, frames)
    if not action.idiom:
        return now
    held = _track(action, idioms.held_times(times, frames), frames)
    return idioms.shape(
        now,
        held,
        action.idiom,
        times=times,
        frames=frames,
        phase=action.phase,
        rate=action.rate,
        gain=_gain(action),
    )


def _track(
    action: ActionSpec, times: Float[np.ndarray, " d"], frames: int
) -> Float[np.ndarray, "d c"]:
    """Poses before any school has shaped them."""
    # Hair and cloth follow what the body did a moment ago: pose both moments at once.
    both = np.concatenate([times, times - 1.5])
    u = both / max(frames - 1, 1)
    table = _keyed if action.style in KEYS else _cyclic
    track = table(action, u)
    # Who leans that far steps under the weight, and so stays in the picture.
    lean = np.clip(track[:, CHANNEL["lean"]], -0.5, 0.5)
    track[:, CHANNEL["lean"]] = lean
    track[:, CHANNEL["x"]] -= 0.3 * lean
    now, before = track[: len(times)], track[len(times) :]

    change = dict(zip(CHANNELS, (now - before).T, strict=True))
    speed = change["x"]
    swing = -1.6 * speed + 0.9 * (change["head"] + change["chest"] + change["lean"])
    now[:, CHANNEL["hair"]] += np.clip(swing, -0.6, 0.6)
    now[:, CHANNEL["tail"]] += np.clip(
        -3.0 * speed + 1.1 * swing - 2.0 * change["y"], -1.1, 1.1
    )
    now[:, CHANNEL["skirt"]] += np.clip(-1.1 * speed + 0.5 * swing, -0.4, 0.4)
    now[:, CHANNEL["flare"]] += np.clip(
        np.abs(change["leg_near"]) * 0.12 + 2.2 * change["y"], -0.12, 0.35
    )
    if action.spacing == "vibration":
        # Two alternating offsets, one a drawing: a tremor.
        drawing = np.unique(np.round(times), return_inverse=True)[1].reshape(-1)
        flip = np.where(drawing % 2 == 0, 1.0, -1.0)
        now[:, CHANNEL["x"]] += 0.012 * flip
        now[:, CHANNEL["head"]] += 0.045 * flip
        now[:, CHANNEL["arm_near"]] += 0.09 * flip
        now[:, CHANNEL["arm_far"]] -= 0.09 * flip
    return now


def _keyed(action: ActionSpec, u: np.ndarray) -> np.ndarray:
    keys = KEYS[action.style][action.variant % len(KEYS[action.style])]
    u = np.clip(HIT + (u - HIT) * max(action.rate, 0.5), 0.0, 1.0)
    stance = _row(STANCE)
    poses = np.stack([stance + _departure(pose) * _gain(action) for _, pose in keys])
    marks = np.array([mark for mark, _ in keys])
    x, y = CHANNEL["x"], CHANNEL["y"]
    if action.travel:
        poses[:, x] = [pose.get("x", 0.0) * action.travel for _, pose in keys]
    poses[:, y] = np.maximum(poses[:, y], -0.22)
    if len(keys) == 1:
        return np.repeat(poses, len(u), axis=0)
    left = np.clip(np.searchsorted(marks, u, side="right") - 1, 0, len(marks) - 2)
    share = (u - marks[left]) / (marks[left + 1] - marks[left])
    share = ease(share, action.spacing)[:, None]
    return poses[left] + (poses[left + 1] - poses[left]) * share


def _gain(action: ActionSpec) -> float:
    return 1.0 if action.style == "still" else action.gain


def _row(pose: Pose) -> np.ndarray:
    row = np.zeros(len(CHANNELS))
    for name, value in pose.items():
        row[CHANNEL[name]] = value
    return row


def _departure(pose: Pose) -> np.ndarray:
    """How far a key pose is from the stance."""
    row = np.zeros(len(CHANNELS))
    for name, value in pose.items():
        row[CHANNEL[name]] = value - STANCE.get(name, 0.0)
    return row


def _cyclic(action: ActionSpec, u: np.ndarray) -> np.ndarray:
    beats = 2.0 * (CYCLES[action.style] * action.rate * u + action.phase)
    phase = 0.5 * ease_cycles(beats, action.spacing)
    track = np.repeat(_row(STANCE)[None], len(u), axis=0)
    put = _Sheet(track).put
    make = {"walk": _walk, "run": _run, "dance": _dance, "dialogue": _talk}
    make[action.style](put, action, phase, u)
    return track


class _Sheet:
    """Adds motion to the channels of a track."""

    def __init__(self, track: np.ndarray):
        self.track = track

    def put(self, name: str, value: np.ndarray | float) -> None:
        self.track[:, CHANNEL[name]] += value


def _walk(put: Put, action: ActionSpec, phase: np.ndarray, u: np.ndarray) -> None:
    gain = _gain(action)
    s, c = np.sin(TAU * phase), np.cos(TAU * phase)
    reach = min(0.52 * gain, 0.72)
    put("leg_near", reach * s)
    put("leg_far", -reach * s)
    put("shin_near", -0.12 - 0.95 * gain * np.maximum(c, 0) * (1 - 0.5 * s))
    put("shin_far", -0.12 - 0.95 * gain * np.maximum(-c, 0) * (1 + 0.5 * s))
    put("arm_near", -0.62 * gain * s + 0.1)
    put("arm_far", 0.62 * gain * s - 0.1)
    put("fore_near", 0.25 - 0.2 * gain * s)
    put("fore_far", 0.25 + 0.2 * gain * s)
    put("drop", 1.0 - np.cos(reach * s) - 0.01 * gain)
    put("lean", 0.04)
    put("chest", 0.03 * gain * s)
    put("head", 0.04 * gain * np.cos(2 * TAU * phase))
    put("x", action.travel * (u - 0.5))


def _run(put: Put, action: ActionSpec, phase: np.ndarray, u: np.ndarray) -> None:
    gain = _gain(action)
    s, c = np.sin(TAU * phase), np.cos(TAU * phase)
    reach = min(0.85 * gain, 1.15)
    put("leg_near", reach * s + 0.15)
    put("leg_far", -reach * s + 0.15)
    put("shin_near", -0.35 - min(1.4 * gain, 1.9) * np.maximum(c + 0.2, 0))
    put("shin_far", -0.35 - min(1.4 * gain, 1.9) * np.maximum(-c + 0.2, 0))
    put("arm_near", -1.0 * gain * s)
    put("arm_far", 1.0 * gain * s)
    put("fore_near", 1.25 - 0.35 * s)
    put("fore_far", 1.25 + 0.35 * s)
    put("lean", 0.16 + 0.08 * gain)
    put("head", -0.1)
    put("chest", 0.08 * gain * s)
    put("drop", 0.1 - 0.16 * gain * np.abs(s))
    put("x", action.travel * (u - 0.5))


def _dance(put: Put, action: ActionSpec, phase: np.ndarray, u: np.ndarray) -> None:
    gain = _gain(action)
    s, c = np.sin(TAU * phase), np.cos(TAU * phase)
    up, other = np.maximum(s, 0), np.maximum(-s, 0)
    high = 2.6 if action.variant else 1.9
    put("x", 0.07 * gain * s)
    put("hips", -0.14 * gain * s)
    put("chest", 0.2 * gain * s)
    put("head", -0.18 * gain * s)
    put("look", 0.05 * gain * s)
    put("drop", 0.1 * gain * np.abs(c))
    put("arm_near", -0.5 - (high - 0.4) * min(gain, 1.25) * up)
    put("fore_near", -0.5 * gain * up + 1.2 * other)
    put("arm_far", 0.5 + (high - 0.4) * min(gain, 1.25) * other)
    put("fore_far", 0.5 * gain * other + 1.2 * up)
    put("leg_near", -0.3 * gain * up + 0.5 * gain * other)
    put("shin_near", -0.9 * gain * other - 0.3 * gain * np.abs(c))
    put("leg_far", 0.3 * gain * other + 0.2 * gain * up)
    put("shin_far", -0.7 * gain * up - 0.3 * gain * np.abs(c))
    put("lid", -0.5 * (np.abs(c) > 0.93))


def _talk(put: Put, action: ActionSpec, phase: np.ndarray, u: np.ndarray) -> None:
    gain = _gain(action)
    s, c = np.sin(TAU * phase), np.cos(TAU * phase)
    # Mouth flaps: shut, half, open, in a pattern that is not quite regular.
    flap = np.array([0.12, 1.0, 0.5, 1.15, 0.3, 0.9, 0.12, 0.75])
    count = np.floor(6.0 * phase + 1e-6).astype(int)
    put("mouth", flap[count % len(flap)] - 1.0)
    put("head", 0.16 * gain * s)
    put("nod", 0.025 * gain * np.cos(2 * TAU * phase))
    put("look", 0.05 * gain * c)
    put("chest", 0.09 * gain * s)
    put("x", 0.02 * gain * s)
    # One hand explains.
    lift = 0.5 + 0.5 * s
    put("arm_far", 0.35 * gain + 0.6 * gain * lift)
    put("fore_far", 1.0 + 0.75 * gain * lift)
    put("hand_far", 0.35 * gain * c)
    if action.variant == 2:
        put("arm_near", 0.3 * gain * lift)
        put("fore_near", 1.1 + 0.5 * gain * c)
    put("lid", -0.85 * ((u > 0.62) & (u < 0.72)))
