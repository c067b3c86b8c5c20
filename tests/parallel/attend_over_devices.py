"""Prints how far attention over 8 devices is from attention on one, in o and gradients.

python tests/parallel/attend_over_devices.py

One line a case: its name and the largest relative error.
"""

import json
import os

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

from animatrix_jax.models import attention as attention_lib
from animatrix_jax.models.attention_splash import Splash
from animatrix_jax.parallel.attention import Keys, over_devices, ulysses_degree
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh

attention_lib._BLOCK = 8

# mesh, batch, tokens, heads, kernel
CASES = {
    "ulysses 8": (MeshConfig(fsdp=1, sequence=8), 2, 64, 8, "plain"),
    "ulysses 4 ring 2": (MeshConfig(fsdp=1, sequence=8), 2, 64, 12, "blocked"),
    "ring 8": (MeshConfig(fsdp=1, sequence=8), 1, 64, 1, "blocked"),
    "ring 8 plain": (MeshConfig(fsdp=1, sequence=8), 1, 64, 3, "plain"),
    "uneven ulysses": (MeshConfig(fsdp=2, sequence=4), 2, 37, 4, "blocked"),
    "uneven ring": (MeshConfig(fsdp=2, sequence=4), 2, 37, 3, "blocked"),
    "uneven both": (MeshConfig(fsdp=1, sequence=8), 2, 61, 6, "blocked"),
    "a shard of padding": (MeshConfig(fsdp=1, sequence=8), 1, 9, 1, "blocked"),
    "tensor": (MeshConfig(fsdp=1, sequence=4, tensor=2), 2, 37, 4, "blocked"),
    "one clip": (MeshConfig(fsdp=4, sequence=2), 1, 37, 4, "plain"),
    "splash ring": (MeshConfig(fsdp=1, sequence=2, data=4), 4, 250, 1, "splash"),
    "gathered": (MeshConfig(fsdp=1, sequence=8), 2, 61, 6, "gathered"),
}


def kernel_of(name):
    if name == "splash":
        return Splash(interpret=True)
    if name == "gathered":
        return NoRing()
    return attention_lib.XLA(implementation=name)


class NoRing:
    """A kernel that cannot attend to a part of the keys, as cuDNN's."""

    def __call__(self, q, parts):
        return attention_lib.XLA(implementation="plain")(q, parts)


def compare(config, batch, n, heads, name):
    keys = jax.random.split(jax.random.key(n), 8)
    q, k, v, d_out = (jax.random.normal(key, (batch, n, heads, 8)) for key in keys[:4])
    text, values = (jax.random.normal(key, (batch, 5, heads, 8)) for key in keys[4:6])
    mask = jax.random.uniform(keys[6], (batch, 5)) < 0.6
    kernel, plain = kernel_of(name), attention_lib.XLA(implementation="plain")

    def loss(run, q, k, v, text, values):
        a = run(q, [Keys(k=k, v=v)], tokens_are_keys=True)
        b = run(q, [Keys(k=text, v=values, mask=mask)], tokens_are_keys=False)
        return ((a + b) * d_out).sum(), (a, b)

    def alone(q, parts, *, tokens_are_keys):
        return plain(q, parts)

    def shared(q, parts, *, tokens_are_keys):
        return over_devices(kernel, q, parts, tokens_are_keys=tokens_are_keys)

    inputs = (q, k, v, text, values)
    gradient = jax.grad(loss, argnums=(1, 2, 3, 4, 5), has_aux=True)
    run = jax.jit(gradient, static_argnums=0)
    expected = run(alone, *inputs)
    with jax.set_mesh(make_mesh(config)):
        got = run(shared, *inputs)
    return max(
        float(np.abs(a - b).max() / np.abs(b).max())
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    )


def main():
    assert [ulysses_degree(*x) for x in ((12, 8), (40, 4), (3, 4))] == [4, 4, 1]
    for name, (config, *case) in CASES.items():
        print(json.dumps({"case": name, "error": compare(config, *case)}), flush=True)


if __name__ == "__main__":
    main()
