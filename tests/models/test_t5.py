"""T5 and umT5 against transformers, at small odd sizes with random weights."""

import dataclasses

import jax
import numpy as np
import pytest
import torch
import transformers
from flax import nnx
from jax import numpy as jnp
from transformers.models.t5.modeling_t5 import T5Attention

from animatrix_jax.models.config import T5Config
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.t5 import T5, T5Encoder, relative_buckets

T5_11 = T5Config(
    vocab_size=97,
    d_model=24,
    d_kv=10,
    d_ff=36,
    num_heads=3,
    num_layers=3,
    num_decoder_layers=2,
    relative_buckets=12,
    relative_max_distance=20,
    bias_every_layer=False,
)
UMT5 = dataclasses.replace(T5_11, bias_every_layer=True)
# Of the encoder's sub-layers in transformers' order, and of the decoder's.
SUBLAYERS = {
    "encoder": ("attention", "ffn"),
    "decoder": ("attention", "cross", "ffn"),
}
LEAVES = {
    "q": "query",
    "k": "key",
    "v": "value",
    "o": "out",
    "wi_0": "gate",
    "wi_1": "up",
    "wo": "down",
}


def reference(config: T5Config, kind: str):
    """A transformers model of `config` with random weights, none of them at its start."""
    settings = {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_heads": config.num_heads,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "dropout_rate": 0.0,
    }
    family = "UMT5" if config.bias_every_layer else "T5"
    torch.manual_seed(0)
    configured = getattr(transformers, f"{family}Config")(**settings)
    model = getattr(transformers, f"{family}{kind}")(configured).eval()
    if hasattr(model, "lm_head"):
        # transformers 5 ties the head of this family whatever the config says, and
        # then scales its input in umT5.
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def from_reference(model, config: T5Config) -> dict:
    """Our parameters from transformers' state."""
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    params = {}
    for stack, depth in (
        ("encoder", config.num_layers),
        ("decoder", config.num_decoder_layers),
    ):
        if f"{stack}.final_layer_norm.weight" not in state:
            continue
        layers = [
            _layer(state, f"{stack}.block.{i}.layer", stack) for i in range(depth)
        ]
        tree = {"norm": {"scale": state[f"{stack}.final_layer_norm.weight"]}}
        if not config.bias_every_layer:
            tree["relative_bias"] = layers[0]["attention"].pop("relative_bias")
        tree["layers"] = jax.tree.map(lambda *leaves: np.stack(leaves), *layers)
        params[stack] = tree
    params["encoder"]["embedding"] = state["shared.weight"]
    if "decoder" in params:
        params["decoder"]["head"] = {"kernel": state["lm_head.weight"].T}
    return jax.tree.map(jnp.asarray, params)


def _layer(state: dict, prefix: str, stack: str) -> dict:
    layer = {}
    for index, name in enumerate(SUBLAYERS[stack]):
        part = layer[name] = {}
        for key, value in state.items():
            if not key.startswith(f"{prefix}.{index}."):
                continue
            leaf = key.split(".")[-2]
            if leaf == "layer_norm":
                layer[f"norm_{name}"] = {"scale": value}
            elif leaf == "relative_attention_bias":
                part["relative_bias"] = value
            else:
                part[LEAVES[leaf]] = {"kernel": value.T}
    return layer


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


def relative_error(ours, theirs) -> float:
    theirs = theirs.detach().numpy()
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("config", [T5_11, UMT5], ids=["t5", "umt5"])
def test_encoder_equals_transformers(config, tokens):
    ids, mask = tokens
    model = reference(config, "EncoderModel")
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
    assert relative_error(ours, expected * torch.tensor(keep)) <= 1e-5


@pytest.mark.parametrize("config", [T5_11, UMT5], ids=["t5", "umt5"])
def test_logits_equal_transformers(config, tokens):
    ids, mask = tokens
    model = reference(config, "ForConditionalGeneration")
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
    assert relative_error(ours, expected) <= 1e-5


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
