"""Exposure sheets and spacing."""

import numpy as np
import pytest

from animatrix_jax.cels.timing import ease, ease_cycles, exposure_sheet


@pytest.mark.parametrize(
    "timing, rate", [("ones", 1), ("twos", 2), ("threes", 3), ("fours_plus", 4)]
)
def test_regular_exposure(timing, rate):
    sheet = exposure_sheet(timing, frames=17)
    assert sheet == tuple(frame // rate * rate for frame in range(17))


def test_held_is_one_drawing():
    assert set(exposure_sheet("held", frames=9)) == {0}


def test_modulated_is_faster_in_the_middle():
    sheet = exposure_sheet("modulated", frames=24)
    assert len(sheet) == 24
    assert len(set(sheet[:6])) < len(set(sheet[9:15])) == 6


def test_hitstop_freezes_the_hit():
    sheet = exposure_sheet("ones", frames=17, hit=9, hold=4)
    assert sheet[9:14] == (9,) * 5 and sheet[14] == 14


@pytest.mark.parametrize(
    "spacing", ["linear", "eased", "snap", "overshoot_settle", "vibration"]
)
def test_easing_keeps_its_ends(spacing):
    ends = ease(np.array([0.0, 1.0]), spacing)
    assert np.allclose(ends, [0.0, 1.0], atol=1e-9)
    beats = np.linspace(0, 4, 9)
    assert np.allclose(ease_cycles(beats, spacing)[::2], beats[::2])


def test_spacings_differ_as_they_should():
    s = np.linspace(0, 1, 101)
    assert ease(s, "overshoot_settle").max() > 1.05
    steps = {name: np.diff(ease(s, name)).max() for name in ("linear", "eased", "snap")}
    assert steps["linear"] < steps["eased"] < 0.6 * steps["snap"]


def test_an_unknown_spacing_is_an_error():
    with pytest.raises(ValueError, match="spacing"):
        ease(np.zeros(1), "bouncy")
