"""Pairs for the preference stage: which of a prompt's candidates beats which.

All pairs of a prompt's N candidates, by the judge's composite score, of which stay those

    min head(winner) >= 2.0          a rejected clip may lose but never win
    d(winner) >= 0.8 d(loser)        preference must not drift to still video

The pairs whose scores lie closest, 30% of them, are set aside for people: there the
judge knows least. (AniMatrix: "experts label the closest 30%".)
"""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from animatrix_jax.errors import UserError, check_range
from animatrix_jax.files import replacing
from animatrix_jax.judge.scoring import REJECT_BELOW, composite, rejected

_ARRAYS = ("latents", "scores", "deformation", "motion")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateConfig:
    """How candidates are made and paired.

    Attributes:
      prompts: how many.
      candidates: clips of a prompt, each of its own noise.
      steps: solver steps of a candidate; 0 for the model's default.
      reject_below: a candidate whose worst head is under this never wins.
      keep_deformation: least d(winner) / d(loser).
      aside: share of pairs, the closest ones, left to people.
      held_out: share of prompts whose pairs measure, and never train.
      answers: what people said of the pairs that were left to them, a file as the page
        saves it; empty: nothing yet.
    """

    prompts: int = 64
    candidates: int = 4
    steps: int = 0
    reject_below: float = REJECT_BELOW
    keep_deformation: float = 0.8
    aside: float = 0.3
    held_out: float = 0.1
    answers: str = ""

    def __post_init__(self) -> None:
        check_range(self, "prompts", "candidates", low=2, section="candidates")
        check_range(self, "steps", "keep_deformation", low=0, section="candidates")
        shares = ("aside", "held_out")
        check_range(self, *shares, low=0, high=1, section="candidates")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairTable:
    """Pairs as indices: row r says candidate `winner[r]` beats `loser[r]`.

    Attributes:
      prompt: which prompt.
      winner, loser: which of the prompt's candidates.
      gap: the winner's composite score over the loser's: above zero, but where people
        decided against the judge.
    """

    prompt: Int[np.ndarray, " r"]
    winner: Int[np.ndarray, " r"]
    loser: Int[np.ndarray, " r"]
    gap: Float[np.ndarray, " r"]

    def __len__(self) -> int:
        return len(self.prompt)

    def rows(self) -> Iterator[tuple[int, int, int, float]]:
        """Prompt, winner, loser and gap of each row."""
        columns = (self.prompt, self.winner, self.loser, self.gap)
        return zip(*(column.tolist() for column in columns))

    def followed_by(self, other: "PairTable") -> "PairTable":
        """The rows of both."""
        names = [field.name for field in dataclasses.fields(self)]
        both = {n: [getattr(self, n), getattr(other, n)] for n in names}
        return PairTable(**{n: np.concatenate(columns) for n, columns in both.items()})

    def among(self, other: "PairTable") -> Bool[np.ndarray, " r"]:
        """Which of the rows are of a pair that `other` has too, whoever wins there."""
        has, found = (
            [(prompt, frozenset(clips)) for prompt, *clips, _ in table.rows()]
            for table in (other, self)
        )
        has = set(has)
        return np.array([pair in has for pair in found], bool)

    def take(self, rows: np.ndarray) -> "PairTable":
        """Some of the rows."""
        return PairTable(
            prompt=self.prompt[rows],
            winner=self.winner[rows],
            loser=self.loser[rows],
            gap=self.gap[rows],
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankedPairs:
    """What ranking gives, and why pairs were dropped.

    Attributes:
      train: pairs to learn from.
      aside: the closest pairs, for people.
      dropped: number of pairs by reason.
    """

    train: PairTable
    aside: PairTable
    dropped: dict[str, int]

    def __str__(self) -> str:
        dropped = ", ".join(f"{n} {name}" for name, n in self.dropped.items())
        dropped = dropped.replace("_", " ")
        return (
            f"{len(self.train)} pairs, {len(self.aside)} closer ones for people; "
            f"dropped {dropped}"
        )


def rank_pairs(
    scores: Float[np.ndarray, "p n 4"] | Sequence[Float[np.ndarray, "_ 4"]],
    deformation: Float[np.ndarray, "p n"] | Sequence[Float[np.ndarray, " _"]],
    *,
    config: CandidateConfig,
) -> RankedPairs:
    """Every pair of every prompt, ranked, filtered and split.

    Args:
      scores: the judge's, of the candidates of each of p prompts, not clipped; prompts
        may have different numbers of them.
      deformation: d(x) of the candidates' pixels.
      config: thresholds.
    """
    dropped = {"tied": 0, "winner_rejected": 0, "winner_stiller": 0}
    rows = []
    for prompt, (heads, moved) in enumerate(zip(scores, deformation, strict=True)):
        total, bad = composite(heads), rejected(heads, below=config.reject_below)
        for a, b in itertools.combinations(range(len(heads)), 2):
            gap = float(total[a] - total[b])
            winner, loser = (a, b) if gap > 0 else (b, a)
            still = moved[winner] < config.keep_deformation * moved[loser]
            if gap == 0.0:
                dropped["tied"] += 1
            elif bad[winner]:
                dropped["winner_rejected"] += 1
            elif still:
                dropped["winner_stiller"] += 1
            else:
                rows.append((prompt, winner, loser, abs(gap)))
    table = make_table(rows)
    order = np.argsort(table.gap, kind="stable")
    close = round(config.aside * len(order))
    return RankedPairs(
        train=table.take(np.sort(order[close:])),
        aside=table.take(np.sort(order[:close])),
        dropped=dropped,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairSet:
    """Stored pairs: candidates' latents once, and rows that point at them.

    Attributes:
      latents: [p n t h w c] of all candidates.
      train, held_out: pairs by indices.
      texts: narrative of each prompt.
      tags: tags of each prompt.
      scores, deformation, motion: the judge's heads, not clipped, d(x) and m(x) of each
        candidate.
      drawn_from: names what the candidates were sampled by, and so their files.
      made_from: names generator, judge and settings; another one is not resumed.
      counts: numbers of pairs, for the log.
    """

    latents: Float[np.ndarray, "p n t h w c"]
    train: PairTable
    held_out: PairTable
    texts: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]
    scores: Float[np.ndarray, "p n 4"]
    deformation: Float[np.ndarray, "p n"]
    motion: Float[np.ndarray, "p n"]
    drawn_from: str
    made_from: str
    counts: dict[str, int]

    def clip_name(self, prompt: int, candidate: int) -> str:
        """The file of a candidate below the pairs' folder, if it was set aside.

        Others than these candidates have other names, and so other answers.
        """
        return f"aside/{self.drawn_from[:12]}/{prompt:05d}-{candidate}.mp4"

    def save(self, path: pathlib.Path) -> None:
        """Writes one npz, whole or not at all. Nothing in it is pickled."""
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {
            "texts": self.texts,
            "tags": self.tags,
            "drawn_from": self.drawn_from,
            "made_from": self.made_from,
            "counts": self.counts,
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for name in ("train", "held_out"):
            table = dataclasses.asdict(getattr(self, name))
            arrays |= {f"{name}_{column}": value for column, value in table.items()}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: pathlib.Path) -> "PairSet":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes().decode())
            columns = [field.name for field in dataclasses.fields(PairTable)]
            tables = {
                name: PairTable(**{c: file[f"{name}_{c}"] for c in columns})
                for name in ("train", "held_out")
            }
            return cls(
                **{name: file[name] for name in _ARRAYS},
                texts=tuple(header["texts"]),
                tags=tuple(tuple(tags) for tags in header["tags"]),
                drawn_from=header.get("drawn_from", ""),  # none before there was a page
                made_from=header["made_from"],
                counts=header["counts"],
                **tables,
            )


def split_held_out(table: PairTable, *, prompts: int, share: float) -> list[PairTable]:
    """[training pairs, held-out pairs]: the last prompts are held out, whole.

    Of a single prompt the last pair is.

    Raises:
      UserError: if there are not two pairs.
    """
    if len(table) < 2:
        raise UserError(
            "one pair is too few: one must be held out; sample more prompts"
        )
    present = np.unique(table.prompt)
    if len(present) == 1:
        rows = np.arange(len(table))
        return [table.take(rows[:-1]), table.take(rows[-1:])]
    count = min(max(round(share * prompts), 1), len(present) - 1)
    last = present[len(present) - count :]
    held = np.isin(table.prompt, last)
    return [table.take(~held), table.take(held)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairLines:
    """The lines of files of pairs: what is said there of prompts and clips.

    Attributes:
      texts, tags: of each prompt.
      name: of a prompt's candidate, by their numbers.
    """

    texts: Sequence[str]
    tags: Sequence[Sequence[str]]
    name: Callable[[int, int], str]

    def decided(self, table: PairTable) -> Iterator[dict[str, Any]]:
        """Lines of pairs that the judge decided."""
        for prompt, winner, loser, gap in table.rows():
            clips = {"winner": winner, "loser": loser}
            clips = {role: self.name(prompt, clip) for role, clip in clips.items()}
            yield self.asked(prompt) | clips | {"gap": round(gap, 4)}

    def aside(self, table: PairTable) -> Iterator[dict[str, Any]]:
        """Lines of pairs for people to decide, the clips in the order of their numbers.

        Which clip the judge preferred is kept apart, so that a page can hide it.
        """
        for prompt, winner, loser, gap in table.rows():
            clips = sorted((winner, loser))
            yield self.asked(prompt) | {
                "clips": [self.name(prompt, clip) for clip in clips],
                "judge_prefers": clips.index(winner),
                "gap": round(gap, 4),
            }

    def asked(self, prompt: int) -> dict[str, Any]:
        """What a prompt's clips were asked to be."""
        return {"prompt": self.texts[prompt], "tags": list(self.tags[prompt])}


def make_table(rows: Sequence[tuple[int, int, int, float]]) -> PairTable:
    """The table of some rows: prompt, winner, loser, gap."""
    columns = list(zip(*rows)) if rows else [(), (), (), ()]
    return PairTable(
        prompt=np.asarray(columns[0], np.int64),
        winner=np.asarray(columns[1], np.int64),
        loser=np.asarray(columns[2], np.int64),
        gap=np.asarray(columns[3], np.float64),
    )
