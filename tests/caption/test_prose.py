"""Prose as tokens, there and back."""

import numpy as np
import pytest

from animatrix_jax.caption.prose import decode_prose, encode_prose, silenced
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.knowledge.mentions import find_mentions
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.training.weights import load_component

SUMMARY = "A girl with long pink hair runs along a city street."
DESCRIPTION = "The camera pans left. She moves fast; petals drift by."


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(load_component("pico", "text").tokenizer)


def test_there_and_back(tokenizer):
    found = encode_prose(
        [SUMMARY, ""], [DESCRIPTION, ""], tokenizer=tokenizer, length=112
    )
    told = decode_prose(found.tokens[0], tokenizer=tokenizer)
    assert told == (SUMMARY, DESCRIPTION)
    assert decode_prose(found.tokens[1], tokenizer=tokenizer) == ("", "")
    assert found.mask.sum(axis=1)[1] == 2  # the mark and </s>


def test_what_is_too_long_keeps_its_end_mark(tokenizer):
    found = encode_prose([SUMMARY], [DESCRIPTION], tokenizer=tokenizer, length=10)
    assert found.mask.all() and found.tokens[0, -1] == 1
    assert SUMMARY.startswith(decode_prose(found.tokens[0], tokenizer=tokenizer)[0])


def test_a_text_without_the_mark_is_a_summary(tokenizer):
    tokens = tokenizer.encode([SUMMARY], 64).tokens[0]
    assert decode_prose(tokens, tokenizer=tokenizer) == (SUMMARY, "")
    assert decode_prose(np.zeros(4, np.int32), tokenizer=tokenizer) == ("", "")


FIXED, FULL = "camera.camera_motion=fix", "camera.shot_size=full"


@pytest.mark.parametrize(
    ("text", "claimed", "left"),
    [
        (
            "A girl with a purple ponytail transforms in a classroom.",
            (),
            "A girl with a purple ponytail is seen in a classroom.",
        ),
        (
            (
                "She wears a dress, looking surprised. The camera stays fixed in a "
                "full-body shot. The shot plays without any effects."
            ),
            (FIXED, FULL),
            "She wears a dress. The camera stays fixed in a full-body shot.",
        ),
        (
            "In a full-body shot at eye level, the camera stays fixed.",
            (FIXED,),
            "The camera stays fixed.",
        ),
        (
            (
                "The motion is animated on threes with small movements, with smear frames "
                "and with snappy hold-and-release spacing."
            ),
            ("motion.amplitude=small", "motion.spacing=snap"),
            (
                "The motion is animated with small movements, with snappy "
                "hold-and-release spacing."
            ),
        ),
        (
            "The moment is marked with a streaking background and with splashing liquid.",
            ("vfx.lines=streak_background",),
            "The moment is marked with a streaking background.",
        ),
        (
            "A boy looking sad talks against a plain white background.",
            ("motion.motion_style=dialogue",),
            "A boy talks against a plain background.",
        ),
        (
            "The motion is animated on threes with small movements.",
            ("motion.timing=twos", "motion.amplitude=small"),
            "The motion is animated with small movements.",
        ),
        ("", (), ""),
    ],
)
def test_nothing_is_said_of_what_is_not_claimed(text, claimed, left):
    assert silenced(text, claimed) == left


def test_of_any_narrative_the_claimed_mentions_stay_and_no_others():
    taxonomy = load_taxonomy()
    every = taxonomy.values_by_tag.keys()
    rng = np.random.default_rng(0)
    world = CelWorld(seed=5, size=80, frames=9, height=16, width=16)
    heard = 0
    for index in range(80):
        told, tags = world.narrative(index), world.spec(index).tags
        fields = {tag.partition("=")[0] for tag in tags if rng.random() < 0.5}
        claimed = [tag for tag in tags if tag.partition("=")[0] in fields]
        for text in (told.summary, told.description):
            before, after = (
                [m.tag for m in find_mentions(t, every, taxonomy)]
                for t in (text, silenced(text, claimed))
            )
            assert after == [t for t in before if t.partition("=")[0] in fields], text
            heard += len(after)
            assert not set("\0") & set(silenced(text, claimed))
            assert "  " not in silenced(text, claimed)
            assert silenced(text, tags) == text
    assert heard > 100
