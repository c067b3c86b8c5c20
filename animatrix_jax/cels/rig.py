"""The character's skeleton: proportions, joints, and forward kinematics.

A character is cut-out animation: every drawn part hangs on one bone, and a bone's
matrix takes the part's own coordinates to *figure units* (one unit is the height of
the head; the origin lies between the feet; x points the way the character faces).
For a bone b with parent p and joint offset o_b,

    M_b = M_p T(o_b + shift_b) R(angle_b) H(shear_b) S(scale_b)

and R turns a limb that hangs down (0, 1) forward to (sin a, cos a). Everything is done
for all drawings of a clip at once: matrices are [bones, drawings, 3, 3].
"""

import dataclasses

import numpy as np
from jaxtyping import Float

# name -> parent; a parent stands before its children.
PARENTS: dict[str, str] = {
    "root": "",
    "hips": "root",
    "chest": "hips",
    "head": "chest",
    "face": "head",
    "eyes": "face",
    "mouth": "face",
    "brows": "face",
    "bangs": "head",
    "back_hair": "head",
    "tail_near": "head",
    "tail_far": "head",
    "arm_far": "chest",
    "fore_far": "arm_far",
    "hand_far": "fore_far",
    "arm_near": "chest",
    "fore_near": "arm_near",
    "hand_near": "fore_near",
    "leg_far": "hips",
    "shin_far": "leg_far",
    "foot_far": "shin_far",
    "leg_near": "hips",
    "shin_near": "leg_near",
    "foot_near": "shin_near",
    "skirt": "hips",
}
BONES = tuple(PARENTS)
BONE = {name: index for index, name in enumerate(BONES)}

# Channels of a pose: one number each; the word before the dot is the bone.
CHANNELS = (
    "x", "y",  # of the whole figure, in heights of the picture's view
    "drop",  # of the hips, in leg lengths
    "lean", "stretch", "widen",  # root angle; log-scales along and across
    "hips", "chest", "head",  # angles, forward positive
    "look", "nod",  # shift of the face, head units
    "lid", "mouth", "brow", "brow_up",
    "arm_far", "fore_far", "hand_far",
    "arm_near", "fore_near", "hand_near",
    "leg_far", "shin_far", "foot_far",
    "leg_near", "shin_near", "foot_near",
    "hair", "tail", "skirt", "flare",
)  # fmt: skip
CHANNEL = {name: index for index, name in enumerate(CHANNELS)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Body:
    """Lengths of a body in heads, and where the joints sit for a turn of the body."""

    leg: float
    torso: float
    neck: float
    shoulder: float  # half breadths
    waist: float
    hip: float
    limb: float  # half thickness at the shoulder
    head: float  # size of the head's drawing
    turn: float
    reach: float = 1.0  # of the arms, over their usual length

    @property
    def arm(self) -> float:
        """Length of the upper arm; the forearm is nearly as long."""
        return 0.56 * self.torso * self.reach

    @property
    def fore(self) -> float:
        return 0.5 * self.torso * self.reach

    @property
    def thigh(self) -> float:
        return 0.52 * self.leg

    @property
    def shin(self) -> float:
        return 0.48 * self.leg

    @property
    def chin(self) -> float:
        """Height of the chin above the ground."""
        return self.leg + self.torso + self.neck

    @property
    def crown(self) -> float:
        """Height of the top of the hair."""
        return self.chin + 1.1 * self.head

    def offsets(self) -> dict[str, tuple[float, float]]:
        """Joint offsets of the bones, from the parent's joint."""
        near = -self.shoulder * (0.86 - 0.34 * self.turn)
        far = self.shoulder * (0.84 - 0.22 * self.turn)
        legs = 0.5 * self.hip
        shoulder = -self.torso + 0.1 + 0.8 * self.limb
        return {
            "hips": (0.0, -self.leg),
            "chest": (0.0, 0.0),
            "head": (0.05 * self.turn, -self.torso - self.neck - 0.5 * self.head),
            "face": (0.0, 0.0),
            "eyes": (0.0, 0.10),
            "mouth": (0.07 * self.turn, 0.335),
            "brows": (0.0, -0.08),
            "tail_near": (0.0, 0.0),
            "tail_far": (0.0, 0.0),
            "arm_near": (near, shoulder),
            "arm_far": (far, shoulder),
            "fore_near": (0.0, self.arm),
            "fore_far": (0.0, self.arm),
            "hand_near": (0.0, self.fore),
            "hand_far": (0.0, self.fore),
            "leg_near": (-legs * (1 - 0.35 * self.turn), -0.04),
            "leg_far": (legs * (1 - 0.35 * self.turn), -0.04),
            "shin_near": (0.0, self.thigh),
            "shin_far": (0.0, self.thigh),
            "foot_near": (0.0, self.shin),
            "foot_far": (0.0, self.shin),
        }


_BODIES = {
    "realistic": {
        "leg": 3.1,
        "torso": 2.0,
        "neck": 0.27,
        "shoulder": 0.68,
        "waist": 0.42,
        "hip": 0.5,
        "limb": 0.2,
    },
    "standard": {
        "leg": 2.5,
        "torso": 1.5,
        "neck": 0.17,
        "shoulder": 0.54,
        "waist": 0.34,
        "hip": 0.42,
        "limb": 0.165,
    },
    "stylized": {
        "leg": 2.15,
        "torso": 1.12,
        "neck": 0.11,
        "shoulder": 0.44,
        "waist": 0.28,
        "hip": 0.35,
        "limb": 0.135,
    },
    "super_deformed": {
        "leg": 0.68,
        "torso": 0.58,
        "neck": -0.02,
        "shoulder": 0.31,
        "waist": 0.27,
        "hip": 0.3,
        "limb": 0.125,
    },
}


# How a figure of a stature departs from its proportion, as factors on lengths.
STATURES: dict[str, dict[str, float]] = {
    "usual": {},
    "lanky": {"leg": 1.14, "torso": 0.92, "limb": 0.9, "neck": 1.25, "reach": 1.12},
    "stocky": {"leg": 0.86, "torso": 1.07, "limb": 1.12, "neck": 0.7, "reach": 0.9},
}


def make_body(
    proportion: str,
    *,
    build: float,
    turn: float,
    stature: str = "usual",
    shift: float = 1.0,
    model: str = "",
) -> Body:
    """The body of a ``style.proportion``, in one of the STATURES.

    Args:
      proportion: value of the field.
      build: factor on breadths.
      turn: of the figure, 0 for a front view.
      stature: of STATURES.
      shift: how far towards it from `model`; more than 1 goes beyond it.
      model: the proportion that it departs from; empty for none.
    """
    table = dict(_BODIES[proportion])
    if model:
        table = {
            k: v + (shift - 1.0) * (v - _BODIES[model][k]) for k, v in table.items()
        }
    for name in ("shoulder", "waist", "hip", "limb"):
        table[name] *= build
    for name, factor in STATURES[stature].items():
        table[name] = table.get(name, 1.0) * factor
    return Body(**table, head=1.0, turn=turn)


def solve(
    body: Body, pose: Float[np.ndarray, "d c"], *, view: float, pivot: float = 0.0
) -> Float[np.ndarray, "bones d 3 3"]:
    """Matrices from the bones' coordinates to figure units, for every drawing.

    Args:
      body: lengths.
      pose: values of CHANNELS.
      view: height of the picture in figure units, which scales ``x`` and ``y``.
      pivot: y about which the figure leans and squashes: the ground at 0, or the
        picture's middle where the feet are out of it.
    """
    count = len(pose)
    shift = np.zeros((len(BONES), 2, count))
    angle = np.zeros((len(BONES), count))
    scale = np.ones((len(BONES), 2, count))
    shear = np.zeros((len(BONES), count))

    c = dict(zip(CHANNELS, pose.T, strict=True))
    for name, offset in body.offsets().items():
        shift[BONE[name]] = np.asarray(offset)[:, None]
    root, hips = BONE["root"], BONE["hips"]
    angle[root] = -c["lean"]
    scale[root, 0] = np.exp(c["widen"])
    scale[root, 1] = np.exp(c["stretch"])
    shift[root, 0] += view * c["x"] - pivot * np.sin(angle[root]) * scale[root, 1]
    # A leap that is seen close stays in the picture.
    leap = c["y"] if pivot == 0 else 0.6 * c["y"]
    shift[root, 1] += view * leap + pivot * (1 - np.cos(angle[root]) * scale[root, 1])
    # Knees that bend out of the picture lower the figure only so far.
    drop = body.leg * c["drop"]
    shift[hips, 1] += drop if pivot == 0 else np.clip(drop, -0.1 * view, 0.16 * view)
    for name in ("hips", "chest", "head"):
        angle[BONE[name]] = -c[name]
    # A head is drawn about its middle and nods about its neck.
    pivot, tilt = 0.38 * body.head, angle[BONE["head"]]
    shift[BONE["head"], 0] -= pivot * np.sin(tilt)
    shift[BONE["head"], 1] += pivot * (1.0 - np.cos(tilt))
    for side in ("far", "near"):
        for limb in ("arm", "fore", "hand", "leg", "shin", "foot"):
            angle[BONE[f"{limb}_{side}"]] = c[f"{limb}_{side}"]
        angle[BONE[f"tail_{side}"]] = -c["tail"]
    face = BONE["face"]
    shift[face, 0] += c["look"]
    shift[face, 1] += c["nod"]
    shift[BONE["bangs"], 0] += 0.3 * c["look"]
    shift[BONE["bangs"], 1] += 0.3 * c["nod"]
    scale[BONE["eyes"], 1] = np.maximum(c["lid"], 0.12)
    scale[BONE["mouth"], 1] = np.maximum(c["mouth"], 0.12)
    shift[BONE["brows"], 1] -= c["brow_up"]
    shear[BONE["bangs"]] = 0.25 * c["hair"]
    shear[BONE["back_hair"]] = c["hair"]
    shear[BONE["skirt"]] = c["skirt"]
    scale[BONE["skirt"], 0] = np.exp(c["flare"])
    # The hips do not turn the legs: they stay planted, as on an animator's model.
    for side in ("far", "near"):
        angle[BONE[f"leg_{side}"]] -= angle[hips]

    cos, sin = np.cos(angle), np.sin(angle)
    local = np.zeros((len(BONES), count, 3, 3))
    sx, sy = scale[:, 0], scale[:, 1]
    # R H S with H = [[1, h], [0, 1]].
    local[..., 0, 0] = cos * sx
    local[..., 0, 1] = (cos * shear + sin) * sy
    local[..., 1, 0] = -sin * sx
    local[..., 1, 1] = (-sin * shear + cos) * sy
    local[..., 0, 2], local[..., 1, 2] = shift[:, 0], shift[:, 1]
    local[..., 2, 2] = 1.0
    placed = np.empty_like(local)
    for index, name in enumerate(BONES):
        parent = PARENTS[name]
        placed[index] = placed[BONE[parent]] @ local[index] if parent else local[index]
    return placed


def landmarks(body: Body) -> list[tuple[int, float, float]]:
    """(bone, x, y) of points that stand for the body's surface, for measures."""
    points = []
    for x in (-0.4, 0.0, 0.4):
        for y in (-0.45, -0.1, 0.3):
            points.append((BONE["head"], x, y))
    for y in (-0.9, -0.5, -0.1):
        for x in (-0.8, 0.8):
            points.append((BONE["chest"], x * body.shoulder, y * body.torso))
    for side in ("far", "near"):
        for share in (0.3, 0.8):
            points.append((BONE[f"arm_{side}"], 0.0, share * body.arm))
            points.append((BONE[f"fore_{side}"], 0.0, share * body.fore))
            points.append((BONE[f"leg_{side}"], 0.0, share * body.thigh))
            points.append((BONE[f"shin_{side}"], 0.0, share * body.shin))
        points.append((BONE[f"foot_{side}"], 0.1, 0.05))
    return points
