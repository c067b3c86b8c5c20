"""Optax: AdamW or Muon, with warm-up and cosine decay, clipping by global norm.

Muon (Jordan et al. 2024; arXiv 2502.16982) replaces each matrix's momentum M by the
nearest orthogonal matrix, so that every direction of it moves alike:

    W <- W - lr (0.2 sqrt(max(in, out)) orthogonal(M) + decay W)

The factor gives the update the size that AdamW's has, so that both share a learning
rate. Only kernels are matrices; tables, norms and biases stay with Adam.

The transformation has learning rate 1, and the step scales what it gives by the
schedule's value, which comes in with the batch: stages that differ in their rates alone
run one compiled program.
"""

import dataclasses
from typing import Any, get_args

import jax
import numpy as np
import optax
from jax import numpy as jnp

from animatrix_jax.errors import check_range
from animatrix_jax.models.config import ComputeDtype
from animatrix_jax.parallel.sharding import path_name

_ADAM_LIKE_RMS = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer, its schedule in optimizer steps, and the average of its iterates.

    Attributes:
      kind: "adamw" or "muon", of the kernels; everything else is always AdamW's.
      learning_rate: at its peak, after the warm-up.
      final_fraction: of the peak that is left at the last step, after a cosine decay.
      warmup_steps: of a linear rise from 0; half of the run at most.
      b1, b2: decays of Adam's mean and of its mean square.
      eps: Adam's, added to the root of the mean square. (Muon leaves Optax's own.)
      momentum: Muon's.
      weight_decay: of kernels alone.
      clip_norm: the global norm that gradients are scaled down to.
      accumulation: micro-batches a step; gradients are their mean.
      ema_decay: of the average of the parameters, a step; 0 keeps no average: what is validated and shipped is the parameters.
      moments: the dtype that moments are kept in between steps; "bfloat16" takes half the
        memory, and every update is computed in fp32 all the same.
      masters: the dtype that kernels are kept in between steps; "bfloat16" takes half the
        memory, and rounds by chance (`rounding.py`).
    """

    kind: str = "adamw"
    learning_rate: float = 1e-3
    final_fraction: float = 0.1
    warmup_steps: int = 100
    b1: float = 0.9
    b2: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.95
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    accumulation: int = 1
    moments: ComputeDtype = "float32"
    masters: ComputeDtype = "float32"

    def __post_init__(self):
        check_range(self, "accumulation", low=1, section="optimizer")
        positive = ("learning_rate", "clip_norm", "eps")
        check_range(self, *positive, low=0, above=True, section="optimizer")
        shares = ("b1", "b2", "momentum", "ema_decay", "final_fraction")
        check_range(self, *shares, low=0, high=1, section="optimizer")
        check_range(self, "warmup_steps", "weight_decay", low=0, section="optimizer")
        if self.kind not in ("adamw", "muon"):
            raise ValueError(f"optimizer.kind {self.kind!r} is not 'adamw' or 'muon'")
        for name in ("moments", "masters"):
            if getattr(self, name) not in get_args(ComputeDtype):
                raise ValueError(
                    f"optimizer.{name} {getattr(self, name)!r} is not 'float32' or"
                    " 'bfloat16'"
                )


def make_schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Linear warm-up, then cosine decay to `final_fraction` of the peak at `steps`."""
    warmup = min(config.warmup_steps, max(steps // 2, 1))
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(steps, warmup + 1),
        end_value=config.learning_rate * config.final_fraction,
    )


def learning_rates(config: OptimizerConfig, steps: int) -> np.ndarray:
    """The schedule's value at each of `steps` steps, fp32 [steps]."""
    schedule = make_schedule(config, steps)
    return np.asarray(jax.vmap(schedule)(jnp.arange(steps)), np.float32)


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """The transformation at learning rate 1; only kernels have weight decay."""
    if config.kind == "muon":
        update = optax.contrib.muon(
            1.0,
            beta=config.momentum,
            weight_decay=config.weight_decay,
            adam_b1=config.b1,
            adam_b2=config.b2,
            muon_weight_dimension_numbers=_matrices,
            consistent_rms=_ADAM_LIKE_RMS,
        )
    else:
        update = optax.adamw(
            1.0,
            b1=config.b1,
            b2=config.b2,
            eps=config.eps,
            weight_decay=config.weight_decay,
            mask=lambda params: jax.tree_util.tree_map_with_path(_is_kernel, params),
        )
    if config.moments != "float32":
        update = _kept_as(jnp.dtype(config.moments), update)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), update)


def _kept_as(
    dtype: jnp.dtype, inner: optax.GradientTransformation
) -> optax.GradientTransformation:
    """`inner` with its fp32 arrays kept as `dtype` between updates, but for constants."""
    full = jnp.dtype("float32")

    def cast(state: Any, before: jnp.dtype, after: jnp.dtype) -> Any:
        def one(path: Any, x: Any) -> Any:
            constant = path_name(path).split("/")[-1] == "ns_coeffs"
            moves = x.ndim and x.dtype == before and not constant
            return x.astype(after) if moves else x

        return jax.tree_util.tree_map_with_path(one, state)

    def init(params: Any) -> Any:
        return cast(inner.init(params), full, dtype)

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        state = cast(state, dtype, full)
        updates, state = inner.update(gradients, state, params)
        return updates, cast(state, full, dtype)

    return optax.GradientTransformation(init, update)


def _is_kernel(path: Any, _: Any) -> bool:
    return path_name(path).split("/")[-1] == "kernel"


def _matrices(params: Any) -> Any:
    """How Muon reads each kernel as a matrix; None for what it leaves to Adam.

    [l i o] is l matrices: the layers of a scanned stack, or the taps of a convolution
    over time alone. In [taps... i o], a convolution, all taps belong to the input.
    """

    def read(path: Any, leaf: Any) -> optax.contrib.MuonDimensionNumbers | None:
        if not _is_kernel(path, leaf):
            return None
        inputs = range(1 if leaf.ndim == 3 else 0, leaf.ndim - 1)
        return optax.contrib.MuonDimensionNumbers(tuple(inputs), (leaf.ndim - 1,))

    return jax.tree_util.tree_map_with_path(read, params)
