"""Effect lines and impacts show where and when they should, and not elsewhere."""

import numpy as np
import pytest
import skia

from animatrix_jax.cels import effects as fx
from animatrix_jax.cels.palettes import draw_palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.shot import Shot
from animatrix_jax.cels.spec import EffectsSpec

FRAMES, HIT = 17, 6
PALETTE = draw_palette(Draws(1, "palette"), "natural", "flat_cel")
DRAWS = Draws(1, "effects")


def make(**given):
    plain = {
        "impact": (),
        "lines": (),
        "manpu": (),
        "elemental": (),
        "level": "accent",
        "hit": HIT,
        "hold": 0,
        "direction": (1.0, 0.0),
        "focus": (0.5, 0.45),
    }
    return EffectsSpec(**(plain | given))


def at(frame, *, canvas=None, aspect=1.0, draws=DRAWS):
    """The shot of a frame; what works on pixels alone needs no canvas of its own."""
    return Shot(
        canvas=canvas or skia.Surface(1, 1).getCanvas(),
        frame=frame,
        frames=FRAMES,
        aspect=aspect,
        draws=draws,
        palette=PALETTE,
    )


def shoot(effects, frame, *, size=32, aspect=1.0, draws=DRAWS):
    surface = skia.Surface(round(size * aspect), size)
    canvas = surface.getCanvas()
    canvas.clear(skia.Color4f(0.5, 0.6, 0.7, 1.0))
    canvas.scale(size, size)
    shot = at(frame, canvas=canvas, aspect=aspect, draws=draws)
    fx.apply_before(shot, effects)
    fx.apply_after(shot, effects)
    image = surface.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3]
    return np.ascontiguousarray(image)


def changed(effects, frame, **how):
    plain = shoot(make(), frame, **how).astype(int)
    apart = np.abs(shoot(effects, frame, **how) - plain).max(-1)
    return apart > 40


@pytest.mark.parametrize("size", [32, 128])
@pytest.mark.parametrize(
    "value", ["speed_lines", "focus_lines", "streak_background", "waver_lines"]
)
def test_lines_read_and_move(value, size):
    effects = make(lines=(value,))
    first, later = (shoot(effects, frame, size=size) for frame in (6, 9))
    assert changed(effects, 6, size=size).mean() > 0.04
    assert (np.abs(first.astype(int) - later).max(-1) > 30).mean() > 0.02


def test_no_effects_leave_the_picture_alone():
    image = shoot(make(), HIT)
    assert (image == image[0, 0]).all()
    assert fx.post(image, at(HIT), make()) is image


def test_focus_lines_leave_the_focus_open_and_boil_on_twos():
    effects = make(lines=("focus_lines",))
    marks = changed(effects, 4, size=128)
    assert not marks[45:70, 52:76].any()
    rim = np.concatenate([marks[0], marks[-1], marks[:, 0], marks[:, -1]])
    assert rim.mean() > 0.25
    assert (shoot(effects, 4) == shoot(effects, 5)).all()
    assert (shoot(effects, 4) != shoot(effects, 6)).any()


def test_speed_lines_follow_the_direction():
    def along(direction):
        effects = make(lines=("streak_background",), direction=direction)
        image = shoot(effects, 6, size=96).astype(float)
        return [np.abs(np.diff(image, axis=axis)).mean() for axis in (0, 1)]

    down, across = along((1.0, 0.0))
    assert down > 2.0 * across
    down, across = along((0.0, 1.0))
    assert across > 2.0 * down


def test_speed_lines_travel_against_the_motion():
    effects = make(lines=("speed_lines",))
    there, back = (
        make(lines=("speed_lines",)),
        make(lines=("speed_lines",), direction=(-1.0, 0.0)),
    )
    assert (shoot(there, 3) == shoot(effects, 3)).all()
    assert (shoot(there, 3) != shoot(back, 3)).any()


@pytest.mark.parametrize("value", ["impact_frame", "shockwave", "hitstop"])
def test_impacts_happen_at_the_hit_and_pass(value):
    effects = make(impact=(value,))
    assert not changed(effects, HIT - 1).any()
    assert changed(effects, HIT + 1).mean() > 0.03
    assert not changed(effects, FRAMES - 1).any()


def test_the_shockwave_grows():
    effects = make(impact=("shockwave",))
    widths = []
    for age in range(3, fx.SHOCK_FRAMES):
        columns = changed(effects, HIT + age, aspect=3.0, size=64).any(0).nonzero()[0]
        widths.append(columns.max() - columns.min())
    assert widths == sorted(widths) and widths[-1] > widths[0]


def picture():
    rng = np.random.default_rng(0)
    ramp = np.linspace(20, 220, 32)[None, :, None] + rng.uniform(-15, 15, (32, 32, 3))
    return ramp.astype(np.uint8)


def test_impact_frames_are_two_inks_and_negatives():
    effects = make(impact=("impact_frame",))
    image = picture()
    drawn = [fx.post(image, at(frame), effects) for frame in range(FRAMES)]
    for frame, result in enumerate(drawn):
        if HIT <= frame < HIT + fx.IMPACT_FRAMES:
            assert len(np.unique(result.reshape(-1, 3), axis=0)) <= 3
        else:
            assert (result == image).all()
    bright = [drawn[HIT + k].mean(-1) > 128 for k in range(2)]
    assert (bright[0] != bright[1]).mean() > 0.9
    assert 0.2 < bright[0].mean() < 0.8


def test_a_flash_whites_out_and_fades():
    effects = make(impact=("flash",))
    image = picture()
    means = [fx.post(image, at(HIT + k), effects).mean() for k in range(-1, 5)]
    assert means[1] > 235
    assert means[1] > means[2] > means[3] > means[4] == means[0] == image.mean()


def test_a_flash_waits_for_the_impact_frames():
    effects = make(impact=("impact_frame", "flash"))
    after = fx.post(picture(), at(HIT + fx.IMPACT_FRAMES), effects)
    assert after.mean() > 235


def test_the_hit_stays_inside_the_clip():
    assert fx.hit_frame(make(hit=40), FRAMES) == FRAMES - 1
    assert fx.hit_frame(make(hit=-1), FRAMES) == 0
