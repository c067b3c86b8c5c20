"""CLIP's image encoder against transformers, at a small odd size with random weights."""

import functools

import jax
import numpy as np
import pytest
import torch
import transformers
from jax import numpy as jnp

from animatrix_jax.models.clip import CLIPImageEncoder, preprocess
from animatrix_jax.models.config import CLIPConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.presets import CLIP_VIT_H

CONFIG = CLIPConfig(
    image_size=35, patch=7, dim=30, ffn_dim=44, num_heads=3, num_layers=4
)
LAYER = {
    "norm_attention/scale": "layer_norm1.weight",
    "norm_attention/bias": "layer_norm1.bias",
    "norm_mlp/scale": "layer_norm2.weight",
    "norm_mlp/bias": "layer_norm2.bias",
    "mlp/up": "mlp.fc1",
    "mlp/down": "mlp.fc2",
    **{
        f"attention/{name}": f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")
    },
}


def configured(config: CLIPConfig) -> transformers.CLIPVisionConfig:
    return transformers.CLIPVisionConfig(
        hidden_size=config.dim,
        intermediate_size=config.ffn_dim,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        image_size=config.image_size,
        patch_size=config.patch,
        hidden_act="gelu",
        layer_norm_eps=config.eps,
    )


@functools.cache
def reference() -> transformers.CLIPVisionModel:
    """A transformers model with random weights, none of them at its start."""
    torch.manual_seed(0)
    model = transformers.CLIPVisionModel(configured(CONFIG)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def from_reference(state: dict, config: CLIPConfig) -> dict:
    """Our parameters from transformers' state."""

    def norm(name: str) -> dict:
        return {"scale": state[f"{name}.weight"], "bias": state[f"{name}.bias"]}

    def layer(i: int) -> dict:
        tree = {}
        for ours, theirs in LAYER.items():
            *place, last = ours.split("/")
            node = functools.reduce(lambda t, k: t.setdefault(k, {}), place, tree)
            name = f"encoder.layers.{i}.{theirs}"
            if name in state:
                node[last] = state[name]
            else:
                kernel, bias = state[f"{name}.weight"].T, state[f"{name}.bias"]
                node[last] = {"kernel": kernel, "bias": bias}
        return tree

    patches = state["embeddings.patch_embedding.weight"].transpose(2, 3, 1, 0)
    layers = [layer(i) for i in range(config.num_layers)]
    tree = {
        "patch_embed": {"kernel": patches.reshape(-1, config.dim)},
        "cls": state["embeddings.class_embedding"],
        "position": state["embeddings.position_embedding.weight"],
        "norm_in": norm("pre_layrnorm"),
        "norm_out": norm("post_layernorm"),
        "layers": jax.tree.map(lambda *leaves: np.stack(leaves), *layers),
    }
    return jax.tree.map(jnp.asarray, tree)


def build(rngs):
    return CLIPImageEncoder(CONFIG, rngs=rngs)


@pytest.fixture(scope="module")
def params():
    state = {k: v.detach().numpy() for k, v in reference().state_dict().items()}
    return from_reference(state, CONFIG)


@jax.jit
def encode(params, pixels):
    return bind(build, params)(pixels)


def relative_error(ours, theirs) -> float:
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def test_tokens_equal_transformers(params):
    pixels = np.random.default_rng(0).standard_normal((2, 35, 35, 3), np.float32)
    with torch.no_grad():
        expected = reference()(
            torch.tensor(pixels).permute(0, 3, 1, 2), output_hidden_states=True
        ).hidden_states[-2]
    ours = encode(params, pixels)
    assert ours.shape == (2, CONFIG.num_tokens, CONFIG.dim)
    assert relative_error(ours, expected.numpy()) <= 1e-5


def test_half_precision_weights_give_half_precision_activations(params):
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    low = jax.eval_shape(encode, half, jnp.zeros((1, 35, 35, 3)))
    assert low.dtype == jnp.bfloat16


@pytest.mark.parametrize("size", [(35, 35), (64, 113), (97, 40), (20, 31)])
def test_pictures_are_prepared_as_transformers_does(size):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 35}, crop_size={"height": 35, "width": 35}
    )
    expected = processor(list(images), return_tensors="np")["pixel_values"]
    ours = preprocess(images, CONFIG)
    np.testing.assert_allclose(ours, np.moveaxis(expected, 1, -1), atol=1e-5)


def test_vit_h_has_the_parameters_of_transformers():
    with torch.device("meta"):
        model = transformers.CLIPVisionModel(configured(CLIP_VIT_H))
    shapes = jax.eval_shape(
        lambda: init_params(
            lambda rngs: CLIPImageEncoder(CLIP_VIT_H, rngs=rngs), jax.random.key(0)
        )
    )
    ours = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    assert ours == sum(parameter.numel() for parameter in model.parameters())
    assert CLIP_VIT_H.num_tokens == 257


def test_misfits_name_the_numbers(params):
    with pytest.raises(ValueError, match="pictures of 35, got 28"):
        jax.eval_shape(encode, params, jnp.zeros((1, 28, 28, 3)))
    with pytest.raises(ValueError, match="224 do not divide into patches of 15"):
        CLIPConfig(patch=15)
    with pytest.raises(ValueError, match="dim 1280 is not a multiple of 17"):
        CLIPConfig(num_heads=17)
