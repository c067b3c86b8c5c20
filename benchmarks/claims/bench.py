"""What the claims share: the size, the arms' models, the prompts, the instrument."""

import dataclasses
import functools

import numpy as np
from absl import logging

from animatrix_jax.data import seeds
from animatrix_jax.evaluation.instruments import Probe
from animatrix_jax.judge.scoring import Scorer
from animatrix_jax.knowledge.directive import say_tags
from animatrix_jax.models.presets import preset
from animatrix_jax.sampling.guidance import GuidanceConfig
from benchmarks.claims import prompts
from benchmarks.claims.arms import ODDS, Runs
from benchmarks.claims.prompts import Asked
from benchmarks.claims.reading import Fields, accuracy
from benchmarks.claims.samples import Sampler

# Noises of every prompt: what is read of a prompt is the mean over them.
SEEDS = (0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """One size's arms and instruments, made when they are asked for.

    Attributes:
      runs: where the arms are.
      each: prompts for every value of a field.
    """

    runs: Runs
    each: int

    def sampler(self, arm: str) -> Sampler:
        """The model of an arm, trained first if need be."""
        self.runs.train(arm)
        return self.model(self.runs.folder(arm))

    def model(self, checkpoint: str) -> Sampler:
        """The model of any checkpoint."""
        return Sampler.load(
            checkpoint,
            folder=self.runs.work / "samples",
            steps=preset(self.runs.size).steps,
        )

    @functools.cached_property
    def probe(self) -> Probe:
        """The instrument, of a world that no arm saw."""
        self.runs.train("probe")
        return Probe.load(self.runs.folder("probe"))

    def scorer(self, arm: str) -> Scorer:
        """The judge of an arm."""
        self.runs.train(arm)
        return Scorer.load(self.runs.folder(arm))

    @functools.cached_property
    def asked(self) -> list[Asked]:
        """The prompts."""
        return prompts.demanded(each=self.each, odds=ODDS)

    @functools.cached_property
    def real(self) -> np.ndarray:
        """The clips that they describe."""
        return self.drawn(self.asked)

    def drawn(self, asked: list[Asked], *, seed: int = seeds.CLAIMS) -> np.ndarray:
        """The clips that some prompts describe, which `seed` drew, in the size's shape."""
        model = preset(self.runs.size)
        return prompts.real_clips(
            asked, odds=ODDS, frames=model.frames, size=model.height, seed=seed
        )

    @functools.cached_property
    def fields(self) -> Fields:
        """What the probe reads of real clips.

        Raises:
          UserError: if it reads no field well enough.
        """
        # Other clips than the prompts' say which fields the probe can read.
        others = prompts.demanded(each=self.each, odds=ODDS, seed=seeds.GATE)
        clips = self.drawn(others, seed=seeds.GATE)
        gate = accuracy(clips, others, probe=self.probe)
        real = accuracy(self.real, self.asked, probe=self.probe)
        return Fields.of(self.asked, real=real, gate=Fields.means(others, gate))

    def accuracy(
        self, arm: str | Sampler, guidance: GuidanceConfig | None
    ) -> np.ndarray:
        """Of an arm's samples, prompt by prompt; None: at the model's own guidance."""
        sampler = self.sampler(arm) if isinstance(arm, str) else arm
        logging.info("%s: sampling at %s", arm, guidance)
        read = [
            accuracy(
                sampler(self.asked, guidance, seed=s), self.asked, probe=self.probe
            )
            for s in SEEDS
        ]
        return np.mean(read, axis=0)

    def told(self, arm: str, asked: list[Asked]) -> np.ndarray:
        """Whether an arm's text tower reads each prompt to its end."""
        pipeline = self.sampler(arm).pipeline
        texts = [one.text for one in asked]
        if not pipeline.preset.dit.uses_tags:
            texts = [say_tags(one.text, one.tags) for one in asked]
        length = pipeline.preset.text_length
        tokens = pipeline.tokenizer.encode(texts, 4 * length)
        return tokens.mask.sum(axis=1) <= length
