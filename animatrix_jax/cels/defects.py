"""Defects: what goes wrong in generated anime, put in on purpose, with known truth.

Four families, one for each head of the judge. Unlike intended deformation, a defect
persists to the end of the clip, follows no motion and does not recover. Structural
ones change how a figure is drawn (``figure``), line ones how it is inked, and motion
ones its poses; this file draws them and says what they do to poses.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE, CHANNEL

FAMILIES: dict[str, tuple[str, ...]] = {
    "face_topology": (
        "displaced_eye",
        "doubled_eye",
        "missing_eye",
        "melted_mouth",
    ),
    "limb_structure": ("extra_limb", "fused_limbs", "missing_limb", "detached_limb"),
    "line_continuity": ("broken_line", "boiling_line", "colour_flicker"),
    "motion_coherence": ("teleport", "melting_identity", "jitter", "frozen_part"),
}
# What a world may have of them; `world.CelWorld` says what each means.
DEFECT_MODES = ("none", "random", "paired")
# One more of motion_coherence, which only the tags show (unasked.py).
UNASKED = "unasked_deformation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Defect:
    """One thing gone wrong. ``family`` is a head of the judge."""

    family: str
    kind: str
    severity: float  # 0.2 .. 1
    start: int  # first frame it shows on
    key: int  # names its own draws


def draw_defects(
    draws: Draws, *, frames: int, clean: float = 0.5
) -> tuple[Defect, ...]:
    """None with probability ``clean``, else defects of one or two families."""
    if draws.chance(clean):
        return ()
    count = 2 if draws.chance(0.35) else 1
    defects = []
    for family in draws.sample(tuple(FAMILIES), count):
        kind = draws.choice(FAMILIES[family])
        late = draws.chance(0.4)
        start = draws.integer(0, max(frames // 3, 1)) if late else 0
        severity = draws.uniform(0.2, 1.0)
        if kind in ("missing_eye", "missing_limb", "extra_limb"):
            # A thing that is there or not is never a slight fault.
            severity = 0.55 + 0.45 * (severity - 0.2) / 0.8
        defects.append(
            Defect(
                family=family,
                kind=kind,
                severity=round(severity, 3),
                start=start,
                key=draws.raw() >> 1,
            )
        )
    return tuple(sorted(defects, key=lambda d: list(FAMILIES).index(d.family)))


def scores(defects: tuple[Defect, ...]) -> Float[np.ndarray, "4"]:
    """The judge's truth, 5 - 4 x severity for each family."""
    marks = np.full(len(FAMILIES), 5.0, np.float32)
    for defect in defects:
        head = list(FAMILIES).index(defect.family)
        marks[head] = min(marks[head], 5.0 - 4.0 * defect.severity)
    return marks


def disturb_pose(
    pose: Float[np.ndarray, "t c"], defects: tuple[Defect, ...]
) -> Float[np.ndarray, "t c"]:
    """Poses of every frame with the defects of motion in them."""
    pose = pose.copy()
    for defect in defects:
        draws = Draws(defect.key, "motion")
        after = np.arange(len(pose)) >= defect.start
        s = defect.severity
        if defect.kind == "teleport":
            # Jumps to another place every few frames, with nothing in between.
            place, left = (0.0, 0.0), 0
            for t in range(len(pose)):
                if left == 0:
                    jump = (0.06 + 0.26 * s) * draws.uniform(0.6, 1.0)
                    place = (draws.sign() * jump, draws.uniform(-0.5, 0.5) * jump)
                    left = draws.integer(2, 5)
                left -= 1
                if after[t]:
                    pose[t, CHANNEL["x"]] += place[0]
                    pose[t, CHANNEL["y"]] += place[1]
        elif defect.kind == "jitter":
            for t in range(len(pose)):
                for name in ("x", "y", "lean", "head", "arm_near", "arm_far", "look"):
                    size = 0.035 if name in ("x", "y", "look") else 0.3
                    noise = draws.uniform(-1.0, 1.0) * (0.3 + 0.9 * s) * size
                    if after[t]:
                        pose[t, CHANNEL[name]] += noise
        elif defect.kind == "frozen_part":
            # Half of the body stops where it was while the rest goes on.
            names = ("arm_near", "fore_near", "leg_near", "shin_near", "look", "nod")
            names += ("arm_far", "fore_far", "leg_far", "shin_far", "mouth", "lid")
            held = pose[min(defect.start, len(pose) - 1)]
            for name in names[: 4 + round(8 * s)]:
                pose[after, CHANNEL[name]] = held[CHANNEL[name]] + 0.5 * s
    return pose


def disturb_bones(
    bones: Float[np.ndarray, "b t 3 3"], defects: tuple[Defect, ...]
) -> Float[np.ndarray, "b t 3 3"]:
    """Bones of every frame with melting identity in them: parts drift and swell."""
    for defect in defects:
        if defect.kind != "melting_identity":
            continue
        bones = bones.copy()
        draws = Draws(defect.key, "melting")
        count = bones.shape[1]
        past = np.clip(np.arange(count) - defect.start, 0, None)
        grown = defect.severity * past / max(count - 1 - defect.start, 1)
        for name in ("head", "face", "eyes", "mouth", "bangs", "chest", "back_hair"):
            warp = np.zeros((count, 3, 3))
            for row in range(2):
                for column in range(2):
                    warp[:, row, column] = grown * draws.uniform(-0.55, 0.55)
            warp[:, 0, 2] = grown * draws.uniform(-0.2, 0.2)
            warp[:, 1, 2] = grown * draws.uniform(-0.1, 0.25)
            bones[BONE[name]] = bones[BONE[name]] @ (np.eye(3) + warp)
    return bones
