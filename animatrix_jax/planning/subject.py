"""The program that is planned, lowered for a mesh: a train step, or a sampler's step.

Both are what runs: `training.placement` is the loop's own, and `sampling.programs` the
pipeline's. The arguments are known by part before anything is compiled.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.parallel import sharding
from animatrix_jax.sampling import programs
from animatrix_jax.sampling.guidance import UNSCALED, branch_weights
from animatrix_jax.sampling.sampler import SamplerConfig, begin
from animatrix_jax.training import placement
from animatrix_jax.training.optimizer import OptimizerConfig, make_optimizer
from animatrix_jax.training.stage import Stage, StepShapes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A program ready to be compiled.

    Attributes:
      lowered: for the mesh's devices.
      arguments: bytes on a chip by part, without the padding of a layout.
    """

    lowered: Any
    arguments: dict[str, int]


def train_step(
    stage: Stage,
    optimizer: OptimizerConfig,
    mesh: Mesh,
    shapes: StepShapes,
) -> Subject:
    """The step that `animatrix train` would run, on a batch of these shapes.

    Raises:
      UserError: if the batch does not divide over the mesh.
      ValueError: if a parameter does not.
    """
    tx = make_optimizer(optimizer)
    state = placement.abstract_state(stage, tx, mesh, 0, optimizer)
    inputs = placement.abstract_inputs(shapes, mesh)
    step = placement.jit_train_step(stage, tx, optimizer, placement.shardings_of(state))
    rate = jax.ShapeDtypeStruct((), jnp.float32)
    with jax.set_mesh(mesh):
        lowered = step.lower(state, inputs.frozen, inputs.batch, rate)
    parts = {
        "parameters": state.params,
        "ema": state.ema,
        "optimizer": state.optimizer,
        "frozen": inputs.frozen,
        "batch": inputs.batch,
    }
    return Subject(
        lowered=lowered,
        arguments={name: bytes_on_chip(tree) for name, tree in parts.items()},
    )


def sample_step(model: ModelPreset, mesh: Mesh, *, clips: int) -> Subject:
    """One denoising step of `clips` clips under text and tags, with full guidance.

    Parameters are split by the sharding table and clips over the batch axes.

    Raises:
      UserError: if the clips do not divide over the mesh.
    """
    config = SamplerConfig(steps=model.steps, shift=model.shift)
    unguided = dataclasses.replace(config, guidance=UNSCALED)

    def of(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype)

    latents = of((clips, *model.latent_shape), jnp.float32)
    tags = (clips, 48)
    conditioning = Conditioning(
        text=of((clips, model.text_length, model.dit.text_dim), jnp.float32),
        tag_fields=of(tags, jnp.int32),
        tag_values=of(tags, jnp.int32),
        tag_mask=of(tags, jnp.bool_),
    )
    if model.dit.frame_conditioning == "concat":
        reference = model.dit.in_channels - model.dit.out_channels
        conditioning = dataclasses.replace(
            conditioning,
            reference=of((*latents.shape[:-1], reference), jnp.float32),
        )
    if model.image is not None:
        image = (clips, model.image.num_tokens, model.image.dim)
        conditioning = dataclasses.replace(conditioning, image=of(image, jnp.float32))
    start = jax.eval_shape(lambda noise: begin(noise, config), latents)
    inputs = placement.abstract_inputs(
        StepShapes(frozen={}, batch=_flat(latents)), mesh
    )
    place = jax.tree.leaves(inputs.batch)[0].sharding
    on = functools.partial(_split, place=place, count=clips)
    build = functools.partial(
        init_params, lambda rngs: Generator(model.dit, model.tags, rngs=rngs)
    )
    params = jax.eval_shape(
        lambda key: {"generator": programs.as_computed(model, build(key))},
        jax.random.key(0),
    )
    placed = jax.tree.map(
        lambda s, at: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=at),
        params,
        sharding.tree_shardings(params, mesh),
    )["generator"]
    weights = {
        name: jax.ShapeDtypeStruct((), jnp.float32)
        for name in branch_weights(config.guidance)
    }
    with jax.set_mesh(mesh):
        lowered = programs.sample.lower(
            (model, unguided, (0, 1)),
            placed,
            on(start),
            on(conditioning),
            on(conditioning),
            None,
            None,
            weights,
        )
    return Subject(
        lowered=lowered,
        arguments={
            "parameters": bytes_on_chip(placed),
            "batch": bytes_on_chip((on(start), on(conditioning), on(conditioning))),
        },
    )


def bytes_on_chip(tree: Any) -> int:
    """Bytes of one chip's shards of shapes with shardings."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        size = 1
        for dim in leaf.sharding.shard_shape(leaf.shape):
            size *= dim
        total += size * jnp.dtype(leaf.dtype).itemsize
    return total


def _flat(latents: jax.ShapeDtypeStruct) -> dict[str, jax.ShapeDtypeStruct]:
    return {"clips": latents}


def _split(tree: Any, *, place: Any, count: int) -> Any:
    """Leaves whose first axis is the clips', split as they are."""

    def put(leaf: Any) -> jax.ShapeDtypeStruct:
        ours = leaf.ndim > 0 and leaf.shape[0] == count
        return jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=place if ours else None
        )

    return jax.tree.map(put, tree)
