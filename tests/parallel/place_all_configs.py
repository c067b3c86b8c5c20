"""Prints, for every stage of every shipped config, the leaves and how many are split.

python tests/parallel/place_all_configs.py
"""

import importlib.util
import os
import pathlib

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax

from animatrix_jax.cli import stages
from animatrix_jax.models.clip import CLIPImageEncoder
from animatrix_jax.models.functional import init_params
from animatrix_jax.models.presets import preset
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.models.vae import VAE
from animatrix_jax.parallel import sharding
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training.config import section
from animatrix_jax.training.optimizer import (
    OptimizerConfig,
    make_optimizer,
)
from animatrix_jax.training.step import init_state

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
WAN = (
    *("wan21_1_3b", "wan21_14b", "wan22_5b", "wan22_a14b"),
    *("wan21_14b_i2v", "wan22_a14b_i2v"),
)


def load(name):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def configs():
    for name in ("pico", "nano"):
        module = load(name)
        for stage in module.STAGES:
            yield f"{name} {stage}", module.get_config(f"stage={stage}")
    module = load("wan")
    for size in WAN:
        for stage in module.STAGES:
            expert = ",expert=low" if size.startswith("wan22_a14b") else ""
            if stage == "preference" and size.endswith("i2v"):
                continue  # it has no first frames to sample from, and says so
            grow = ",grow" if stage == "ct" else ""
            arg = f"preset={size},stage={stage}{grow}{expert}"
            yield f"{size} {stage}", module.get_config(arg)


def towers():
    """The frozen networks round Wan 2.1's image-to-video model, as shapes."""
    model = preset("wan21_14b_i2v")
    builds = {
        "vae": lambda rngs: VAE(model.vae, rngs=rngs),
        "text": lambda rngs: T5Encoder(model.text, rngs=rngs),
        "image": lambda rngs: CLIPImageEncoder(model.image, rngs=rngs),
    }
    return {
        name: jax.eval_shape(lambda key: init_params(build, key), jax.random.key(0))  # noqa: B023
        for name, build in builds.items()
    }


def main():
    mesh = make_mesh(MeshConfig(data=1, fsdp=4, tensor=2))
    for name, config in configs():
        config.init.update({key: "" for key in config.init})
        stage = stages.build(config, workdir=pathlib.Path("/nowhere"))
        tx = make_optimizer(section(OptimizerConfig, config.optimizer))
        state = jax.eval_shape(
            lambda: init_state(stage.init(jax.random.key(0)), tx, 0)  # noqa: B023
        )
        places = jax.tree.leaves(sharding.tree_shardings(state, mesh))
        split = sum(any(axis is not None for axis in p.spec) for p in places)
        print(name, len(places), split)
    for config in (MeshConfig(fsdp=8), MeshConfig(data=1, fsdp=4, tensor=2)):
        places = jax.tree.leaves(sharding.tree_shardings(towers(), make_mesh(config)))
        split = sum(any(axis is not None for axis in p.spec) for p in places)
        print("towers 14B", len(places), split)


if __name__ == "__main__":
    main()
