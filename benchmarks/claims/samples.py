"""Samples of an arm for a list of prompts, kept so that no clip is made twice."""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.data.latents import fingerprint
from animatrix_jax.sampling.guidance import GuidanceConfig
from animatrix_jax.sampling.pipeline import GenerateRequest, Pipeline
from benchmarks.claims.prompts import Asked

_BATCH = 26


# The paper's.
DEPLOYED = GuidanceConfig()


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
            mark=fingerprint(dict(pipeline.params["generator"])),
            folder=folder,
            steps=steps,
        )

    def __call__(
        self, asked: list[Asked], guidance: GuidanceConfig = DEPLOYED, *, seed: int = 0
    ) -> UInt8[np.ndarray, "n t h w 3"]:
        """One clip a prompt; prompt j has the noise of clip j of the seed."""
        path = self.folder / f"{self._name(asked, guidance, seed)}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                return file["video"]
        config = self.pipeline.sampler_config(
            GenerateRequest(
                steps=self.steps,
                guidance_text=guidance.text,
                guidance_tag=guidance.tag,
                order=guidance.order,
            )
        )
        latents = self.pipeline.sample_latents_for(
            [one.tags for one in asked],
            [one.text for one in asked],
            seed=seed,
            config=config,
        )
        video = self.pipeline.decode(latents)
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, video=video)
        partial.replace(path)
        return video

    def _name(self, asked: list[Asked], guidance: GuidanceConfig, seed: int) -> str:
        """Of all that the samples depend on."""
        parts = {
            "model": self.mark,
            "asked": [dataclasses.asdict(one) for one in asked],
            "guidance": dataclasses.asdict(guidance),
            "seed": seed,
            "steps": self.steps,
        }
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]
