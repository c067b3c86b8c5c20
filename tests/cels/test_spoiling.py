"""Defects of drawing change the ops they are named for, and the same way each time."""

import numpy as np
import pytest

from animatrix_jax.cels.defects import FAMILIES, Defect
from animatrix_jax.cels.figure import make_figure
from animatrix_jax.cels.page import Page
from animatrix_jax.cels.painter import draw_ops
from animatrix_jax.cels.palettes import draw_palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import BONE, BONES
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.cels.spoiling import RESTLESS, boil

PALETTE = draw_palette(Draws(1, "palette"), "natural", "two_tone_cel")
TAGS = ("style.rendering=two_tone_cel", "style.line=tapered")
SPEC = draw_spec(seed=0, index=5, tags=TAGS)
FACE = {BONE[name] for name in ("eyes", "mouth", "brows", "face")}
FAMILY = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}


def defect(kind, key=3, severity=0.8):
    family = FAMILY[kind]
    return Defect(family=family, kind=kind, severity=severity, start=0, key=key)


def figure(*defects):
    return make_figure(SPEC, PALETTE, pixels=40.0, defects=defects)


def marks(ops):
    """What each bone carries, as far as it can be compared."""
    found = {bone: [] for bone in range(len(BONES))}
    for op in ops:
        box = op.path.getBounds()
        edges = (box.left(), box.top(), box.right(), box.bottom())
        dashed = op.paint.getPathEffect() is not None
        found[op.bone].append((edges, op.paint.getStrokeWidth(), dashed))
    return found


def changed(ops, other):
    first, second = marks(ops), marks(other)
    return {bone for bone in first if first[bone] != second[bone]}


@pytest.mark.parametrize("kind", FAMILIES["face_topology"])
def test_a_spoilt_face_leaves_the_body_alone(kind):
    bones = changed(figure().ops, figure(defect(kind)).ops)
    assert bones and bones <= FACE


@pytest.mark.parametrize("key", range(6))
@pytest.mark.parametrize("kind", FAMILIES["limb_structure"])
def test_a_spoilt_limb_leaves_the_face_alone(kind, key):
    bones = changed(figure().ops, figure(defect(kind, key)).ops)
    limbs = {BONE["hips"]} | {
        BONE[f"{name}_{side}"]
        for name in ("arm", "fore", "hand", "leg", "shin", "foot")
        for side in ("near", "far")
    }
    assert bones and bones <= limbs


def test_limbs_are_lost_and_gained():
    count = len(figure().ops)
    for key in range(6):
        assert len(figure(defect("missing_limb", key)).ops) < count
        assert len(figure(defect("extra_limb", key)).ops) > count
        assert len(figure(defect("detached_limb", key)).ops) == count


def test_broken_lines_are_strokes_only():
    pairs = zip(figure().ops, figure(defect("broken_line")).ops, strict=True)
    for sound, broken in pairs:
        line = sound.paint.getStrokeWidth() > 0
        assert (broken.paint.getPathEffect() is not None) == line


@pytest.mark.parametrize("kind", RESTLESS)
def test_what_boils_is_another_drawing_on_every_frame_and_the_same_again(kind):
    ops = figure().ops[:1]
    pictures = [picture(boil(ops, defect(kind), frame)) for frame in (2, 3, 2)]
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures[0], pictures[2])
    # The figure's own paints are shared, and stay as they were.
    assert all(op.paint.getPathEffect() is None for op in ops)
    assert all(op.paint.getColorFilter() is None for op in ops)


def picture(ops):
    page = Page(48, 48)
    matrix = np.array([[40.0, 0, 24], [0, 40, 24], [0, 0, 1]])
    draw_ops(page.canvas, ops, np.tile(matrix, (len(BONES), 1, 1)))
    return page.pixels.copy()
