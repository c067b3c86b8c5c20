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
    for preset in WAN:
        for stage in module.STAGES:
            expert = ",expert=low" if preset.startswith("wan22_a14b") else ""
            arg = f"preset={preset},stage={stage}{expert}"
            yield f"{preset} {stage}", module.get_config(arg)


def main():
    mesh = make_mesh(MeshConfig(data=1, fsdp=4, tensor=2))
    for name, config in configs():
        config.init.update({key: "" for key in config.init})
        stage = stages.build(config, workdir=pathlib.Path("/nowhere"))
        tx = make_optimizer(section(OptimizerConfig, config.optimizer), 10)
        state = jax.eval_shape(
            lambda: init_state(stage.init(jax.random.key(0)), tx, 0)  # noqa: B023
        )
        places = jax.tree.leaves(sharding.tree_shardings(state, mesh))
        split = sum(any(axis is not None for axis in p.spec) for p in places)
        print(name, len(places), split)


if __name__ == "__main__":
    main()
