"""People's answers on pairs, read back: which clip beats which, and who agrees.

    {"prompt": "...", "tags": [...], "clips": ["a.mp4", "b.mp4"], "people_prefer": 0}

a line a pair, as the page saves them (page.py); null where a person cannot say. Files
of several people may be joined end to end: a pair goes by most of its votes, and by
nobody where they are even. How often the judge agrees comes with Wilson's interval over
pairs. It takes them as independent; those of one prompt share clips, so that it is rather
too narrow. How far people agree among themselves is Krippendorff's alpha over the pairs
that have two votes or more: 1 is always, 0 as often as chance; who cannot say has no vote.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from animatrix_jax.errors import UserError
from animatrix_jax.judge.pairs import PairLines, PairSet, PairTable, make_table
from animatrix_jax.judge.scoring import composite
from animatrix_jax.statistics import Interval, krippendorff_alpha, wilson

Places = dict[str, dict[int, int]]
"""Of each clip by its name: its number among the candidates of each prompt that has it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decided:
    """What people decided.

    Attributes:
      table: the pairs; `gap` is the judge's score of people's winner over that of the
        loser, below zero where the judge took the other.
      answers: how many were read.
      undecided: pairs on which nobody could say, or votes are even.
      alpha: how far people agree among themselves; None where no pair has two votes.
    """

    table: PairTable
    answers: int
    undecided: int
    alpha: float | None = None

    @property
    def agreed(self) -> int:
        """On how many of the pairs the judge took the same clip."""
        return int((self.table.gap > 0).sum())

    @property
    def agreement(self) -> Interval | None:
        """The share of those; None without any pair."""
        return wilson(self.agreed, len(self.table)) if len(self.table) else None

    def report(self) -> dict[str, Any]:
        """The same, for a JSON file."""
        share = self.agreement
        return {
            "answers": self.answers,
            "decided": len(self.table),
            "undecided": self.undecided,
            "judge_agrees": self.agreed,
            "agreement": share and share.rounded(),
            "people_alpha": None if self.alpha is None else round(self.alpha, 4),
        }

    def __str__(self) -> str:
        text = (
            f"{self.answers} answers of people decide {len(self.table)} pairs and "
            f"leave {self.undecided} open"
        )
        if share := self.agreement:
            text += (
                f"; the judge agrees on {self.agreed} of {len(self.table)}, "
                f"{share.value:.0%} (95% interval {share.low:.0%} to {share.high:.0%})"
            )
        if self.alpha is not None:
            text += f"; people among themselves: Krippendorff's alpha {self.alpha:.2f}"
        return text


def read_answers(
    path: pathlib.Path,
    *,
    lines: PairLines,
    scores: Float[np.ndarray, "p n 4"] | Sequence[Float[np.ndarray, "_ 4"]],
) -> Decided:
    """Reads answers on the clips that are compared now.

    Args:
      path: JSON lines.
      lines: what the clips are called, and what they were asked to be.
      scores: the judge's, of the candidates of each prompt, not clipped.

    Raises:
      UserError: naming the first line that is no answer, names a clip that is not
        there, or was rated under another prompt or other tags.
    """
    # A file may be a clip of several prompts.
    places: Places = collections.defaultdict(dict)
    for prompt, heads in enumerate(scores):
        for clip in range(len(heads)):
            places[lines.name(prompt, clip)][prompt] = clip
    votes: dict[tuple[int, int, int], collections.Counter] = {}
    written = _lines(path)
    for number, line in written:
        try:
            answer = _answer(line)
            prompt, *clips = _pair(answer, places, lines)
        except UserError as error:
            raise UserError(f"{path}:{number}: {error}") from None
        prefers = answer["people_prefer"]
        won = None if prefers is None else clips[prefers]
        pair = (prompt, min(clips), max(clips))
        votes.setdefault(pair, collections.Counter())[won] += 1
    rows = []
    for (prompt, a, b), found in sorted(votes.items()):
        if found[a] != found[b]:
            winner, loser = (a, b) if found[a] > found[b] else (b, a)
            total = composite(np.asarray(scores[prompt]))
            rows.append((prompt, winner, loser, float(total[winner] - total[loser])))
    return Decided(
        table=make_table(rows),
        answers=len(written),
        undecided=len(votes) - len(rows),
        alpha=_alpha([(found[a], found[b]) for (_, a, b), found in votes.items()]),
    )


def with_answers(pairs: PairSet, path: pathlib.Path) -> PairSet:
    """Pairs with people's among them, in place of what the judge said of the same two.

    A pair of a prompt that is held out is held out too.

    Args:
      pairs: of the preference stage.
      path: of answers on its candidates.

    Raises:
      UserError: as read_answers does.
    """
    lines = PairLines(texts=pairs.texts, tags=pairs.tags, name=pairs.clip_name)
    decided = read_answers(path, lines=lines, scores=pairs.scores)
    logging.info("%s: %s", path, decided)
    people, held_out = decided.table, pairs.held_out
    apart = np.setdiff1d(held_out.prompt, pairs.train.prompt)
    held = np.isin(people.prompt, apart) | people.among(held_out)
    train = pairs.train.take(~pairs.train.among(people))
    held_out = held_out.take(~held_out.among(people))
    train = train.followed_by(people.take(~held))
    held_out = held_out.followed_by(people.take(held))
    rows = json.dumps([pairs.made_from, list(people.rows())])
    return dataclasses.replace(
        pairs,
        train=train,
        held_out=held_out,
        made_from=hashlib.sha256(rows.encode()).hexdigest(),
        counts=pairs.counts
        | {
            "pairs": len(train),
            "pairs_held_out": len(held_out),
            "pairs_by_people": int((~held).sum()),
            "pairs_by_people_held_out": int(held.sum()),
            "people_undecided": decided.undecided,
            "people_agreed": decided.agreed,
        },
    )


def _alpha(votes: Sequence[tuple[int, int]]) -> float | None:
    """Krippendorff's alpha of the votes for either clip of each pair."""
    several = [found for found in votes if sum(found) > 1]
    if not several:
        return None
    ratings = np.full((max(map(sum, several)), len(several)), np.nan)
    for pair, (first, second) in enumerate(several):
        ratings[: first + second, pair] = [0.0] * first + [1.0] * second
    # Which clip is called the first means nothing: each pair counts in both orders.
    both = np.concatenate([ratings, 1.0 - ratings], axis=1)
    return krippendorff_alpha(both, level="nominal")


def _lines(path: pathlib.Path) -> list[tuple[int, str]]:
    """The lines that say something, with their numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"cannot read answers: {path}: {error.strerror}") from None
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise UserError(f"{path} has no answers")
    return lines


def _answer(text: str) -> dict[str, Any]:
    """A line with the names of two clips, and which of them is preferred."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}") from None
    if not isinstance(line, dict) or "people_prefer" not in line:
        raise UserError("not an answer: expected an object with people_prefer")
    prefers, clips = line["people_prefer"], line.get("clips")
    if prefers is not None and (type(prefers) is not int or prefers not in (0, 1)):
        raise UserError(f"people_prefer: expected 0, 1 or null, got {prefers!r}")
    names = isinstance(clips, list) and all(isinstance(clip, str) for clip in clips)
    if not names or len(clips) != 2 or clips[0] == clips[1]:
        raise UserError(f"clips: expected the names of two, got {clips!r}")
    return line


def _pair(
    answer: dict[str, Any], places: Places, lines: PairLines
) -> tuple[int, int, int]:
    """Prompt and candidates of an answer, in the order of its clips."""
    names = answer["clips"]
    for name in names:
        if name not in places:
            raise UserError(
                f"no clip {name!a} among those compared: the answers are of others"
            )
    first, second = (places[name] for name in names)
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise UserError(f"{names[0]!a} and {names[1]!a} have two prompts")
    others = []
    for prompt in shared:
        asked = lines.asked(prompt)
        other = [name for name in asked if answer.get(name, asked[name]) != asked[name]]
        if not other:
            return prompt, first[prompt], second[prompt]
        others.append((other[0], asked[other[0]]))
    name, value = others[0]
    raise UserError(f"the pair was rated under {name} {answer[name]!r}, now {value!r}")
