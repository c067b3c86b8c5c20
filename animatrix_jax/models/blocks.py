"""One transformer block of Wan, and the tag modulation that joins it.

    x += gate_s * SelfAttention((1 + scale_s) LN(x) + shift_s)
    x +=          CrossAttention(LN_affine(x), context)
    x += gate_f * FFN((1 + scale_f) LN(x) + shift_f)

The six modulations are a projection of the noise level, shared by all blocks, plus a
table of the block. Tags add a delta to them, and to cross-attention, which Wan does not
modulate, around the identity (PAPER: "Dual-path injection", factorised as derived there):

    c = SiLU(W_t t_emb + W_g h_cls),    delta = U (V c) for each sub-layer,  U = 0 at start

Where a noise level goes with each latent frame, so do the modulations: f is 1 or the
number of latent frames. Norms and modulation are fp32; x is in the compute dtype.
"""

import dataclasses
from collections.abc import Callable

import jax
from flax import nnx
from jax import numpy as jnp
from jaxtyping import Array, Float

from animatrix_jax.models.attention import Keys, attention, joint_attention
from animatrix_jax.models.config import DiTConfig
from animatrix_jax.models.layers import (
    MLP,
    LayerNorm,
    Linear,
    RMSNorm,
    gelu_tanh,
    layer_norm,
    matmul,
    zeros,
)
from animatrix_jax.models.rope import Rotary, pairs_to_halves, rotate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What cross-attention attends to: three sets of tokens [b . d].

    Attributes:
      tags: attended to together with the text.
      tag_mask: True where there is a tag.
      image: has keys and values of its own, and is attended to apart.
    """

    text: Array
    tags: Array | None = None
    tag_mask: Array | None = None
    image: Array | None = None


class SelfAttention(nnx.Module):
    """Attention of the tokens to each other, with rotary positions."""

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.config = config
        self.q = Linear(dim, dim, rngs=rngs)
        self.k = Linear(dim, dim, rngs=rngs)
        self.v = Linear(dim, dim, rngs=rngs)
        self.out = Linear(dim, dim, rngs=rngs)
        self.q_norm = RMSNorm(dim, eps=config.eps)
        self.k_norm = RMSNorm(dim, eps=config.eps)

    def __call__(
        self, x: Float[Array, "b n d"], rotary: Rotary
    ) -> Float[Array, "b n d"]:
        def permute(parameter: Array) -> Array:
            return pairs_to_halves(parameter, self.config.head_dim)

        q = self.q_norm(_project(x, self.q, permute), permute)
        k = self.k_norm(_project(x, self.k, permute), permute)
        out = attention(
            rotate(_heads(q, self.config), rotary),
            rotate(_heads(k, self.config), rotary),
            _heads(self.v(x), self.config),
            implementation=self.config.attention,
        )
        return self.out(out.reshape(x.shape))


class CrossAttention(nnx.Module):
    """Attention of the tokens to text, tags and image."""

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.config = config
        self.q = Linear(dim, dim, rngs=rngs)
        self.k = Linear(dim, dim, rngs=rngs)
        self.v = Linear(dim, dim, rngs=rngs)
        self.out = Linear(dim, dim, rngs=rngs)
        self.q_norm = RMSNorm(dim, eps=config.eps)
        self.k_norm = RMSNorm(dim, eps=config.eps)
        if config.image_dim is not None:
            self.image_k = Linear(dim, dim, rngs=rngs)
            self.image_v = Linear(dim, dim, rngs=rngs)
            self.image_k_norm = RMSNorm(dim, eps=config.eps)

    def __call__(
        self, x: Float[Array, "b n d"], context: Context
    ) -> Float[Array, "b n d"]:
        q = _heads(self.q_norm(self.q(x)), self.config)
        parts = [self._keys(context.text)]
        if context.tags is not None:
            parts.append(self._keys(context.tags, mask=context.tag_mask))
        out = joint_attention(q, parts, implementation=self.config.attention)
        if context.image is not None:
            out = out + attention(
                q,
                _heads(self.image_k_norm(self.image_k(context.image)), self.config),
                _heads(self.image_v(context.image), self.config),
                implementation=self.config.attention,
            )
        return self.out(out.reshape(x.shape))

    def _keys(self, tokens: Array, mask: Array | None = None) -> Keys:
        k = _heads(self.k_norm(self.k(tokens)), self.config)
        return Keys(k=k, v=_heads(self.v(tokens), self.config), mask=mask)


class Block(nnx.Module):
    """Self-attention, cross-attention and feed-forward, each with its residual."""

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.eps = config.eps
        self.self_attention = SelfAttention(config, rngs=rngs)
        self.cross_norm = LayerNorm(dim, eps=config.eps)
        self.cross_attention = CrossAttention(config, rngs=rngs)
        self.ffn = MLP(dim, config.ffn_dim, dim, activation=gelu_tanh, rngs=rngs)
        self.modulation = nnx.Param(
            jax.random.normal(rngs.params(), (6, dim)) / dim**0.5
        )

    def __call__(
        self,
        x: Float[Array, "b n d"],
        *,
        time: Float[Array, "b f 6 d"],
        rotary: Rotary,
        context: Context,
        delta: Float[Array, "b f 9 d"] | None = None,
    ) -> Float[Array, "b n d"]:
        """Runs the block.

        Args:
          time: the noise level's modulation, before this block's table.
          delta: what tags add: shift, scale and gate of self-attention, of feed-forward
            and of cross-attention.
        """
        modulation = time + self.modulation[...]
        if delta is not None:
            modulation = modulation + delta[:, :, :6]
        shift_s, scale_s, gate_s, shift_f, scale_f, gate_f = _unstack(modulation, x)

        h = layer_norm(x, self.eps) * (1 + scale_s) + shift_s
        h = self.self_attention(h.astype(x.dtype), rotary)
        x = (x.astype(jnp.float32) + h * gate_s).astype(x.dtype)

        h = self.cross_norm(x)
        if delta is None:
            x = x + self.cross_attention(h.astype(x.dtype), context)
        else:
            shift_c, scale_c, gate_c = _unstack(delta[:, :, 6:], x)
            h = h * (1 + scale_c) + shift_c
            h = self.cross_attention(h.astype(x.dtype), context)
            x = (x.astype(jnp.float32) + h * (1 + gate_c)).astype(x.dtype)

        h = layer_norm(x, self.eps) * (1 + scale_f) + shift_f
        h = self.ffn(h.astype(x.dtype))
        return (x.astype(jnp.float32) + h * gate_f).astype(x.dtype)


class TagModulation(nnx.Module):
    """One block's delta to its modulations, from the noise level and the tags: shift,
    scale and gate of self-attention, of feed-forward and of cross-attention."""

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        width, rank = config.tag_dim, config.tag_rank
        self.time = Linear(config.dim, width, rngs=rngs)
        self.tags = Linear(width, width, bias=False, rngs=rngs)
        self.reduce = Linear(width, 3 * rank, bias=False, rngs=rngs)
        self.expand = nnx.Param(zeros(rngs.params(), (3, rank, 3 * config.dim)))

    def __call__(
        self, time: Float[Array, "b f d"], cls: Float[Array, "b k"]
    ) -> Float[Array, "b f 9 d"]:
        c = jax.nn.silu(self.time(time) + self.tags(cls)[:, None])
        reduced = jnp.split(self.reduce(c), 3, axis=-1)
        parts = [low @ up for low, up in zip(reduced, self.expand[...], strict=True)]
        return jnp.concatenate(parts, axis=-1).reshape(*time.shape[:2], 9, -1)


def tokens_of_frames(
    modulation: Float[Array, "b f d"], num_tokens: int
) -> Float[Array, "b m d"]:
    """Each frame's vector at each of its tokens; one frame's is left to broadcast."""
    batch, frames, dim = modulation.shape
    if frames == 1:
        return modulation
    shape = (batch, frames, num_tokens // frames, dim)
    return jnp.broadcast_to(modulation[:, :, None], shape).reshape(batch, -1, dim)


def _unstack(modulation: Array, x: Array) -> list[Array]:
    """[b f k d] into k modulations that broadcast to x [b n d]."""
    parts = jnp.unstack(modulation, axis=2)
    return [tokens_of_frames(part, x.shape[1]) for part in parts]


def _project(x: Array, linear: Linear, permute: Callable[[Array], Array]) -> Array:
    """`linear(x)` with its output channels permuted, by permuting its weights."""
    kernel = permute(linear.kernel[...]).astype(x.dtype)
    return matmul(x, kernel) + permute(linear.bias[...]).astype(x.dtype)


def _heads(x: Array, config: DiTConfig) -> Array:
    return x.reshape(*x.shape[:2], config.num_heads, config.head_dim)
