"""Cel World draws every field of the taxonomy, and what it says it draws it draws."""

import numpy as np
import pytest
import skia

from animatrix_jax.cels import energy, finish, props
from animatrix_jax.cels.coverage import coverage
from animatrix_jax.cels.manpu import MANPU
from animatrix_jax.cels.palettes import draw_palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rarities import RARE, WEIGHTS
from animatrix_jax.cels.render import render
from animatrix_jax.cels.strips import example
from animatrix_jax.knowledge.taxonomy import load_taxonomy

SIZE = 64
PALETTE = draw_palette(Draws(1, "palette"), "natural", "two_tone_cel")
PLAIN = {
    "motion.idiom": "",
    "style.video_style": "2d_japanese_anime",
    "style.era": "modern_digital",
    "style.background": "painted",
    "motion.motion_style": "daily_acting",
    "motion.deformation": "none",
    "camera.angle": "eye",
    "camera.camera_motion": "fix",
    "vfx.manpu": "none",
    "vfx.energy": "none",
    "vfx.composite": "none",
}


def test_every_field_and_four_fifths_of_the_values():
    found = coverage()
    taxonomy = load_taxonomy()
    assert found.fields == taxonomy.num_fields and not found.undrawn_fields
    assert found.values == taxonomy.num_values
    assert found.drawn >= 0.8 * found.values
    assert found.drawn + len(found.undrawn) == found.values


def test_coverage_is_that_of_the_tables_that_draw():
    drawn = {f"{key}={value}" for key, table in WEIGHTS.items() for value in table}
    assert set(coverage().undrawn) == load_taxonomy().values_by_tag.keys() - drawn
    assert RARE["vfx.manpu"].keys() <= MANPU.keys()
    lights = {
        "rack_focus",
        "double_exposure",
        *finish.LAID_OVER,
    }  # two are the renderer's
    assert RARE["vfx.composite"].keys() == lights | {"none"}
    powers = {*energy.BEHIND, *energy.OVER, "transformation_glow", "none"}
    assert RARE["vfx.energy"].keys() == powers
    assert set(finish.ERAS) == RARE["style.era"].keys() - {"modern_digital"}


@pytest.mark.parametrize(
    "tag",
    [
        f"{key}={value}"
        for key, table in RARE.items()
        for value in table
        if value != PLAIN[key]
    ],
)
def test_a_rare_value_changes_the_picture(tag):
    """Beside the same clip with the field's plain value, from the reference's strips."""
    key, _, value = tag.partition("=")
    shown = example(key, value)
    assert value in shown.values(key)
    plain = example(key, PLAIN[key]) if PLAIN[key] else example("motion.timing", "ones")
    video, other = (render(s, height=SIZE, width=SIZE) for s in (shown, plain))
    apart = np.abs(video.astype(int) - other).max(-1) > 24
    # A symbol is small, but it is there.
    least = 0.004 if key == "vfx.manpu" else 0.02
    assert apart.mean((1, 2)).max() > least


def test_finish_is_the_same_for_a_frame_alone():
    image = np.full((40, 60, 3), 120, np.uint8)
    image[10:20] = (200, 40, 90)
    draws = Draws(4, "finish")
    for era in finish.ERAS:
        first, again = (
            finish.finish(image, ("grain", "gradient"), era, 3, draws, PALETTE)
            for _ in range(2)
        )
        other = finish.finish(image, ("grain", "gradient"), era, 4, draws, PALETTE)
        assert (first == again).all() and (first != other).any()


def test_no_finish_turns_white_into_another_colour():
    white = np.full((48, 48, 3), 255, np.uint8)
    draws = Draws(4, "finish")
    for era in ("modern_digital", *finish.ERAS):
        for composite in ((), ("bloom_diffusion",), ("grain",), ("lens_flare",)):
            done = finish.finish(white, composite, era, 3, draws, PALETTE)
            middle = done[12:36, 12:36].reshape(-1, 3)
            assert np.median(middle, axis=0).min() > 120, (era, composite)
            assert np.ptp(np.median(middle, axis=0)) < 90, (era, composite)


def test_hands_and_napes_stay_out_of_the_middle():
    for angle in ("pov", "over_shoulder"):
        surface = skia.Surface(96, 96)
        canvas = surface.getCanvas()
        canvas.clear(skia.ColorWHITE)
        canvas.scale(96, 96)
        power = energy.Power(
            canvas=canvas,
            frame=0,
            frames=9,
            aspect=1.0,
            draws=Draws(0),
            palette=PALETTE,
            hue=(1.0, 0.5, 0.2),
            actor=energy.Actor(
                head=(0.5, 0.3), hand=(0.6, 0.5), feet=(0.5, 0.9), radius=0.1, facing=1
            ),
        )
        props.draw_foreground(power, angle)
        marked = surface.toarray()[..., :3].min(-1) < 250
        assert 0.05 < marked.mean() < 0.35 and not marked[20:60, 34:58].any(), angle
