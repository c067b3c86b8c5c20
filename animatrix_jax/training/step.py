"""The train state and the one train step that every stage runs.

    g_t     = mean over micro-batches of grad L(p_t, batch_t, key_t)
    p_{t+1} = p_t + rate_t Optimizer(g_t)           if loss and |g| are finite, else p_t
    ema     = d ema + (1 - d) p,   d = min(decay, (1 + t) / (10 + t))
    key_t   = fold_in(key, t)

The key of a step depends on the run's seed and the step alone, so a resumed run draws
what the undisturbed one would have drawn.
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from animatrix_jax.training.optimizer import OptimizerConfig
from animatrix_jax.training.rounding import mixed, narrowed, rounded_like, widened
from animatrix_jax.training.stage import Batch, Metrics, Params, Stage


@flax.struct.dataclass
class TrainState:
    """All that a step changes. EMA and, unless `masters` says bf16, parameters are fp32;
    `ema` is None where `ema_decay` is 0.

    Typed loosely, since a pytree's leaves are at times shapes or shardings.
    """

    step: Any
    params: Any
    ema: Any
    optimizer: Any
    key: Any
    skipped: Any
    skipped_in_row: Any

    @property
    def averaged(self) -> Any:
        """The parameters to validate, sample and ship: the EMA if there is one."""
        return self.params if self.ema is None else self.ema


def init_state(
    params: Params,
    tx: optax.GradientTransformation,
    seed: int,
    config: OptimizerConfig | None = None,
) -> TrainState:
    """The state before the first step; pure, so it runs under jit.

    Args:
      config: whether there is an EMA, and what dtype parameters are kept in.
    """
    config, params = config or OptimizerConfig(), widened(params)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        step=zero,
        params=narrowed(params) if config.masters == "bfloat16" else params,
        ema=jax.tree.map(jnp.copy, params) if config.ema_decay > 0 else None,
        optimizer=tx.init(params),
        key=jax.random.key_data(jax.random.key(seed)),
        skipped=zero,
        skipped_in_row=zero,
    )


def make_train_step(
    stage: Stage, tx: optax.GradientTransformation, config: OptimizerConfig
) -> Callable[[TrainState, Params, Batch, Array], tuple[TrainState, Metrics]]:
    """A pure function (state, frozen, batch, rate) -> (state, metrics), to be jitted."""

    def train_step(
        state: TrainState, frozen: Params, batch: Batch, rate: Array
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        loss, metrics, grads = _gradients(
            stage, state.params, frozen, batch, key, config.accumulation
        )
        grads, masters = widened(grads), widened(state.params)
        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        updates, optimizer = tx.update(grads, state.optimizer, masters)
        updates = jax.tree.map(lambda update: rate * update, updates)
        params = optax.apply_updates(masters, updates)
        count = state.step.astype(jnp.float32)
        decay = jnp.minimum(config.ema_decay, (1.0 + count) / (10.0 + count))
        ema = state.ema
        if ema is not None:
            ema = jax.tree.map(lambda e, p: decay * e + (1.0 - decay) * p, ema, params)
        params = rounded_like(
            params, state.params, mixed(state.step.astype(jnp.uint32))
        )

        def keep(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)

        bad = (~finite).astype(jnp.int32)
        new_state = TrainState(
            step=state.step + 1,
            params=keep(params, state.params),
            ema=keep(ema, state.ema),
            optimizer=keep(optimizer, state.optimizer),
            key=state.key,
            skipped=state.skipped + bad,
            skipped_in_row=(state.skipped_in_row + 1) * bad,
        )
        metrics = {
            "loss": loss,
            **metrics,
            "gradient_norm": norm,
            "skipped": new_state.skipped,
            "skipped_in_row": new_state.skipped_in_row,
        }
        return new_state, metrics

    return train_step


def _gradients(
    stage: Stage,
    params: Params,
    frozen: Params,
    batch: Batch,
    key: Array,
    accumulation: int,
) -> tuple[Array, Metrics, Params]:
    """Loss, metrics and gradient: means over `accumulation` micro-batches."""
    grad_fn = jax.value_and_grad(stage.loss, has_aux=True)
    if accumulation == 1:
        (loss, metrics), grads = grad_fn(params, frozen, batch, key)
        return loss, metrics, grads
    micro = jax.tree.map(
        lambda x: x.reshape(accumulation, x.shape[0] // accumulation, *x.shape[1:]),
        batch,
    )

    def body(total: Any, inputs: Any) -> tuple[Any, None]:
        part, part_key = inputs
        (loss, metrics), grads = grad_fn(params, frozen, part, part_key)
        return jax.tree.map(jnp.add, total, (loss, metrics, grads)), None

    keys = jax.random.split(key, accumulation)
    shapes = jax.eval_shape(
        grad_fn, params, frozen, jax.tree.map(lambda x: x[0], micro), keys[0]
    )
    (loss, metrics), grads = shapes
    grads = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, jnp.float32), grads)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (loss, metrics, grads))
    total, _ = jax.lax.scan(body, zeros, (micro, keys))
    return jax.tree.map(lambda x: x / accumulation, total)
