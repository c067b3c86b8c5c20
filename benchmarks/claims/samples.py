"""Samples of an arm for a list of prompts, kept so that no clip is made twice."""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.files import replacing
from animatrix_jax.sampling.guidance import DEPLOYED, GuidanceConfig
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.sampling.sampler import SamplerConfig
from benchmarks.claims.prompts import Asked

_BATCH = 26


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampler:
    """An arm's model and where its samples are kept."""

    pipeline: Pipeline
    mark: str
    folder: pathlib.Path
    steps: int

    @classmethod
    def load(
        cls, checkpoint: pathlib.Path | str, *, folder: pathlib.Path, steps: int
    ) -> "Sampler":
        """The latest stage of a run, or a shipped model."""
        pipeline = Pipeline.load(str(checkpoint))
        return cls(
            pipeline=dataclasses.replace(pipeline, max_batch=_BATCH),
            mark=fingerprint(
                {name: dict(params) for name, params in pipeline.params.items()},
                pipeline.preset,
            ),
            folder=folder,
            steps=steps,
        )

    def __call__(
        self,
        asked: list[Asked],
        guidance: GuidanceConfig | None = DEPLOYED,
        *,
        seed: int = 0,
    ) -> UInt8[np.ndarray, "n t h w 3"]:
        """One clip a prompt; prompt j has the noise of clip j of the seed.

        Args:
          asked: the prompts.
          guidance: how hard text and tags pull; None for the model's own.
          seed: of the noise.
        """
        config = self.pipeline.sampler_config(GenerateRequest(steps=self.steps))
        if guidance is not None:
            config = dataclasses.replace(config, guidance=guidance)
        path = self.folder / f"{self._name(asked, config, seed)}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                return file["video"]
        latents = self.pipeline.sample_latents_for(
            [one.tags for one in asked],
            [one.text for one in asked],
            seed=seed,
            config=config,
        )
        video = self.pipeline.decode(latents)
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, video=video)
        return video

    def _name(self, asked: list[Asked], config: SamplerConfig, seed: int) -> str:
        """Of all that the samples depend on."""
        parts = {
            "model": self.mark,
            "asked": [dataclasses.asdict(one) for one in asked],
            "config": dataclasses.asdict(config),
            "seed": seed,
        }
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]
