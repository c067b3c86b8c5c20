"""One transformer block of Wan, and the tag modulation that joins it.

    x += gate_s * SelfAttention((1 + scale_s) LN(x) + shift_s)
    x +=          CrossAttention(LN_affine(x), context)
    x += gate_f * FFN((1 + scale_f) LN(x) + shift_f)

The six modulations are a projection of the noise level, shared by all blocks, plus a
table of the block. Tags add a delta to them, and to cross-attention, which Wan does not
modulate, around the identity (arXiv 2605.03652, dual-path injection; the factorisation
into U and V is ours):

    c = SiLU(W_t t_emb + W_g h_cls),    delta = U (V c) for each sub-layer,  U = 0 at start

Where some tokens are clean there are modulations of two noise levels, l = 2, the sample's
and 0, and each token takes its own. Norms and modulation are fp32; x is in the compute
dtype.
"""

import dataclasses

import jax
from flax import nnx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from animatrix_jax.models.attention import attention, joint_attention
from animatrix_jax.models.config import DiTConfig
from animatrix_jax.models.layers import (
    MLP,
    ROWS,
    LayerNorm,
    Linear,
    RMSNorm,
    gelu_tanh,
    layer_norm,
    modulate,
    zeros,
)
from animatrix_jax.models.rope import Rotary, rotate
from animatrix_jax.parallel.attention import Keys, heads_together
from animatrix_jax.parallel.mesh import constrain

# Where tokens [b n d] lie.
TOKENS = ("batch", "sequence", None)


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
        self.out = Linear(dim, dim, split=ROWS, rngs=rngs)
        self.q_norm = RMSNorm(dim, eps=config.eps)
        self.k_norm = RMSNorm(dim, eps=config.eps)

    def __call__(
        self,
        x: Float[Array, "b n d"],
        *,
        rotary: Rotary,
        mask: Bool[Array, "b n"] | None,
        gate: Float[Array, "b m d"],
    ) -> Float[Array, "b n d"]:
        """The output times `gate`, in fp32."""
        config = self.config
        group = heads_together(config.num_heads)
        shape = (config.num_heads // group, group, config.head_dim)
        q, k, v = (part.heads(x, shape) for part in (self.q, self.k, self.v))
        q, k = rotate(self.q_norm(q), rotary), rotate(self.k_norm(k), rotary)
        heads = (*x.shape[:2], config.num_heads, config.head_dim)
        out = attention(
            q.reshape(heads),
            k.reshape(heads),
            v.reshape(heads),
            mask=mask,
            never_empty=True,
            implementation=config.attention,
            tokens_are_keys=True,
        )
        return self.out.gated(out.reshape(x.shape), gate)


class CrossAttention(nnx.Module):
    """Attention of the tokens to text, tags and image."""

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.config = config
        self.q = Linear(dim, dim, rngs=rngs)
        self.k = Linear(dim, dim, rngs=rngs)
        self.v = Linear(dim, dim, rngs=rngs)
        self.out = Linear(dim, dim, split=ROWS, rngs=rngs)
        self.q_norm = RMSNorm(dim, eps=config.eps)
        self.k_norm = RMSNorm(dim, eps=config.eps)
        if config.image_dim is not None:
            self.image_k = Linear(dim, dim, rngs=rngs)
            self.image_v = Linear(dim, dim, rngs=rngs)
            self.image_k_norm = RMSNorm(dim, eps=config.eps)

    def __call__(
        self,
        x: Float[Array, "b n d"],
        context: Context,
        gate: Float[Array, "b m d"] | None,
    ) -> Float[Array, "b n d"]:
        """The output, times `gate` and in fp32 if there is one."""
        q = self.q_norm(self._split(self.q, x))
        parts = [self._keys(context.text)]  # of which no token is masked
        if context.tags is not None:
            parts.append(self._keys(context.tags, mask=context.tag_mask))
        out = joint_attention(q, parts, implementation=self.config.attention)
        if context.image is not None:
            out = out + attention(
                q,
                self.image_k_norm(self._split(self.image_k, context.image)),
                self._split(self.image_v, context.image),
                implementation=self.config.attention,
            )
        out = out.reshape(x.shape)
        return self.out(out) if gate is None else self.out.gated(out, gate)

    def _keys(self, tokens: Array, mask: Array | None = None) -> Keys:
        k = self.k_norm(self._split(self.k, tokens))
        return Keys(k=k, v=self._split(self.v, tokens), mask=mask)

    def _split(self, linear: Linear, x: Array) -> Array:
        return linear.heads(x, (self.config.num_heads, self.config.head_dim))


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
        time: Float[Array, "b l 6 d"],
        clean: Bool[Array, "b n 1"] | None,
        mask: Bool[Array, "b n"] | None,
        rotary: Rotary,
        context: Context,
        delta: Float[Array, "b l 9 d"] | None = None,
    ) -> Float[Array, "b n d"]:
        """Runs the block.

        Args:
          time: the noise levels' modulation, before this block's table.
          clean: the tokens that are at the second noise level, if there are two.
          mask: the tokens that are not padding, if some are.
          delta: what tags add: shift, scale and gate of self-attention, of feed-forward
            and of cross-attention.
        """
        x = constrain(x, *TOKENS)
        modulation = time + self.modulation[...]
        if delta is not None:
            modulation = modulation + delta[:, :, :6]
        shift_s, scale_s, gate_s, shift_f, scale_f, gate_f = _unstack(modulation, clean)

        h = modulate(layer_norm(x, self.eps), shift_s, scale_s)
        h = self.self_attention(
            h.astype(x.dtype), rotary=rotary, mask=mask, gate=gate_s
        )
        x = (x.astype(jnp.float32) + h).astype(x.dtype)

        h = self.cross_norm(x)
        if delta is None:
            x = x + self.cross_attention(h.astype(x.dtype), context, None)
        else:
            shift_c, scale_c, gate_c = _unstack(delta[:, :, 6:], clean)
            h = modulate(h, shift_c, scale_c)
            h = self.cross_attention(h.astype(x.dtype), context, 1 + gate_c)
            x = (x.astype(jnp.float32) + h).astype(x.dtype)

        h = modulate(layer_norm(x, self.eps), shift_f, scale_f)
        h = self.ffn.gated(h.astype(x.dtype), gate_f)
        x = (x.astype(jnp.float32) + h).astype(x.dtype)
        return constrain(x, *TOKENS)


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
        self, time: Float[Array, "b l d"], cls: Float[Array, "b k"]
    ) -> Float[Array, "b l 9 d"]:
        c = jax.nn.silu(self.time(time) + self.tags(cls)[:, None])
        reduced = jnp.split(self.reduce(c), 3, axis=-1)
        parts = [low @ up for low, up in zip(reduced, self.expand[...], strict=True)]
        return jnp.concatenate(parts, axis=-1).reshape(*time.shape[:2], 9, -1)


def at_tokens(
    modulation: Float[Array, "b l d"], clean: Bool[Array, "b n 1"] | None
) -> Float[Array, "b m d"]:
    """Each token's modulation of one or two; one alone is left to broadcast."""
    return modulation if clean is None else _choose(modulation, clean)


@jax.custom_vjp
def _choose(modulation: Array, clean: Array) -> Array:
    return jnp.where(clean, modulation[:, 1:], modulation[:, :1])


def _choose_forward(modulation: Array, clean: Array) -> tuple[Array, Array]:
    return _choose(modulation, clean), clean


def _choose_backward(clean: Array, gradient: Array) -> tuple[Array, None]:
    # A product, since XLA for TPU works sums over tokens into the matrix product before
    # them, where two for each modulation take as long as the product.
    levels = jnp.concatenate([~clean, clean], axis=-1).astype(gradient.dtype)
    return jnp.einsum(
        "bnl,bnd->bld", levels, gradient, precision=jax.lax.Precision.HIGHEST
    ), None


_choose.defvjp(_choose_forward, _choose_backward)


def _unstack(modulation: Array, clean: Array | None) -> list[Array]:
    """[b l k d] into k modulations that broadcast to tokens [b n d]."""
    return [at_tokens(part, clean) for part in jnp.unstack(modulation, axis=2)]
