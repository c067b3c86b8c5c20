"""A model folder with random weights, small enough to sample from in a second."""

import dataclasses
import json
import pathlib

import jax
import ml_collections
import numpy as np
from flax import traverse_util

from animatrix_jax.cli.schema import base_config
from animatrix_jax.data.tokenizer import train_tokenizer
from animatrix_jax.judge.model import Judge, JudgeConfig
from animatrix_jax.models import functional, presets
from animatrix_jax.models.config import DiTConfig, T5Config, VAEConfig, to_dict
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.t5 import T5
from animatrix_jax.models.vae import VAE
from animatrix_jax.training.weights import save_component

TEXT = (
    "a girl boy runs jumps stands waves on the left right roof street night rain "
    "slowly fast and smiles cries falls with red blue hair sword in city forest"
)


def tiny_preset() -> presets.ModelPreset:
    """5 frames of 16 x 16 in latents [3 8 8 4]; the taxonomy is the real one."""
    pico = presets.preset("pico")
    return presets.ModelPreset(
        dit=DiTConfig(
            dim=32,
            ffn_dim=64,
            num_heads=2,
            num_layers=1,
            in_channels=4,
            out_channels=4,
            text_dim=16,
            tag_dim=16,
            tag_rank=4,
        ),
        tags=dataclasses.replace(pico.tags, dim=16, num_heads=2, num_layers=1),
        vae=VAEConfig(
            latent_channels=4,
            base_dim=4,
            dim_mult=(1, 2),
            num_res_blocks=1,
            downsample=("spacetime",),
            latents_mean=(0.1, -0.1, 0.0, 0.2),
            latents_std=(0.5, 1.0, 2.0, 1.0),
        ),
        text=T5Config(
            vocab_size=400,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_heads=2,
            num_layers=1,
            num_decoder_layers=1,
        ),
        text_length=16,
        frames=5,
        height=16,
        width=16,
        fps=12,
        shift=3.0,
        steps=3,
        guidance=5.0,
    )


def random_params(build: functional.Build, rng: np.random.Generator) -> dict:
    """Random weights without running (and compiling) the initialisers.

    No leaf is zero: zero-initialised parts (head, tag paths) would hide what feeds them.
    """
    shapes = jax.eval_shape(
        lambda key: functional.init_params(build, key), jax.random.key(0)
    )
    flat = {}
    for path, leaf in sorted(traverse_util.flatten_dict(shapes).items()):
        fan_in = leaf.shape[-2] if len(leaf.shape) > 1 else 16
        value = rng.normal(size=leaf.shape) / np.sqrt(fan_in)
        flat[path] = (value + (path[-1] == "scale")).astype(np.float32)
    return traverse_util.unflatten_dict(flat)


def write_model(folder: pathlib.Path) -> pathlib.Path:
    """Writes weights, config and tokenizer of `tiny_preset` as a packaged model has."""
    preset, rng = tiny_preset(), np.random.default_rng(0)
    builds = {
        "generator": lambda rngs: Generator(preset.dit, preset.tags, rngs=rngs),
        "vae": lambda rngs: VAE(preset.vae, rngs=rngs),
        "text": lambda rngs: T5(preset.text, rngs=rngs),
    }
    for name, build in builds.items():
        save_component(folder, name, random_params(build, rng), dtype="float32")
    config = {"preset": "pico", "model": to_dict(preset)}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = TEXT.split()
    corpus = [" ".join(words[i:] + words[:i]) for i in range(len(words))]
    train_tokenizer(corpus, preset.text.vocab_size, folder / "tokenizer.json")
    return folder


def write_judge(folder: pathlib.Path) -> pathlib.Path:
    """Adds a judge of `tiny_preset` to a model's folder, as a stage begins with it: its scores
    lie on their scale."""
    preset = tiny_preset()

    def build(rngs):
        return Judge(JudgeConfig(), preset.dit, preset.tags, rngs=rngs)

    fresh = jax.jit(lambda key: functional.init_params(build, key))(jax.random.key(7))
    save_component(folder, "judge", fresh, dtype="float32")
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["judge"] = to_dict(JudgeConfig())
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def stage_config(
    model: pathlib.Path, stage: str, **changes
) -> ml_collections.ConfigDict:
    """A run's config of four steps on the tiny model in `model`, sections changed."""
    changes = {
        "init": {name: str(model) for name in ("vae", "text", "generator", "judge")},
        "data": {"clips": 12, "held_out": 4, "workers": 0},
        "batch": {"size": 4},
        "loop": {"steps": 4},
        "candidates": {"prompts": 3},
    } | changes
    config = base_config("pico", stage, stages={stage: {}})
    with config.unlocked():
        config.model = ml_collections.ConfigDict(to_dict(tiny_preset()))
    config.update(changes)
    return config
