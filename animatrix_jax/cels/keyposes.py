"""Key poses: what an animator draws first, for actions that happen once.

A pose gives the channels of ``rig.CHANNELS`` that depart from zero: angles in radians,
forward positive; ``x`` and ``y`` in heights of the picture, or for actions that travel
in shares of their travel; ``drop`` in leg lengths. Each action lists (time, pose) with
its main accent at ``HIT``; ``actions`` puts the drawings between them.
"""

Pose = dict[str, int | float]
Keys = list[tuple[float, Pose]]

HIT = 0.56  # when, in a clip, the contact or the main accent falls
# How often repeated actions are gone through in a clip, at their normal speed.
CYCLES = {"walk": 1.35, "run": 2.0, "dance": 1.4, "dialogue": 1.2}


def pose(**channels: float) -> Pose:
    """A key pose by its channels."""
    return channels


def crouch(**channels: float) -> Pose:
    """A crouch, with other channels changed."""
    return {**CROUCH, **channels}


STANCE: Pose = pose(
    lid=1.0,
    mouth=1.0,
    arm_near=-0.14,
    fore_near=0.16,
    arm_far=0.16,
    fore_far=0.12,
    leg_near=-0.05,
    leg_far=0.06,
)
CROUCH: Pose = pose(
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
            (0.0, pose(x=-0.42, lean=0.05, drop=0.04)),
            (
                0.36,
                crouch(x=-0.5, lean=-0.12, chest=0.35, arm_near=1.1, leg_far=0.9),
            ),
            (
                HIT,
                pose(
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
                pose(
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
            (1.0, pose(x=0.5, drop=0.02)),
        ],
    ),
    "jump_fly": (
        [
            (0.0, pose(x=-0.45)),
            (0.24, crouch(x=-0.4)),
            (
                0.4,
                pose(
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
                pose(
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
            (0.78, crouch(x=0.4, drop=0.24, arm_near=0.7, arm_far=-0.9)),
            (1.0, pose(x=0.45)),
        ],
    ),
    "melee": (
        [  # a punch
            (0.0, pose(fore_near=1.7, fore_far=1.8, arm_far=0.6, drop=0.04, leg_far=0.2, leg_near=-0.25)),
            (
                0.3,
                pose(x=-0.1, lean=-0.12, chest=-0.3, drop=0.1, arm_near=-1.1, fore_near=1.9, arm_far=1.2, fore_far=0.7, leg_far=0.3, shin_far=-0.3, leg_near=-0.25),
            ),
            (0.46, pose(x=-0.12, lean=-0.15, chest=-0.34, drop=0.12, arm_near=-1.25, fore_near=2.0, arm_far=1.3, fore_far=0.7, leg_far=0.35, shin_far=-0.3, leg_near=-0.25)),
            (
                HIT,
                pose(x=0.13, lean=0.24, chest=0.32, drop=0.14, arm_near=1.5, fore_near=0.06, arm_far=-0.7, fore_far=1.5, leg_far=0.85, shin_far=-0.75, leg_near=-0.75, shin_near=-0.1),
            ),
            (0.76, pose(x=0.14, lean=0.26, chest=0.32, drop=0.15, arm_near=1.46, fore_near=0.1, arm_far=-0.7, fore_far=1.5, leg_far=0.85, shin_far=-0.75, leg_near=-0.75, shin_near=-0.1)),
            (1.0, pose(fore_near=1.6, fore_far=1.7, arm_far=0.5, drop=0.04, leg_far=0.2, leg_near=-0.25)),
        ],
        [  # a kick
            (0.0, pose(fore_near=1.5, fore_far=1.6, drop=0.05, leg_near=-0.3, leg_far=0.15)),
            (0.36, pose(x=-0.06, chest=0.2, drop=0.06, arm_near=-0.5, fore_near=1.5, arm_far=0.9, fore_far=1.2, leg_near=0.9, shin_near=-1.9)),
            (
                HIT,
                pose(x=0.06, lean=-0.32, chest=-0.2, head=0.3, arm_near=-0.9, fore_near=0.5, arm_far=0.8, fore_far=0.4, leg_near=1.75, shin_near=-0.05, leg_far=-0.1),
            ),
            (0.76, pose(x=0.06, lean=-0.3, chest=-0.2, head=0.3, arm_near=-0.85, fore_near=0.5, arm_far=0.8, fore_far=0.4, leg_near=1.7, shin_near=-0.1, leg_far=-0.1)),
            (1.0, pose(fore_near=1.5, fore_far=1.6, drop=0.05, leg_near=-0.3, leg_far=0.15)),
        ],
        [  # a sword cut, from overhead
            (0.0, pose(arm_near=0.6, fore_near=0.9, hand_near=0.9, arm_far=0.7, fore_far=0.7, leg_near=-0.3, leg_far=0.25, drop=0.05)),
            (0.34, pose(x=-0.08, lean=-0.14, chest=-0.2, arm_near=2.7, fore_near=0.8, hand_near=0.5, arm_far=2.3, fore_far=0.9, leg_near=-0.35, leg_far=0.3, drop=0.05)),
            (0.48, pose(x=-0.1, lean=-0.18, chest=-0.24, arm_near=2.85, fore_near=0.9, hand_near=0.6, arm_far=2.4, fore_far=1.0, leg_near=-0.35, leg_far=0.35, drop=0.07)),
            (HIT, pose(x=0.1, lean=0.25, chest=0.35, arm_near=0.9, fore_near=0.1, hand_near=0.9, arm_far=0.8, fore_far=0.2, leg_near=-0.7, leg_far=0.85, shin_far=-0.75, drop=0.14)),
            (0.78, pose(x=0.11, lean=0.28, chest=0.38, arm_near=0.55, fore_near=0.1, hand_near=0.7, arm_far=0.5, fore_far=0.2, leg_near=-0.7, leg_far=0.85, shin_far=-0.75, drop=0.15)),
            (1.0, pose(arm_near=0.6, fore_near=0.9, hand_near=0.9, arm_far=0.7, fore_far=0.7, leg_near=-0.3, leg_far=0.25, drop=0.05)),
        ],
    ),
    "ranged": (
        [  # a bow is drawn and loosed
            (0.0, pose(arm_near=0.5, fore_near=0.5, arm_far=0.6, fore_far=0.7, leg_near=-0.25, leg_far=0.2, drop=0.03)),
            (0.3, pose(lean=-0.06, chest=-0.18, arm_near=1.5, fore_near=0.05, arm_far=0.9, fore_far=2.1, leg_near=-0.32, leg_far=0.28, drop=0.05)),
            (HIT - 0.03, pose(lean=-0.1, chest=-0.24, arm_near=1.52, fore_near=0.04, arm_far=0.75, fore_far=2.3, leg_near=-0.34, leg_far=0.3, drop=0.06)),
            (HIT + 0.04, pose(lean=-0.2, chest=-0.1, head=0.08, arm_near=1.75, fore_near=0.1, arm_far=-0.9, fore_far=0.5, leg_near=-0.36, leg_far=0.32, drop=0.05)),
            (0.8, pose(lean=-0.06, chest=-0.1, arm_near=1.5, fore_near=0.1, arm_far=-0.6, fore_far=0.4, leg_near=-0.3, leg_far=0.28, drop=0.04)),
            (1.0, pose(arm_near=0.9, fore_near=0.3, arm_far=-0.2, fore_far=0.3, leg_near=-0.25, leg_far=0.2, drop=0.03)),
        ],
    ),
    "sport": (
        [  # a throw
            (0.0, pose(arm_near=0.3, fore_near=1.1, arm_far=0.4, fore_far=1.0)),
            (0.34, pose(x=-0.06, lean=-0.18, chest=-0.35, arm_near=-2.5, fore_near=0.6, arm_far=1.3, fore_far=0.2, leg_far=0.75, shin_far=-0.9, drop=0.05)),
            (HIT, pose(x=0.08, lean=0.24, chest=0.3, arm_near=2.2, fore_near=0.1, arm_far=-0.7, fore_far=0.6, leg_near=-0.7, leg_far=0.7, shin_far=-0.5, drop=0.1)),
            (0.76, pose(x=0.1, lean=0.3, chest=0.35, arm_near=0.6, fore_near=0.2, arm_far=-0.8, fore_far=0.5, leg_near=-0.75, shin_near=-0.5, leg_far=0.6, shin_far=-0.5, drop=0.12)),
            (1.0, pose(x=0.04, arm_near=0.3, fore_near=0.3)),
        ],
        [  # a kick at a ball
            (0.0, pose(x=-0.06, leg_near=-0.2, arm_far=0.3)),
            (0.36, pose(x=-0.05, lean=-0.1, chest=-0.2, leg_near=-0.95, shin_near=-1.0, arm_near=0.9, arm_far=-1.1, drop=0.05)),
            (HIT, pose(x=0.05, lean=-0.15, chest=0.2, leg_near=1.05, shin_near=-0.1, arm_near=-1.1, arm_far=0.9, leg_far=-0.1, drop=0.04)),
            (0.74, pose(x=0.07, lean=-0.22, chest=0.25, leg_near=1.5, shin_near=-0.1, arm_near=-1.2, arm_far=1.0, leg_far=-0.1, drop=0.02)),
            (1.0, pose(x=0.06, arm_near=0.1)),
        ],
    ),
    "transformation": (
        [  # arms cross, the figure spins, the arms open to a last pose
            (0.0, pose(arm_near=0.9, fore_near=1.5, arm_far=0.9, fore_far=1.5, head=0.12)),
            (0.18, pose(arm_near=1.0, fore_near=1.7, arm_far=1.0, fore_far=1.7, head=0.2, lid=-0.9, widen=-0.9, y=-0.03)),
            (0.28, pose(arm_near=-1.5, arm_far=1.5, lid=-0.9, y=-0.06)),
            (0.38, pose(arm_near=-1.7, arm_far=1.7, lid=-0.9, widen=-0.9, y=-0.07, leg_near=0.5, shin_near=-1.0)),
            (0.48, pose(arm_near=-1.9, arm_far=1.9, lid=-0.9, y=-0.08, leg_near=0.6, shin_near=-1.2)),
            (HIT, pose(arm_near=-1.5, arm_far=1.5, lid=-0.9, widen=-0.9, y=-0.06, leg_near=0.3, shin_near=-0.6)),
            (0.7, pose(arm_near=-2.6, fore_near=-0.2, arm_far=0.9, fore_far=1.6, leg_near=-0.3, leg_far=0.25, chest=-0.12, head=-0.08)),
            (1.0, pose(arm_near=-2.7, fore_near=-0.2, arm_far=0.9, fore_far=1.7, leg_near=-0.3, leg_far=0.25, chest=-0.14, head=-0.1)),
        ],
    ),
    "daily_acting": (
        [  # a wave
            (0.0, pose(head=0.05)),
            (0.25, pose(arm_near=-2.5, fore_near=-0.5, hand_near=-0.2, head=-0.12, chest=-0.05, look=0.02)),
            (0.4, pose(arm_near=-2.45, fore_near=0.55, hand_near=0.3, head=-0.14, chest=-0.05)),
            (HIT, pose(arm_near=-2.5, fore_near=-0.5, hand_near=-0.3, head=-0.1, chest=-0.05)),
            (0.72, pose(arm_near=-2.45, fore_near=0.55, hand_near=0.3, head=-0.14, chest=-0.05)),
            (1.0, pose(head=0.03, arm_near=-0.3)),
        ],
        [  # a stretch
            (0.0, pose(head=0.1, drop=0.01)),
            (0.3, pose(head=0.18, chest=0.15, drop=0.03, arm_near=0.5, fore_near=0.6, arm_far=0.6, fore_far=0.5, lid=0.6)),
            (HIT, pose(head=-0.25, chest=-0.16, drop=-0.02, arm_near=-2.8, fore_near=-0.4, arm_far=2.85, fore_far=0.4, lid=0.15, look=-0.02)),
            (0.78, pose(head=-0.22, chest=-0.14, drop=-0.02, arm_near=-2.7, fore_near=-0.5, arm_far=2.75, fore_far=0.5, lid=0.15)),
            (1.0, pose(arm_near=-0.3, arm_far=0.3)),
        ],
        [  # looking round, hand to the chin
            (0.0, pose(look=-0.1, head=-0.1, nod=0.02)),
            (0.3, pose(look=-0.13, head=-0.14, nod=0.03, chest=-0.04)),
            (HIT, pose(look=0.1, head=0.16, nod=0.03, chest=0.06, arm_far=0.75, fore_far=2.1, hand_far=0.2)),
            (0.8, pose(look=0.08, head=0.18, nod=-0.02, chest=0.06, arm_far=0.8, fore_far=2.2, hand_far=0.2)),
            (1.0, pose(look=0.0, head=0.02)),
        ],
    ),
    "comic_reaction": (
        [  # a take: down, and up into the air
            (0.0, pose()),
            (0.3, pose(drop=0.16, chest=0.2, head=0.22, leg_near=0.4, shin_near=-0.85, leg_far=0.45, shin_far=-0.9, lid=0.2, arm_near=0.3, fore_near=0.8, arm_far=0.3, fore_far=0.8)),
            (HIT, pose(y=-0.12, chest=-0.15, head=-0.16, arm_near=-2.2, fore_near=-0.6, arm_far=2.2, fore_far=0.6, leg_near=-0.5, shin_near=-0.6, leg_far=0.5, shin_far=-0.2, hair=0.12, lid=1.15)),
            (0.72, pose(chest=-0.1, head=-0.12, arm_near=-1.8, fore_near=-1.0, arm_far=1.8, fore_far=1.0, lid=1.12, leg_near=-0.2, leg_far=0.2)),
            (1.0, pose(head=-0.1, arm_near=-1.6, fore_near=-1.1, arm_far=1.6, fore_far=1.1, lid=1.1)),
        ],
        [  # thrown back
            (0.0, pose()),
            (0.28, pose(x=0.04, lean=0.1, head=0.1, chest=0.1)),
            (HIT, pose(x=-0.16, lean=-0.38, head=-0.3, chest=-0.2, arm_near=1.6, fore_near=0.4, arm_far=1.9, fore_far=0.3, leg_near=0.9, shin_near=-0.4, leg_far=0.3, lid=1.12)),
            (0.8, pose(x=-0.2, lean=-0.3, head=-0.2, chest=-0.15, arm_near=1.3, fore_near=0.7, arm_far=1.5, fore_far=0.6, leg_near=0.6, shin_near=-0.4, lid=1.12)),
            (1.0, pose(x=-0.12, lean=-0.1, lid=1.05)),
        ],
        [  # flustered: shaking the head, arms flapping
            (0.0, pose()),
            (0.2, pose(look=-0.12, head=-0.2, arm_near=-1.3, fore_near=-0.9, arm_far=0.6, fore_far=1.4)),
            (0.38, pose(look=0.12, head=0.2, arm_near=-0.5, fore_near=-1.5, arm_far=1.4, fore_far=0.8)),
            (HIT, pose(look=-0.12, head=-0.2, arm_near=-1.3, fore_near=-0.9, arm_far=0.6, fore_far=1.4)),
            (0.74, pose(look=0.12, head=0.2, arm_near=-0.5, fore_near=-1.5, arm_far=1.4, fore_far=0.8)),
            (1.0, pose(look=-0.05, head=-0.06, arm_near=-0.8, fore_near=-1.2, arm_far=0.9, fore_far=1.2)),
        ],
    ),
    "still": (
        [(0.0, pose(head=0.06, arm_near=-0.5, fore_near=1.15, hand_near=0.2))],
        [(0.0, pose(arm_far=0.95, fore_far=2.2, head=-0.08, chest=-0.03))],
        [(0.0, pose(head=0.1, leg_near=-0.12, leg_far=0.12))],
    ),
}  # fmt: skip
