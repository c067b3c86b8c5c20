"""Prints how far a generator's loss and gradients over 8 devices are from one device's.

python tests/parallel/step_over_devices.py

One line of JSON a mesh: its axes, the largest relative error of a gradient, the bytes
that collectives of the compiled program give, by kind, and the largest array that it
gathers.
"""

import collections
import json
import math
import os
import re

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    " --xla_llvm_disable_expensive_passes=true"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.parallel import sharding
from animatrix_jax.parallel.mesh import MeshConfig, batch_sharding, make_mesh

MESHES = {
    "data 2 fsdp 4": MeshConfig(data=2, fsdp=4),
    "sequence 8": MeshConfig(fsdp=1, sequence=8),
    "data 2 sequence 4": MeshConfig(data=2, fsdp=1, sequence=4),
    "fsdp 2 sequence 2 tensor 2": MeshConfig(fsdp=2, sequence=2, tensor=2),
}
DIM, FFN, LAYERS = 64, 160, 2
CONFIG = DiTConfig(
    dim=DIM,
    ffn_dim=FFN,
    num_heads=4,
    num_layers=LAYERS,
    in_channels=4,
    out_channels=4,
    text_dim=24,
    freq_dim=16,
    tag_dim=16,
    tag_rank=4,
    remat="block",
)
TAGS = TagEncoderConfig(num_fields=5, num_values=17, dim=16, num_layers=1)
BATCH, LATENTS = 8, (3, 6, 10, 4)
_BYTES = {"f32": 4, "bf16": 2, "s32": 4, "pred": 1, "u32": 4}
_COLLECTIVE = re.compile(
    r"= (.*?) (all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)\("
)
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")


def build(rngs):
    return Generator(CONFIG, TAGS, rngs=rngs)


def problem():
    params = init_params(build, jax.random.key(0))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    params = jax.tree.unflatten(
        tree,
        [
            leaf + 0.1 * jax.random.normal(key, leaf.shape)
            for leaf, key in zip(leaves, keys, strict=True)
        ],
    )
    draw = np.random.default_rng(0)
    batch = {
        "xt": draw.standard_normal((BATCH, *LATENTS)),
        "target": draw.standard_normal((BATCH, *LATENTS)),
        "sigma": draw.random(BATCH),
        "text": draw.standard_normal((BATCH, 7, 24)),
        "fields": draw.integers(0, 5, (BATCH, 6)),
        "values": draw.integers(0, 17, (BATCH, 6)),
        "mask": draw.random((BATCH, 6)) < 0.6,
        "clean": draw.random((BATCH, LATENTS[0])) < 0.3,
    }
    batch = {
        k: v.astype(np.float32) if v.dtype == np.float64 else v
        for k, v in batch.items()
    }
    return params, batch


def loss(params, batch):
    velocity = bind(build, params["generator"])(
        batch["xt"],
        batch["sigma"],
        Conditioning(
            text=batch["text"],
            tag_fields=batch["fields"],
            tag_values=batch["values"],
            tag_mask=batch["mask"],
            clean=batch["clean"],
        ),
    )
    return jnp.square(velocity - batch["target"]).mean()


def error(got, expected):
    """Relative, but of a gradient that is zero, as that of a key's bias, absolute."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert np.isfinite(got).all()
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-3))


def collectives(text):
    """Bytes that each kind gives, and the largest array that is gathered; every loop's
    body counts once."""
    totals, largest = collections.Counter(), 0
    for arrays, kind in _COLLECTIVE.findall(text):
        for dtype, shape in _ARRAY.findall(arrays):
            size = math.prod(map(int, filter(None, shape.split(","))))
            totals[kind] += size * _BYTES[dtype]
            if kind == "all-gather":
                largest = max(largest, size)
    return dict(totals), largest


def main():
    params, batch = problem()
    params = {"generator": params}
    expected = jax.jit(jax.value_and_grad(loss))(params, batch)
    for name, config in MESHES.items():
        mesh = make_mesh(config)
        places = sharding.tree_shardings(params, mesh)
        placed = sharding.put(params, places)
        with jax.set_mesh(mesh):
            step = jax.jit(jax.value_and_grad(loss), out_shardings=(None, places))
            compiled = step.lower(
                placed, jax.device_put(batch, batch_sharding(mesh))
            ).compile()
        got = compiled(placed, jax.device_put(batch, batch_sharding(mesh)))
        totals, largest = collectives(compiled.as_text())
        line = {
            "mesh": name,
            "error": max(map(error, jax.tree.leaves(got), jax.tree.leaves(expected))),
            "bytes": totals,
            "largest_gather": largest,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
