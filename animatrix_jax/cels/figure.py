"""The whole figure: who the spec describes, as a list of ops in drawing order.

Sits between the rig, which moves bones, and the renderer, which draws ops under the
bones' matrices. Structural defects are built in here.
"""

import dataclasses

import numpy as np
import skia

from animatrix_jax.cels import clothes, face, hair, ink
from animatrix_jax.cels.defects import Defect
from animatrix_jax.cels.garments import Outfit, make_outfit
from animatrix_jax.cels.look import Look, Op, oval, polygon, taper
from animatrix_jax.cels.palettes import Palette, mix
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE, Body, make_body
from animatrix_jax.cels.spec import ClipSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure ready to be drawn."""

    body: Body
    ops: tuple[Op, ...]


def spec_body(spec: ClipSpec, proportion: str = "", turn: float | None = None) -> Body:
    """The body that the spec's character has, perhaps turned otherwise."""
    return make_body(
        proportion or spec.value("style.proportion"),
        build=spec.character.build,
        turn=spec.character.turn if turn is None else turn,
        stature=spec.character.stature,
    )


def make_figure(
    spec: ClipSpec,
    palette: Palette,
    *,
    pixels: float,
    proportion: str = "",
    turn: float | None = None,
    defects: tuple[Defect, ...] = (),
) -> Figure:
    """Draw up the character's model.

    Args:
      spec: the clip.
      palette: its colours.
      pixels: height of the head in pixels, for the level of detail.
      proportion: in place of the spec's own, for a chibi shift.
      turn: in place of the spec's own, for a camera that goes round.
      defects: structural and line defects to build in.
    """
    who = spec.character
    proportion = proportion or spec.value("style.proportion")
    turn = who.turn if turn is None else turn
    body = spec_body(spec, proportion, turn)
    western = spec.values("style.video_style") == ("2d_western",)
    look = Look(
        palette,
        rendering=spec.value("style.rendering"),
        line=spec.value("style.line"),
        pixels=pixels,
        medium=(spec.values("style.video_style") or ("2d_japanese_anime",))[0],
    )
    chibi = proportion == "super_deformed"
    adult = who.gender in ("man", "woman")
    plan = face.FacePlan(
        turn=turn,
        western=western,
        eye=who.eye_size
        * {
            "realistic": 0.82,
            "standard": 1.0,
            "stylized": 1.1,
            "super_deformed": 1.26,
        }[proportion]
        * (0.9 if adult else 1.0),
        tilt=who.eye_tilt,
        jaw={"girl": 0.05, "woman": 0.055, "boy": 0.07, "man": 0.1}[who.gender]
        + (0.06 if chibi else 0.0)
        + (0.08 if western else 0.0),
        length={"realistic": 1.07, "standard": 1.0, "stylized": 0.97}.get(
            proportion, 0.9
        ),
        emotion=spec.action.emotion,
        talking=spec.action.style == "dialogue",
        happy_eyes=spec.action.emotion == "joy" and spec.action.phase < 0.18,
        glasses=who.glasses,
        lashes={"girl": 1.2, "woman": 1.3, "boy": 0.9, "man": 0.8}[who.gender],
    )
    cut = hair.HairPlan(
        style=who.hair_style,
        bangs=who.bangs,
        volume=who.hair_volume,
        turn=turn,
        ahoge=who.ahoge,
        reach=min(1.75, 0.55 + 0.8 * body.torso),
    )
    sword = spec.action.style == "melee" and spec.action.variant == 2
    outfit = make_outfit(look, kind=who.cloth_kind, gender=who.gender, sword=sword)
    draws = Draws(who.art, "hair")

    hair.draw_back(look, cut, draws.child("back"))
    clothes.draw_arm(look, body, outfit, "far")
    clothes.draw_leg(look, body, outfit, "far")
    clothes.draw_leg(look, body, outfit, "near")
    clothes.draw_skirt(look, body, outfit)
    clothes.draw_torso(look, body, outfit)
    ear = who.hair_style in ("short", "spiky", "ponytail", "bun", "mohawk", "braids")
    face.draw_head(look, plan, ear)
    tips = {"parted": -0.06, "curtain": -0.08, "micro": -0.14}.get(who.bangs, 0.0)
    face.fringe_shadow(look, plan, tips)
    before = len(look.ops)
    face.draw_face(look, plan)
    features = look.ops[before:]
    for defect in defects:
        if defect.family == "face_topology":
            features = _spoil_face(features, defect)
    look.ops[before:] = _paired(features)
    # The fringe hangs over the brows' ends; brows show through it, as in anime.
    brows = [op for op in features if op.bone == BONE["brows"]]
    hair.draw_front(look, cut, draws.child("front"))
    look.ops += brows if look.fine else []
    clothes.draw_arm(look, body, outfit, "near")
    for defect in defects:
        if defect.family == "limb_structure":
            look.ops = _spoil_limbs(look, body, outfit, defect)
        elif defect.kind == "broken_line":
            look.ops = [_broken(op, defect.severity) for op in look.ops]
    return Figure(body=body, ops=tuple(look.ops))


def smear_ops(
    figure: Figure, palette: Palette, level: int, direction: tuple[float, float]
) -> tuple[Op, ...]:
    """Dry-brush streaks that a smeared drawing trails behind it, on the root."""
    body = figure.body
    x, y = direction
    ops = []
    colours = (palette.hair, palette.cloth_a, palette.cloth_b, palette.hair_shade)
    for i in range(5 + 2 * level):
        u = (i + 0.5) / (5 + 2 * level)
        across = (u - 0.5) * body.crown * 0.92
        length = (0.5 + 0.35 * ((i * 7) % 5) / 4) * (0.5 + 0.45 * level)
        start = (-0.1 * x - across * y, -0.5 * body.crown + across * x - 0.1 * y)
        end = (start[0] - length * x, start[1] - length * y)
        bend = (0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]))
        path = taper(start, bend, end, 0.05 + 0.02 * (i % 3))
        colour = colours[0] if u < 0.25 else colours[1 + i % 3]
        ops.append(Op(BONE["root"], path, ink.fill(colour, 0.9)))
    return tuple(ops)


def _paired(ops: list[Op]) -> list[Op]:
    """The two eyes (and brows) drawn layer by layer as one: half as many paths."""
    merged: list[Op] = []
    for bone in (BONE["eyes"], BONE["brows"]):
        layers = [op for op in ops if op.bone == bone]
        half = len(layers) // 2
        first, second = layers[:half], layers[half:]
        alike = len(first) == len(second) and all(
            a.paint is b.paint for a, b in zip(first, second, strict=False)
        )
        if not alike:
            return ops
        for a, b in zip(first, second, strict=True):
            both = skia.Path(a.path)
            both.addPath(b.path)
            merged.append(dataclasses.replace(a, path=both))
    rest = [op for op in ops if op.bone not in (BONE["eyes"], BONE["brows"])]
    return merged + rest


def _shifted(op: Op, matrix: skia.Matrix) -> Op:
    path = skia.Path(op.path)
    path.transform(matrix)
    return dataclasses.replace(op, path=path)


def _near_eye(op: Op) -> bool:
    """Whether an op of the eyes belongs to the near one."""
    return op.path.getBounds().centerX() < 0.11


def _spoil_face(ops: list[Op], defect: Defect) -> list[Op]:
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


def _spoil_limbs(look: Look, body: Body, outfit: Outfit, defect: Defect) -> list[Op]:
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
    if defect.kind == "extra_limb":
        # A third arm or leg grows where none should, out of phase.
        angle = draws.sign() * (0.7 + 0.5 * draws.uniform())
        c, sn = float(np.cos(angle)), float(np.sin(angle))
        turn = skia.Matrix.MakeAll(c, sn, 0.1, -sn, c, 0.05, 0, 0, 1)
        other = Look(
            look.palette, rendering=look.rendering, line=look.line, pixels=look.pixels
        )
        if limb == "arm":
            size = 0.5 + 0.5 * s
            shape = polygon(
                [
                    (-body.limb, 0.0),
                    (body.limb, 0.0),
                    (0.7 * body.limb, size * 2 * body.arm),
                    (-0.7 * body.limb, size * 2 * body.arm),
                ]
            )
            shape.transform(turn)
            hand = oval(0, size * 2 * body.arm, body.limb, 1.2 * body.limb)
            hand.transform(turn)
            root = BONE[f"arm_{side}"]
            other.shape(f"arm_{side}", hand, look.palette.skin)
            other.shape(f"arm_{side}", shape, outfit.top)
        else:
            clothes.draw_leg(other, body, outfit, side)
            root = BONE[f"leg_{side}"]
            other.ops = [
                dataclasses.replace(op, bone=root, path=_placed(op, body, turn))
                for op in other.ops
            ]
        front = [op for op in look.ops if op.bone != BONE["back_hair"]]
        back = [op for op in look.ops if op.bone == BONE["back_hair"]]
        return [*back, *other.ops, *front] if limb == "leg" else [*look.ops, *other.ops]
    # Fused: a web of flesh or cloth joins the limbs into one mass.
    look_web = Look(
        look.palette, rendering=look.rendering, line=look.line, pixels=look.pixels
    )
    if limb == "arm":
        w = (0.6 + 1.6 * s) * body.arm
        web = polygon(
            [
                (-0.6 * body.limb, 0.0),
                (w, 0.1 * body.arm),
                (0.9 * w, 1.2 * body.arm),
                (0.2 * w, 1.75 * body.arm),
                (-0.7 * body.limb, 1.6 * body.arm),
            ]
        )
        look_web.shape("arm_near", web, mix(outfit.top, look.palette.skin, 0.35))
    else:
        w = (0.35 + 0.5 * s) * body.hip + body.limb
        web = polygon(
            [
                (-w, 0.05),
                (w, 0.05),
                (1.15 * w, body.leg * 0.95),
                (-1.15 * w, body.leg * 0.95),
            ]
        )
        look_web.shape("hips", web, mix(outfit.leg, outfit.shin, 0.5))
    return [*look.ops, *look_web.ops]


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


def _broken(op: Op, severity: float) -> Op:
    """Outlines that stop and start."""
    if op.paint.getStyle() != skia.Paint.kStroke_Style:
        return op
    paint = skia.Paint(op.paint)
    gap = 0.06 + 0.3 * severity
    paint.setStrokeCap(skia.Paint.kButt_Cap)
    paint.setStrokeWidth(op.paint.getStrokeWidth() * (1.0 + 0.8 * severity))
    paint.setPathEffect(skia.DashPathEffect.Make([0.42 - 0.3 * severity, gap], 0.13))
    return dataclasses.replace(op, paint=paint)
