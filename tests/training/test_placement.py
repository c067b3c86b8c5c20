"""What is said of a step's inputs without data is what the data turns out to be."""

import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from toy_stage import LeastSquares

from animatrix_jax.cli import stages
from animatrix_jax.errors import UserError
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training import placement
from animatrix_jax.training.optimizer import OptimizerConfig, make_optimizer
from animatrix_jax.training.validate import Validation

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshConfig(), jax.devices()[:1])


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, jnp.dtype(leaf.dtype)), tree)


def test_the_step_compiled_from_shapes_takes_the_batches_that_come(mesh):
    stage, config = LeastSquares(steps=1), OptimizerConfig()
    tx = make_optimizer(config)
    state = placement.abstract_state(stage, tx, mesh, seed=0)
    inputs = placement.abstract_inputs(stage.step_shapes(), mesh)
    places = placement.shardings_of(state)
    step = placement.jit_train_step(stage, tx, config, places)
    rate = jax.ShapeDtypeStruct((), jnp.float32)
    compiled = step.lower(state, inputs.frozen, inputs.batch, rate).compile()
    batch = next(iter(stage.batches()))
    del batch["clip_id"]
    fresh = placement.fresh_state(stage, tx, 0)
    start = jax.jit(fresh, out_shardings=places)()
    after, _ = compiled(
        start, {}, placement.place_batch(batch, mesh), jnp.float32(1e-3)
    )
    assert int(after.step) == 1


def test_a_batch_that_does_not_divide_names_the_nearest_that_do():
    axes = ("data", "fsdp", "sequence", "tensor")
    wide = Mesh(np.arange(6).reshape(2, 3, 1, 1), axes)
    with pytest.raises(UserError, match="batch.size 8 does not divide by 6 .*: 6, 12"):
        placement.abstract_inputs(LeastSquares(steps=1).step_shapes(), wide)
    with pytest.raises(UserError, match="held-out batch of 8 does not divide by 6 "):
        Validation(LeastSquares(steps=1), wide, 0)


def test_a_stage_of_pixels_says_the_shapes_of_its_batches(tmp_path):
    config = load("pico", "vae")
    config.update({"batch": {"size": 2}, "data": {"clips": 4, "held_out": 2}})
    config.data.cached = False
    built = stages.build(config, workdir=tmp_path)
    batch = built.held_out()[0]
    batch.pop("clip_id")
    assert shapes(built.step_shapes().batch) == shapes(batch)


def test_the_text_stage_says_the_shapes_of_its_batches(tmp_path):
    config = load("nano", "text")
    # Of four clips, each told in three forms.
    config.update({"batch": {"size": 12}, "data": {"clips": 400, "held_out": 4}})
    built = stages.build(config, workdir=tmp_path)
    next(iter(built.batches()))  # trains the tokenizer
    assert shapes(built.step_shapes().batch) == shapes(built.held_out()[0])


def test_the_generators_stage_says_the_shapes_of_batch_and_towers(tmp_path):
    """With the weights that ship, on pixels: VAE and text tower are both read."""
    config = load("pico", "ct")
    config.update({"batch": {"size": 2}, "data": {"clips": 4, "held_out": 2}})
    config.data.cached = False
    built = stages.build(config, workdir=tmp_path)
    said = built.step_shapes()
    batch = built.held_out()[0]
    batch.pop("clip_id")
    assert shapes(said.batch) == shapes(batch)
    assert shapes(said.frozen) == shapes(built.frozen())


def test_the_generators_stage_says_the_shapes_of_every_bucket(tmp_path):
    config = load("pico", "ct")
    buckets = ((9, 32, 32), (5, 32, 64), (1, 32, 32))
    config.update({"data": {"clips": 4, "images": 4, "held_out": 4}})
    config.update({"batch": {"size": 2, "buckets": buckets, "multiple": 2}})
    config.data.cached = False
    config.tasks.update({"t2i": (0.4,), "t2v": (0.3,), "i2v": (0.3,)})
    config.curriculum.mode = "plain"  # clips drawn as they are asked for
    built = stages.build(config, workdir=tmp_path)
    said = built.step_shapes()
    known = [shapes(batch) for batch in (said.batch, *said.others)]
    assert known[0]["video"][0][1:4] in ((9, 32, 32), (5, 32, 64))
    seen = []
    for batch in itertools.islice(built.batches(), 24):
        batch.pop("clip_id")
        assert shapes(batch) in known
        if shapes(batch) not in seen:
            seen.append(shapes(batch))
    assert len(seen) == len(known) == 3
    held_out = [batch["video"].shape[1:4] for batch in built.held_out()]
    assert held_out == list(buckets)


def load(name, stage):
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(f"stage={stage}")
