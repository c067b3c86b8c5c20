"""Prose is searched for what it says of tags, and only for that."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.knowledge import mentions
from animatrix_jax.knowledge.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()


def said(text, *tags):
    found = mentions.find_mentions(text, tags, TAXONOMY)
    return [text[mention.start : mention.end] for mention in found]


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        (
            "The camera pans left.",
            "camera.camera_motion=pan_left",
            "The camera pans left",
        ),
        ("A left pan begins.", "camera.camera_motion=pan_left", "left pan"),
        ("She is animated on twos", "motion.timing=twos", "animated on twos"),
        ("A smear in blue", "motion.deformation=smear", "smear"),
    ],
)
def test_finds(text, tag, expected):
    assert said(text, tag) == [expected]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a large sword on a still lake", "motion.amplitude=large"),
        ("a large sword on a still lake", "motion.motion_style=still"),
        ("a white dress", "style.background=white"),
        ("none of them", "vfx.impact=none"),
        ("a smeared wall", "motion.deformation=smear"),
        ("a run-down house, she runs-", "motion.motion_style=run"),
        ("a blast wave", "vfx.elemental=explosion"),
    ],
)
def test_leaves_alone(text, tag):
    assert said(text, tag) == []


def test_every_phrase_is_found_in_its_sentence():
    for field in TAXONOMY.fields:
        for value in field.values:
            found = said(field.state(value), value.tag)
            assert [f.casefold() for f in found] == [value.phrase.casefold()]


def test_no_wording_of_a_rival_speaks_of_the_value():
    for field in TAXONOMY.fields:
        for value in field.values:
            for rival in field.values:
                texts = (
                    *mentions.wordings(field, rival, "sentence"),
                    *mentions.wordings(field, rival, "name"),
                    field.state(rival),
                )
                if rival is not value:
                    assert not said("\n".join(texts), value.tag), (value.tag, texts)


@settings(deadline=None)
@given(st.text(alphabet=st.characters() | st.sampled_from("iIİıſKrunspal -")))
def test_any_text(text):
    tags = TAXONOMY.values_by_tag
    for mention in mentions.find_mentions(text, tags, TAXONOMY):
        assert mention.tag in tags and text[mention.start : mention.end]


def test_replace_keeps_the_case():
    text = "The camera rolls."
    (mention,) = mentions.find_mentions(text, ("camera.camera_motion=roll",), TAXONOMY)
    assert mentions.replace(text, mention, "the frame turns") == "The frame turns."
