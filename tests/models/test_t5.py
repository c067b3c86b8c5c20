"""T5 and umT5 against transformers, at small odd sizes with random weights."""

import dataclasses

import jax
import numpy as np
import pytest
import torch
from flax import nnx
from jax import numpy as jnp
from transformers.models.t5.modeling_t5 import T5Attention

from animatrix_jax.convert import t5
from animatrix_jax.convert.source import text_shapes
from animatrix_jax.models.config import T5Config
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.t5 import T5, T5Encoder, relative_buckets
from benchmarks import references
from benchmarks.references import relative_error

T5_11, UMT5 = references.T5_11, references.UMT5


def from_reference(model, config: T5Config) -> dict:
    """Our parameters from transformers' state."""
    whole = hasattr(model, "lm_head")
    config = config if whole else dataclasses.replace(config, num_decoder_layers=0)
    table = t5.huggingface_table(config)
    return references.ours(table, model.state_dict(), text_shapes(config))


@pytest.fixture(scope="module")
def tokens():
    """Three texts of 27 tokens, two of them padded."""
    drawn = np.random.default_rng(0).integers(2, 97, (3, 27)).astype(np.int32)
    mask = np.arange(27) < np.array([27, 11, 2])[:, None]
    return jnp.asarray(np.where(mask, drawn, 0)), jnp.asarray(mask)


def tower(params, tokens, mask):
    return bind(lambda rngs: T5Encoder(UMT5, rngs=rngs), params)(tokens, mask)


def start(build, seed: int):
    return jax.jit(lambda key: init_params(build, key))(jax.random.key(seed))


@pytest.mark.parametrize("config", [T5_11, UMT5], ids=["t5", "umt5"])
def test_encoder_equals_transformers(config, tokens):
    ids, mask = tokens
    model = references.t5(config, "EncoderModel")
    params = from_reference(model, config)["encoder"]

    @jax.jit
    def encode(params, ids, mask):
        return bind(lambda rngs: T5Encoder(config, rngs=rngs), params)(ids, mask)

    expected = model(
        torch.tensor(np.asarray(ids)).long(), torch.tensor(np.asarray(mask))
    ).last_hidden_state
    # What a padded position holds is nobody's business.
    keep = np.asarray(mask)[..., None]
    ours = np.asarray(encode(params, ids, mask)) * keep
    assert relative_error(ours, expected.detach() * torch.tensor(keep)) <= 1e-5


@pytest.mark.parametrize("config", [T5_11, UMT5], ids=["t5", "umt5"])
def test_logits_equal_transformers(config, tokens):
    ids, mask = tokens
    model = references.t5(config, "ForConditionalGeneration")
    decoder_ids = ids[:, ::-1][:, :9]

    @jax.jit
    def logits(params, *inputs):
        return bind(lambda rngs: T5(config, rngs=rngs), params)(*inputs)

    expected = model(
        input_ids=torch.tensor(np.asarray(ids)).long(),
        attention_mask=torch.tensor(np.asarray(mask)),
        decoder_input_ids=torch.tensor(np.asarray(decoder_ids)).long(),
    ).logits
    every = jnp.ones_like(decoder_ids, bool)
    ours = logits(from_reference(model, config), ids, mask, decoder_ids, every)
    assert relative_error(ours, expected.detach()) <= 1e-5


@pytest.mark.parametrize("causal", [False, True])
def test_buckets_equal_transformers_at_every_distance(causal):
    """At the real size: 32 buckets up to a distance of 128."""
    distance = torch.arange(600)[None] - torch.arange(600)[:, None]
    expected = T5Attention._relative_position_bucket(distance, bidirectional=not causal)
    ours = relative_buckets(600, 600, T5Config(), causal=causal)
    np.testing.assert_array_equal(np.asarray(ours), expected.numpy())


def test_encoder_of_the_whole_is_a_tower(tokens):
    """`params["encoder"]` of T5 runs as T5Encoder; a masked token is never seen."""
    ids, mask = tokens
    params = start(lambda rngs: T5(UMT5, rngs=rngs), 0)
    encode = jax.jit(tower)
    seen = np.asarray(mask)
    first = np.asarray(encode(params["encoder"], ids, mask))[seen]
    other = jnp.where(mask, ids, 5)
    second = np.asarray(encode(params["encoder"], other, mask))[seen]
    np.testing.assert_array_equal(first, second)
    assert params["encoder"]["layers"]["ffn"]["up"]["kernel"].shape == (3, 24, 36)


def test_decoder_sees_no_later_token(tokens):
    ids, mask = tokens
    params = start(lambda rngs: T5(T5_11, rngs=rngs), 1)
    decoder = ids[:, :8]
    every = jnp.ones_like(decoder, bool)

    @jax.jit
    def logits(decoder):
        model = bind(lambda rngs: T5(T5_11, rngs=rngs), params)
        return model(ids, mask, decoder, every)

    before, after = logits(decoder), logits(decoder.at[:, 5].add(1))
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert float(jnp.abs(before[:, 5:] - after[:, 5:]).max()) > 1e-3


def test_half_precision_weights_give_half_precision_activations(tokens):
    ids, mask = tokens
    params = start(lambda rngs: T5Encoder(UMT5, rngs=rngs), 0)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    full, low = jax.jit(tower)(params, ids, mask), jax.jit(tower)(half, ids, mask)
    assert low.dtype == jnp.bfloat16
    keep = np.asarray(mask)
    np.testing.assert_allclose(
        np.asarray(low, np.float32)[keep], np.asarray(full)[keep], atol=0.15
    )


def test_encoder_decoder_needs_a_decoder():
    with pytest.raises(ValueError, match="num_decoder_layers"):
        T5(dataclasses.replace(T5_11, num_decoder_layers=0), rngs=nnx.Rngs(0))
