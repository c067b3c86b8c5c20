"""Named colours are true on screen, and every palette tag looks different."""

import math

import pytest

from animatrix_jax.cels import palettes
from animatrix_jax.cels.palettes import draw_palette, from_oklab, to_oklab
from animatrix_jax.cels.random import Draws

COLOURED = [tag for tag in palettes.PALETTE_TAGS if tag != "monochrome"]
CHROMATIC = ("red", "pink", "blue", "green", "purple")


def chroma(colour):
    _, a, b = to_oklab(colour)
    return math.hypot(a, b)


def hue_apart(first, second):
    (_, a, b), (_, c, d) = to_oklab(first), to_oklab(second)
    turn = math.atan2(b, a) - math.atan2(d, c)
    return abs(math.remainder(turn, math.tau))


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.5, 0.9)])
def test_oklab_round_trip(colour):
    assert from_oklab(to_oklab(colour)) == pytest.approx(colour, abs=1e-5)


def test_oklab_of_white_is_one():
    assert to_oklab((1.0, 1.0, 1.0)) == pytest.approx((1.0, 0.0, 0.0), abs=1e-4)


@pytest.mark.parametrize("tag", COLOURED)
@pytest.mark.parametrize("name", CHROMATIC)
def test_named_hair_keeps_its_hue(tag, name):
    for seed in range(4):
        palette = draw_palette(Draws(seed), tag, "flat_cel", hair_colour=name)
        assert hue_apart(palette.hair, palettes.HAIR_COLOURS[name]) < 0.45
        assert chroma(palette.hair) > 0.06


@pytest.mark.parametrize("tag", COLOURED)
def test_neutral_hair_stays_neutral_and_ordered(tag):
    black, silver = (
        draw_palette(Draws(1), tag, "flat_cel", hair_colour=name).hair
        for name in ("black", "silver")
    )
    assert chroma(black) < 0.09 and chroma(silver) < 0.09
    assert to_oklab(silver)[0] - to_oklab(black)[0] > 0.3


@pytest.mark.parametrize("tag", COLOURED)
def test_cloth_is_what_was_named(tag):
    red = draw_palette(Draws(2), tag, "flat_cel", cloth_colour="red").cloth_a
    white = draw_palette(Draws(2), tag, "flat_cel", cloth_colour="white").cloth_a
    assert red[0] > 1.6 * red[1] and red[0] > 1.6 * red[2]
    assert chroma(white) < 0.06


@pytest.mark.parametrize("tag", palettes.PALETTE_TAGS)
def test_all_colours_are_displayable_and_shades_are_darker(tag):
    for seed in range(6):
        p = draw_palette(Draws(seed), tag, "two_tone_cel")
        pairs = (
            (p.skin, p.skin_shade),
            (p.hair, p.hair_shade),
            (p.hair_light, p.hair),
            (p.cloth_a, p.cloth_a_shade),
            (p.cloth_b, p.cloth_b_shade),
        )
        for light, dark in pairs:
            assert all(0.0 <= c <= 1.0 for c in (*light, *dark))
            assert to_oklab(light)[0] > to_oklab(dark)[0]


def test_manga_is_grey_and_says_no_colour():
    palette = draw_palette(Draws(5), "monochrome", "mono_manga", hair_colour="pink")
    for name in ("skin", "hair", "eye", "cloth_a", "sky", "ground", "accent", "line"):
        r, g, b = getattr(palette, name)
        assert max(r, g, b) - min(r, g, b) < 0.01
    r, g, b = palette.light((1.0, 0.5, 0.1))
    assert max(r, g, b) - min(r, g, b) < 0.01
    assert not palette.says_colour


def test_tags_set_the_scene_apart():
    skies = {
        tag: to_oklab(draw_palette(Draws(7), tag, "flat_cel").sky)
        for tag in palettes.PALETTE_TAGS
    }
    assert skies["low_key"][0] < 0.6 * skies["natural"][0]
    assert skies["neon"][0] < 0.8 * skies["natural"][0]
    assert skies["pastel"][0] > skies["natural"][0]
    c = {tag: math.hypot(a, b) for tag, (_, a, b) in skies.items()}
    assert c["vivid"] > 1.25 * c["natural"] > 1.25 * c["pastel"]


def test_same_draws_same_palette_and_naming_changes_only_the_name():
    named = draw_palette(Draws(9), "natural", "flat_cel", hair_colour="pink")
    again = draw_palette(Draws(9), "natural", "flat_cel", hair_colour="pink")
    other = draw_palette(Draws(9), "natural", "flat_cel", hair_colour="green")
    assert named == again
    assert named.hair != other.hair and named.sky == other.sky
    assert named.skin == other.skin and named.cloth_a == other.cloth_a


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="palette must be one of"):
        draw_palette(Draws(0), "sepia", "flat_cel")
    with pytest.raises(ValueError, match="hair colour must be one of"):
        draw_palette(Draws(0), "natural", "flat_cel", hair_colour="mauve")


@pytest.mark.parametrize("pigments", [palettes.USUAL, palettes.HELD_OUT])
def test_a_look_is_known_by_how_colours_are_whatever_they_were(pigments):
    """The grade bounds the colours of a set, also those of pigments never seen."""
    colours = (*pigments.accents, *pigments.cloth.values(), *pigments.sky)
    looks = {
        tag: [
            to_oklab(draw_palette(Draws(3), tag, "flat_cel").scene(colour))
            for colour in colours
        ]
        for tag in COLOURED
    }
    strength = {t: [math.hypot(a, b) for _, a, b in c] for t, c in looks.items()}
    lightness = {t: [light for light, _, _ in c] for t, c in looks.items()}
    hued = [i for i, c in enumerate(colours) if chroma(c) > 0.06]
    assert max(strength["natural"]) < 0.09 and max(strength["pastel"]) < 0.09
    assert min(strength["vivid"][i] for i in hued) > 0.09
    assert min(lightness["pastel"]) > 0.65 and max(lightness["low_key"]) < 0.5
    assert max(lightness["neon"]) < 0.65


@pytest.mark.parametrize("tag", ["vivid", "neon"])
def test_fair_skin_stays_fair_under_a_strong_look(tag):
    palette = draw_palette(Draws(3), tag, "flat_cel")
    for skin in palettes.SKIN[:2]:
        assert chroma(palette.cel(skin)) < 2.0 * chroma(skin) + 0.02
