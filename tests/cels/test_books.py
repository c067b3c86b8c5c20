"""Near scenery before the figure: where layers slide apart, sharp or out of focus."""

import cv2
import numpy as np
import pytest

from animatrix_jax.cels import backgrounds, books
from animatrix_jax.cels.camera import NEARER
from animatrix_jax.cels.render import Renderer, render
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.cels.staging import make_stage
from animatrix_jax.cels.truth import BOOK_LAYER, FIGURE_LAYER, true_clip

SIZE = {"height": 96, "width": 96}
QUIET = (
    "vfx.vfx_level=none",
    "vfx.composite=none",
    "motion.deformation=none",
    "style.background=painted",
    "style.rendering=two_tone_cel",
)


def clip(depth, move="pan_right", shot="waist", **more):
    tags = (f"camera.depth={depth}", f"camera.camera_motion={move}")
    tags += (f"camera.shot_size={shot}", "motion.motion_style=walk")
    return draw_spec(seed=4, index=2, frames=9, tags=(*QUIET, *tags), **more)


def layers(spec):
    return true_clip(spec, **SIZE)[1].layers


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("move", ["pan_right", "pan_up", "truck_up", "follow"])
def test_a_book_is_before_the_figure_and_leaves_it_in_view(move, held_out):
    flat, *deep = (
        layers(clip(depth, move, "full", held_out=held_out))
        for depth in ("single_plane", "book_slide", "multiplane")
    )
    assert not (flat == BOOK_LAYER).any()
    figure = flat == FIGURE_LAYER
    for found in deep:
        over = found == BOOK_LAYER
        assert over.mean(axis=(1, 2)).max() > 0.08
        assert over[figure].mean() < 0.15


@pytest.mark.parametrize("move", ["pan_right", "pan_up", "truck_up"])
def test_it_is_sharp_when_boards_slide_and_soft_on_a_multiplane_stand(move):
    edges = {}
    for depth in ("book_slide", "multiplane"):
        spec = clip(depth, move)
        picture = render(spec, **SIZE)[0].astype(float).mean(-1)
        over = (layers(spec)[0] == BOOK_LAYER).astype(np.uint8)
        about = cv2.dilate(over, np.ones((5, 5), np.uint8)) > 0
        steps = np.abs(np.diff(picture, axis=1))[about[:, 1:]]
        edges[depth] = np.percentile(steps, 98)
    assert edges["book_slide"] > 1.5 * edges["multiplane"], edges


@pytest.mark.parametrize("depth", ["book_slide", "multiplane"])
@pytest.mark.parametrize("move", ["pan_right", "pan_up", "truck_up"])
def test_its_flow_is_known_and_explains_it(depth, move):
    """And is larger than that of the set behind it."""
    video, truth = true_clip(clip(depth, move), **SIZE)
    video = video.astype(np.float32)
    y, x = np.mgrid[0:96, 0:96].astype(np.float32)
    errors, still, ways = [], [], {BOOK_LAYER: [], 1: []}
    for t, flow in enumerate(truth.flow):
        warped = cv2.remap(
            video[t + 1], x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR
        )
        book = truth.visible[t] & (truth.layers[t] == BOOK_LAYER)
        if not book.any():
            continue  # a truck has gone past it
        errors.append(np.abs(warped - video[t])[book].mean())
        still.append(np.abs(video[t + 1] - video[t])[book].mean())
        for layer, way in ways.items():
            way.append(np.linalg.norm(flow, axis=-1)[truth.layers[t] == layer].mean())
    assert np.mean(errors) < 6 and np.mean(errors) < 0.75 * np.mean(still)
    assert np.mean(ways[BOOK_LAYER]) > 1.2 * np.mean(ways[1])
    assert truth.deformation[truth.layers[:-1] == BOOK_LAYER].max() < 0.05


@pytest.mark.parametrize(("move", "along"), [("pan_right", 0), ("pan_up", 1)])
def test_it_goes_along_its_edge_faster_than_the_figure(move, along):
    spec = clip("book_slide", move)
    camera = make_stage(spec).camera
    own = camera.matrices(**SIZE)[:, :2, 2]
    near = camera.book_matrices(**SIZE, upright=bool(along))[:, :2, 2]
    way = np.ptp(near, axis=0)
    assert way[along] == pytest.approx(NEARER * np.ptp(own, axis=0)[along])
    assert way[1 - along] < 1e-9


def test_of_a_truck_it_is_whole_where_the_camera_is_furthest():
    spec = clip("multiplane", "truck_up")
    scale = make_stage(spec).camera.book_matrices(**SIZE, upright=False)[:, 0, 0]
    assert scale.min() == pytest.approx(SIZE["height"]) and scale[-1] > scale[0]
    (book,) = Renderer(spec, **SIZE).overlays.books.boards
    assert book.image.height() < 2 * SIZE["height"]


def test_there_is_none_where_the_camera_goes_both_ways():
    tags = ("camera.depth=book_slide", "camera.camera_motion=pan_right")
    spec = draw_spec(
        seed=4, index=2, tags=(*QUIET, *tags, "camera.camera_motion=pan_up")
    )
    assert not Renderer(spec, **SIZE).overlays.books


def test_every_place_has_a_book_for_each_way_and_held_out_ones_their_own():
    kinds = {}
    for held_out, table in enumerate((backgrounds.SETS, backgrounds.HELD_OUT_PLACES)):
        places = (table["painted"] if held_out else table).values()
        for place in places:
            for edges in (books.ACROSS, books.UPRIGHT):
                assert any(set(edges) & set(books.KINDS[k].edges) for k in place.near)
        kinds[held_out] = {kind for place in places for kind in place.near}
    assert kinds[0] | kinds[1] == set(books.KINDS) and not kinds[0] & kinds[1]


def test_a_pencil_drawing_s_books_fade_to_paper():
    shades = {}
    for rendering in ("two_tone_cel", "tiedown"):
        tags = (*QUIET[:-1], f"style.rendering={rendering}", "camera.shot_size=waist")
        tags += ("camera.depth=book_slide", "camera.camera_motion=pan_right")
        spec = draw_spec(seed=4, index=2, frames=9, tags=tags)
        picture = render(spec, **SIZE)[0].astype(float).mean(-1)
        shades[rendering] = picture[layers(spec)[0] == BOOK_LAYER].mean()
    assert shades["tiedown"] > shades["two_tone_cel"] + 40
