"""A model folder with random weights, small enough to sample from in a second."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp

from animatrix_jax.data.tokenizer import train_tokenizer
from animatrix_jax.models import functional, presets
from animatrix_jax.models.config import to_dict
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.models.vae import VAE
from animatrix_jax.training.weights import save_component

TEXT = (
    "a girl boy runs jumps stands waves on the left right roof street night rain "
    "slowly fast and smiles cries falls with red blue hair sword in city forest"
)


def tiny_preset() -> presets.ModelPreset:
    """pico with thinner networks: 9 frames of 16 x 16, latents [3 4 4 4]."""
    pico = presets.preset("pico")
    return dataclasses.replace(
        pico,
        dit=dataclasses.replace(
            pico.dit,
            dim=32,
            ffn_dim=64,
            num_heads=2,
            num_layers=2,
            in_channels=4,
            out_channels=4,
            text_dim=16,
            tag_dim=16,
            tag_rank=4,
        ),
        tags=dataclasses.replace(pico.tags, dim=16, num_heads=2, num_layers=1),
        vae=dataclasses.replace(
            pico.vae,
            latent_channels=4,
            base_dim=4,
            dim_mult=(1, 2, 2),
            latents_mean=(0.1, -0.1, 0.0, 0.2),
            latents_std=(0.5, 1.0, 2.0, 1.0),
        ),
        text=dataclasses.replace(
            pico.text, vocab_size=400, d_model=16, d_kv=8, d_ff=32, num_heads=2
        ),
        text_length=16,
        frames=9,
        height=16,
        width=16,
        steps=3,
    )


def write_model(folder: pathlib.Path) -> pathlib.Path:
    """Writes weights, config and tokenizer of `tiny_preset` as a packaged model has."""
    preset = tiny_preset()
    builds = {
        "generator": lambda rngs: Generator(preset.dit, preset.tags, rngs=rngs),
        "vae": lambda rngs: VAE(preset.vae, rngs=rngs),
        "text": lambda rngs: T5Encoder(preset.text, rngs=rngs),
    }
    for seed, (name, build) in enumerate(builds.items()):
        key = jax.random.key(seed)
        params = functional.init_params(build, key)
        # Zero-initialised parts (head, tag paths) would hide what they are fed.
        leaves, structure = jax.tree.flatten(params)
        keys = jax.random.split(key, len(leaves))
        noisy = [
            leaf + 0.1 * jax.random.normal(k, leaf.shape)
            for leaf, k in zip(leaves, keys)
        ]
        params = jax.tree.map(jnp.asarray, jax.tree.unflatten(structure, noisy))
        save_component(folder, name, params, dtype="float32")
    config = {"preset": "pico", "model": to_dict(preset)}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = TEXT.split()
    corpus = [" ".join(words[i:] + words[:i]) for i in range(len(words))]
    train_tokenizer(corpus, preset.text.vocab_size, folder / "tokenizer.json")
    return folder
