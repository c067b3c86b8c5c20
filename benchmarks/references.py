"""The reference implementations at any size, with random weights, for tests and parity.

Every weight is drawn, biases, gains and zero-initialised heads too: what starts at zero or
one would hide what feeds it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import torch
import transformers
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from flax import traverse_util
from jax import numpy as jnp

from animatrix_jax.convert import configs
from animatrix_jax.convert.table import Table, from_theirs
from animatrix_jax.models.config import CLIPConfig, DiTConfig, T5Config, VAEConfig
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.programs import clip_noise
from animatrix_jax.training.lazy import lazy

# Small models of each form, whose sizes have little in common.
VAE21 = VAEConfig(
    latent_channels=5,
    base_dim=6,
    dim_mult=(1, 2, 3, 3),
    num_res_blocks=1,
    downsample=("spatial", "spacetime", "spacetime"),
)
VAE22 = VAEConfig(
    latent_channels=6,
    base_dim=4,
    decoder_dim=6,
    dim_mult=(1, 2, 2),
    num_res_blocks=2,
    downsample=("spacetime", "spacetime"),
    patch=2,
    residual=True,
)
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
CLIP = CLIPConfig(image_size=35, patch=7, dim=30, ffn_dim=44, num_heads=3, num_layers=4)
UMT5 = dataclasses.replace(T5_11, bias_every_layer=True)


def transformer(config: DiTConfig, *, seed: int = 1) -> WanTransformer3DModel:
    """diffusers' transformer of a config."""
    model = WanTransformer3DModel.from_config(configs.dit_to_diffusers(config))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            norm = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(noise * 0.1 + 1 if norm else noise * 0.15)
    return model


def vae(config: VAEConfig) -> AutoencoderKLWan:
    """diffusers' VAE of a config."""
    torch.manual_seed(0)
    model = AutoencoderKLWan.from_config(configs.vae_to_diffusers(config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def t5(config: T5Config, kind: str) -> torch.nn.Module:
    """transformers' T5 or umT5 of a config.

    Args:
      config: umT5's where every layer has a bias.
      kind: "EncoderModel" or "ForConditionalGeneration".
    """
    family = "UMT5" if config.bias_every_layer else "T5"
    torch.manual_seed(0)
    values = configs.t5_to_huggingface(config) | {"dropout_rate": 0.0}
    configured = getattr(transformers, f"{family}Config")(**values)
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


def clip(config: CLIPConfig) -> transformers.CLIPVisionModel:
    """transformers' image encoder of a config."""
    torch.manual_seed(0)
    values = configs.clip_to_transformers(config)
    model = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**values))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def ours(
    table: Table, tensors: Mapping[str, Any], shapes: Mapping[str, Any]
) -> dict[str, Any]:
    """Our parameters from a reference's (or its gradients), in memory."""
    arrays = {
        name: lazy(tensor.detach().numpy()) for name, tensor in dict(tensors).items()
    }
    flat = from_theirs(table, arrays, shapes, source="the reference", family="model")
    return traverse_util.unflatten_dict(
        {path: np.asarray(value) for path, value in flat.items()}, sep="/"
    )


def noise_of(pipeline: Pipeline, *, seed: int, count: int = 1) -> np.ndarray:
    """The noise [n t h w c] from which a pipeline samples the first clips of a seed."""
    return np.asarray(
        clip_noise(seed, jnp.arange(count), shape=pipeline.latent_shape())
    )


def channels_first(array: np.ndarray) -> torch.Tensor:
    """Video of ours [b t h w c] as theirs [b c t h w]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    """The inverse of `channels_first`."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def relative_error(ours: Any, theirs: Any) -> float:
    """max |a - b| / max |b|.

    Raises:
      ValueError: if the shapes differ.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise ValueError(f"shape {ours.shape} against {theirs.shape}")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def gradient_error(ours: Any, theirs: Any) -> float:
    """The largest relative error of a tree's leaves.

    A key's bias moves all scores of a query alike, so but for the norm its gradient is
    zero, and what either side computes there is rounding: a leaf's error is told against
    a thousandth of the largest gradient of all at the least.
    """
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(theirs))

    def error(a: Any, b: Any) -> float:
        return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3 * largest))

    return max(jax.tree.leaves(jax.tree.map(error, dict(ours), dict(theirs))))
