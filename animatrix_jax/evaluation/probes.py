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
from jaxtyping import Array, Bool, Float, Int, UInt8

from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.knowledge.schema import Taxonomy
from animatrix_jax.knowledge.taxonomy import load_taxonomy

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldTable:
    """The taxonomy as arrays, for the fields that a probe reads.

    Attributes:
      fields: keys, in taxonomy order.
      owner: [v] which field (position in `fields`) a value belongs to, -1 for none.
      multiple: [f] whether several values hold at once.
    """

    fields: tuple[str, ...]
    owner: np.ndarray
    multiple: np.ndarray

    @classmethod
    def of(cls, taxonomy: Taxonomy, fields: tuple[str, ...]) -> "FieldTable":
        """The table of `fields`."""
        owner = np.full(taxonomy.num_values, -1, np.int32)
        multiple = np.zeros(len(fields), bool)
        for position, key in enumerate(fields):
            field = taxonomy.field(key)
            multiple[position] = field.multiple
            for value in field.values:
                owner[value.index] = position
        return cls(fields=fields, owner=owner, multiple=multiple)

    @classmethod
    def drawn(cls, taxonomy: Taxonomy | None = None) -> "FieldTable":
        """The table of every field that Cel World draws."""
        return cls.of(load_taxonomy() if taxonomy is None else taxonomy, tuple(WEIGHTS))

    @property
    def membership(self) -> np.ndarray:
        """[f v], true where value v belongs to field f."""
        return np.arange(len(self.fields))[:, None] == self.owner[None, :]


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
        y = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        return self.out(y.reshape(b, m, n, d))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeTerms:
    """The probe's loss, and its accuracy over the fields stated."""

    loss: Array
    accuracy: Array


def truth_matrix(
    values: Int[Array | np.ndarray, "b k"],
    mask: Bool[Array | np.ndarray, "b k"],
    *,
    num_values: int,
) -> Bool[Array, "b v"]:
    """Batches of tag ids as one flag a value."""
    one_hot = jax.nn.one_hot(jnp.asarray(values), num_values, dtype=jnp.float32)
    stated = jnp.einsum("bkv,bk->bv", one_hot, jnp.asarray(mask, jnp.float32))
    return stated > 0


def stated_fields(
    truth: Bool[Array, "b v"], *, table: FieldTable
) -> Bool[Array, "b f"]:
    """Which fields a clip's tags speak of; a field that cannot be seen is not stated."""
    member = jnp.asarray(table.membership, jnp.float32)
    return jnp.einsum("fv,bv->bf", member, truth.astype(jnp.float32)) > 0


def probe_loss(
    logits: Float[Array, "b v"], truth: Bool[Array, "b v"], *, table: FieldTable
) -> ProbeTerms:
    """Mean over stated fields of softmax or (summed) sigmoid cross-entropy."""
    member = jnp.asarray(table.membership, jnp.float32)
    target = truth.astype(jnp.float32)
    log_z = field_log_normalizer(logits, table=table)
    chosen = jnp.einsum("fv,bv,bv->bf", member, target, logits)
    softmax = log_z - chosen
    each = jax.nn.softplus(logits) - target * logits
    sigmoid = jnp.einsum("fv,bv->bf", member, each)
    loss = jnp.where(jnp.asarray(table.multiple), sigmoid, softmax)
    weight = stated_fields(truth, table=table).astype(jnp.float32)
    total = jnp.maximum(jnp.sum(weight), 1.0)
    right = field_agreement(predict(logits, table=table), truth, table=table)
    return ProbeTerms(
        loss=jnp.sum(loss * weight) / total,
        accuracy=jnp.sum(right * weight) / total,
    )


def field_log_normalizer(
    logits: Float[Array, "b v"], *, table: FieldTable
) -> Float[Array, "b f"]:
    """Log of the sum of exponentials within each field."""
    member = jnp.asarray(table.membership)
    inside = jnp.where(member[None], logits[:, None, :], -jnp.inf)
    return jax.nn.logsumexp(inside, axis=-1)


def predict(
    logits: Float[Array | np.ndarray, "b v"], *, table: FieldTable
) -> Bool[Array, "b v"]:
    """The values read: a field's best; every one above one half where several hold.

    A multi-valued field with nothing above one half gives its best, so that every field
    is read.
    """
    logits = jnp.asarray(logits)
    member = jnp.asarray(table.membership)
    inside = jnp.where(member[None], logits[:, None, :], -jnp.inf)
    best = jax.nn.one_hot(inside.argmax(-1), logits.shape[-1], dtype=bool)
    above = (inside > 0) & member[None]
    several = jnp.asarray(table.multiple)[None, :, None] & above.any(-1, keepdims=True)
    return jnp.where(several, above, best).any(axis=1)


def field_agreement(
    read: Bool[Array, "b v"], truth: Bool[Array, "b v"], *, table: FieldTable
) -> Float[Array, "b f"]:
    """Agreement a field: intersection over union, which is 0 or 1 for single values."""
    member = jnp.asarray(table.membership, jnp.float32)
    both = jnp.einsum("fv,bv->bf", member, (read & truth).astype(jnp.float32))
    either = jnp.einsum("fv,bv->bf", member, (read | truth).astype(jnp.float32))
    return both / jnp.maximum(either, 1.0)
