"""Elements are visible at 32 pixels, and their particles travel instead of boiling."""

import numpy as np
import pytest
import skia

from animatrix_jax.cels.elementals import ELEMENTALS, draw_elemental
from animatrix_jax.cels.palettes import draw_palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.shot import Shot

FRAMES = 17
PALETTE = draw_palette(Draws(1, "palette"), "natural", "flat_cel")


def shoot(
    value, frame, *, size=32, seed=2, aspect=1.0, palette=PALETTE, level="accent"
):
    surface = skia.Surface(round(aspect * size), size)
    canvas = surface.getCanvas()
    canvas.clear(skia.Color4f(0.45, 0.55, 0.5, 1.0))
    canvas.scale(size, size)
    shot = Shot(
        canvas=canvas,
        frame=frame,
        frames=FRAMES,
        aspect=aspect,
        draws=Draws(seed, "elemental"),
        palette=palette,
    )
    draw_elemental(shot, value, level)
    return surface.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3].astype(int)


def marks(value, frame, **how):
    image = shoot(value, frame, **how)
    return np.abs(image - np.array([115, 140, 128])).max(-1) > 40


@pytest.mark.parametrize("value", sorted(ELEMENTALS))
def test_elements_show_in_most_of_the_clip(value):
    cover = np.array([marks(value, frame).mean() for frame in range(FRAMES)])
    assert (cover > 0.015).mean() > 0.7
    assert cover.max() < 0.75  # the character must still be seen


@pytest.mark.parametrize("value", sorted(ELEMENTALS))
def test_what_dominates_covers_more_than_an_accent(value):
    if value in ("lightning", "wind"):
        return  # a bolt and a gust are as long as the frame in any case
    cover = {
        level: np.mean([marks(value, f, level=level).mean() for f in range(FRAMES)])
        for level in ("accent", "dominant")
    }
    assert cover["dominant"] > 1.25 * cover["accent"]


@pytest.mark.parametrize("value", sorted(ELEMENTALS))
def test_elements_move(value):
    assert (shoot(value, 6) != shoot(value, 8)).any(-1).mean() > 0.02


@pytest.mark.parametrize("value", sorted(ELEMENTALS))
def test_frames_do_not_depend_on_the_order_they_are_drawn_in(value):
    later, first = shoot(value, 9), shoot(value, 4)
    assert (first == shoot(value, 4)).all() and (later == shoot(value, 9)).all()
    assert (later != shoot(value, 9, seed=5)).any()


@pytest.mark.parametrize("value", ["fire", "smoke", "dust", "snow", "explosion"])
def test_massive_elements_are_coherent(value):
    """A frame is nearer to its neighbour than to one far off."""
    base = shoot(value, 8, size=96)
    near = np.abs(shoot(value, 9, size=96) - base).mean()
    far = np.abs(shoot(value, 8, size=96, seed=9) - base).mean()
    assert near < far


def test_snow_falls():
    """The best vertical shift from one frame to the next is downwards."""
    first, second = (marks("snow", frame, size=128) for frame in (5, 6))
    agree = {
        shift: (np.roll(first, shift, axis=0) & second).sum() for shift in range(-6, 7)
    }
    assert max(agree, key=agree.get) > 0


@pytest.mark.parametrize("value", sorted(ELEMENTALS))
def test_wide_frames_are_filled_too(value):
    wide = [
        marks(value, frame, aspect=16 / 9, size=72) for frame in range(0, FRAMES, 2)
    ]
    columns = np.any(wide, axis=(0, 1)).nonzero()[0]
    assert columns.max() - columns.min() > 40


def test_manga_elements_are_grey():
    palette = draw_palette(Draws(1), "monochrome", "mono_manga")
    first, later = (
        np.abs(shoot("fire", frame, palette=palette) - shoot("fire", frame)).max()
        for frame in (3, 7)
    )
    assert min(first, later) > 60
    image = shoot("fire", 3, palette=palette)[-1]
    assert (image.max(-1) - image.min(-1)).max() < 8


def test_an_unknown_element_is_refused():
    with pytest.raises(ValueError, match="elemental must be one of"):
        shoot("magma", 0)
