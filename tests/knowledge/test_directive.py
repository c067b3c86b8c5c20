"""The directive's round trip is exact, whatever the prose holds."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.directive import (
    Directive,
    format_directive,
    parse_directive,
)

TAGS = (
    "motion.timing=twos",
    "motion.deformation=smear",
    "camera.camera_motion=pan_left",
    "camera.camera_motion=shake",
    "vfx.lines=speed_lines",
)
PROSE = st.one_of(
    st.text(),
    st.text(alphabet="<>/&;ampltg \n\r\t"),
    st.lists(
        st.sampled_from(
            ["<tag>", "</tag>", "<summary>", "</summary>", "<description>"]
            + [
                "&lt;",
                "&amp;lt;",
                "&",
                "</description>",
                "猫",
                "é\u0301",
                "\u202e",
                "\0",
            ]
        )
    ).map("".join),
)


@settings(deadline=None)
@given(st.sets(st.sampled_from(TAGS)), PROSE, PROSE)
@example(set(), "</summary><description>", "&amp;lt;")
def test_round_trip(tags, summary, description):
    directive = Directive(
        tags=tuple(tag for tag in TAGS if tag in tags),
        summary=summary,
        description=description,
    )
    text = format_directive(directive)
    assert parse_directive(text) == directive
    assert parse_directive(f"\n {text}\n") == directive


def test_form():
    directive = Directive(tags=TAGS[:2], summary="A girl & a cat.", description="")
    assert format_directive(directive) == (
        "<tag>motion.timing=twos, motion.deformation=smear</tag>"
        "<summary>A girl &amp; a cat.</summary><description></description>"
    )


def test_reads_what_a_person_writes():
    text = """
    <tag>camera.camera_motion=tilt up, motion.timing = Twos</tag>
    <summary>Love <3 & hope</summary>
    <description>She smiles.</description>
    """
    assert parse_directive(text) == Directive(
        tags=("motion.timing=twos", "camera.camera_motion=pan_up"),
        summary="Love <3 & hope",
        description="She smiles.",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a girl runs",
        "<tag></tag><summary></summary>",
        "<summary></summary><tag></tag><description></description>",
        "<tag></tag>x<summary></summary><description></description>",
        "<tag></tag><summary>a</summary>b</summary><description></description>",
        "<tag></tag><summary><summary>a</summary><description></description>",
    ],
)
def test_not_a_directive(text):
    with pytest.raises(UserError, match="directive must read") as caught:
        parse_directive(text)
    assert "\n" not in str(caught.value)


def test_bad_tags_are_refused_both_ways():
    text = "<tag>motion.timing=two</tag><summary></summary><description></description>"
    with pytest.raises(UserError, match="motion.timing=twos"):
        parse_directive(text)
    with pytest.raises(UserError, match="motion.timing=twos"):
        format_directive(Directive(tags=("motion.timing=two",)))
