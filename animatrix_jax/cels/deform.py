"""Intended deformation: what an animator bends on purpose, briefly, along the motion.

Smears stretch a drawing along its path; multiples (obake) repeat it; squash and
stretch trades height for breadth about a contact; a chibi shift swaps the model for a
super-deformed one for a beat; forced perspective swells a fist at the lens, and an
off-model face is thrown out of its features. All begin at ``deform.start``, last ``deform.length``
frames, and return to model.
"""

import numpy as np
from jaxtyping import Bool, Float

from animatrix_jax.cels.rig import BONE, CHANNEL
from animatrix_jax.cels.spec import ClipSpec, DeformSpec

SMEAR = (1.0, 1.35, 1.8, 2.5)  # stretch by level
SQUASH = (0.0, 0.18, 0.36, 0.66)  # log-scale by level
ARMS = (1.0, 1.3, 1.6, 2.0)
GHOSTS = (0, 1, 3, 6)  # repeated drawings by level
CHIBI = (1.0, 0.55, 0.9, 1.25)  # how far towards super-deformed by level


def window(
    deform: DeformSpec, times: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " d"]:
    """Place within the deformed frames, 0..1; negative outside of them."""
    place = (times - deform.start) / max(deform.length, 1)
    return np.where((place >= 0) & (place < 1 - 1e-9), place, -1.0)


def squash(
    spec: ClipSpec, pose: Float[np.ndarray, "d c"], times: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "d c"]:
    """Stretch into the contact, squash on it."""
    if "squash_stretch" not in spec.deform.kinds:
        return pose
    place = window(spec.deform, times)
    size = SQUASH[spec.deform.level]
    amount = np.where(place < 0, 0.0, np.where(place < 0.45, 0.62 * size, -size))
    pose = pose.copy()
    pose[:, CHANNEL["stretch"]] += amount
    pose[:, CHANNEL["widen"]] -= 0.8 * amount
    return pose


def thrust(
    spec: ClipSpec, pose: Float[np.ndarray, "d c"], times: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "d c"]:
    """The near arm goes out at the lens, whatever it did before."""
    if "forced_perspective" not in spec.deform.kinds:
        return pose
    inside = window(spec.deform, times) >= 0
    pose = pose.copy()
    for channel, angle in THRUST.items():
        pose[inside, CHANNEL[channel]] = angle
    return pose


def direction(spec: ClipSpec) -> tuple[float, float]:
    """Where the smear goes, in figure units: facing is x."""
    return {"jump_fly": (0.35, -0.94), "comic_reaction": (0.0, -1.0)}.get(
        spec.action.style, (1.0, 0.0)
    )


def smear(
    spec: ClipSpec,
    bones: Float[np.ndarray, "b d 3 3"],
    times: Float[np.ndarray, " d"],
    *,
    centre: float,
) -> Float[np.ndarray, "b d 3 3"]:
    """Bones with the whole figure drawn out along the motion, arms most of all."""
    if "smear" not in spec.deform.kinds:
        return bones
    inside = window(spec.deform, times) >= 0
    if not inside.any():
        return bones
    level = spec.deform.level
    moving = spec.action.style in ("dash", "run", "walk", "jump_fly", "melee")
    k = SMEAR[level] if moving else 1.0 + 0.9 * (SMEAR[level] - 1.0)
    x, y = direction(spec)
    # Along (x, y) by k, across by k**-0.35, about the middle of the figure.
    a, b = k - k**-0.35, k**-0.35
    middle = bones[BONE["root"], :, :2, 2] + np.array([0.0, centre])
    stretch = np.zeros((len(times), 3, 3))
    stretch[:, :2, :2] = a * np.outer([x, y], [x, y]) + b * np.eye(2)
    stretch[:, 2, 2] = 1.0
    # The far end stays where it is, the near end leads.
    moved = middle - np.einsum("dij,dj->di", stretch[:, :2, :2], middle)
    stretch[:, :2, 2] = moved + 0.25 * (k - 1.0) * np.array([x, y])
    result = bones.copy()
    longer = np.diag([1.0, ARMS[level], 1.0])
    for side in ("near", "far"):
        joint = bones[BONE[f"fore_{side}"]]
        # The forearm is drawn longer, and takes the hand to its end.
        result[BONE[f"fore_{side}"]][inside] = (joint @ longer)[inside]
        tip = (joint @ longer @ np.linalg.inv(joint)) @ bones[BONE[f"hand_{side}"]]
        result[BONE[f"hand_{side}"]][inside] = tip[inside]
    result[:, inside] = stretch[inside] @ result[:, inside]
    return result


# What forced perspective does to the arm and the body, by level; and a face that breaks.
FIST = (1.0, 2.2, 3.4, 5.0)
SHRINK = (1.0, 0.95, 0.86, 0.75)
FACE = (1.0, 1.3, 1.75, 2.3)
# Where the arm points, radians, and what is left of its length, seen from its fist.
THRUST = {"arm_near": 1.25, "fore_near": 0.25}
FORESHORTENED = 0.5
_PARTS = {
    "eyes": (0.3, 0.85),
    "mouth": (2.6, 3.2),
    "brows": (0.3, 1.6),
}


def exaggerate(
    spec: ClipSpec,
    bones: Float[np.ndarray, "b d 3 3"],
    times: Float[np.ndarray, " d"],
    *,
    level: float,
) -> Float[np.ndarray, "b d 3 3"]:
    """Bones with a fist that swells at the lens, or a face thrown off its model.

    Args:
      spec: the clip.
      bones: to figure units.
      times: in frames.
      level: y of the ground, towards which a body shrinks.
    """
    kinds = {"forced_perspective", "off_model_exaggeration"} & set(spec.deform.kinds)
    inside = window(spec.deform, times) >= 0
    if not kinds or not inside.any():
        return bones
    bones = bones.copy()
    size = spec.deform.level
    if "forced_perspective" in kinds:
        _swell(bones, inside, FIST[size], SHRINK[size], level)
    if "off_model_exaggeration" in kinds:
        k = FACE[size]
        lean = 0.22 * (k - 1.0)
        head = np.array(
            [[1.0 - 0.12 * (k - 1), lean, 0], [0, 1.0 + 0.2 * (k - 1), 0], [0, 0, 1.0]]
        )
        pivot = bones[BONE["head"]]
        change = pivot @ head @ np.linalg.inv(pivot)
        for name in ("head", "face", "eyes", "mouth", "brows", "bangs", "back_hair"):
            bones[BONE[name]][inside] = (change @ bones[BONE[name]])[inside]
        for name, (wide, high) in _PARTS.items():
            grown = np.diag([1.0 + wide * (k - 1), 1.0 + high * (k - 1), 1.0])
            grown[0, 1] = 0.3 * (k - 1.0)
            bones[BONE[name]][inside] = (bones[BONE[name]] @ grown)[inside]
    return bones


def _swell(
    bones: Float[np.ndarray, "b d 3 3"],
    inside: Bool[np.ndarray, " d"],
    fist: float,
    shrink: float,
    level: float,
) -> None:
    """The near arm comes at the lens: each joint bigger than the last, the rest less."""
    whole = np.array([[shrink, 0, 0], [0, shrink, (1 - shrink) * level], [0, 0, 1.0]])
    bones[:, inside] = whole @ bones[:, inside]
    arm, fore, hand = (BONE[f"{name}_near"] for name in ("arm", "fore", "hand"))
    upper = np.diag([1.0 + 0.25 * (fist - 1), FORESHORTENED, 1.0])
    lower = np.diag([1.0 + 0.55 * (fist - 1), FORESHORTENED, 1.0])
    shoulder, elbow = bones[arm].copy(), bones[fore].copy()
    held = np.linalg.inv(elbow) @ bones[hand]
    elbow[:, :2, 2] = (shoulder @ upper @ np.linalg.inv(shoulder) @ elbow)[:, :2, 2]
    bones[arm][inside] = (shoulder @ upper)[inside]
    bones[fore][inside] = (elbow @ lower)[inside]
    # The hand itself keeps its shape: it only grows.
    grown = bones[hand] @ np.diag([fist, fist, 1.0])
    grown[:, :2, 2] = (elbow @ lower @ held)[:, :2, 2]
    bones[hand][inside] = grown[inside]


def ghosts(spec: ClipSpec, time: float) -> tuple[tuple[float, float], ...]:
    """(time, opacity) of the repeated drawings behind the one at ``time``."""
    if "multiples" not in spec.deform.kinds:
        return ()
    if window(spec.deform, np.array([float(time)]))[0] < 0:
        return ()
    count = GHOSTS[spec.deform.level]
    faint = 0.4 / max(count - 1, 1)
    return tuple(
        (time - 1.1 * (i + 1), 0.62 - faint * i) for i in reversed(range(count))
    )


def drawn_stretch(spec: ClipSpec) -> float:
    """Share of deformation that points on the model do not show, per frame.

    Multiples and chibi shifts redraw the figure: this stands for their size in d(x).
    """
    share = spec.deform.length / max(spec.frames, 1)
    amount = 0.0
    if "multiples" in spec.deform.kinds:
        amount += 0.01 * GHOSTS[spec.deform.level]
    if "chibi_shift" in spec.deform.kinds:
        amount += 0.025 * spec.deform.level
    if "smear" in spec.deform.kinds:
        amount += 0.01 * spec.deform.level
    if {"forced_perspective", "off_model_exaggeration"} & set(spec.deform.kinds):
        amount += 0.01 * spec.deform.level
    return amount * share
