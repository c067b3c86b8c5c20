"""Losses of the reward model: a robust regression and a paired comparison with ties.

The judge gives a clip one score s in [1, 5] for each head. It learns from expert scores
y in two ways (AniMatrix, arXiv 2605.03652, and Rao & Kupper, 1967):

    L = Huber(s - y)  +  w * BTT(s_a - s_b, outcome)

Huber holds the scale, so that a score means the same on every clip. The comparison holds
the order of two clips of the same prompt, or of one clip under two directives (what was
asked for, and something else). With D = s_a - s_b and tie width k,

    P(a better) = sigma( D - ln k)
    P(b better) = sigma(-D - ln k)
    P(tie)      = (k^2 - 1) sigma(D - ln k) sigma(-D - ln k)

which add up to one, so each negative log-likelihood is bounded below by zero.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Weights of the reward loss.

    Attributes:
      huber_delta: error, in score points, at which the loss turns from square to line.
      tie_width: k of the Rao-Kupper model, above 1; at D = 0 a tie has
        probability (k - 1) / (k + 1).
      pair_weight: weight of the comparison beside the regression.
      tie_margin: expert scores this close are a tie.
    """

    huber_delta: float = 1.0
    tie_width: float = 5.0
    pair_weight: float = 0.5
    tie_margin: float = 0.25

    def __post_init__(self) -> None:
        if self.tie_width <= 1.0:
            raise ValueError(f"tie_width must be above 1, got {self.tie_width}")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonLogProbs:
    """Log-probability of the three outcomes of a comparison of a against b."""

    better: Array
    tie: Array
    worse: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardTerms:
    """The reward loss, its two parts, and how often the decided pairs are ordered."""

    loss: Array
    huber: Array
    pairs: Array
    pair_accuracy: Array


def huber(error: Float[Array, "*s"], *, delta: float) -> Float[Array, "*s"]:
    """`e^2 / 2` up to `delta`, then `delta (|e| - delta / 2)`."""
    size = jnp.abs(error)
    inside = jnp.minimum(size, delta)
    return inside * (size - 0.5 * inside)


def comparison_log_probs(
    difference: Float[Array, "*s"], *, tie_width: float
) -> ComparisonLogProbs:
    """Bradley-Terry with ties: log P(better), log P(tie), log P(worse)."""
    log_k = float(np.log(tie_width))
    better = jax.nn.log_sigmoid(difference - log_k)
    worse = jax.nn.log_sigmoid(-difference - log_k)
    tie = better + worse + float(np.log(tie_width**2 - 1.0))
    return ComparisonLogProbs(better=better, tie=tie, worse=worse)


def comparison_loss(
    difference: Float[Array, "*s"],
    target: Float[Array | np.ndarray, "*s"],
    *,
    config: RewardConfig,
) -> Float[Array, "*s"]:
    """Negative log-likelihood of the outcome that the experts' `target` implies.

    Args:
      difference: s_a - s_b of the judge.
      target: y_a - y_b of the experts; within `tie_margin` it is a tie.
    """
    log_probs = comparison_log_probs(difference, tie_width=config.tie_width)
    decided = jnp.where(target > 0, log_probs.better, log_probs.worse)
    tied = jnp.abs(target) <= config.tie_margin
    return -jnp.where(tied, log_probs.tie, decided)


def reward_loss(
    scores: Float[Array, "g n h"],
    targets: Float[Array | np.ndarray, "g n h"],
    *,
    config: RewardConfig,
    weights: Float[Array | np.ndarray, "g n"] | None = None,
) -> RewardTerms:
    """Huber on every candidate, the comparison on all pairs of a group, both in fp32.

    Args:
      scores: the judge's scores of the n candidates of each group: clips of one prompt,
        or one clip under several directives.
      targets: the experts' scores.
      weights: of each candidate in the regression, 0 for one that has no label; its
        pairs then count for nothing either. None: all alike.

    Raises:
      ValueError: if a group has fewer than two candidates.
    """
    candidates = scores.shape[1]
    if candidates < 2:
        raise ValueError(f"expected groups of two candidates or more, got {candidates}")
    scores = scores.astype(jnp.float32)
    targets = jnp.asarray(targets, jnp.float32)
    weights = jnp.ones(scores.shape[:2]) if weights is None else jnp.asarray(weights)
    weights = weights.astype(jnp.float32)[..., None]
    regression = _mean(huber(scores - targets, delta=config.huber_delta), weights)
    first, second = np.triu_indices(candidates, 1)
    difference = scores[:, first] - scores[:, second]
    target = targets[:, first] - targets[:, second]
    both = (weights[:, first] * weights[:, second] > 0).astype(jnp.float32)
    pairs = _mean(comparison_loss(difference, target, config=config), both)
    decided = both * (jnp.abs(target) > config.tie_margin)
    ordered = (jnp.sign(difference) == jnp.sign(target)).astype(jnp.float32)
    return RewardTerms(
        loss=regression + config.pair_weight * pairs,
        huber=regression,
        pairs=pairs,
        pair_accuracy=_mean(ordered, decided),
    )


def _mean(values: Array, weight: Array) -> Array:
    """Weighted mean over everything; zero where no weight is left."""
    weight = jnp.broadcast_to(weight, values.shape)
    return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1e-6)
