"""Symbols read at every size, stay with the head, and are alive."""

import numpy as np
import pytest
import skia

from animatrix_jax.cels.manpu import MANPU, draw_manpu
from animatrix_jax.cels.palettes import draw_palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.shot import Head, Shot

PALETTE = draw_palette(Draws(1, "palette"), "natural", "flat_cel")
MIDDLE = Head(0.5, 0.5, 0.22, 0.0)
ALIVE = sorted(set(MANPU) - {"blush", "gloom_lines"})


def at(frame, canvas, draws):
    return Shot(
        canvas=canvas,
        frame=frame,
        frames=17,
        aspect=1.0,
        draws=draws,
        palette=PALETTE,
    )


def shoot(value, *, frame=6, size=32, head=MIDDLE):
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.clear(skia.Color4f(0.98, 0.86, 0.76, 1.0))
    canvas.scale(size, size)
    draw_manpu(at(frame, canvas, Draws(3, "manpu")), value, head)
    return surface.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3].astype(int)


def marks(value, **how):
    image = shoot(value, **how)
    plain = np.array([250, 219, 194])
    return np.abs(image - plain).max(-1) > 25


@pytest.mark.parametrize("value", sorted(MANPU))
def test_symbols_read_large_and_small(value):
    assert marks(value).sum() >= 6
    assert marks(value, head=Head(0.5, 0.5, 0.09, 0.0), frame=8).sum() >= 3
    assert marks(value, size=256).sum() >= 6 * 36


@pytest.mark.parametrize("value", sorted(MANPU))
def test_symbols_follow_the_head(value):
    here = marks(value, size=128, head=Head(0.4, 0.5, 0.15, 0.0))
    there = marks(value, size=128, head=Head(0.4 + 16 / 128, 0.5, 0.15, 0.0))
    assert (np.roll(here, 16, axis=1) == there).mean() > 0.995


@pytest.mark.parametrize("value", ALIVE)
def test_symbols_are_alive(value):
    moved = (shoot(value, frame=3) != shoot(value, frame=8)).any()
    assert moved


@pytest.mark.parametrize("value", sorted(MANPU))
def test_symbols_are_coherent_from_frame_to_frame(value):
    """Neighbouring frames share most of what is drawn."""
    first, second = (marks(value, size=128, frame=frame) for frame in (9, 10))
    assert (first & second).sum() > 0.3 * (first | second).sum()


def test_the_canvas_is_left_as_it_was():
    canvas = skia.Surface(8, 8).getCanvas()
    draw_manpu(at(2, canvas, Draws(1)), "hearts", Head(0.5, 0.5, 0.2, 0.3))
    assert canvas.getSaveCount() == 1 and canvas.getTotalMatrix().isIdentity()


def test_an_unknown_symbol_is_refused():
    with pytest.raises(ValueError, match="manpu must be one of"):
        shoot("halo")
