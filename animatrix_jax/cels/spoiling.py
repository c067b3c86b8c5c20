"""What defects of drawing do to a figure's ops: face, limbs, line and colour.

`defects` draws which there are and `figure` builds the structural ones in; ``boil`` is
for those that change from frame to frame.
"""

import dataclasses

import numpy as np
import skia

from animatrix_jax.cels import clothes
from animatrix_jax.cels.defects import Defect
from animatrix_jax.cels.garments import Outfit
from animatrix_jax.cels.look import Look, Op
from animatrix_jax.cels.palettes import mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE, Body
from animatrix_jax.cels.shapes import oval, polygon

# Kinds that draw the same cel otherwise on every frame.
RESTLESS = ("boiling_line", "colour_flicker")


def spoil_face(ops: list[Op], defect: Defect) -> list[Op]:
    """Displace, double or lose an eye, or melt the mouth."""
    s = defect.severity
    draws = Draws(defect.key, "face")
    eyes, mouth = BONE["eyes"], BONE["mouth"]

    if defect.kind == "missing_eye":
        side = draws.chance(0.5)
        return [op for op in ops if op.bone != eyes or _near_eye(op) != side]
    if defect.kind == "melted_mouth":
        warp = skia.Matrix.MakeAll(
            1 + 1.3 * s, 0.9 * s, 0.06 * s, -0.3 * s, 1 + 2.6 * s, 0.04 * s, 0, 0, 1
        )
        return [_shifted(op, warp) if op.bone == mouth else op for op in ops]
    side = draws.chance(0.5)
    dx = draws.sign() * (0.04 + 0.14 * s)
    dy = (0.06 + 0.28 * s) * (1 if draws.chance(0.7) else -0.7)
    place = skia.Matrix.MakeAll(1, 0.2 * s, dx, -0.35 * s, 1, dy, 0, 0, 1)
    if defect.kind == "displaced_eye":
        return [
            _shifted(op, place) if op.bone == eyes and _near_eye(op) == side else op
            for op in ops
        ]
    extra = [
        _shifted(op, place) for op in ops if op.bone == eyes and _near_eye(op) == side
    ]
    return ops + extra


def spoil_limbs(look: Look, body: Body, outfit: Outfit, defect: Defect) -> list[Op]:
    """Add, lose, fuse or detach a limb."""
    s = defect.severity
    draws = Draws(defect.key, "limb")
    limb = draws.choice(("arm", "leg"), (0.65, 0.35))
    side = draws.choice(("near", "far"))
    names = ("arm", "fore", "hand") if limb == "arm" else ("leg", "shin", "foot")
    bones = [BONE[f"{name}_{side}"] for name in names]
    if defect.kind == "missing_limb":
        # From the joint down, or all of it.
        lost = bones if s > 0.75 else bones[1:]
        return [op for op in look.ops if op.bone not in lost]
    if defect.kind == "detached_limb":
        shift = (0.2 + 0.9 * s) * body.limb * 3.0
        dx, dy = draws.sign() * shift, 0.4 * shift
        move = skia.Matrix.MakeAll(1, 0, dx, 0, 1, dy, 0, 0, 1)
        return [_shifted(op, move) if op.bone in bones else op for op in look.ops]
    if defect.kind == "fused_limbs":
        return [*look.ops, *_web(look, body, outfit, limb, s)]
    # A third arm or leg grows where none should, out of phase.
    angle = draws.sign() * (0.7 + 0.5 * draws.uniform())
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    turn = skia.Matrix.MakeAll(cos, sin, 0.1, -sin, cos, 0.05, 0, 0, 1)
    if limb == "arm":
        arm = _third_arm(look, body, outfit, f"arm_{side}", 0.5 + 0.5 * s, turn)
        return [*look.ops, *arm]
    front = [op for op in look.ops if op.bone != BONE["back_hair"]]
    back = [op for op in look.ops if op.bone == BONE["back_hair"]]
    return [*back, *_third_leg(look, body, outfit, side, turn), *front]


def _alike(look: Look) -> Look:
    """A look with no ops yet, for parts drawn beside the figure's own."""
    return Look(
        look.palette, rendering=look.rendering, line=look.line, pixels=look.pixels
    )


def _third_arm(
    look: Look, body: Body, outfit: Outfit, bone: str, size: float, turn: skia.Matrix
) -> list[Op]:
    """A straight sleeve and a hand on a shoulder; ``size`` is of two upper arms."""
    other = _alike(look)
    reach = size * 2 * body.arm
    sleeve = polygon(
        [
            (-body.limb, 0.0),
            (body.limb, 0.0),
            (0.7 * body.limb, reach),
            (-0.7 * body.limb, reach),
        ]
    )
    hand = oval(0, reach, body.limb, 1.2 * body.limb)
    for path, colour in ((hand, look.palette.skin), (sleeve, outfit.top)):
        path.transform(turn)
        other.shape(bone, path, colour)
    return other.ops


def _third_leg(
    look: Look, body: Body, outfit: Outfit, side: str, turn: skia.Matrix
) -> list[Op]:
    """A leg of the outfit, whole and stiff, on a thigh's bone."""
    other = _alike(look)
    clothes.draw_leg(other, body, outfit, side)
    root = BONE[f"leg_{side}"]
    return [
        dataclasses.replace(op, bone=root, path=_placed(op, body, turn))
        for op in other.ops
    ]


def _placed(op: Op, body: Body, turn: skia.Matrix) -> skia.Path:
    """A shin's or foot's path in the thigh's coordinates, limb straight, turned."""
    name_y = {
        BONE["leg_near"]: 0.0,
        BONE["leg_far"]: 0.0,
        BONE["shin_near"]: body.thigh,
        BONE["shin_far"]: body.thigh,
    }.get(op.bone, body.leg)
    path = skia.Path(op.path)
    path.offset(0.0, name_y)
    path.transform(turn)
    return path


def _web(
    look: Look, body: Body, outfit: Outfit, limb: str, severity: float
) -> list[Op]:
    """Flesh or cloth that joins limbs into one mass."""
    other = _alike(look)
    if limb == "arm":
        w = (0.6 + 1.6 * severity) * body.arm
        web = polygon(
            [
                (-0.6 * body.limb, 0.0),
                (w, 0.1 * body.arm),
                (0.9 * w, 1.2 * body.arm),
                (0.2 * w, 1.75 * body.arm),
                (-0.7 * body.limb, 1.6 * body.arm),
            ]
        )
        other.shape("arm_near", web, mix(outfit.top, look.palette.skin, 0.35))
    else:
        w = (0.35 + 0.5 * severity) * body.hip + body.limb
        web = polygon(
            [
                (-w, 0.05),
                (w, 0.05),
                (1.15 * w, body.leg * 0.95),
                (-1.15 * w, body.leg * 0.95),
            ]
        )
        other.shape("hips", web, mix(outfit.leg, outfit.shin, 0.5))
    return other.ops


def break_line(op: Op, severity: float) -> Op:
    """Outlines that stop and start."""
    if op.paint.getStyle() != skia.Paint.kStroke_Style:
        return op
    paint = skia.Paint(op.paint)
    gap = 0.06 + 0.3 * severity
    paint.setStrokeCap(skia.Paint.kButt_Cap)
    paint.setStrokeWidth(op.paint.getStrokeWidth() * (1.0 + 0.8 * severity))
    paint.setPathEffect(skia.DashPathEffect.Make([0.42 - 0.3 * severity, gap], 0.13))
    return dataclasses.replace(op, paint=paint)


def boil(ops: tuple[Op, ...], defect: Defect, frame: int) -> tuple[Op, ...]:
    """Lines that crawl, or colours that flicker, from frame to frame."""
    draws = Draws(defect.key, "boil", frame)
    severity = defect.severity
    changed = []
    if defect.kind == "colour_flicker":
        shift = [draws.uniform(-1.0, 1.0) * (0.06 + 0.34 * severity) for _ in range(3)]
        rows = [1.0, 0, 0, 0, shift[0], 0, 1, 0, 0, shift[1], 0, 0, 1, 0, shift[2]]
        tint = skia.ColorFilters.Matrix([*rows, 0, 0, 0, 1, 0])
        for op in ops:
            paint = skia.Paint(op.paint)
            paint.setColorFilter(tint)
            changed.append(dataclasses.replace(op, paint=paint))
        return tuple(changed)
    for i, op in enumerate(ops):
        paint = skia.Paint(op.paint)
        if paint.getStyle() == skia.Paint.kStroke_Style:
            width = paint.getStrokeWidth() * (1.0 + severity * draws.uniform(0.0, 1.6))
            paint.setStrokeWidth(width)
        seed = (draws.raw() >> 40) + i
        paint.setPathEffect(
            skia.DiscretePathEffect.Make(0.12, 0.012 + 0.05 * severity, seed)
        )
        changed.append(dataclasses.replace(op, paint=paint))
    return tuple(changed)


def _shifted(op: Op, matrix: skia.Matrix) -> Op:
    path = skia.Path(op.path)
    path.transform(matrix)
    return dataclasses.replace(op, path=path)


def _near_eye(op: Op) -> bool:
    """Whether an op of the eyes belongs to the near one."""
    return op.path.getBounds().centerX() < 0.11
