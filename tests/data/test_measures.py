"""Measures against motions whose amplitude, deformation and cadence are known."""

import cv2
import numpy as np
import pytest

from animatrix_jax.data.measures import measure, optical_flow


def _texture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 255, (height // 6 + 1, width // 6 + 1, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def _pan(frames, size, speed, every=1):
    """A pan of `speed` pixels a drawing, each drawing held for `every` frames."""
    height, width = size
    image = _texture(height, width * 4)
    left = [round(t // every * speed) for t in range(frames)]
    return np.stack([image[:, x : x + width] for x in left])


@pytest.mark.parametrize("size", [(32, 32), (96, 128)])
def test_flow_points_where_the_picture_went(size):
    video = _pan(4, size, 2)  # the camera goes right, so the picture goes left
    flow = optical_flow(video)
    assert flow.shape == (3, *size, 2)
    inner = flow[:, 6:-6, 6:-6].mean((0, 1, 2))
    np.testing.assert_allclose(inner, [-2, 0], atol=0.3)


@pytest.mark.parametrize("speed", [1, 2, 4])
def test_a_pan_is_motion_and_no_deformation(speed):
    found = measure(_pan(9, (96, 96), speed))
    assert found.motion == pytest.approx(speed / 96, rel=0.2)
    assert found.deformation < 0.2 * found.motion


def _figure(frames, shape, ground_speed=0):
    """A textured disc of changing half-axes (shape(t)) on a ground."""
    ground = _texture(96, 96 * 3, seed=1)
    skin = _texture(400, 400, seed=2)
    video = []
    for t in range(frames):
        x = t * ground_speed
        image = ground[:, x : x + 96].copy()
        offset, bend = shape(t)
        rows, columns = np.mgrid[0:96, 0:96].astype(np.float32)
        u = columns - 48 - offset
        v = rows - 48
        u = u + bend * np.sin(v / 8)
        inside = u**2 + v**2 < 26**2
        at = [(axis * 3 + 200).astype(np.float32) for axis in (u, v)]
        sampled = cv2.remap(skin, *at, interpolation=cv2.INTER_LINEAR)
        image[inside] = sampled[inside]
        video.append(image)
    return np.stack(video)


def test_a_figure_that_slides_deforms_less_than_one_that_bends():
    slides = measure(_figure(9, lambda t: (2.0 * t - 8, 0.0)))
    bends = measure(_figure(9, lambda t: (0.0, 6.0 * np.sin(t))))
    assert bends.motion < slides.motion
    assert bends.deformation > 1.25 * slides.deformation


@pytest.mark.parametrize("ground_speed", [0, 2])
@pytest.mark.parametrize(
    ("every", "cadence"), [(1, "ones"), (2, "twos"), (3, "threes"), (99, "held")]
)
def test_cadence_of_the_figure(every, cadence, ground_speed):
    # A pan on ones under a figure on twos is still on twos, and held is held.
    def shape(t):
        drawing = t // every
        return 1.5 * drawing * np.cos(drawing) - ground_speed * t, 5.0 * np.sin(drawing)

    found = measure(_figure(19, shape, ground_speed))
    assert found.cadence == cadence, found


def test_parallax_is_no_deformation_and_a_bend_before_it_is():
    far, near = _texture(96, 500, seed=3), _texture(96, 500, seed=4)
    held, bends = [], []
    rows, columns = np.mgrid[0:96, 0:96].astype(np.float32)
    for t in range(13):
        image = far[:, t : t + 96].copy()
        image[60:] = near[60:, 3 * t : 3 * t + 96]
        held.append(image)
        skin = _texture(200, 200, seed=5)
        bent = columns - 48 + 5.0 * np.sin(t) * np.sin(rows / 8)
        at = (bent * 2 + 100, (rows - 40) * 2 + 100)
        sampled = cv2.remap(skin, *map(np.float32, at), interpolation=cv2.INTER_LINEAR)
        inside = bent**2 + (rows - 40) ** 2 < 24**2
        image = image.copy()
        image[inside] = sampled[inside]
        bends.append(image)
    held, bends = measure(np.stack(held)), measure(np.stack(bends))
    assert held.deformation < 0.2 * held.motion
    assert bends.deformation > 4 * held.deformation


def _moved(move, frames=13):
    """A painted ground under an affine camera; move(t) is (x, y, scale, turn)."""
    ground = _texture(400, 400, seed=6)
    video = []
    for t in range(frames):
        x, y, scale, turn = move(t)
        matrix = cv2.getRotationMatrix2D((200, 200), np.degrees(-turn), scale)
        matrix[:, 2] += (x - 152, y - 152)
        video.append(cv2.warpAffine(ground, matrix, (96, 96)))
    return measure(np.stack(video))


@pytest.mark.parametrize(
    ("moves", "move"),
    [
        (("fix",), lambda t: (0, 0, 1, 0)),
        (("pan_left",), lambda t: (1.5 * t, 0, 1, 0)),
        (("pan_right",), lambda t: (-1.5 * t, 0, 1, 0)),
        (("pan_up",), lambda t: (0, 1.5 * t, 1, 0)),
        (("pan_down",), lambda t: (0, -1.5 * t, 1, 0)),
        (("truck_up",), lambda t: (0, 0, 1.02**t, 0)),
        (("truck_back",), lambda t: (0, 0, 1.3 * 0.98**t, 0)),
        (("roll",), lambda t: (0, 0, 1, 0.02 * t)),
        (("shake",), lambda t: (0, 3 * (-1) ** t, 1, 0)),
    ],
)
def test_camera_moves_are_named(moves, move):
    found = _moved(move)
    assert found.camera == moves, found
    assert found.cadence == "held", found


def test_amounts_of_the_camera_are_right():
    found = _moved(lambda t: (1.5 * t, 0, 1, 0))
    assert found.pan_x == pytest.approx(18 / 96, rel=0.1)
    found = _moved(lambda t: (0, 0, 1.02**t, 0))
    assert found.zoom == pytest.approx(12 * np.log(1.02), rel=0.1)
    found = _moved(lambda t: (0, 0, 1, 0.02 * t))
    assert found.turn == pytest.approx(0.24, rel=0.1)


def test_flat_colour_and_lines_are_shares_of_the_picture():
    flat = np.full((3, 100, 100, 3), 200, np.uint8)
    assert measure(flat).flatness == 1 and measure(flat).line_density == 0
    lined = flat.copy()
    lined[:, :, 10::25] = 20  # four lines of one pixel
    found = measure(lined)
    assert found.line_density == pytest.approx(0.04, abs=0.005)
    assert found.flatness == pytest.approx(0.8, abs=0.05)
    assert measure(_texture(96, 96)[None].repeat(3, axis=0)).flatness < 0.1


def test_a_still_has_no_motion():
    found = measure(np.repeat(_texture(32, 32)[None], 17, axis=0))
    assert found.motion == 0 and found.deformation == 0
    assert found.cadence == "held"
    with pytest.raises(ValueError, match="expected 2 frames"):
        measure(_texture(32, 32)[None])
