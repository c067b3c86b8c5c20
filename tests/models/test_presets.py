"""Every preset is the network that it is named after, built as shapes alone."""

import json
import math

import jax
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from animatrix_jax.errors import UserError
from animatrix_jax.models import presets
from animatrix_jax.models.config import VAEConfig, from_dict, to_dict
from animatrix_jax.models.functional import init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.presets import PRESETS, ModelPreset, preset


def shapes_of(model):
    return jax.eval_shape(
        lambda: init_params(
            lambda rngs: Generator(model.dit, model.tags, rngs=rngs),
            jax.random.key(0),
        )
    )


def size_of(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


# The shapes that Wan's own model cards give, in diffusers' terms.
WAN = {
    "wan21_1_3b": {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960},
    "wan21_14b": {},
    "wan21_14b_i2v": {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120},
    "wan22_5b": {
        "num_attention_heads": 24,
        "num_layers": 30,
        "ffn_dim": 14336,
        "in_channels": 48,
        "out_channels": 48,
    },
    "wan22_a14b": {},
    "wan22_a14b_i2v": {"in_channels": 36},
}


@pytest.mark.parametrize("name", WAN)
def test_wan_has_as_many_parameters_as_diffusers(name):
    defaults = {
        "num_attention_heads": 40,
        "attention_head_dim": 128,
        "num_layers": 40,
        "ffn_dim": 13824,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": 4096,
    }
    with torch.device("meta"):
        reference = WanTransformer3DModel(**defaults | WAN[name])
    expected = sum(parameter.numel() for parameter in reference.parameters())
    shapes = shapes_of(preset(name))
    assert size_of(shapes["dit"]) == expected
    assert size_of(shapes["tags"]) < 0.1 * expected


@pytest.mark.parametrize(
    "name,tokens,low,high", [("pico", 80, 1e6, 2e6), ("nano", 320, 3e6, 8e6)]
)
def test_own_sizes(name, tokens, low, high):
    model = preset(name)
    t, h, w, c = model.latent_shape
    pt, ph, pw = model.dit.patch
    assert c == model.dit.out_channels
    assert t // pt * (h // ph) * (w // pw) == tokens
    assert low <= size_of(shapes_of(model)) <= high


@pytest.mark.parametrize("name", PRESETS)
def test_parts_fit_and_survive_json(name):
    model = preset(name)
    assert model.dit.text_dim == model.text.d_model
    assert model.dit.tag_dim == model.tags.dim
    assert model.dit.image_dim == (model.image and model.image.dim)
    assert (model.frames - 1) % model.vae.stride[0] == 0
    assert (model.dit.frame_conditioning == "concat") == name.endswith("i2v")
    again = from_dict(ModelPreset, json.loads(json.dumps(to_dict(model))))
    assert again == model
    assert hash(again) == hash(model)


def test_strides():
    assert preset("pico").vae.stride == (4, 8, 8)
    assert preset("wan21_14b").vae.stride == (4, 8, 8)
    assert preset("wan22_5b").vae.stride == (4, 16, 16)


def test_latent_statistics_are_those_of_diffusers():
    import inspect

    defaults = inspect.signature(AutoencoderKLWan.__init__).parameters
    for name in ("latents_mean", "latents_std"):
        expected = np.array(defaults[name].default)
        np.testing.assert_array_equal(getattr(presets.WAN21_VAE, name), expected)
    assert len(presets.WAN22_VAE.latents_mean) == 48


def test_unknown_names_are_named():
    with pytest.raises(UserError, match="wan21_14b"):
        preset("wan21_14")
    with pytest.raises(ValueError, match="VAEConfig has no field base"):
        from_dict(VAEConfig, {"base": 3})
