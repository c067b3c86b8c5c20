"""Stage `vae`: the causal video autoencoder, on pixels.

    L = reconstruction(decode(sample(encode(video))), video) + KL

After the last step the statistics of the latents are measured on the held-out clips and
become part of the VAE's config (`model.json`), since everything after this stage sees
latents of mean 0 and deviation 1. The deviation is that of all channels together: the
divergence makes channels that say little small, and a generator should see them so.
"""

import dataclasses
import json
import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from animatrix_jax.models.config import to_dict
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.models.vae import signed
from animatrix_jax.objectives.autoencoding import (
    AutoencodingConfig,
    autoencoding_loss,
)
from animatrix_jax.training.config import section
from animatrix_jax.training.stage import Batch, Metrics
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers

_FIRST_LOGVAR = -6.0


class VAEStage:
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
        encode = jax.jit(
            lambda video: (
                bind(self._towers.vae, params["vae"]).encode(signed(video)).mode
            )
        )
        means = [np.asarray(encode(batch["video"])) for batch in self.held_out()]
        latents = np.concatenate(means).astype(np.float64)
        config = dataclasses.replace(
            self._towers.vae_config,
            **_statistics("first", latents[:, :1]),
            **_statistics("latents", latents[:, 1:]),
        )
        text = json.dumps({"vae": to_dict(config)}, indent=1)
        (folder / "model.json").write_text(text, encoding="utf-8")


def _statistics(name: str, latents: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Each channel's mean, and their one deviation, as fields of the VAE's config."""
    if not latents.size:  # of a model of single frames
        return {}
    mean = latents.mean((0, 1, 2, 3))
    std = np.full_like(mean, np.sqrt(np.square(latents - mean).mean()))
    return {
        f"{name}_{k}": tuple(v.round(5).tolist())
        for k, v in (("mean", mean), ("std", std))
    }
