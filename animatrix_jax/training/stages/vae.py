"""Stage `vae`: the causal video autoencoder, on pixels.

    L = reconstruction(decode(sample(encode(video))), video) + KL

After the last step the statistics of the latents are measured on the held-out clips and
become part of the VAE's config (`model.json`): everything after this stage sees latents
of mean 0 and deviation 1 over all channels together. Among themselves the channels stand
as far apart as the pixels that they move (`reach`): the divergence makes them all alike,
and a generator would learn grain as eagerly as composition.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from animatrix_jax.models import vae_layers as layers
from animatrix_jax.models.config import to_dict
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.models.vae import signed
from animatrix_jax.objectives.autoencoding import (
    AutoencodingConfig,
    autoencoding_loss,
)
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import section
from animatrix_jax.training.stage import Batch, Metrics, Stage, StepShapes
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers

_FIRST_LOGVAR = -6.0
# Of `reach`: clips it is measured on, deviations of noise, and the least it may be.
_REACH_CLIPS, _REACH_NOISE, _LEAST_REACH = 16, 0.3, 0.05


class VAEStage(Stage):
    """The autoencoder on clips without their conditioning."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "vae"
        self._towers = Towers(config, workdir=workdir)
        self._loss = section(AutoencodingConfig, config.autoencoding)
        self._clips = Clips(
            config, workdir=workdir, towers=self._towers, fields=("media",), pixels=True
        )

    def init(self, key: Array) -> Params:
        params = init_params(self._towers.vae, key)
        # The posterior starts narrow: noise of deviation 1 would drown an encoder that
        # has learnt nothing yet.
        bias = params["quant_conv"]["bias"]
        logvar = jnp.arange(bias.size) >= bias.size // 2
        params["quant_conv"]["bias"] = jnp.where(logvar, _FIRST_LOGVAR, bias)
        return {"vae": params}

    def initial(self) -> Params | None:
        return self._towers.initial("vae")

    def frozen(self) -> Params:
        return {}

    def step_shapes(self) -> StepShapes:
        return StepShapes(frozen={}, batch=self._clips.batch_shapes())

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        vae = bind(self._towers.vae, params["vae"])
        video = signed(batch["video"])
        posterior = vae.encode(video)
        reconstruction = vae.decode_unclipped(posterior.sample(key))
        metrics = autoencoding_loss(video, reconstruction, posterior, self._loss)
        return metrics["loss"], {k: v for k, v in metrics.items() if k != "loss"}

    def batches(self) -> grain.IterDataset:
        return self._clips.batches()

    def held_out(self) -> list[Batch]:
        return self._clips.held_out()

    def counts(self) -> dict[str, int]:
        return self._clips.counts()

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        params = distributed.fetch(params)

        def encode(video: Array) -> Array:
            return bind(self._towers.vae, params["vae"]).encode(signed(video)).mode

        def decode(latents: Array) -> Array:
            return bind(self._towers.vae, params["vae"]).decode_unclipped(latents)

        encode, decode = jax.jit(encode), jax.jit(decode)
        means = []
        for batch in self.held_out():
            with distributed.apart():
                own = np.asarray(encode(batch["video"]))
            means.append(distributed.concatenate(own))
        if not distributed.is_first():
            return
        with distributed.apart():
            self._write_statistics(means, decode, folder)

    def _write_statistics(
        self,
        means: list[np.ndarray],
        decode: Callable[[Any], Any],
        folder: pathlib.Path,
    ) -> None:
        """The config with what latents are, model.json."""
        latents = np.concatenate(means)
        config = self._towers.vae_config
        for name, frames in (("first", slice(0, 1)), ("latents", slice(1, None))):
            if latents[
                :, frames
            ].size:  # of a model of single frames there are no others
                weights = reach(decode, latents[:_REACH_CLIPS], frames)
                config = dataclasses.replace(
                    config,
                    **_statistics(name, latents[:, frames], weights, config.tilt),
                )
        text = json.dumps({"vae": to_dict(config)}, indent=1)
        (folder / "model.json").write_text(text, encoding="utf-8")


def reach(
    decode: Callable[[Any], Any], latents: np.ndarray, frames: slice
) -> np.ndarray:
    """How far each channel [c] moves the pixels, the farthest 1: the deviation of what
    `decode` gives under a little noise on one channel of `frames` of latents [b t h w c].

    Never less than `_LEAST_REACH`, so that a channel that says nothing stays finite.
    """
    rng, whole = np.random.default_rng(0), np.asarray(decode(latents))
    size = _REACH_NOISE * latents[:, frames].std()
    moved = []
    for channel in range(latents.shape[-1]):
        nudged = latents.copy()
        part = nudged[:, frames, :, :, channel]
        part += size * rng.standard_normal(part.shape, np.float32)
        moved.append(np.asarray(decode(nudged) - whole).std())
    return np.maximum(np.array(moved) / np.max(moved), _LEAST_REACH)


def _statistics(
    name: str, latents: np.ndarray, weights: np.ndarray, tilt: float
) -> dict[str, tuple[float, ...]]:
    """Mean and deviation of each channel, as fields of the VAE's config."""
    mean = latents.mean((0, 1, 2, 3), np.float64)
    seen = np.asarray(layers.tilt(jnp.asarray((latents - mean) * weights), tilt))
    std = np.sqrt(np.square(seen, dtype=np.float64).mean()) / weights
    moments = {"mean": mean, "std": std}
    return {f"{name}_{k}": tuple(v.round(5).tolist()) for k, v in moments.items()}
