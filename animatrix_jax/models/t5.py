"""T5 1.1 and umT5: the text tower, and the whole encoder-decoder where it is trained.

    x = x + Attention(RMS(x));   x = x + W_out (gelu(W_gate RMS(x)) * (W_up RMS(x)))
    Attention: softmax(q k + b[bucket(j - i)]) v,  with no scaling of the scores

(Raffel et al. 2020, arXiv:1910.10683; Shazeer 2020, arXiv:2002.05202.) The bias is why its
attention is here and not `attention.py`'s, whose kernels take none. The position bias
`b` is the first layer's for all in T5 1.1, and each layer's own in umT5. The encoder's
parameters are under "encoder", the token embedding with them, so that `T5`'s encoder is a
`T5Encoder` as it stands. Activations take the dtype of the embedding; softmax and norms
are fp32. Reference: transformers' `T5EncoderModel`, `UMT5EncoderModel` and
`T5ForConditionalGeneration`.
"""

import math

import jax
from flax import nnx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.models.config import T5Config
from animatrix_jax.models.layers import Linear, RMSNorm, gelu_tanh
from animatrix_jax.models.stacking import scan_layers, stack

# Stands for minus infinity, without its NaNs.
_MASKED = -1e30


def relative_buckets(
    queries: int, keys: int, config: T5Config, *, causal: bool
) -> Int[Array, "n m"]:
    """The bucket of each key's distance from each query.

    Near distances have a bucket each, far ones share logarithmically wider ones. Without
    causality half of the buckets are for keys that come after the query.
    """
    distance = jnp.arange(keys)[None] - jnp.arange(queries)[:, None]
    buckets = config.relative_buckets
    if causal:
        start, distance = 0, jnp.maximum(-distance, 0)
    else:
        buckets //= 2
        start, distance = jnp.where(distance > 0, buckets, 0), jnp.abs(distance)
    exact = buckets // 2
    # At 0 the logarithm is not used; 1 keeps it finite.
    ratio = jnp.maximum(distance, 1).astype(jnp.float32) / exact
    far = jnp.log(ratio) / math.log(config.relative_max_distance / exact)
    far = exact + (far * (buckets - exact)).astype(jnp.int32)
    far = jnp.minimum(far, buckets - 1)
    return start + jnp.where(distance < exact, distance, far)


class Attention(nnx.Module):
    """Attention with unscaled scores, to which a position bias is added.

    Attributes:
      relative_bias: [bucket g], where this layer has its own.
    """

    def __init__(self, config: T5Config, *, own_bias: bool, rngs: nnx.Rngs):
        inner = config.num_heads * config.d_kv
        self.num_heads = config.num_heads
        # The scale that the scores lack is in the start of the queries.
        self.query = _linear(
            config.d_model, inner, std=(config.d_model * config.d_kv) ** -0.5, rngs=rngs
        )
        self.key = _linear(config.d_model, inner, rngs=rngs)
        self.value = _linear(config.d_model, inner, rngs=rngs)
        self.out = _linear(inner, config.d_model, rngs=rngs)
        self.relative_bias = _relative_bias(config, rngs=rngs) if own_bias else None

    def __call__(
        self,
        x: Float[Array, "b n d"],
        source: Float[Array, "b m d"],
        *,
        mask: Bool[Array, "b #n m"],
        bias: Float[Array, "g n m"] | None = None,
        buckets: Int[Array, "n m"] | None = None,
    ) -> Float[Array, "b n d"]:
        """Of `x` over `source`; the layer's own bias, where it has one, is for `buckets`."""
        if self.relative_bias is not None:
            bias = position_bias(self.relative_bias[...], buckets)
        query, key, value = (
            y.reshape(*y.shape[:2], self.num_heads, -1)
            for y in (self.query(x), self.key(source), self.value(source))
        )
        scores = jnp.einsum(
            "bnge,bmge->bgnm", query, key, preferred_element_type=jnp.float32
        )
        if bias is not None:
            scores = scores + bias
        weights = jax.nn.softmax(jnp.where(mask[:, None], scores, _MASKED), axis=-1)
        mixed = jnp.einsum("bgnm,bmge->bnge", weights.astype(x.dtype), value)
        return self.out(mixed.reshape(*x.shape[:2], -1))


class FeedForward(nnx.Module):
    """A gated GELU network."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.gate = _linear(config.d_model, config.d_ff, rngs=rngs)
        self.up = _linear(config.d_model, config.d_ff, rngs=rngs)
        self.down = _linear(config.d_ff, config.d_model, rngs=rngs)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        return self.down(gelu_tanh(self.gate(x)) * self.up(x))


class EncoderLayer(nnx.Module):
    """Self-attention and feed-forward, each on the normalised stream."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.norm_attention = RMSNorm(config.d_model, eps=config.eps)
        self.attention = Attention(config, own_bias=config.bias_every_layer, rngs=rngs)
        self.norm_ffn = RMSNorm(config.d_model, eps=config.eps)
        self.ffn = FeedForward(config, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b n d"],
        *,
        mask: Bool[Array, "b #n n"],
        bias: Float[Array, "g n n"] | None,
        buckets: Int[Array, "n n"],
    ) -> Float[Array, "b n d"]:
        h = self.norm_attention(x)
        x = x + self.attention(h, h, mask=mask, bias=bias, buckets=buckets)
        return x + self.ffn(self.norm_ffn(x))


class DecoderLayer(nnx.Module):
    """As an encoder layer, with attention to the encoder's output in between."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.norm_attention = RMSNorm(config.d_model, eps=config.eps)
        self.attention = Attention(config, own_bias=config.bias_every_layer, rngs=rngs)
        self.norm_cross = RMSNorm(config.d_model, eps=config.eps)
        self.cross = Attention(config, own_bias=False, rngs=rngs)
        self.norm_ffn = RMSNorm(config.d_model, eps=config.eps)
        self.ffn = FeedForward(config, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b n d"],
        source: Float[Array, "b m d"],
        *,
        mask: Bool[Array, "b #n n"],
        source_mask: Bool[Array, "b #n m"],
        bias: Float[Array, "g n n"] | None,
        buckets: Int[Array, "n n"],
    ) -> Float[Array, "b n d"]:
        h = self.norm_attention(x)
        x = x + self.attention(h, h, mask=mask, bias=bias, buckets=buckets)
        x = x + self.cross(self.norm_cross(x), source, mask=source_mask)
        return x + self.ffn(self.norm_ffn(x))


class T5Encoder(nnx.Module):
    """Token ids to one vector a token."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.config = config
        self.embedding = nnx.Param(
            jax.random.normal(rngs.params(), (config.vocab_size, config.d_model))
        )
        self.relative_bias = (
            None if config.bias_every_layer else _relative_bias(config, rngs=rngs)
        )
        self.layers = stack(
            lambda rngs: EncoderLayer(config, rngs=rngs), config.num_layers, rngs=rngs
        )
        self.norm = RMSNorm(config.d_model, eps=config.eps)

    def __call__(
        self, tokens: Int[Array, "b s"], mask: Bool[Array, "b s"]
    ) -> Float[Array, "b s d"]:
        """The encoding; where `mask` is False a token is unseen, its own vector is junk."""
        length = tokens.shape[1]
        buckets = relative_buckets(length, length, self.config, causal=False)
        bias = _shared_bias(self.relative_bias, buckets)

        def run(layer: EncoderLayer, x: Array) -> Array:
            return layer(x, mask=mask[:, None], bias=bias, buckets=buckets)

        return self.norm(scan_layers(run, self.layers, self.embedding[...][tokens]))


class T5Decoder(nnx.Module):
    """Embedded tokens, each seeing those before it and the encoding, to logits."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        self.config = config
        self.relative_bias = (
            None if config.bias_every_layer else _relative_bias(config, rngs=rngs)
        )
        self.layers = stack(
            lambda rngs: DecoderLayer(config, rngs=rngs),
            config.num_decoder_layers,
            rngs=rngs,
        )
        self.norm = RMSNorm(config.d_model, eps=config.eps)
        self.head = _linear(config.d_model, config.vocab_size, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b n d"],
        source: Float[Array, "b m d"],
        *,
        mask: Bool[Array, "b n"],
        source_mask: Bool[Array, "b m"],
    ) -> Float[Array, "b n v"]:
        length = x.shape[1]
        buckets = relative_buckets(length, length, self.config, causal=True)
        bias = _shared_bias(self.relative_bias, buckets)
        seen = mask[:, None] & jnp.tril(jnp.ones((length, length), bool))

        def run(layer: DecoderLayer, x: Array) -> Array:
            return layer(
                x,
                source,
                mask=seen,
                source_mask=source_mask[:, None],
                bias=bias,
                buckets=buckets,
            )

        return self.head(self.norm(scan_layers(run, self.layers, x)))


class T5(nnx.Module):
    """Encoder and decoder with one embedding and a head of its own, as in T5 1.1."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        if config.num_decoder_layers < 1:
            raise ValueError(
                "an encoder-decoder needs num_decoder_layers of 1 or more,"
                f" got {config.num_decoder_layers}"
            )
        self.encoder = T5Encoder(config, rngs=rngs)
        self.decoder = T5Decoder(config, rngs=rngs)

    def __call__(
        self,
        tokens: Int[Array, "b s"],
        mask: Bool[Array, "b s"],
        decoder_tokens: Int[Array, "b n"],
        decoder_mask: Bool[Array, "b n"],
    ) -> Float[Array, "b n v"]:
        """The logits, fp32, of the token after each of `decoder_tokens`."""
        source = self.encoder(tokens, mask)
        embedded = self.encoder.embedding[...][decoder_tokens]
        logits = self.decoder(embedded, source, mask=decoder_mask, source_mask=mask)
        return logits.astype(jnp.float32)


def position_bias(
    table: Float[Array, "k g"], buckets: Int[Array, "n m"]
) -> Float[Array, "g n m"]:
    """What is added to each head's scores, fp32."""
    return jnp.moveaxis(table.astype(jnp.float32)[buckets], -1, 0)


def _shared_bias(table: nnx.Param | None, buckets: Array) -> Array | None:
    return None if table is None else position_bias(table[...], buckets)


def _linear(
    inputs: int, outputs: int, *, std: float | None = None, rngs: nnx.Rngs
) -> Linear:
    """Without bias; a start that keeps the variance, unless `std` is given."""
    init = nnx.initializers.normal(inputs**-0.5 if std is None else std)
    return Linear(inputs, outputs, bias=False, kernel_init=init, rngs=rngs)


def _relative_bias(config: T5Config, *, rngs: nnx.Rngs) -> nnx.Param:
    shape = (config.relative_buckets, config.num_heads)
    return nnx.Param(jax.random.normal(rngs.params(), shape) * config.d_model**-0.5)
