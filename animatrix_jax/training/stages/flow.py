"""Stages `ct`, `sft` and `qt`: the generator by flow matching.

    video --VAE--> x0            (or x0 from the latent cache)
    text  --T5---> h_text        frozen, as is the VAE
    L = mean (v(x_s, s, h_text, tags) - (noise - x0))^2 over frames not given clean

An image-to-video model of Wan's has its first frame as reference channels, and CLIP's view
of it where it has that branch; no frame is clean then, and all count.

The three differ only in their configs: which clips, which tasks, which corruption of the
conditioning, which learning rate.
"""

import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp
from jaxtyping import Array

from animatrix_jax.errors import UserError
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.objectives import flow_matching
from animatrix_jax.training.config import TaskMix, section
from animatrix_jax.training.stage import Batch, Metrics, Stage, StepShapes
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers


class FlowStage(Stage):
    """Flow matching of the generator on clips with their conditioning."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = config.stage
        self._towers = Towers(config, workdir=workdir)
        self._trained = self._towers.trained
        self._flow = section(flow_matching.FlowConfig, config.flow)
        if self._towers.refers:
            _check_tasks(section(TaskMix, config.tasks))
        self._clips = Clips(
            config, workdir=workdir, towers=self._towers, pixels=self._towers.refers
        )

    def init(self, key: Array) -> Params:
        return {self._trained: init_params(self._towers.generator, key)}

    def initial(self) -> Params | None:
        return self._towers.initial(self._trained)

    def frozen(self) -> Params:
        return self._towers.frozen(pixels=self._clips.pixels)

    def step_shapes(self) -> StepShapes:
        first, *others = (
            self._towers.with_picture_shapes(shapes)
            for shapes in self._clips.all_shapes()
        )
        return StepShapes(
            frozen=self._towers.frozen_shapes(pixels=self._clips.pixels),
            batch=first,
            others=tuple(others),
        )

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        x0 = self._towers.latents(frozen, batch)
        conditioning = self._towers.conditioning(frozen, batch)
        sigma_key, noise_key = jax.random.split(key)
        sigma = flow_matching.sample_sigma(sigma_key, x0.shape[0], self._flow)
        noise = jax.random.normal(noise_key, x0.shape, jnp.float32)
        error = generator_error(
            self._towers.generator,
            params[self._trained],
            x0=x0,
            noise=noise,
            sigma=sigma,
            given=self._towers.held(batch),
            conditioning=conditioning,
        )
        return jnp.mean(error), {}

    def batches(self) -> grain.IterDataset:
        batches = self._clips.batches()
        if self._towers.image_config is None:
            return batches
        return batches.map(self._towers.with_pictures)

    def held_out(self) -> list[Batch]:
        batches = self._clips.held_out()
        if self._towers.image_config is None:
            return batches
        return [self._towers.with_pictures(batch) for batch in batches]

    def counts(self) -> dict[str, int]:
        return self._clips.counts()

    def sampled(self) -> str | None:
        return self._trained

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Nothing: the generator's config is the run's."""


def _check_tasks(tasks: TaskMix) -> None:
    """Raises UserError where clips would come without their first frame."""
    if max(*tasks.t2i, *tasks.t2v) > 0:
        raise UserError(
            "an image-to-video model makes clips of their first frame, and trains on "
            f"nothing else: expected tasks.t2i and tasks.t2v of (0.0,), got {tasks.t2i} "
            f"and {tasks.t2v}"
        )


def generator_error(
    build: Any,
    params: Params,
    *,
    x0: Array,
    noise: Array,
    sigma: Array,
    given: Array,
    conditioning: Conditioning,
) -> Array:
    """Each clip's velocity error [b] at noise level sigma [b], over the frames that are
    not given."""
    levels = flow_matching.frame_sigma(sigma, given)
    xt = flow_matching.interpolate(x0, noise, levels)
    velocity = bind(build, params)(xt, sigma, conditioning)
    return flow_matching.flow_error(velocity, x0, noise, given)
