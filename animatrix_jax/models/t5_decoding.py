"""T5's decoder a token at a time: what earlier tokens gave is kept, not computed again.

    state = start(decoder, source, length);   logits_t, state = step(decoder, state, x_t)

equals `decoder(x, source)` at every position t (tests/models/test_t5_decoding.py). The
layers are unrolled: it is for decoders of a few layers.
"""

import dataclasses
import operator
from collections.abc import Iterator

import jax
from flax import nnx
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.models.t5 import (
    _MASKED,
    Attention,
    DecoderLayer,
    T5Decoder,
    position_bias,
    relative_buckets,
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingState:
    """Keys and values of the tokens so far (zeros beyond) and of the source, a layer."""

    position: Int[Array, ""]
    keys: tuple[Float[Array, "b n g e"], ...]
    values: tuple[Float[Array, "b n g e"], ...]
    source_keys: tuple[Float[Array, "b m g e"], ...]
    source_values: tuple[Float[Array, "b m g e"], ...]
    source_mask: Bool[Array, "b m"]


def start(
    decoder: T5Decoder,
    source: Float[Array, "b m d"],
    source_mask: Bool[Array, "b m"],
    *,
    length: int,
) -> DecodingState:
    """The state before the first of `length` tokens."""
    config = decoder.config
    empty = jnp.zeros(
        (len(source), length, config.num_heads, config.d_kv), source.dtype
    )
    layers = list(_layers(decoder))
    return DecodingState(
        position=jnp.zeros((), jnp.int32),
        keys=(empty,) * len(layers),
        values=(empty,) * len(layers),
        source_keys=tuple(_heads(a.cross, a.cross.key(source)) for a in layers),
        source_values=tuple(_heads(a.cross, a.cross.value(source)) for a in layers),
        source_mask=source_mask,
    )


def step(
    decoder: T5Decoder, state: DecodingState, x: Float[Array, "b d"]
) -> tuple[Float[Array, "b v"], DecodingState]:
    """Logits of the token after the embedded token `x`, and the state after it."""
    x, at = x[:, None], state.position
    length = state.keys[0].shape[1]
    every = relative_buckets(length, length, decoder.config, causal=True)
    buckets = lax.dynamic_slice_in_dim(every, at, 1)
    so_far = (jnp.arange(length) <= at)[None, None]
    keys, values = [], []
    for i, layer in enumerate(_layers(decoder)):
        attention = layer.attention
        h = layer.norm_attention(x)
        key = _put(state.keys[i], _heads(attention, attention.key(h)), at)
        value = _put(state.values[i], _heads(attention, attention.value(h)), at)
        own = attention.relative_bias
        bias = decoder.relative_bias if own is None else own
        bias = position_bias(bias[...], buckets)
        x = x + _attend(attention, h, key, value, mask=so_far, bias=bias)
        h = layer.norm_cross(x)
        x = x + _attend(
            layer.cross,
            h,
            state.source_keys[i],
            state.source_values[i],
            mask=state.source_mask[:, None],
        )
        x = x + layer.ffn(layer.norm_ffn(x))
        keys.append(key)
        values.append(value)
    logits = decoder.head(decoder.norm(x))[:, 0].astype(jnp.float32)
    state = dataclasses.replace(
        state, position=at + 1, keys=tuple(keys), values=tuple(values)
    )
    return logits, state


def _layers(decoder: T5Decoder) -> Iterator[DecoderLayer]:
    graphdef, state = nnx.split(decoder.layers)
    for i in range(decoder.config.num_decoder_layers):
        one = jax.tree.map(operator.itemgetter(i), state)
        yield nnx.merge(graphdef, one)


def _heads(attention: Attention, y: Float[Array, "b n d"]) -> Array:
    return y.reshape(*y.shape[:2], attention.num_heads, -1)


def _put(kept: Array, new: Array, at: Array) -> Array:
    return lax.dynamic_update_slice_in_dim(kept, new.astype(kept.dtype), at, axis=1)


def _attend(
    attention: Attention,
    x: Float[Array, "b 1 d"],
    key: Float[Array, "b m g e"],
    value: Float[Array, "b m g e"],
    *,
    mask: Bool[Array, "#b 1 m"],
    bias: Float[Array, "g 1 m"] | None = None,
) -> Float[Array, "b 1 d"]:
    query = _heads(attention, attention.query(x))
    scores = jnp.einsum(
        "bnge,bmge->bgnm", query, key, preferred_element_type=jnp.float32
    )
    if bias is not None:
        scores = scores + bias
    weights = jax.nn.softmax(jnp.where(mask[:, None], scores, _MASKED), axis=-1)
    mixed = jnp.einsum("bgnm,bmge->bnge", weights.astype(x.dtype), value)
    return attention.out(mixed.reshape(*x.shape[:2], -1))
