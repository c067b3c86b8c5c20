"""A Unigram vocabulary learned the same way every time (Kudo 2018, arXiv:1804.10959).

    p(word) = sum over segmentations of prod p(piece)

Candidates are all substrings that occur more than once. Then, until few enough are left:
expectation maximisation sets p to the expected share of each piece, and the pieces whose
removal costs the corpus least likelihood go. Single characters stay.

The trainer of Hugging Face's `tokenizers` walks hash maps in an order that changes from
run to run, so its scores do too; this one is pure Python over the distinct words, and
gives the same list for the same corpus. It is meant for small vocabularies.
"""

import collections
import math
from collections.abc import Iterable, Mapping

MAX_PIECE = 16
_CANDIDATES_PER_PIECE = 6
_KEPT_PER_ROUND = 0.65
_EM_STEPS = 2
# A piece expected less often than this is noise.
_LEAST_EXPECTED = 0.5


def learn_pieces(words: Mapping[str, int], count: int) -> list[tuple[str, float]]:
    """At most `count` pieces with their log probabilities, most likely first.

    Args:
      words: how often each word occurs; pieces never cross from one to the next.
    """
    words = dict(sorted(words.items()))
    alphabet = _alphabet(words, count)
    scores = _candidates(words, alphabet, _CANDIDATES_PER_PIECE * count)
    while True:
        for _ in range(_EM_STEPS):
            scores = _maximise(_expected(words, scores), alphabet)
        if len(scores) <= count:
            break
        keep = max(count, int(_KEPT_PER_ROUND * len(scores)))
        scores = _prune(words, scores, alphabet, keep)
    # Rounded, so that the last bit of a platform's logarithm cannot show.
    rounded = [(piece, round(score, 4)) for piece, score in scores.items()]
    return sorted(rounded, key=lambda pair: (-pair[1], pair[0]))


def best_segmentation(word: str, scores: Mapping[str, float]) -> list[str]:
    """The likeliest pieces of a word; a character without a piece stands alone."""
    unknown = min(scores.values(), default=0.0) - 10.0
    best = [0.0] + [-math.inf] * len(word)
    start = [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        for begin in range(max(0, end - MAX_PIECE), end):
            score = scores.get(word[begin:end], unknown if end - begin == 1 else None)
            if score is not None and best[begin] + score > best[end]:
                best[end], start[end] = best[begin] + score, begin
    pieces = []
    end = len(word)
    while end:
        pieces.append(word[start[end] : end])
        end = start[end]
    return pieces[::-1]


def _alphabet(words: Mapping[str, int], count: int) -> set[str]:
    """The commonest characters; rare ones of a large script are left to bytes."""
    characters: collections.Counter[str] = collections.Counter()
    for word, times in words.items():
        for character in word:
            characters[character] += times
    return set(_first(characters, max(1, count // 2)))


def _candidates(
    words: Mapping[str, int], alphabet: set[str], limit: int
) -> dict[str, float]:
    """The substrings that cover most of the corpus, and the alphabet."""
    seen: collections.Counter[str] = collections.Counter()
    for word, times in words.items():
        for begin in range(len(word)):
            for end in range(begin + 1, min(begin + MAX_PIECE, len(word)) + 1):
                if word[end - 1] not in alphabet:
                    break
                seen[word[begin:end]] += times
    cover = {
        piece: times * len(piece)
        for piece, times in seen.items()
        if len(piece) == 1 or times > 1
    }
    kept = dict.fromkeys([*sorted(alphabet), *_first(cover, limit)])
    total = sum(cover[piece] for piece in kept)
    return {piece: math.log(cover[piece] / total) for piece in sorted(kept)}


def _expected(
    words: Mapping[str, int], scores: Mapping[str, float]
) -> dict[str, float]:
    """How often each piece is used, over all segmentations of all words."""
    expected = dict.fromkeys(scores, 0.0)
    likely = {piece: math.exp(score) for piece, score in scores.items()}
    for word, times in words.items():
        spans = [
            (begin, end, likely[word[begin:end]])
            for begin in range(len(word))
            for end in range(begin + 1, min(begin + MAX_PIECE, len(word)) + 1)
            if word[begin:end] in likely
        ]
        before = [1.0] + [0.0] * len(word)
        after = [0.0] * len(word) + [1.0]
        for begin, end, p in spans:
            before[end] += before[begin] * p
        for begin, end, p in reversed(spans):
            after[begin] += p * after[end]
        # 0 for a word with a character outside the alphabet, or one too long for floats.
        if before[-1] > 0.0:
            for begin, end, p in spans:
                share = before[begin] * p * after[end] / before[-1]
                expected[word[begin:end]] += times * share
    return expected


def _maximise(expected: Mapping[str, float], alphabet: set[str]) -> dict[str, float]:
    kept = {
        piece: max(times, _LEAST_EXPECTED)
        for piece, times in expected.items()
        if times >= _LEAST_EXPECTED or piece in alphabet
    }
    total = sum(kept.values())
    return {piece: math.log(times / total) for piece, times in kept.items()}


def _prune(
    words: Mapping[str, int],
    scores: Mapping[str, float],
    alphabet: set[str],
    keep: int,
) -> dict[str, float]:
    """The `keep` pieces that the corpus would miss most, the alphabet among them."""
    used: collections.Counter[str] = collections.Counter()
    for word, times in words.items():
        for piece in best_segmentation(word, scores):
            used[piece] += times
    cost = {}
    for piece, score in scores.items():
        if piece not in alphabet:
            others = {k: v for k in _parts(piece) if (v := scores.get(k)) is not None}
            parts = best_segmentation(piece, others)
            instead = sum(others.get(part, -1e3) for part in parts)
            cost[piece] = used[piece] * (score - instead)
    kept = sorted(alphabet & scores.keys())
    kept += _first(cost, max(0, keep - len(kept)))
    return {piece: scores[piece] for piece in sorted(kept)}


def _parts(piece: str) -> Iterable[str]:
    """Every substring but the whole."""
    for begin in range(len(piece)):
        for end in range(begin + 1, len(piece) + 1):
            if end - begin < len(piece):
                yield piece[begin:end]


def _first(values: Mapping[str, float], count: int) -> list[str]:
    """The keys of the `count` largest values, ties in order of the alphabet."""
    return sorted(values, key=lambda key: (-values[key], key))[:count]
