"""A vision-language model is held to the taxonomy, whatever it says."""

import dataclasses
import json

import jsonschema
import numpy as np
import pytest

from animatrix_jax.caption.vlm import VlmLabeller, vocabulary
from animatrix_jax.caption.vlm_schema import check, json_schema
from animatrix_jax.knowledge.labels import parse_label
from animatrix_jax.knowledge.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
SCHEMA = json_schema(TAXONOMY)
VIDEO = np.zeros((20, 16, 24, 3), np.uint8)
GOOD = {
    "tags": {"motion.timing": "twos", "vfx.impact": ["flash", "impact_frame"]},
    "confidence": {"motion.timing": 0.9, "vfx.impact": 0.7},
    "summary": "A girl  runs.",
    "description": "She runs.",
}


@dataclasses.dataclass
class Scripted:
    """Answers what it was told to."""

    answers: list
    digest: str = "scripted"
    heard: list = dataclasses.field(default_factory=list)

    def answer(self, images, turns):
        self.heard.append((len(images), list(turns)))
        return self.answers[len(self.heard) - 1]


def ask(*answers):
    chat = Scripted(list(answers))
    return VlmLabeller(name="vlm:x", chat=chat).label(VIDEO, 10.0), chat


def test_the_schema_is_a_schema_of_the_whole_taxonomy():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    fields = SCHEMA["properties"]["tags"]["properties"]
    assert set(fields) == set(TAXONOMY.fields_by_key)
    for field in TAXONOMY.fields:
        part = fields[field.key]
        names = part["items"]["enum"] if field.multiple else part["enum"]
        assert names == [*(v.name for v in field.values), "unknown"]


def test_a_good_answer_is_taken_at_once():
    caption, chat = ask(f"Here it is:\n```json\n{json.dumps(GOOD)}\n```")
    assert len(chat.heard) == 1 and chat.heard[0][0] == 8
    assert caption.tags == (
        "motion.timing=twos",
        "vfx.impact=impact_frame",
        "vfx.impact=flash",
    )
    assert caption.summary == "A girl runs."
    assert set(caption.confidence) == set(TAXONOMY.fields_by_key)
    assert parse_label(caption.line()).tags == caption.tags


def test_half_a_surrogate_pair_and_a_huge_number_do_no_harm():
    huge = '{"confidence": {"motion.timing": 1' + "0" * 5000 + "}}"
    caption, chat = ask(huge, json.dumps(GOOD | {"summary": "A \ud83d girl."}))
    assert len(chat.heard) == 2 and caption.summary == "A ? girl."
    assert parse_label(caption.line()).summary == "A ? girl."


def test_a_bad_answer_is_repaired_once():
    bad = GOOD | {"tags": {"motion.timing": "often"}}
    caption, chat = ask(json.dumps(bad), json.dumps(GOOD))
    turns = chat.heard[1][1]
    assert len(turns) == 3 and turns[1] == json.dumps(bad)
    assert "tags/motion.timing" in turns[2] and "often" in turns[2]
    assert "motion.timing=twos" in caption.tags


def test_what_stays_bad_is_unknown_and_the_rest_is_kept():
    bad = {"tags": {"motion.timing": "often", "style.line": "rough", "x.y": "z"}}
    caption, chat = ask("no idea", json.dumps(bad))
    assert len(chat.heard) == 2
    assert caption.tags == ("style.line=rough",)
    assert caption.confidence["motion.timing"] == 0.0


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"tags": 3}', "{" * 5000])
def test_nonsense_is_all_unknown(text):
    caption, _ = ask(text, text)
    assert caption.tags == () and set(caption.unknown) == set(TAXONOMY.fields_by_key)


def test_unknown_and_unsure_are_not_claimed():
    answer = {
        "tags": {"motion.timing": "unknown", "style.line": "rough"},
        "confidence": {"style.line": 0.2},
    }
    caption, chat = ask(json.dumps(answer))
    assert len(chat.heard) == 1 and caption.tags == ()


def test_contradictions_leave_the_surer():
    answer = {
        "tags": {"vfx.impact": ["none", "flash"]},
        "confidence": {"vfx.impact": 0.8},
    }
    caption, _ = ask(json.dumps(answer))
    assert len(caption.tags) == 1


def test_confidence_out_of_range_is_a_problem():
    answer = {"tags": {"style.line": "rough"}, "confidence": {"style.line": 3}}
    found = check(json.dumps(answer), SCHEMA)
    assert found.problems and found.confidence == {}
    assert found.tags == {"style.line": ("rough",)}


def test_the_vocabulary_names_every_value():
    told = vocabulary(TAXONOMY)
    assert all(f"{value.name} (" in told for value in TAXONOMY.by_index)


def test_the_digest_is_of_the_model_too():
    first, second = (
        VlmLabeller(name="vlm:x", chat=Scripted([], digest=d)) for d in "ab"
    )
    assert first.digest != second.digest
