"""The probe: a small video network that reads production tags back from pixels.

It is the measuring instrument of the evaluation, trained only on real Cel World clips
and never on samples. A frame and its two neighbours go through convolutions; the
grid that is left is a set of tokens, with positions, for attention over time and over
space in turn; three pools feed one linear layer with a logit for every value of the
taxonomy:

    frames [b t h w 3] -> stem [b t h/8 w/8 d] -> blocks -> pools [b 3d] -> logits [b v]

A single-valued field is a softmax over its own values, a multi-valued one a sigmoid
each; fields that a clip does not state are masked from the loss.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from animatrix_jax.models.attention import attention

_SHARPNESS = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The probe's shape.

    Attributes:
      num_values: size of the taxonomy; there is a logit for every value.
      frames, height, width: pixels of a clip.
      dim: channels of a token; the stem has dim / 3 and dim / 2 before.
    """

    num_values: int
    frames: int = 17
    height: int = 32
    width: int = 32
    dim: int = 96
    num_layers: int = 2
    num_heads: int = 4


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeOutput:
    """What the probe says of a batch of clips."""

    logits: Float[Array, "b v"]
    features: Float[Array, "b d"]


class Probe(nnx.Module):
    """Pixels in, a logit for every value out."""

    def __init__(self, config: ProbeConfig, *, rngs: nnx.Rngs):
        self.config = config
        dim = config.dim
        # 2 x 2 pixels of a frame and its two differences; then twice a convolution.
        self.embed = nnx.Linear(2 * 2 * 9, dim // 3, rngs=rngs)
        self.stem = nnx.List(
            [
                nnx.Conv(i, o, kernel_size=(4, 4), strides=(2, 2), rngs=rngs)
                for i, o in ((dim // 3, dim // 2), (dim // 2, dim))
            ]
        )
        grid = (config.frames, config.height // 8, config.width // 8)
        init = nnx.initializers.normal(0.02)
        self.time = nnx.Param(init(rngs.params(), (grid[0], 1, dim)))
        self.space = nnx.Param(init(rngs.params(), (grid[1] * grid[2], dim)))
        self.blocks = nnx.List(
            [_Block(dim, config.num_heads, rngs=rngs) for _ in range(config.num_layers)]
        )
        self.norm = nnx.LayerNorm(dim, rngs=rngs)
        self.query = nnx.Param(init(rngs.params(), (dim,)))
        self.head = nnx.Linear(3 * dim, config.num_values, rngs=rngs)

    def __call__(self, video: UInt8[Array | np.ndarray, "b t h w 3"]) -> ProbeOutput:
        """Reads a batch of clips.

        Raises:
          ValueError: if the clips are not of the size that the probe was made for.
        """
        c = self.config
        if video.shape[1:] != (c.frames, c.height, c.width, 3):
            raise ValueError(
                f"the probe reads clips of {c.frames} x {c.height} x {c.width} x 3,"
                f" got {' x '.join(map(str, video.shape[1:]))}"
            )
        x = jnp.asarray(video).astype(jnp.float32) / 127.5 - 1.0
        # Differences from both neighbours: exposure and motion are plain to see in them.
        before = jnp.concatenate([x[:, :1], x[:, :-1]], axis=1)
        after = jnp.concatenate([x[:, 1:], x[:, -1:]], axis=1)
        x = jnp.concatenate([x, 2.0 * (x - before), 2.0 * (after - x)], axis=-1)
        b, t, h, w, _ = x.shape
        x = x.reshape(b * t, h // 2, 2, w // 2, 2, 9).swapaxes(2, 3)
        x = nnx.gelu(self.embed(x.reshape(b * t, h // 2, w // 2, 36)))
        for conv in self.stem:
            x = nnx.gelu(conv(x))
        x = x.reshape(b, t, -1, c.dim) + self.time[...] + self.space[...]
        for block in self.blocks:
            x = block(x)
        x = self.norm(x).reshape(b, -1, c.dim)
        weight = jax.nn.softmax(x @ self.query[...] * c.dim**0.5, axis=1)
        # A smooth maximum: the gradient of the hard one divides by how many equal it,
        # which is none where a compiler rounds the two computations of x apart.
        peak = jax.nn.logsumexp(_SHARPNESS * x, axis=1) / _SHARPNESS
        pools = [x.mean(axis=1), peak, jnp.einsum("bn,bnd->bd", weight, x)]
        features = jnp.concatenate(pools, axis=-1)
        return ProbeOutput(logits=self.head(features), features=features)


class _Block(nnx.Module):
    """Pre-norm attention over time within a cell, over space within a frame, MLP."""

    def __init__(self, dim: int, num_heads: int, *, rngs: nnx.Rngs):
        self.over_time = _Attention(dim, num_heads, rngs=rngs)
        self.over_space = _Attention(dim, num_heads, rngs=rngs)
        self.norm = nnx.LayerNorm(dim, rngs=rngs)
        self.up = nnx.Linear(dim, 2 * dim, rngs=rngs)
        self.down = nnx.Linear(2 * dim, dim, rngs=rngs)

    def __call__(self, x: Float[Array, "b t n d"]) -> Float[Array, "b t n d"]:
        x = x + self.over_time(x.swapaxes(1, 2)).swapaxes(1, 2)
        x = x + self.over_space(x)
        return x + self.down(nnx.gelu(self.up(self.norm(x))))


class _Attention(nnx.Module):
    """Self-attention over the last axis but one."""

    def __init__(self, dim: int, num_heads: int, *, rngs: nnx.Rngs):
        self.num_heads = num_heads
        self.norm = nnx.LayerNorm(dim, rngs=rngs)
        self.qkv = nnx.Linear(dim, 3 * dim, rngs=rngs)
        self.out = nnx.Linear(dim, dim, rngs=rngs)

    def __call__(self, x: Float[Array, "b m n d"]) -> Float[Array, "b m n d"]:
        b, m, n, d = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b * m, n, 3, self.num_heads, -1)
        y = attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        return self.out(y.reshape(b, m, n, d))
