"""What the claims share: the size, the arms' models, the prompts, the instrument."""

import dataclasses
import functools
import pathlib

import numpy as np
from absl import logging

from animatrix_jax.evaluation.instruments import ProbeReader
from animatrix_jax.judge.scoring import Scorer
from animatrix_jax.models.presets import preset
from animatrix_jax.sampling.guidance import GuidanceConfig
from benchmarks.claims import arms, prompts
from benchmarks.claims.prompts import Asked
from benchmarks.claims.reading import Fields, accuracy
from benchmarks.claims.samples import DEPLOYED, Sampler

ODDS = arms.WORLD["data.odds"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """One size's arms and instruments, made when they are asked for.

    Attributes:
      size: a preset that has a config file.
      work: the folder of all runs and samples.
      each: prompts for every value of a field.
      steps: solver steps of a sample; 0 for the model's own.
    """

    size: str
    work: pathlib.Path
    each: int
    steps: int = 0

    def sampler(self, arm: str) -> Sampler:
        """The model of an arm, trained first if need be."""
        arms.train(arm, size=self.size, work=self.work)
        return Sampler.load(
            arms.folder(arm, size=self.size, work=self.work),
            folder=self.work / "samples",
            steps=self.steps or preset(self.size).steps,
        )

    @functools.cached_property
    def probe(self) -> ProbeReader:
        """The instrument, of a world that no arm saw."""
        arms.train("probe", size=self.size, work=self.work)
        return ProbeReader.load(arms.folder("probe", size=self.size, work=self.work))

    def scorer(self, arm: str) -> Scorer:
        """The judge of an arm."""
        arms.train(arm, size=self.size, work=self.work)
        return Scorer.load(arms.folder(arm, size=self.size, work=self.work))

    @functools.cached_property
    def asked(self) -> list[Asked]:
        """The prompts."""
        return prompts.demanded(each=self.each, odds=ODDS)

    @functools.cached_property
    def real(self) -> np.ndarray:
        """The clips that they describe."""
        model = preset(self.size)
        return prompts.real_clips(
            self.asked, odds=ODDS, frames=model.frames, size=model.height
        )

    @functools.cached_property
    def fields(self) -> Fields:
        """What the probe reads of the real clips."""
        return Fields.of(self.asked, accuracy(self.real, self.asked, probe=self.probe))

    def accuracy(self, arm: str, guidance: GuidanceConfig = DEPLOYED) -> np.ndarray:
        """Of an arm's samples, prompt by prompt."""
        logging.info("%s: sampling at %s", arm, guidance)
        videos = self.sampler(arm)(self.asked, guidance)
        return accuracy(videos, self.asked, probe=self.probe)
