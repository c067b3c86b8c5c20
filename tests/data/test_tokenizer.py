"""The tokenizer: round trips in any script, its fixed ids, and determinism."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.data.tokenizer import (
    EOS,
    NUM_SENTINELS,
    PAD,
    Tokenizer,
    train_tokenizer,
)
from animatrix_jax.data.unigram import best_segmentation, learn_pieces
from animatrix_jax.errors import UserError

CORPUS = [
    f"{who} {how} {what} {where}."
    for who in ("a girl", "the boy with a sword", "an old fox spirit", "夜の少女")
    for how in ("slowly", "suddenly", "with a smile")
    for what in ("runs", "jumps over the puddle", "turns to the camera")
    for where in ("at dusk", "under falling petals", "across the rooftops")
]
VOCABULARY = 480


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "deep" / "tokenizer.json"
    train_tokenizer(CORPUS, VOCABULARY, path)
    return path


@pytest.fixture(scope="session")
def tokenizer(path):
    return Tokenizer.from_file(path)


def ids(tokenizer, text: str, length: int = 400) -> list[int]:
    tokens = tokenizer.encode([text], length)
    return tokens.tokens[0][tokens.mask[0]].tolist()


@pytest.mark.parametrize(
    "text",
    [
        "a girl jumps over the puddle at dusk.",
        "日本語のテキストと、漢字。",
        "emoji 🎬👩‍🎤 and ünïcödé",
        "¿Кто там?",
    ],
)
def test_any_script_comes_back(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20))
def test_what_is_decoded_encodes_to_the_same(tokenizer, text):
    """Compatibility forms fold once, after which nothing is lost."""
    once = tokenizer.decode(ids(tokenizer, text))
    assert tokenizer.decode(ids(tokenizer, once)) == once


def test_blanks_fold(tokenizer):
    assert ids(tokenizer, "  a\tgirl \n runs ") == ids(tokenizer, "a girl runs")


def test_known_words_are_short_and_nothing_is_unknown(tokenizer):
    assert len(ids(tokenizer, "a girl runs at dusk.")) <= 8
    assert 2 not in ids(tokenizer, "a girl 驫 runs at dusk \U0001f9da.")


def test_fixed_ids(tokenizer):
    assert tokenizer.vocab_size == VOCABULARY
    assert tokenizer.sentinel(0) == VOCABULARY - 1
    assert tokenizer.sentinel(NUM_SENTINELS - 1) == VOCABULARY - NUM_SENTINELS
    with pytest.raises(ValueError, match="sentinel 32"):
        tokenizer.sentinel(NUM_SENTINELS)
    assert ids(tokenizer, "") == [EOS]
    assert ids(tokenizer, "the <extra_id_3>")[-2] == tokenizer.sentinel(3)


def test_batches_are_padded_and_cut_before_the_end(tokenizer):
    texts = [CORPUS[0], "", "a girl " * 30]
    tokens = tokenizer.encode(texts, 16)
    assert tokens.tokens.shape == tokens.mask.shape == (3, 16)
    assert tokens.tokens.dtype == np.int32
    np.testing.assert_array_equal(tokens.mask.sum(1)[1:], [1, 16])
    assert tokens.tokens[2, -1] == EOS
    for row, mask in zip(tokens.tokens, tokens.mask, strict=True):
        assert row[mask.sum() - 1] == EOS
        assert (row[~mask] == PAD).all()
    whole = ids(tokenizer, texts[2])
    assert tokens.tokens[2, :-1].tolist() == whole[:15]


def test_a_worker_gets_the_same_tokenizer(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert ids(copy, CORPUS[5]) == ids(tokenizer, CORPUS[5])


def test_training_is_deterministic(path, tmp_path):
    """In another process, with another hash seed, and from a generator."""
    again = tmp_path / "tokenizer.json"
    code = (
        "import sys; from animatrix_jax.data.tokenizer import train_tokenizer\n"
        "corpus = (line for line in sys.stdin.read().split('\\n'))\n"
        f"train_tokenizer(corpus, {VOCABULARY}, sys.argv[1])"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(again)],
        input="\n".join(CORPUS),
        encoding="utf-8",
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONUTF8": "1"},
        check=True,
    )
    assert again.read_bytes() == path.read_bytes()


def test_a_small_corpus_still_fills_the_vocabulary(tmp_path):
    tokenizer = train_tokenizer(["ab ab"], 400, tmp_path / "t.json")
    assert tokenizer.vocab_size == 400
    assert tokenizer.sentinel(0) == 399
    with pytest.raises(ValueError, match="over 291"):
        train_tokenizer(["ab"], 291, tmp_path / "t.json")


@pytest.mark.parametrize("content", ["{", "{}", "not json\nat all"])
def test_a_bad_file_is_one_line(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(UserError, match="tokenizer") as caught:
        Tokenizer.from_file(path)
    assert "\n" not in str(caught.value)


def test_unigram_finds_the_words_that_the_corpus_is_made_of():
    words = {"redfox": 40, "redsky": 40, "bluefox": 40, "bluesky": 40}
    scores = dict(learn_pieces(words, 26))
    assert len(scores) <= 26
    assert set("redfoxskyblu") <= scores.keys()
    assert best_segmentation("redfox", scores) in (["redfox"], ["red", "fox"])
    expected = sum(np.exp(score) for score in scores.values())
    assert abs(expected - 1) < 0.05


def test_best_segmentation_beats_every_other():
    scores = {"a": -3.0, "b": -3.5, "ab": -4.0, "ba": -4.2, "aba": -7.0}

    def every(word):
        if not word:
            yield 0.0
        for end in range(1, len(word) + 1):
            if word[:end] in scores:
                yield from (scores[word[:end]] + rest for rest in every(word[end:]))

    for word in ("abab", "baaba", "ababab"):
        total = sum(scores[piece] for piece in best_segmentation(word, scores))
        assert total == pytest.approx(max(every(word)))
