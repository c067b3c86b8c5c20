"""The table places every leaf, and says so when it cannot."""

import math
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from animatrix_jax.models import presets
from animatrix_jax.models.functional import init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.parallel import sharding
from animatrix_jax.parallel.mesh import AXES, MeshConfig, make_mesh

FSDP = ("fsdp", "sequence")


@pytest.mark.parametrize(
    "path,ndim,spec",
    [
        ("generator/dit/blocks/ffn/up/kernel", 3, P(None, FSDP, "tensor")),
        ("generator/dit/blocks/ffn/down/kernel", 3, P(None, "tensor", FSDP)),
        ("generator/dit/blocks/ffn/down/bias", 2, P(None, None)),
        ("optimizer/1/0/mu/generator/dit/head/kernel", 2, P(FSDP, "tensor")),
        ("ema/vae/encoder/conv/kernel", 5, P(*[None] * 5)),
        ("image/patch_embed/kernel", 2, P(None, "tensor")),
        ("step", 0, P()),
    ],
)
def test_rules(path, ndim, spec):
    assert sharding.partition_spec(path, ndim) == spec


def test_a_leaf_without_a_rule_is_an_error():
    with pytest.raises(ValueError, match="no sharding rule for generator/dit/mystery"):
        sharding.partition_spec("generator/dit/mystery", 2)


def test_put_keeps_values():
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    tree = {"generator": {"head": {"kernel": np.arange(6.0).reshape(2, 3)}}}
    placed = sharding.put(tree, sharding.tree_shardings(tree, mesh))
    np.testing.assert_array_equal(
        placed["generator"]["head"]["kernel"], tree["generator"]["head"]["kernel"]
    )


def test_every_shipped_config_places_every_leaf_on_8_devices():
    """In a process of its own, since device counts are fixed at start-up."""
    script = pathlib.Path(__file__).parent / "place_all_configs.py"
    done = subprocess.run(
        [sys.executable, script],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) >= 30
    assert any(line.startswith("towers ") for line in lines)
    assert any(line.startswith("wan22_a14b ct") for line in lines)
    assert all(int(line.split()[2]) > 0 for line in lines)


@pytest.mark.parametrize("name,chips", [("wan21_1_3b", 512), ("wan21_14b", 1024)])
def test_a_real_generator_is_split_over_a_large_slice(name, chips):
    """Also its patches' 64 voxels, and its 256 frequencies of time."""
    model = presets.preset(name)

    def build(rngs):
        return Generator(model.dit, model.tags, rngs=rngs)

    shapes = jax.eval_shape(lambda key: init_params(build, key), jax.random.key(0))
    mesh = AbstractMesh((1, chips, 1, 1), AXES)
    places = sharding.tree_shardings({"generator": shapes}, mesh)["generator"]
    whole = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    own = sum(
        math.prod(place.shard_shape(leaf.shape))
        for place, leaf in zip(jax.tree.leaves(places), jax.tree.leaves(shapes))
    )
    assert own < 2 * whole / chips
