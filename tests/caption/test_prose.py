"""Prose as tokens, there and back."""

import numpy as np
import pytest

from animatrix_jax.caption.prose import decode_prose, encode_prose
from animatrix_jax.data.tokenizer import Tokenizer
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
