"""Validation samples: the same prompts from the same noise, as training goes on.

A callback of the loop. It samples from the EMA parameters, hands the clips to the
writer (TensorBoard), and leaves `samples/step_XXXXXX.mp4` (clips side by side) and a
contact sheet `.png` of the same name in the stage's folder.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.data.writing import write_image, write_video
from animatrix_jax.sampling.conditioning import Given
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.sampler import SamplerConfig


@runtime_checkable
class VideoWriter(Protocol):
    """What the callback needs of the loop's writer."""

    def write_videos(self, step: int, videos: Mapping[str, np.ndarray]) -> None:
        """Writes uint8 videos [n t h w 3], by name."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """One validation clip: a short name, its narrative and its tags."""

    name: str
    text: str
    tags: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationSamples:
    """The callback of the loop; `callback(step, params, writer)`.

    Attributes:
      pipeline: the model, whose generator (or one of two) each call replaces.
      prompts: what to sample, always in this order.
      folder: the stage's folder.
      config: how to sample; None for the model's defaults.
      seed: of the noise.
      given: what first frames are to the model (image-to-video); None for none.
      scale: enlargement of the clips on the written files, with sharp pixels.
    """

    pipeline: Pipeline
    prompts: Sequence[Prompt]
    folder: pathlib.Path
    config: SamplerConfig | None = None
    seed: int = 0
    given: Given | None = None
    scale: int = 3

    def __call__(
        self, step: int, params: Mapping[str, Any], writer: VideoWriter
    ) -> None:
        """Samples from `params`, by component, and writes the clips, once for a step."""
        stem = self.folder / "samples" / f"step_{step:06d}"
        if stem.with_suffix(".png").exists():  # written last
            return
        pipeline = self.pipeline.with_networks(params)
        latents = pipeline.sample_latents_for(
            [prompt.tags for prompt in self.prompts],
            [prompt.text for prompt in self.prompts],
            seed=self.seed,
            config=self.config,
            given=self.given,
        )
        clips = pipeline.decode(latents)
        names = [prompt.name for prompt in self.prompts]
        writer.write_videos(
            step,
            {f"samples/{name}": clip[None] for name, clip in zip(names, clips)},
        )
        large = clips.repeat(self.scale, axis=2).repeat(self.scale, axis=3)
        write_video(stem.with_suffix(".mp4"), side_by_side(large), pipeline.preset.fps)
        sheet = contact_sheet(clips, frames=6, labels=names, scale=self.scale)
        write_image(stem.with_suffix(".png"), sheet)


def side_by_side(
    clips: UInt8[np.ndarray, "n t h w 3"], columns: int = 0
) -> UInt8[np.ndarray, "t H W 3"]:
    """The clips in a grid, one video; empty cells are white."""
    count = len(clips)
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    blank = np.full((rows * columns - count, *clips.shape[1:]), 255, np.uint8)
    grid = np.concatenate([clips, blank])
    grid = grid.reshape(rows, columns, *clips.shape[1:])
    grid = grid.transpose(2, 0, 3, 1, 4, 5)
    t, _, h, _, w, _ = grid.shape
    return np.ascontiguousarray(grid.reshape(t, rows * h, columns * w, 3))
