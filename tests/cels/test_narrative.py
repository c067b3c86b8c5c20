"""Narratives are true to the spec, short, varied, and in the taxonomy's own words."""

import re

import pytest

from animatrix_jax.cels.narrative import MAX_WORDS, narrate
from animatrix_jax.cels.palettes import HAIR_COLOURS
from animatrix_jax.cels.spec import draw_spec
from animatrix_jax.knowledge.mentions import find_mentions
from animatrix_jax.knowledge.taxonomy import load_taxonomy

COUNT = 120


@pytest.fixture(scope="module")
def pairs():
    specs = [draw_spec(seed=3, index=index) for index in range(COUNT)]
    return [(spec, narrate(spec)) for spec in specs]


def test_the_summary_names_subject_action_and_place(pairs):
    taxonomy = load_taxonomy()
    for spec, told in pairs:
        action = taxonomy.value(
            f"motion.motion_style={spec.value('motion.motion_style')}"
        )
        assert told.summary.startswith(f"A {spec.character.gender} ")
        assert f" {action.phrase} " in told.summary
        assert told.summary.endswith(f" {spec.character.place}.")


def test_descriptions_are_three_to_five_short_sentences(pairs):
    for _, told in pairs:
        sentences = re.findall(r"[A-Z][^.]*\.", told.description)
        assert " ".join(sentences) == told.description
        assert 3 <= len(sentences) <= 5
        assert len(f"{told.summary} {told.description}".split()) <= MAX_WORDS
        assert "  " not in told.description and " ." not in told.description


def test_descriptions_speak_of_the_clip_s_own_tags(pairs):
    taxonomy = load_taxonomy()
    camera = set()
    for spec, told in pairs:
        tags = {tag for tag in spec.tags}
        found = find_mentions(told.description, tags, taxonomy)
        keys = {mention.tag.partition("=")[0] for mention in found}
        assert {"camera.camera_motion", "camera.shot_size"} <= keys
        camera |= {mention.tag for mention in found}
    assert len(camera) > 45  # a varying subset, over many values


def test_nothing_is_said_that_is_not_tagged(pairs):
    """Any sentence-form phrase in the text belongs to a tag of the clip."""
    taxonomy = load_taxonomy()
    every = {value.tag for field in taxonomy.fields for value in field.values}
    stated = ("motion.", "camera.", "vfx.")
    for spec, told in pairs:
        for mention in find_mentions(told.description, every, taxonomy):
            if mention.form == "sentence" and mention.tag.startswith(stated):
                if mention.tag == "vfx.vfx_level=none":
                    continue
                assert mention.tag in spec.tags, (told.description, mention)


def test_colours_are_the_character_s_and_unsaid_in_monochrome(pairs):
    said = 0
    for spec, told in pairs:
        text = f"{told.summary} {told.description}"
        hair = re.search(rf"({'|'.join(HAIR_COLOURS)}) (hair|bob|ponytail|twint)", text)
        if spec.value("style.palette") == "monochrome":
            assert hair is None and " eyes" not in text
        elif hair:
            said += 1
            assert hair[1] == spec.character.hair_colour
    assert said > COUNT // 3


def test_narratives_are_pure_and_varied(pairs):
    spec, told = pairs[0]
    assert narrate(spec) == told
    assert len({told.summary for _, told in pairs}) > 0.8 * COUNT
    assert len({told.description for _, told in pairs}) > 0.95 * COUNT


def test_a_still_is_held():
    spec = draw_spec(seed=1, index=0, tags=("motion.motion_style=still",))
    assert "held on one drawing" in narrate(spec).description
