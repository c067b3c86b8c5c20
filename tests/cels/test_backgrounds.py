"""Sets cover all that a camera can see, stay the same, and differ by tag."""

import numpy as np
import pytest
import skia

from animatrix_jax.cels import backgrounds
from animatrix_jax.cels.palettes import draw_palette
from animatrix_jax.cels.random import Draws

ALL = [
    (tag, place)
    for places in (backgrounds.PLACES, backgrounds.HELD_OUT_PLACES)
    for tag, table in places.items()
    for place in table
]
PALETTE = draw_palette(Draws(1, "palette"), "natural", "flat_cel")


def shoot(planes, *, height=60, pan=(0.0, 0.0), zoom=1.0, roll=0.0):
    """A frame over magenta, which no set paints."""
    surface = skia.Surface(height, height)
    canvas = surface.getCanvas()
    canvas.clear(skia.Color4f(1.0, 0.0, 1.0, 1.0))
    for plane in planes:
        canvas.save()
        canvas.translate(height / 2, height / 2)
        canvas.rotate(roll)
        canvas.scale(zoom * height, zoom * height)
        canvas.translate(-pan[0] * plane.parallax, -pan[1] * plane.parallax)
        plane.draw(canvas)
        canvas.restore()
    return surface.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3].astype(int)


def holes(image):
    r, g, b = image[..., 0], image[..., 1], image[..., 2]
    return int(((r > 230) & (g < 25) & (b > 230)).sum())


@pytest.mark.parametrize(("tag", "place"), ALL)
def test_no_camera_move_finds_an_edge(tag, place):
    planes = backgrounds.make_background(Draws(3), tag, PALETTE, place).planes
    views = [
        {"pan": (-3.4, -1.9)},
        {"pan": (3.4, 1.9)},
        {"zoom": 0.25, "roll": 8.0, "height": 48},
    ]
    assert [holes(shoot(planes, **view)) for view in views] == [0, 0, 0]


@pytest.mark.parametrize(("tag", "place"), ALL)
def test_planes_run_from_back_to_front(tag, place):
    background = backgrounds.make_background(Draws(4), tag, PALETTE, place)
    parallax = [plane.parallax for plane in background.planes]
    assert parallax == sorted(parallax) and 0.0 <= parallax[0] <= parallax[-1] <= 1.0
    assert background.place == place


@pytest.mark.parametrize("tag", backgrounds.PLACES)
def test_a_set_is_a_pure_function_of_its_draws(tag):
    def image(seed):
        draws = Draws(seed, "background")
        place = backgrounds.draw_place(draws.child("place"), tag)
        made = backgrounds.make_background(draws, tag, PALETTE, place)
        return shoot(made.planes)

    assert (image(8) == image(8)).all()
    if tag != "white":
        assert any((image(seed) != image(8)).any() for seed in (9, 10, 11))


def test_clipping_does_not_change_what_is_seen():
    """Parts out of view are skipped; that must never show.

    Skia covers a clipped edge by slightly other sums, so a few single pixels of edges
    may differ a little; a part left out would be a patch.
    """
    for place in backgrounds.SETS:
        planes = backgrounds.make_background(Draws(6), "painted", PALETTE, place).planes
        whole = shoot(planes, height=128)
        surface = skia.Surface(128, 128)
        canvas = surface.getCanvas()
        canvas.clipRect(skia.Rect.MakeLTRB(40, 0, 88, 128))
        canvas.translate(64, 64)
        canvas.scale(128, 128)
        for plane in planes:
            plane.draw(canvas)
        part = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3]
        apart = np.abs(part[:, 41:87].astype(int) - whole[:, 41:87])
        assert (apart.max(-1) > 24).mean() < 0.001, place


def test_photographs_carry_more_fine_detail_than_paint():
    def detail(tag):
        total = 0.0
        for place in ("a city street", "a school corridor", "a beach"):
            made = backgrounds.make_background(Draws(2), tag, PALETTE, place)
            image = shoot(made.planes, height=128)
            total += np.abs(np.diff(image, axis=1)).mean()
        return total

    assert detail("photo_based") > 1.15 * detail("painted")


def test_white_is_white_and_night_is_dark():
    white = backgrounds.make_background(Draws(1), "white", PALETTE)
    assert shoot(white.planes).min() > 245
    day, night = (
        backgrounds.make_background(Draws(1), "painted", PALETTE, place)
        for place in ("a city street", "a city street at night")
    )
    assert shoot(night.planes).mean() < 0.75 * shoot(day.planes).mean()


def test_places_can_be_spoken_of():
    for _, place in ALL:
        assert place.startswith("a ")
        assert backgrounds.preposition(place, "moving")
        assert backgrounds.preposition(place, "standing")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="background must be one of"):
        backgrounds.draw_place(Draws(0), "marble")
    with pytest.raises(ValueError, match="white shows one of"):
        backgrounds.make_background(Draws(0), "white", PALETTE, "a forest")
    with pytest.raises(ValueError, match="no place"):
        backgrounds.preposition("the moon", "moving")
