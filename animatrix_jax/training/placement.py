"""The train step as it is compiled: shapes and places of all it takes.

    state, frozen, batch  --shapes-->  --sharding table, batch axes-->  jax.jit

The loop (loop.py) and `animatrix plan` both compile what `jit_train_step` gives, for what
`abstract_state` and `abstract_inputs` describe, so that what is planned is what runs.
`Placed` and `place_batch` put weights and data in those places.
"""

import functools
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from animatrix_jax.parallel import mesh as mesh_lib
from animatrix_jax.parallel import sharding
from animatrix_jax.training.optimizer import OptimizerConfig
from animatrix_jax.training.stage import Batch, Params, Stage, StepShapes
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
    return _in_places(shapes, sharding.tree_shardings(shapes, mesh))


def abstract_inputs(shapes: StepShapes, mesh: Mesh) -> StepShapes:
    """Frozen parameters and the batch as shapes with their shardings.

    Raises:
      UserError: if the batch does not divide over the mesh's batch axes.
    """
    return StepShapes(
        frozen=_in_places(shapes.frozen, sharding.tree_shardings(shapes.frozen, mesh)),
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
    return _in_places(batch, jax.tree.map(lambda _: split, batch))


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


class Placed:
    """The train state on the mesh: shapes, shardings, and how to fill them."""

    def __init__(
        self, stage: Stage, tx: Any, mesh: Mesh, seed: int, optimizer: OptimizerConfig
    ):
        self._stage, self._mesh = stage, mesh
        self._init = functools.partial(init_state, tx=tx, seed=seed, config=optimizer)
        self._fresh = fresh_state(stage, tx, seed, optimizer)
        self.abstract = abstract_state(stage, tx, mesh, seed, optimizer)
        self.shardings = shardings_of(self.abstract)
        self._frozen = stage.frozen()
        self._frozen_shardings = sharding.tree_shardings(self._frozen, mesh)
        self.abstract_frozen = _in_places(self._frozen, self._frozen_shardings)

    def initial_state(self) -> TrainState:
        """The state before the first step, from `stage.initial()` or fresh."""
        start = self._stage.initial()
        if start is None:
            return jax.jit(self._fresh, out_shardings=self.shardings)()
        start = sharding.put(start, self.shardings.params)
        return jax.jit(self._init, out_shardings=self.shardings)(start)

    def frozen(self) -> Params:
        """The frozen parameters, sharded by the same table."""
        return sharding.put(self._frozen, self._frozen_shardings)

    def batch(self, batch: Batch) -> Params:
        """This host's slots of a batch, placed as part of the global batch."""
        return place_batch(batch, self._mesh)


def place_batch(batch: Batch, mesh: Mesh) -> Params:
    """A host's part of a global batch, split over the batch axes of the mesh."""
    place = mesh_lib.batch_sharding(mesh)
    return {
        name: jax.make_array_from_process_local_data(place, np.asarray(value))
        for name, value in batch.items()
    }


def _in_places(shapes: Any, places: Any) -> Any:
    return jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
        shapes,
        places,
    )
