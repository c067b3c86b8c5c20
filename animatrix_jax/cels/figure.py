"""The whole figure: who the spec describes, as a list of ops in drawing order.

Sits between the rig, which moves bones, and the renderer, which draws ops under the
bones' matrices. Structural defects are built in here, as ``spoiling`` makes them.
"""

import dataclasses

import skia

from animatrix_jax.cels import clothes, deform, face, hair, ink
from animatrix_jax.cels.defects import Defect
from animatrix_jax.cels.garments import make_outfit
from animatrix_jax.cels.look import Look, Op
from animatrix_jax.cels.palettes import Palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE, Body, make_body
from animatrix_jax.cels.shapes import taper
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.spoiling import break_line, spoil_face, spoil_limbs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure ready to be drawn."""

    body: Body
    ops: tuple[Op, ...]


def spec_body(spec: ClipSpec, proportion: str = "", turn: float | None = None) -> Body:
    """The body that the spec's character has, perhaps turned otherwise."""
    own = spec.value("style.proportion")
    shifted = proportion not in ("", own)
    return make_body(
        proportion or own,
        build=spec.character.build,
        turn=spec.character.turn if turn is None else turn,
        stature=spec.character.stature,
        shift=deform.CHIBI[spec.deform.level],
        model=own if shifted else "",
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
    face.fringe_shadow(look, tips)
    before = len(look.ops)
    face.draw_face(look, plan)
    features = look.ops[before:]
    for defect in defects:
        if defect.family == "face_topology":
            features = spoil_face(features, defect)
    look.ops[before:] = _paired(features)
    # The fringe hangs over the brows' ends; brows show through it, as in anime.
    brows = [op for op in features if op.bone == BONE["brows"]]
    hair.draw_front(look, cut, draws.child("front"))
    look.ops += brows if look.fine else []
    clothes.draw_arm(look, body, outfit, "near")
    for defect in defects:
        if defect.family == "limb_structure":
            look.ops = spoil_limbs(look, body, outfit, defect)
        elif defect.kind == "broken_line":
            look.ops = [break_line(op, defect.severity) for op in look.ops]
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
