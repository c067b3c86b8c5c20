"""The set is photographed once where nothing moves, and the lens is on one plane."""

import numpy as np
import pytest
import skia

from animatrix_jax.cels.page import Page
from animatrix_jax.cels.rostrum import RackFocus, SetPhoto
from animatrix_jax.cels.sets import Board
from animatrix_jax.cels.spec import draw_spec

SIZE, FRAMES = 24, 9


def spec(composite="none"):
    tags = ("style.rendering=two_tone_cel", f"vfx.composite={composite}")
    return draw_spec(seed=0, index=3, frames=FRAMES, tags=tags)


def board(step=0.0):
    """Stripes that slide ``step`` pixels a frame."""
    pixels = np.zeros((SIZE, 4 * SIZE, 4), np.uint8)
    pixels[:, ::4] = 255
    pixels[..., 3] = 255
    matrices = np.tile(np.eye(3), (FRAMES, 1, 1))
    matrices[:, 0, 2] = -step * np.arange(FRAMES)
    return Board(image=skia.Image.fromarray(pixels), matrices=matrices)


def shots(photo):
    page, found = Page(SIZE, SIZE), []
    for frame in range(FRAMES):
        photo.draw(page, frame)
        found.append(page.pixels.copy())
        page.canvas.clear(skia.ColorRED)  # what is drawn over it must not stay
    return np.stack(found)


@pytest.mark.parametrize("step", [0.0, 1.0])
def test_every_frame_shows_the_boards_where_they_are(step):
    plain = spec()
    found = shots(SetPhoto(plain, [board(step)], RackFocus(plain, height=SIZE)))
    for frame, image in enumerate(found):
        columns = np.arange(SIZE) + round(step * frame)
        expected = np.where(columns % 4 == 0, 255, 0)
        np.testing.assert_array_equal(image[..., 0], np.tile(expected, (SIZE, 1)))


def test_a_rack_of_focus_goes_from_one_plane_to_the_other():
    rack = RackFocus(spec("rack_focus"), height=100)
    far = np.array([rack.set_blur(t) for t in range(FRAMES)])
    near = np.array([rack.figure_blur(t) for t in range(FRAMES)])
    assert rack.wanted
    np.testing.assert_allclose(far + near, far.max())
    assert sorted((far[0], far[-1])) == [0.0, pytest.approx(2.6)]
    assert (np.diff(far) >= 0).all() or (np.diff(far) <= 0).all()


def test_a_still_set_out_of_focus_is_photographed_anew():
    racked = spec("rack_focus")
    found = shots(SetPhoto(racked, [board()], RackFocus(racked, height=4 * SIZE)))
    ends = np.ptp(found[0, SIZE // 2, :, 0]), np.ptp(found[-1, SIZE // 2, :, 0])
    assert max(ends) == 255 and min(ends) < 200


def test_without_a_rack_nothing_is_blurred():
    rack = RackFocus(spec(), height=100)
    assert not rack.wanted
    for frame in range(FRAMES):
        assert rack.set_blur(frame) == rack.figure_blur(frame) == 0.0
