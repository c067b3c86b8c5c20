"""Clips of video files before the judge: read, encoded, scored, and paired.

    the window in a clip's middle, at the model's size and rate  ->  latents, by the VAE
    that the judge was trained with  ->  four heads under the clip's tags

A clip is what a line of the labels speaks of, and otherwise a whole file. Clips that were
asked for the same, one narrative and one set of tags, are candidates of one prompt, and
make pairs as those of the preference stage do (pairs.py).
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from animatrix_jax.data.folder import FolderClip, FolderSource
from animatrix_jax.data.measures import measure
from animatrix_jax.data.video import VideoError
from animatrix_jax.errors import UserError
from animatrix_jax.judge.model import HEADS
from animatrix_jax.judge.pairs import (
    CandidateConfig,
    PairLines,
    PairTable,
    RankedPairs,
    rank_pairs,
)
from animatrix_jax.judge.scoring import SCALE, Scorer, composite, rejected
from animatrix_jax.models.config import from_dict
from animatrix_jax.models.functional import Params
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.sampling import programs
from animatrix_jax.training.weights import load_component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredClip:
    """A clip and what the judge makes of it.

    Attributes:
      video: the file, by its path in the folder.
      start, end: of the clip in the file, seconds.
      whole: whether it is all of the file.
      tags, summary: what it was asked to show.
      scores: the four heads, not clipped.
      deformation: d(x) of its pixels; 0 where it was not measured.
    """

    video: str
    start: float
    end: float
    whole: bool
    tags: tuple[str, ...]
    summary: str
    scores: Float[np.ndarray, "4"]
    deformation: float = 0.0

    @property
    def name(self) -> str:
        """The file, with the span as a media fragment if it is a part of it."""
        if self.whole:
            return self.video
        return f"{self.video}#t={self.start:g},{self.end:g}"

    @property
    def heads(self) -> dict[str, float]:
        """Each head from 1 to 5, as a person scores."""
        shown = np.clip(self.scores, *SCALE).tolist()
        return {head: round(score, 3) for head, score in zip(HEADS, shown)}

    @property
    def composite(self) -> float:
        """The mean of the heads from 1 to 5."""
        return round(float(composite(np.clip(self.scores, *SCALE)[None])[0]), 3)

    @property
    def rejected(self) -> bool:
        """Whether its worst head is so low that it must not win."""
        return bool(rejected(self.scores[None])[0])

    def line(self) -> dict[str, Any]:
        """The clip as a line of labels, with its scores."""
        return {
            "video": self.video,
            "start": round(self.start, 4),
            "end": round(self.end, 4),
            "tags": list(self.tags),
            "summary": self.summary,
            "scores": self.heads,
            "composite": self.composite,
            "rejected": self.rejected,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipJudge:
    """A judge with the VAE and the sizes that it was trained with."""

    scorer: Scorer
    preset: ModelPreset
    vae: Params

    @classmethod
    def load(cls, checkpoint: str, stage: str = "") -> "ClipJudge":
        """The judge of a checkpoint; see `training/weights.py` for what that may be.

        Raises:
          UserError: if there is none, or not its VAE.
        """
        judge = load_component(checkpoint, "judge", stage=stage)
        vae = judge.tower("vae")
        preset = from_dict(ModelPreset, judge.config["model"])
        encoder = from_dict(ModelPreset, vae.config["model"]).vae
        return cls(
            scorer=Scorer.from_component(judge),
            preset=dataclasses.replace(preset, vae=encoder),
            vae=jax.device_put(vae.params),
        )

    def open(
        self, videos: pathlib.Path, *, labels: pathlib.Path | None = None
    ) -> FolderSource:
        """The clips of a folder, or of one file, at the model's size and rate.

        Args:
          videos: a folder, searched recursively, or a file.
          labels: JSON lines; `labels.jsonl` beside the videos if there is one.

        Raises:
          UserError: if nothing there can be read, or none of the labels is of it.
        """
        if not videos.exists():
            raise UserError(f"no such file or folder: {videos}")
        folder, files = videos, None
        if videos.is_file():
            folder, files = videos.parent, [videos.name]
        source = FolderSource(
            folder,
            files=files,
            labels=labels,
            span_seconds=math.inf,
            **{
                n: getattr(self.preset, n) for n in ("frames", "fps", "height", "width")
            },
        )
        if labels is not None and not source.labelled:
            of_labels = [n for n in source.set_aside if n.startswith(f"{labels.name}:")]
            first = f" ({of_labels[0]}: {source.set_aside[of_labels[0]]})"
            raise UserError(
                f"no label of {labels} is of a clip in {videos}{first * bool(of_labels)}"
            )
        return source

    def __call__(
        self,
        source: FolderSource,
        *,
        tags: Sequence[str] | None = None,
        measured: bool = False,
    ) -> list[ScoredClip]:
        """Scores every clip; what cannot be read now is set aside by the source.

        Args:
          source: from `open`.
          tags: that all clips were asked to have; None for those of their labels.
          measured: measure d(x) too, which pairs need.

        Raises:
          UserError: if not one clip could be read.
        """
        scored = []
        total, size = len(source), self.scorer.batch
        with tqdm(total=total, desc="judging", unit="clip", mininterval=0.5) as bar:
            for start in range(0, total, size):
                rows = range(start, min(start + size, total))
                scored += self._score(source, rows, tags, measured)
                bar.update(len(rows))
        if not scored:
            raise UserError(f"no clip of {source.folder} could be read again")
        return scored

    def _score(
        self,
        source: FolderSource,
        rows: range,
        tags: Sequence[str] | None,
        measured: bool,
    ) -> Iterator[ScoredClip]:
        clips: list[FolderClip] = []
        videos = []
        for row in rows:
            try:
                videos.append(source.middle(row))
            except VideoError:
                continue
            clips.append(source.clips[row])
        if not clips:
            return
        asked = [clip.directive.tags if tags is None else tuple(tags) for clip in clips]
        latents = np.concatenate([self._encode(video) for video in videos])
        scores = self.scorer(latents, asked, clip=False)
        for n, clip in enumerate(clips):
            yield ScoredClip(
                video=clip.path,
                start=clip.start,
                end=clip.end,
                whole=clip.whole,
                tags=asked[n],
                summary=clip.directive.summary,
                scores=scores[n],
                deformation=measure(videos[n]).deformation if measured else 0.0,
            )

    def _encode(
        self, video: UInt8[np.ndarray, "t h w 3"]
    ) -> Float[np.ndarray, "1 t2 h2 w2 c"]:
        args = (self.preset, self.vae, video[None])
        latents = programs.encode_frames(*args, name="encode", phase=nullcontext)
        return np.asarray(latents)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipPairs:
    """Pairs of clips of one prompt each.

    Attributes:
      prompts: the clips of each prompt, two or more.
      alone: clips that share their prompt with no other, or have none.
      ranked: the pairs, by number of prompt and clip.
    """

    prompts: tuple[tuple[ScoredClip, ...], ...]
    alone: int
    ranked: RankedPairs

    @classmethod
    def of(cls, clips: Sequence[ScoredClip], *, config: CandidateConfig) -> "ClipPairs":
        """All pairs of clips, which were measured, that one prompt asked for.

        Raises:
          UserError: if no two clips share a prompt.
        """
        groups: dict[Any, dict[str, ScoredClip]] = {}
        for clip in clips:
            if clip.tags or clip.summary:  # without either, nothing says they compare
                group = groups.setdefault((clip.summary, clip.tags), {})
                group.setdefault(clip.name, clip)  # one that is labelled twice is one
        prompts = tuple(
            tuple(group.values()) for group in groups.values() if len(group) > 1
        )
        if not prompts:
            raise UserError(
                "no two clips have one prompt: pairs are of clips whose labels have the "
                "same summary and tags, or of all clips under --tags"
            )
        ranked = rank_pairs(
            _scores(prompts),
            [np.array([clip.deformation for clip in group]) for group in prompts],
            config=config,
        )
        unsaid = sum(not (clip.tags or clip.summary) for clip in clips)
        alone = unsaid + sum(len(group) == 1 for group in groups.values())
        return cls(prompts=prompts, alone=alone, ranked=ranked)

    @property
    def scores(self) -> list[Float[np.ndarray, "_ 4"]]:
        """The judge's, of the clips of each prompt."""
        return _scores(self.prompts)

    def decided(self, people: PairTable | None) -> Iterator[dict[str, Any]]:
        """Lines of the judge's pairs, then of people's, which say so.

        Where both decided one pair, it is people's.
        """
        judged = self.ranked.train
        if people is not None:
            judged = judged.take(~judged.among(people))
        yield from self.lines.decided(judged)
        for line in self.lines.decided(people) if people is not None else ():
            yield line | {"by": "people"}

    @property
    def lines(self) -> PairLines:
        """What the files of pairs say."""
        return PairLines(
            texts=[group[0].summary for group in self.prompts],
            tags=[group[0].tags for group in self.prompts],
            name=lambda prompt, clip: self.prompts[prompt][clip].name,
        )


def _scores(
    prompts: Sequence[Sequence[ScoredClip]],
) -> list[Float[np.ndarray, "_ 4"]]:
    return [np.stack([clip.scores for clip in group]) for group in prompts]
