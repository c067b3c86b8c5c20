"""The block stack that speeds are compared on: ours and diffusers', with one set of weights.

Both take a batch of noisy latents, noise levels and encoded text to a velocity, and train
by the flow loss, mean (v - (noise - x0))^2, with AdamW on all parameters. Ours is the
train step that every stage runs (`training/step.py`), its state donated.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch
from jax import numpy as jnp

from animatrix_jax.convert import wan
from animatrix_jax.convert.source import flat_shapes
from animatrix_jax.models.config import DiTConfig
from animatrix_jax.models.dit import DiT
from animatrix_jax.models.functional import bind
from animatrix_jax.training.optimizer import OptimizerConfig, make_optimizer
from animatrix_jax.training.step import init_state, make_train_step
from benchmarks import references


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """A stack and its input; latents are (frames, rows, columns)."""

    layers: int
    heads: int
    head_dim: int
    ffn_dim: int
    text_dim: int
    text: int
    latents: tuple[int, int, int]
    channels: int = 16
    batch: int = 1

    @property
    def config(self) -> DiTConfig:
        """The transformer, without tags: exactly Wan's."""
        return DiTConfig(
            dim=self.heads * self.head_dim,
            ffn_dim=self.ffn_dim,
            num_heads=self.heads,
            num_layers=self.layers,
            in_channels=self.channels,
            out_channels=self.channels,
            text_dim=self.text_dim,
            tag_cross_attention=False,
            tag_adaln=False,
        )

    @property
    def tokens(self) -> int:
        """Of one clip."""
        return math.prod(self.latents) // math.prod(self.config.patch)


SIZES = {
    "reference": Size(
        layers=8,
        heads=8,
        head_dim=64,
        ffn_dim=2048,
        text_dim=1024,
        text=128,
        latents=(8, 32, 32),
    ),
    "tiny": Size(
        layers=2,
        heads=2,
        head_dim=16,
        ffn_dim=64,
        text_dim=24,
        text=6,
        latents=(3, 8, 8),
    ),
}


def forward_flops(size: Size) -> float:
    """Of all matrix products, two a multiplication; a training step has three times it.

    What a kernel computes again in the backward pass is not counted, nor is anything that
    is not a matrix product: the time for those is what the fraction of the peak shows.
    """
    config, n, m = size.config, size.tokens, size.text
    dim, voxels = config.dim, math.prod(config.patch) * size.channels
    self_attention = 4 * n * dim * dim + 2 * n * n * dim
    cross_attention = 2 * n * dim * dim + 2 * m * dim * dim + 2 * n * m * dim
    block = self_attention + cross_attention + 2 * n * dim * config.ffn_dim
    ends = 2 * n * voxels * dim + m * (config.text_dim + dim) * dim
    time = config.freq_dim * dim + dim * dim + 6 * dim * dim
    return 2.0 * size.batch * (config.num_layers * block + ends + time)


def draw_batch(size: Size, seed: int = 0) -> dict[str, np.ndarray]:
    """x0 and noise [b t h w c], sigma [b], text [b s d]; fp32."""
    draw = np.random.default_rng(seed)
    shape = (size.batch, *size.latents, size.channels)
    batch = {
        "x0": draw.standard_normal(shape),
        "noise": draw.standard_normal(shape),
        "sigma": draw.uniform(0.1, 0.9, size.batch),
        "text": draw.standard_normal((size.batch, size.text, size.text_dim)),
    }
    return {name: array.astype(np.float32) for name, array in batch.items()}


class Ours:
    """The stack in JAX.

    Args:
      size: of the stack.
      params: its parameters, numpy.
    """

    def __init__(self, size: Size, params: Any):
        config = size.config
        self._build = lambda rngs: DiT(config, rngs=rngs)
        self._params = jax.device_put(params)
        self._forward = jax.jit(self._velocity)

    def _velocity(self, params: Any, batch: Mapping[str, Any]) -> jax.Array:
        sigma = batch["sigma"][:, None, None, None, None]
        xt = (1 - sigma) * batch["x0"] + sigma * batch["noise"]
        return bind(self._build, params)(xt, batch["sigma"], batch["text"])

    # What `make_train_step` asks of a stage.
    def loss(
        self, params: Any, frozen: Any, batch: Any, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The flow loss, of given noise."""
        del frozen, key
        error = self._velocity(params, batch) - (batch["noise"] - batch["x0"])
        return jnp.mean(jnp.square(error)), {}

    def forward(self, batch: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """A call of it gives the velocity [b t h w c], once it is computed."""
        batch = jax.device_put(dict(batch))
        return lambda: np.asarray(self._forward(self._params, batch))

    def train(
        self, batch: Mapping[str, np.ndarray], optimizer: OptimizerConfig
    ) -> Callable[[], float]:
        """Each call of it trains one step further from the start and gives the loss."""
        tx = make_optimizer(optimizer)
        step = jax.jit(make_train_step(self, tx, optimizer), donate_argnums=0)
        params = jax.tree.map(jnp.copy, self._params)
        state = jax.jit(lambda params: init_state(params, tx, 0))(params)
        batch = jax.device_put(dict(batch))
        rate = jnp.float32(optimizer.learning_rate)

        def run() -> float:
            nonlocal state
            state, metrics = step(state, {}, batch, rate)
            jax.block_until_ready(state)
            return float(metrics["loss"])

        return run


class Diffusers:
    """The same in torch, as its users run it: eager, with the fused AdamW.

    Its step neither clips, nor averages, nor looks for what is not finite, as ours does.
    """

    def __init__(self, size: Size, seed: int = 1):
        self._model = references.transformer(size.config, seed=seed)
        self._shapes = flat_shapes(lambda rngs: DiT(size.config, rngs=rngs))
        self._table = wan.diffusers_table(size.config)

    def params(self) -> dict[str, Any]:
        """Its parameters now, as ours."""
        return references.ours(self._table, self._model.state_dict(), self._shapes)

    def count(self) -> int:
        """Of parameters."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    def _velocity(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        sigma = batch["sigma"][:, None, None, None, None]
        xt = (1 - sigma) * batch["x0"] + sigma * batch["noise"]
        return self._model(xt, 1000 * batch["sigma"], batch["text"]).sample

    @staticmethod
    def _tensors(batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        video = {name: references.channels_first(batch[name]) for name in _VIDEO}
        rest = batch.keys() - set(_VIDEO)
        return video | {name: torch.from_numpy(batch[name]) for name in rest}

    def forward(self, batch: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """As `Ours.forward`."""
        tensors = self._tensors(batch)

        def run() -> np.ndarray:
            with torch.inference_mode():
                return references.channels_last(self._velocity(tensors))

        return run

    def train(
        self, batch: Mapping[str, np.ndarray], optimizer: OptimizerConfig
    ) -> Callable[[], float]:
        """As `Ours.train`, but that it changes the model."""
        tensors = self._tensors(batch)
        target = tensors["noise"] - tensors["x0"]
        adamw = torch.optim.AdamW(
            self._model.parameters(),
            lr=optimizer.learning_rate,
            betas=(optimizer.b1, optimizer.b2),
            eps=optimizer.eps,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )

        def run() -> float:
            adamw.zero_grad(set_to_none=True)
            loss = torch.nn.functional.mse_loss(self._velocity(tensors), target)
            loss.backward()
            adamw.step()
            return float(loss.detach())

        return run


_VIDEO = ("x0", "noise")
