"""What a character does: pose tracks for every ``motion.motion_style``.

Repeated motions (a walk, a run, a dance, talk) are written as functions of phase;
single actions (a dash, a leap, a blow, a take) as key poses that ``timing.ease``
interpolates. Amplitude scales how far a pose departs from the stance, speed how much
of the action fits into the clip, and the main accent falls on ``spec.HIT``. Hair and
skirts follow the body with a delay.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from animatrix_jax.cels.rig import CHANNEL, CHANNELS, Body
from animatrix_jax.cels.timing import ease, ease_cycles

Pose = dict[str, float]
Keys = list[tuple[float, Pose]]

HIT = 0.56  # when, in a clip, the contact or the main accent falls
TAU = 2.0 * np.pi

STANCE: Pose = dict(
    lid=1.0,
    mouth=1.0,
    arm_near=-0.14,
    fore_near=0.16,
    arm_far=0.16,
    fore_far=0.12,
    leg_near=-0.05,
    leg_far=0.06,
)
CROUCH: Pose = dict(
    drop=0.2,
    lean=0.22,
    chest=0.15,
    arm_near=-0.9,
    fore_near=0.5,
    arm_far=-0.7,
    fore_far=0.5,
    leg_near=0.55,
    shin_near=-1.15,
    leg_far=0.65,
    shin_far=-1.2,
)
KEYS: dict[str, tuple[Keys, ...]] = {
    "dash": (
        [
            (0.0, dict(x=-0.42, lean=0.05, drop=0.04)),
            (
                0.36,
                dict(CROUCH, x=-0.5, lean=-0.12, chest=0.35, arm_near=1.1, leg_far=0.9),
            ),
            (
                HIT,
                dict(
                    x=0.1,
                    drop=0.12,
                    lean=0.5,
                    head=-0.25,
                    arm_near=-1.5,
                    fore_near=0.2,
                    arm_far=-1.2,
                    fore_far=0.2,
                    leg_near=-0.95,
                    shin_near=-0.5,
                    leg_far=0.95,
                    shin_far=-0.5,
                ),
            ),
            (
                0.78,
                dict(
                    x=0.46,
                    drop=0.16,
                    lean=-0.25,
                    arm_near=0.9,
                    arm_far=0.6,
                    leg_near=0.1,
                    shin_near=-0.8,
                    leg_far=0.75,
                ),
            ),
            (1.0, dict(x=0.5, drop=0.02)),
        ],
    ),
    "jump_fly": (
        [
            (0.0, dict(x=-0.45)),
            (0.24, dict(CROUCH, x=-0.4)),
            (
                0.4,
                dict(
                    x=-0.15,
                    y=-0.13,
                    lean=0.1,
                    arm_near=2.5,
                    arm_far=2.7,
                    fore_near=0.2,
                    leg_near=-0.5,
                    shin_near=-0.2,
                    leg_far=-0.15,
                ),
            ),
            (
                HIT,
                dict(
                    x=0.1,
                    y=-0.22,
                    arm_near=1.9,
                    arm_far=2.2,
                    leg_near=0.7,
                    shin_near=-1.5,
                    leg_far=1.0,
                    shin_far=-1.3,
                    head=0.1,
                ),
            ),
            (0.78, dict(CROUCH, x=0.4, drop=0.24, arm_near=0.7, arm_far=-0.9)),
            (1.0, dict(x=0.45)),
        ],
    ),
    "melee": (
        [  # a punch
            (0.0, dict(fore_near=1.7, fore_far=1.8, arm_far=0.6, drop=0.04, leg_far=0.2, leg_near=-0.25)),
            (
                0.3,
                dict(x=-0.1, lean=-0.12, chest=-0.3, drop=0.1, arm_near=-1.1, fore_near=1.9, arm_far=1.2, fore_far=0.7, leg_far=0.3, shin_far=-0.3, leg_near=-0.25),
            ),
            (0.46, dict(x=-0.12, lean=-0.15, chest=-0.34, drop=0.12, arm_near=-1.25, fore_near=2.0, arm_far=1.3, fore_far=0.7, leg_far=0.35, shin_far=-0.3, leg_near=-0.25)),
            (
                HIT,
                dict(x=0.13, lean=0.24, chest=0.32, drop=0.14, arm_near=1.5, fore_near=0.06, arm_far=-0.7, fore_far=1.5, leg_far=0.85, shin_far=-0.75, leg_near=-0.75, shin_near=-0.1),
            ),
            (0.76, dict(x=0.14, lean=0.26, chest=0.32, drop=0.15, arm_near=1.46, fore_near=0.1, arm_far=-0.7, fore_far=1.5, leg_far=0.85, shin_far=-0.75, leg_near=-0.75, shin_near=-0.1)),
            (1.0, dict(fore_near=1.6, fore_far=1.7, arm_far=0.5, drop=0.04, leg_far=0.2, leg_near=-0.25)),
        ],
        [  # a kick
            (0.0, dict(fore_near=1.5, fore_far=1.6, drop=0.05, leg_near=-0.3, leg_far=0.15)),
            (0.36, dict(x=-0.06, chest=0.2, drop=0.06, arm_near=-0.5, fore_near=1.5, arm_far=0.9, fore_far=1.2, leg_near=0.9, shin_near=-1.9)),
            (
                HIT,
                dict(x=0.06, lean=-0.32, chest=-0.2, head=0.3, arm_near=-0.9, fore_near=0.5, arm_far=0.8, fore_far=0.4, leg_near=1.75, shin_near=-0.05, leg_far=-0.1),
            ),
            (0.76, dict(x=0.06, lean=-0.3, chest=-0.2, head=0.3, arm_near=-0.85, fore_near=0.5, arm_far=0.8, fore_far=0.4, leg_near=1.7, shin_near=-0.1, leg_far=-0.1)),
            (1.0, dict(fore_near=1.5, fore_far=1.6, drop=0.05, leg_near=-0.3, leg_far=0.15)),
        ],
        [  # a sword cut, from overhead
            (0.0, dict(arm_near=0.6, fore_near=0.9, hand_near=0.9, arm_far=0.7, fore_far=0.7, leg_near=-0.3, leg_far=0.25, drop=0.05)),
            (0.34, dict(x=-0.08, lean=-0.14, chest=-0.2, arm_near=2.7, fore_near=0.8, hand_near=0.5, arm_far=2.3, fore_far=0.9, leg_near=-0.35, leg_far=0.3, drop=0.05)),
            (0.48, dict(x=-0.1, lean=-0.18, chest=-0.24, arm_near=2.85, fore_near=0.9, hand_near=0.6, arm_far=2.4, fore_far=1.0, leg_near=-0.35, leg_far=0.35, drop=0.07)),
            (HIT, dict(x=0.1, lean=0.25, chest=0.35, arm_near=0.9, fore_near=0.1, hand_near=0.9, arm_far=0.8, fore_far=0.2, leg_near=-0.7, leg_far=0.85, shin_far=-0.75, drop=0.14)),
            (0.78, dict(x=0.11, lean=0.28, chest=0.38, arm_near=0.55, fore_near=0.1, hand_near=0.7, arm_far=0.5, fore_far=0.2, leg_near=-0.7, leg_far=0.85, shin_far=-0.75, drop=0.15)),
            (1.0, dict(arm_near=0.6, fore_near=0.9, hand_near=0.9, arm_far=0.7, fore_far=0.7, leg_near=-0.3, leg_far=0.25, drop=0.05)),
        ],
    ),
    "daily_acting": (
        [  # a wave
            (0.0, dict(head=0.05)),
            (0.25, dict(arm_near=-2.5, fore_near=-0.5, hand_near=-0.2, head=-0.12, chest=-0.05, look=0.02)),
            (0.4, dict(arm_near=-2.45, fore_near=0.55, hand_near=0.3, head=-0.14, chest=-0.05)),
            (HIT, dict(arm_near=-2.5, fore_near=-0.5, hand_near=-0.3, head=-0.1, chest=-0.05)),
            (0.72, dict(arm_near=-2.45, fore_near=0.55, hand_near=0.3, head=-0.14, chest=-0.05)),
            (1.0, dict(head=0.03, arm_near=-0.3)),
        ],
        [  # a stretch
            (0.0, dict(head=0.1, drop=0.01)),
            (0.3, dict(head=0.18, chest=0.15, drop=0.03, arm_near=0.5, fore_near=0.6, arm_far=0.6, fore_far=0.5, lid=0.6)),
            (HIT, dict(head=-0.25, chest=-0.16, drop=-0.02, arm_near=-2.8, fore_near=-0.4, arm_far=2.85, fore_far=0.4, lid=0.15, look=-0.02)),
            (0.78, dict(head=-0.22, chest=-0.14, drop=-0.02, arm_near=-2.7, fore_near=-0.5, arm_far=2.75, fore_far=0.5, lid=0.15)),
            (1.0, dict(arm_near=-0.3, arm_far=0.3)),
        ],
        [  # looking round, hand to the chin
            (0.0, dict(look=-0.1, head=-0.1, nod=0.02)),
            (0.3, dict(look=-0.13, head=-0.14, nod=0.03, chest=-0.04)),
            (HIT, dict(look=0.1, head=0.16, nod=0.03, chest=0.06, arm_far=0.75, fore_far=2.1, hand_far=0.2)),
            (0.8, dict(look=0.08, head=0.18, nod=-0.02, chest=0.06, arm_far=0.8, fore_far=2.2, hand_far=0.2)),
            (1.0, dict(look=0.0, head=0.02)),
        ],
    ),
    "comic_reaction": (
        [  # a take: down, and up into the air
            (0.0, dict()),
            (0.3, dict(drop=0.16, chest=0.2, head=0.22, leg_near=0.4, shin_near=-0.85, leg_far=0.45, shin_far=-0.9, lid=0.2, arm_near=0.3, fore_near=0.8, arm_far=0.3, fore_far=0.8)),
            (HIT, dict(y=-0.12, chest=-0.15, head=-0.16, arm_near=-2.2, fore_near=-0.6, arm_far=2.2, fore_far=0.6, leg_near=-0.5, shin_near=-0.6, leg_far=0.5, shin_far=-0.2, hair=0.12, lid=1.15)),
            (0.72, dict(chest=-0.1, head=-0.12, arm_near=-1.8, fore_near=-1.0, arm_far=1.8, fore_far=1.0, lid=1.12, leg_near=-0.2, leg_far=0.2)),
            (1.0, dict(head=-0.1, arm_near=-1.6, fore_near=-1.1, arm_far=1.6, fore_far=1.1, lid=1.1)),
        ],
        [  # thrown back
            (0.0, dict()),
            (0.28, dict(x=0.04, lean=0.1, head=0.1, chest=0.1)),
            (HIT, dict(x=-0.16, lean=-0.38, head=-0.3, chest=-0.2, arm_near=1.6, fore_near=0.4, arm_far=1.9, fore_far=0.3, leg_near=0.9, shin_near=-0.4, leg_far=0.3, lid=1.12)),
            (0.8, dict(x=-0.2, lean=-0.3, head=-0.2, chest=-0.15, arm_near=1.3, fore_near=0.7, arm_far=1.5, fore_far=0.6, leg_near=0.6, shin_near=-0.4, lid=1.12)),
            (1.0, dict(x=-0.12, lean=-0.1, lid=1.05)),
        ],
        [  # flustered: shaking the head, arms flapping
            (0.0, dict()),
            (0.2, dict(look=-0.12, head=-0.2, arm_near=-1.3, fore_near=-0.9, arm_far=0.6, fore_far=1.4)),
            (0.38, dict(look=0.12, head=0.2, arm_near=-0.5, fore_near=-1.5, arm_far=1.4, fore_far=0.8)),
            (HIT, dict(look=-0.12, head=-0.2, arm_near=-1.3, fore_near=-0.9, arm_far=0.6, fore_far=1.4)),
            (0.74, dict(look=0.12, head=0.2, arm_near=-0.5, fore_near=-1.5, arm_far=1.4, fore_far=0.8)),
            (1.0, dict(look=-0.05, head=-0.06, arm_near=-0.8, fore_near=-1.2, arm_far=0.9, fore_far=1.2)),
        ],
    ),
    "still": (
        [(0.0, dict(head=0.06, arm_near=-0.5, fore_near=1.15, hand_near=0.2))],
        [(0.0, dict(arm_far=0.95, fore_far=2.2, head=-0.08, chest=-0.03))],
        [(0.0, dict(head=0.1, leg_near=-0.12, leg_far=0.12))],
    ),
}  # fmt: skip


def pose_track(
    action, body: Body, times: Float[np.ndarray, " d"], *, frames: int, facing: int
) -> Float[np.ndarray, "d c"]:
    """Poses at the given times.

    Args:
      action: the spec's ActionSpec.
      body: lengths, for steps that keep the feet on the ground.
      times: in frames; fractions give in-betweens.
      frames: length of the clip.
      facing: 1 or -1; only vibration needs it.

    Returns:
      Values of CHANNELS for every time.
    """
    # Hair and cloth follow what the body did a moment ago: pose both moments at once.
    both = np.concatenate([times, times - 1.5])
    u = both / max(frames - 1, 1)
    table = _keyed if action.style in KEYS else _cyclic
    track = table(action, body, u)
    now, before = track[: len(times)], track[len(times) :]

    def change(name: str) -> np.ndarray:
        return now[:, CHANNEL[name]] - before[:, CHANNEL[name]]

    speed = change("x")
    swing = -1.6 * speed + 0.9 * (change("head") + change("chest") + change("lean"))
    now[:, CHANNEL["hair"]] += np.clip(swing, -0.6, 0.6)
    now[:, CHANNEL["tail"]] += np.clip(
        -3.0 * speed + 1.1 * swing - 2.0 * change("y"), -1.1, 1.1
    )
    now[:, CHANNEL["skirt"]] += np.clip(-1.1 * speed + 0.5 * swing, -0.4, 0.4)
    now[:, CHANNEL["flare"]] += np.clip(
        np.abs(change("leg_near")) * 0.12 + 2.2 * change("y"), -0.12, 0.35
    )
    if action.spacing == "vibration":
        # Two alternating offsets, one a drawing: a tremor.
        flip = np.where(np.round(times).astype(int) // 2 % 2 == 0, 1.0, -1.0)
        now[:, CHANNEL["x"]] += 0.012 * flip
        now[:, CHANNEL["head"]] += 0.045 * flip
        now[:, CHANNEL["arm_near"]] += 0.09 * flip
        now[:, CHANNEL["arm_far"]] -= 0.09 * flip
    return now


def _keyed(action, body: Body, u: np.ndarray) -> np.ndarray:
    keys = KEYS[action.style][action.variant % len(KEYS[action.style])]
    u = np.clip(HIT + (u - HIT) * max(action.rate, 0.7), 0.0, 1.0)
    stance = _row(STANCE)
    poses = np.stack([stance + _departure(pose) * _gain(action) for _, pose in keys])
    marks = np.array([mark for mark, _ in keys])
    poses[:, CHANNEL["x"]] *= action.travel if action.travel else 1.0
    if len(keys) == 1:
        return np.repeat(poses, len(u), axis=0)
    left = np.clip(np.searchsorted(marks, u, side="right") - 1, 0, len(marks) - 2)
    share = (u - marks[left]) / (marks[left + 1] - marks[left])
    share = ease(share, action.spacing)[:, None]
    return poses[left] + (poses[left + 1] - poses[left]) * share


def _gain(action) -> float:
    return 1.0 if action.style == "still" else float(np.clip(action.gain, 0.35, 1.45))


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


def _cyclic(action, body: Body, u: np.ndarray) -> np.ndarray:
    cycles = {"walk": 1.35, "run": 2.0, "dance": 1.4, "dialogue": 1.2}[action.style]
    beats = 2.0 * (cycles * action.rate * u + action.phase)
    phase = 0.5 * ease_cycles(beats, action.spacing)
    track = np.repeat(_row(STANCE)[None], len(u), axis=0)

    def put(name: str, value: np.ndarray | float) -> None:
        track[:, CHANNEL[name]] += value

    make = {"walk": _walk, "run": _run, "dance": _dance, "dialogue": _talk}
    make[action.style](put, action, phase, u)
    return track


def _walk(put, action, phase: np.ndarray, u: np.ndarray) -> None:
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


def _run(put, action, phase: np.ndarray, u: np.ndarray) -> None:
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


def _dance(put, action, phase: np.ndarray, u: np.ndarray) -> None:
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
    put("arm_near", -0.5 - (high - 0.4) * min(gain, 1.15) * up)
    put("fore_near", -0.5 * gain * up + 1.2 * other)
    put("arm_far", 0.5 + (high - 0.4) * min(gain, 1.15) * other)
    put("fore_far", 0.5 * gain * other + 1.2 * up)
    put("leg_near", -0.3 * gain * up + 0.5 * gain * other)
    put("shin_near", -0.9 * gain * other - 0.3 * gain * np.abs(c))
    put("leg_far", 0.3 * gain * other + 0.2 * gain * up)
    put("shin_far", -0.7 * gain * up - 0.3 * gain * np.abs(c))
    put("lid", -0.5 * (np.abs(c) > 0.93))


def _talk(put, action, phase: np.ndarray, u: np.ndarray) -> None:
    gain = _gain(action)
    s, c = np.sin(TAU * phase), np.cos(TAU * phase)
    # Mouth flaps: shut, half, open, in a pattern that is not quite regular.
    flap = np.array([0.12, 1.0, 0.5, 1.15, 0.3, 0.9, 0.12, 0.75])
    count = np.floor(6.0 * phase + 1e-6).astype(int)
    put("mouth", flap[count % len(flap)] - 1.0)
    put("head", 0.13 * gain * s)
    put("nod", 0.025 * gain * np.cos(2 * TAU * phase))
    put("look", 0.05 * gain * c)
    put("chest", 0.05 * gain * s)
    put("x", 0.012 * gain * s)
    # One hand explains.
    lift = 0.5 + 0.5 * s
    put("arm_far", 0.35 * gain + 0.25 * gain * lift)
    put("fore_far", 1.0 + 0.65 * gain * lift)
    put("hand_far", 0.35 * gain * c)
    if action.variant == 2:
        put("arm_near", 0.3 * gain * lift)
        put("fore_near", 1.1 + 0.5 * gain * c)
    put("lid", -0.85 * ((u > 0.62) & (u < 0.72)))
