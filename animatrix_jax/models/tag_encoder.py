"""The tag encoder: a clip's set of production tags to one vector each, and one for all.

A tag (field f, value v) embeds as e = W_field[f] + W_value[v]. [CLS] and the tags go
through a pre-LN transformer with no positions, since tags are a set: permuting them
permutes `sequence` and leaves `cls` (arXiv 2605.03652, its tag encoder). All fp32; it is small.
"""

import dataclasses

from flax import nnx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.models.attention import attention
from animatrix_jax.models.config import TagEncoderConfig
from animatrix_jax.models.layers import (
    MLP,
    LayerNorm,
    Linear,
    gelu_tanh,
    normal_002,
)
from animatrix_jax.models.stacking import scan_layers, stack


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedTags:
    """The tags' vectors [b k d], zero where padded, and the set's vector [b d]."""

    sequence: Array
    cls: Array


class TagLayer(nnx.Module):
    """One pre-LN transformer layer."""

    def __init__(self, config: TagEncoderConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.num_heads = config.num_heads
        self.attention_norm = LayerNorm(dim, eps=config.eps)
        self.qkv = Linear(dim, 3 * dim, rngs=rngs)
        self.out = Linear(dim, dim, rngs=rngs)
        self.ffn_norm = LayerNorm(dim, eps=config.eps)
        self.ffn = MLP(dim, config.ffn_mult * dim, dim, activation=gelu_tanh, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b k d"], mask: Bool[Array, "b k"]
    ) -> Float[Array, "b k d"]:
        heads = (*x.shape[:2], self.num_heads, -1)
        qkv = jnp.split(self.qkv(self.attention_norm(x)), 3, axis=-1)
        q, k, v = (part.reshape(heads) for part in qkv)
        x = x + self.out(attention(q, k, v, mask=mask).reshape(x.shape))
        return x + self.ffn(self.ffn_norm(x))


class TagEncoder(nnx.Module):
    """Embeds and mixes tags; a clip with none has a learned null for its `cls`."""

    def __init__(self, config: TagEncoderConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.field = nnx.Param(normal_002(rngs.params(), (config.num_fields, dim)))
        self.value = nnx.Param(normal_002(rngs.params(), (config.num_values, dim)))
        self.cls = nnx.Param(normal_002(rngs.params(), (dim,)))
        self.null = nnx.Param(normal_002(rngs.params(), (dim,)))
        self.layers = stack(
            lambda rngs: TagLayer(config, rngs=rngs), config.num_layers, rngs=rngs
        )
        self.norm = LayerNorm(dim, eps=config.eps)

    def __call__(
        self,
        fields: Int[Array, "b k"],
        values: Int[Array, "b k"],
        mask: Bool[Array, "b k"],
    ) -> EncodedTags:
        tags = self.field[...][fields] + self.value[...][values]
        cls = jnp.broadcast_to(self.cls[...], (len(tags), 1, tags.shape[-1]))
        seen = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)
        x = scan_layers(
            lambda layer, x: layer(x, seen),
            self.layers,
            jnp.concatenate([cls, tags], axis=1),
        )
        x = self.norm(x)
        return EncodedTags(
            sequence=jnp.where(mask[..., None], x[:, 1:], 0),
            cls=jnp.where(mask.any(-1, keepdims=True), x[:, 0], self.null[...]),
        )
