"""Tags are read in any spelling, kept canonical, and never guessed."""

import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.tags import (
    format_tags,
    nearest,
    parse_tags,
    style_cluster,
)
from animatrix_jax.knowledge.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
VALUES = TAXONOMY.by_index


# Plain data for the strategies: type checks inside them would draw random numbers.
NAMES = [(value.tag, name) for value in VALUES for name in value.names]
EXCLUDES = {value.tag: set(value.excludes) for value in VALUES}
SINGLE = {field.key for field in TAXONOMY.fields if not field.multiple}


@st.composite
def spelled(draw):
    """A canonical tag, and it by any of its names, case, spacing and separators."""
    tag, name = draw(st.sampled_from(NAMES))
    case = draw(st.sampled_from([str, str.upper, str.title]))
    gap = draw(st.sampled_from(["_", " ", "-", "  "]))
    pad = draw(st.sampled_from(["", " ", "\t"]))
    text = pad.join(("", tag.partition("=")[0], "=", case(name), ""))
    return tag, text.replace("_", gap)


@st.composite
def consistent_tags(draw):
    """Canonical tags that may stand together, in any order."""
    chosen, taken = [], set()
    for tag in draw(st.lists(st.sampled_from(list(EXCLUDES)), unique=True)):
        field = tag.partition("=")[0]
        if not (field in taken & SINGLE or EXCLUDES[tag] & set(chosen)):
            chosen.append(tag)
            taken.add(field)
    return chosen


@settings(deadline=None)
@given(consistent_tags())
def test_round_trip_and_order(tags):
    canonical = parse_tags(tags)
    assert sorted(canonical) == sorted(tags)
    assert [TAXONOMY.value(tag).index for tag in canonical] == sorted(
        TAXONOMY.value(tag).index for tag in tags
    )
    assert parse_tags(format_tags(tags)) == canonical
    assert parse_tags(canonical) == canonical


@settings(deadline=None)
@given(spelled())
def test_any_spelling(pair):
    tag, spelling = pair
    assert parse_tags([spelling]) == (tag,)


def test_text_with_blanks_and_repeats():
    text = " vfx.lines=speed_lines,, motion.timing=twos ,vfx.lines=motion lines,"
    assert parse_tags(text) == ("motion.timing=twos", "vfx.lines=speed_lines")
    assert parse_tags("") == () == parse_tags([])


def test_unknown_is_dropped():
    assert parse_tags(["camera.angle=unknown", "motion.timing=ones"]) == (
        "motion.timing=ones",
    )


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("camera.camera_motion=pan_lft", "camera.camera_motion=pan_left"),
        ("camera_motion=pan_left", "camera.camera_motion=pan_left"),
        ("camera.camra_motion=pan_left", "camera.camera_motion=pan_left"),
        ("pan_left", "camera.camera_motion=pan_left"),
        ("motion.impact=hitstop", "vfx.impact=hitstop"),
        ("motion.deformation=obakke", "motion.deformation=multiples"),
        ("motion.deform_level=4", "motion.deform_level="),
        ("motion.timing=", "motion."),
        ("=", "="),
        ("zzzzzz", "="),
    ],
)
def test_unknown_tag_names_the_nearest(tag, expected):
    with pytest.raises(UserError) as caught:
        parse_tags([tag])
    message = str(caught.value)
    assert repr(tag) in message and "\n" not in message
    assert expected in message.partition("nearest: ")[2]


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_tags_or_one_line(text):
    try:
        assert all(tag in TAXONOMY.values_by_tag for tag in parse_tags([text]))
    except UserError as error:
        assert len(str(error).splitlines()) == 1


@settings(deadline=None)
@given(st.sampled_from(list(EXCLUDES)), st.integers(0, 100))
def test_nearest_mends_one_lost_letter(tag, place):
    key, _, name = tag.partition("=")
    assume(len(name) > 3)
    at = place % len(name)
    assert tag in nearest(f"{key}={name[:at]}{name[at + 1 :]}", count=5)


def test_a_tag_must_be_text():
    with pytest.raises(UserError, match="axis.field=value, got 3"):
        parse_tags(iter([3]))


def test_every_exclusion_is_an_error():
    for value in VALUES:
        for other in value.excludes:
            with pytest.raises(UserError, match="contradictory tags"):
                parse_tags([value.tag, other])


def test_two_values_of_a_single_field():
    for field in TAXONOMY.fields:
        for one, two in itertools.pairwise(field.values):
            if not field.multiple:
                with pytest.raises(UserError, match="takes one value"):
                    parse_tags([two.tag, one.tag])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("vfx.elemental=none", "vfx.elemental=fire"),
        ("camera.camera_motion=pan_left", "camera.camera_motion=pan_right"),
        ("camera.camera_motion=fix", "camera.camera_motion=shake"),
        ("motion.deform_level=0", "motion.deformation=smear"),
        ("style.rendering=mono_manga", "style.palette=neon"),
        ("style.era=cel_era", "style.video_style=3d_cg"),
        ("motion.motion_style=still", "motion.speed=explosive"),
        ("vfx.vfx_level=none", "vfx.energy=beam"),
    ],
)
def test_contradiction_names_both(one, two):
    with pytest.raises(UserError) as caught:
        parse_tags([one, two])
    assert one in str(caught.value) and two in str(caught.value)


def test_what_goes_together():
    together = (
        "camera.camera_motion=pan_left",
        "camera.camera_motion=pan_up",
        "camera.camera_motion=shake",
        "vfx.elemental=fire",
        "vfx.elemental=smoke",
    )
    assert parse_tags(together) == together


def test_a_style_cluster_is_rendering_and_palette():
    tags = ("style.rendering=watercolor", "style.line=rough", "style.palette=neon")
    assert style_cluster(tags) == "watercolor/neon"
    assert style_cluster(("style.line=rough", "style.palette=neon")) == "?/neon"
    spec = draw_spec(seed=1, index=0)
    look = (spec.value("style.rendering"), spec.value("style.palette"))
    assert style_cluster(spec.tags) == "/".join(look)
