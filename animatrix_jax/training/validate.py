"""The validation loss, which says whether a stage learns.

    mean over fixed batches of loss(EMA, batch, key),   a fixed key for each batch

Its batches are those of `Stage.held_out`, placed on the mesh once.
"""

import jax
import numpy as np
from jax.sharding import Mesh

from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.mesh import check_batch
from animatrix_jax.training.placement import place_batch
from animatrix_jax.training.stage import Batch, Params, Stage


class Validation:
    """The loss on fixed clips with fixed noise, so that two values compare.

    `validation_loss` is the mean over the batches; where they come in several shapes, as
    buckets do, `validation_loss_TxHxW` is that of each.

    Raises:
      UserError: if a batch does not divide over the mesh's batch axes.
    """

    def __init__(self, stage: Stage, mesh: Mesh, seed: int):
        held_out = stage.held_out()
        for batch in held_out:
            size = len(next(iter(batch.values()))) * distributed.batch_share()[1]
            check_batch(size, mesh, name="a held-out batch of")
        self._batches = [
            place_batch({k: v for k, v in batch.items() if k != "clip_id"}, mesh)
            for batch in held_out
        ]
        self._shapes = [_shape_of(batch) for batch in held_out]
        self._keys = jax.random.split(
            jax.random.key(seed + 1), max(len(self._batches), 1)
        )
        self._loss = jax.jit(lambda *args: stage.loss(*args)[0])

    def __call__(self, params: Params, frozen: Params) -> dict[str, float]:
        losses = [
            float(self._loss(params, frozen, batch, key))
            for batch, key in zip(self._batches, self._keys)
        ]
        found = {"validation_loss": float(np.mean(losses))}
        if len(shapes := sorted(set(self._shapes))) > 1:
            for shape in shapes:
                of_shape = [x for x, own in zip(losses, self._shapes) if own == shape]
                found[f"validation_loss_{shape}"] = float(np.mean(of_shape))
        return found


def _shape_of(batch: Batch) -> str:
    """Of a batch's clips: of its array of the most axes, without clips and channels."""
    media = max(batch.values(), key=np.ndim)
    return "x".join(map(str, np.shape(media)[1:-1]))
