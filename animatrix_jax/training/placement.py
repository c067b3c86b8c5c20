"""The train step as it is compiled: shapes and places of all it takes, with no data.

    state, frozen, batch  --shapes-->  --sharding table, batch axes-->  jax.jit

The loop (loop.py) and `animatrix plan` both compile what `jit_train_step` gives, for what
`abstract_state` and `abstract_inputs` describe, so that what is planned is what runs.
"""

from typing import Any

import jax
import optax
from jax.sharding import Mesh

from animatrix_jax.parallel import mesh as mesh_lib
from animatrix_jax.parallel import sharding
from animatrix_jax.training.optimizer import OptimizerConfig
from animatrix_jax.training.stage import Stage, StepShapes
from animatrix_jax.training.step import TrainState, init_state, make_train_step


def fresh_state(
    stage: Stage,
    tx: optax.GradientTransformation,
    seed: int,
    config: OptimizerConfig | None = None,
) -> Any:
    """A function of nothing that gives the state before the first step, to be jitted."""

    def fresh() -> TrainState:
        params = stage.init(jax.random.key(seed))
        return init_state(params, tx, seed, config)

    return fresh


def abstract_state(
    stage: Stage,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    seed: int,
    config: OptimizerConfig | None = None,
) -> TrainState:
    """The train state as shapes with their shardings.

    Raises:
      ValueError: if a leaf has no rule, or does not divide by its mesh axes.
    """
    shapes = jax.eval_shape(fresh_state(stage, tx, seed, config))
    return _placed(shapes, sharding.tree_shardings(shapes, mesh))


def abstract_inputs(shapes: StepShapes, mesh: Mesh) -> StepShapes:
    """Frozen parameters and the batch as shapes with their shardings.

    Raises:
      UserError: if the batch does not divide over the mesh's batch axes.
    """
    return StepShapes(
        frozen=_placed(shapes.frozen, sharding.tree_shardings(shapes.frozen, mesh)),
        batch=abstract_batch(shapes.batch, mesh),
    )


def abstract_batch(batch: dict[str, Any], mesh: Mesh) -> dict[str, Any]:
    """A batch's shapes with their shardings.

    Raises:
      UserError: if it does not divide over the mesh's batch axes.
    """
    for size in {leaf.shape[0] for leaf in batch.values()}:
        mesh_lib.check_batch(size, mesh)
    split = mesh_lib.batch_sharding(mesh)
    return _placed(batch, jax.tree.map(lambda _: split, batch))


def jit_train_step(
    stage: Stage,
    tx: optax.GradientTransformation,
    config: OptimizerConfig,
    shardings: Any,
) -> Any:
    """The jitted step (state, frozen, batch, rate) -> (state, metrics).

    Args:
      shardings: of the state, which is donated and comes back in the same places.
    """
    device = next(iter(jax.tree.leaves(shardings)[0].device_set))
    return jax.jit(
        make_train_step(stage, tx, config),
        donate_argnums=0,
        out_shardings=(shardings, None),
        compiler_options=mesh_lib.COMPILER_OPTIONS.get(device.platform),
    )


def shardings_of(abstract: Any) -> Any:
    """The sharding of each leaf of what `abstract_state` gave."""
    return jax.tree.map(lambda leaf: leaf.sharding, abstract)


def _placed(shapes: Any, places: Any) -> Any:
    return jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
        shapes,
        places,
    )
