"""Near scenery before the figure: where layers slide apart, sharp or out of focus."""

import numpy as np
import pytest

from animatrix_jax.cels import backgrounds, books
from animatrix_jax.cels.camera import plane_rate
from animatrix_jax.cels.render import render
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.cels.truth import EFFECT_LAYER, true_clip

SIZE = {"height": 64, "width": 64}


def clip(depth, move="pan_right", **more):
    tags = (f"camera.depth={depth}", f"camera.camera_motion={move}")
    tags += ("style.background=painted", "camera.shot_size=waist")
    tags += tuple(f"{field}=none" for field in ("vfx.impact", "vfx.lines", "vfx.manpu"))
    tags += tuple(f"vfx.{field}=none" for field in ("elemental", "energy", "composite"))
    tags += ("motion.deformation=none", "style.rendering=two_tone_cel")
    return draw_spec(seed=4, index=2, frames=9, tags=tags, **more)


def near(spec):
    """Where something lies over the figure, [t h w]."""
    return true_clip(spec, **SIZE)[1].layers == EFFECT_LAYER


@pytest.mark.parametrize("held_out", [False, True])
def test_a_book_is_before_the_figure_and_leaves_it_in_view(held_out):
    shares = {
        depth: near(clip(depth, held_out=held_out)).mean()
        for depth in ("single_plane", "book_slide", "multiplane")
    }
    assert shares["single_plane"] == 0
    for depth in ("book_slide", "multiplane"):
        assert 0.02 < shares[depth] < 0.5


def test_it_is_sharp_when_boards_slide_and_soft_on_a_multiplane_stand():
    edges = {}
    for depth in ("book_slide", "multiplane"):
        spec = clip(depth)
        picture = render(spec, height=128, width=128)[0].astype(float).mean(-1)
        over = true_clip(spec, height=128, width=128)[1].layers[0] == EFFECT_LAYER
        steps = np.abs(np.diff(picture, axis=1))[over[:, 1:]]
        edges[depth] = np.percentile(steps, 98)
    assert edges["book_slide"] > 1.5 * edges["multiplane"], edges


def test_it_goes_faster_than_the_figure():
    assert plane_rate("single_plane", books.FRONT) == 1.0
    assert plane_rate("book_slide", books.FRONT) > 1.5
    assert plane_rate("multiplane", books.FRONT) > 1.5


def test_every_place_has_books_that_can_be_drawn_and_held_out_ones_its_own():
    kinds = {
        held_out: {
            kind
            for places in table.values()
            for place in places.values()
            for kind in place.near
        }
        for held_out, table in (
            (False, {"painted": backgrounds.SETS}),
            (True, {"painted": backgrounds.HELD_OUT_PLACES["painted"]}),
        )
    }
    assert kinds[False] | kinds[True] == set(books.KINDS)
    assert not kinds[False] & kinds[True]
