"""Diffusion-DPO: move the policy towards winners, measured from where it started.

Wallace et al. (2023), for flow matching, as AniMatrix (arXiv 2605.03652) uses it. With one
noise level s and one noise eps shared by winner w, loser l, policy v and reference v_ref,

    x_s = (1 - s) x0 + s eps        target = eps - x0
    e(v, x0) = mean over free latents of (v(x_s, s) - target)^2
    margin   = [e(v, w) - e(v_ref, w)] - [e(v, l) - e(v_ref, l)]
    L        = -log sigma(-(beta / 2) margin)

Where the policy is the reference the margin is zero and L = ln 2 exactly. The error is a
*mean*, so beta does not change its meaning with the clip's size; frames that are given
(image-to-video) are kept clean, at noise level 0, and count for nothing.

The reference does not move, so its errors on fixed draws (s, eps) may come from before
(`pair_errors`), and a step evaluates the policy alone. The two forms have one gradient, up
to rounding, and differ in the loss's precision. With the reference at hand,

    e(v) - e(v_ref) = mean (v - v_ref) (v + v_ref - 2 target)

does not cancel: where v = v_ref the margin is zero to the bit, whatever beta. From errors
that came from before it is a difference of rounded means: the margin is off by up to
2^-24 of the four errors together (measured: a third of that, on a CPU), and the logit by
beta / 2 of it: with errors of 1, by 1.2e-5 at beta 100. That is for fp32 compute; in bf16
the program that made the errors and the step's own may round activations apart, by more.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from animatrix_jax.errors import check_range
from animatrix_jax.objectives.flow_matching import (
    flow_error,
    frame_sigma,
    free_mean,
    interpolate,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """Strength of the preference.

    Attributes:
      beta: how sharply a difference in error counts (on the mean error, not the sum).
      anchor: weight of the winner's plain flow-matching error added to the loss; above
        zero it keeps the policy from making both errors worse.
      reference_draws: fixed draws (s, eps) of each pair, on which the reference is
        evaluated once, before the first step; 0: new draws and the reference in each
        step. docs/judge.md says what it costs in precision.
    """

    beta: float = 100.0
    anchor: float = 0.0
    reference_draws: int = 0

    def __post_init__(self) -> None:
        check_range(self, "reference_draws", "anchor", low=0, section="preference")


@runtime_checkable
class Denoiser(Protocol):
    """A velocity field that already holds its parameters and its conditioning."""

    def __call__(
        self, xt: Float[Array, "b t h w c"], sigma: Float[Array, " b"], /
    ) -> Float[Array, "b t h w c"]:
        """Velocity at `xt`, at noise level `sigma` where no frame is given clean."""
        ...


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PairErrors:
    """A model's error on the winner and on the loser of each pair, on one draw each."""

    winner: Array
    loser: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceTerms:
    """The loss and what to watch: all scalars, means over the batch.

    Attributes:
      loss: what is optimised.
      accuracy: share of pairs whose implicit reward prefers the winner.
      winner_error, loser_error: the policy's own error on each.
      winner_drift, loser_drift: that error less the reference's.
      margin: winner_drift - loser_drift; negative is good.
      drift: mean squared distance of the policy's velocity from the reference's; None
        where only the reference's errors are known, which do not give it.
    """

    loss: Array
    accuracy: Array
    winner_error: Array
    loser_error: Array
    winner_drift: Array
    loser_drift: Array
    margin: Array
    drift: Array | None


def preference_log_ratio(
    margin: Float[Array, "*s"], *, beta: float
) -> Float[Array, "*s"]:
    """`-log sigma(-(beta / 2) margin)`, ln 2 at zero."""
    return -jax.nn.log_sigmoid(-0.5 * beta * margin)


def preference_loss(
    policy: Denoiser,
    reference: Denoiser | PairErrors,
    *,
    winner: Float[Array, "b t h w c"],
    loser: Float[Array, "b t h w c"],
    noise: Float[Array, "b t h w c"],
    sigma: Float[Array, " b"],
    given: Bool[Array | np.ndarray, "b t"],
    config: PreferenceConfig,
) -> PreferenceTerms:
    """Diffusion-DPO over a batch of pairs.

    Args:
      policy, reference: velocity fields over a batch of 2b clips, the winners first.
        Gradients never reach the reference. In its place, what `pair_errors` gave of
        it on the same draws.
      winner, loser: clean latents of the pair.
      noise, sigma: one draw a pair, shared by all four evaluations.
      given: frames that stay clean and are not counted.
      config: see `PreferenceConfig`.
    """
    pair = _noised(winner, loser, noise=noise, sigma=sigma, given=given)
    moved = policy(pair.xt, pair.sigma).astype(jnp.float32)
    error = flow_error(moved, pair.x0, pair.noise, pair.given)
    drift = None
    if isinstance(reference, PairErrors):
        change = error - jnp.concatenate([reference.winner, reference.loser])
    else:
        start = reference(pair.xt, pair.sigma).astype(jnp.float32)
        start = jax.lax.stop_gradient(start)
        # a^2 - b^2 = (a - b)(a + b): beta multiplies a difference of nearly equal
        # errors, and written this way it does not cancel.
        target = pair.noise - pair.x0
        change = (moved - start) * (moved + start - 2.0 * target)
        change = free_mean(change, pair.given)
        drift = jnp.mean(free_mean(jnp.square(moved - start), pair.given))
    winner_error, loser_error = jnp.split(error, 2)
    winner_drift, loser_drift = jnp.split(change, 2)
    margin = winner_drift - loser_drift
    loss = jnp.mean(preference_log_ratio(margin, beta=config.beta))
    if config.anchor:
        loss = loss + config.anchor * jnp.mean(winner_error)
    return PreferenceTerms(
        loss=loss,
        accuracy=jnp.mean((margin < 0).astype(jnp.float32)),
        winner_error=jnp.mean(winner_error),
        loser_error=jnp.mean(loser_error),
        winner_drift=jnp.mean(winner_drift),
        loser_drift=jnp.mean(loser_drift),
        margin=jnp.mean(margin),
        drift=drift,
    )


def pair_errors(
    model: Denoiser,
    *,
    winner: Float[Array, "b t h w c"],
    loser: Float[Array, "b t h w c"],
    noise: Float[Array, "b t h w c"],
    sigma: Float[Array, " b"],
    given: Bool[Array | np.ndarray, "b t"],
) -> PairErrors:
    """e(model, w) and e(model, l) of each pair; arguments as of `preference_loss`."""
    pair = _noised(winner, loser, noise=noise, sigma=sigma, given=given)
    velocity = model(pair.xt, pair.sigma)
    error = flow_error(velocity, pair.x0, pair.noise, pair.given)
    of_winner, of_loser = jnp.split(error, 2)
    return PairErrors(winner=of_winner, loser=of_loser)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Noised:
    """Winners, then losers, under the same draws."""

    x0: Array
    noise: Array
    sigma: Array
    given: Array
    xt: Array


def _noised(
    winner: Array, loser: Array, *, noise: Array, sigma: Array, given: Array
) -> _Noised:
    x0 = jnp.concatenate([winner, loser]).astype(jnp.float32)
    noise = jnp.concatenate([noise, noise]).astype(jnp.float32)
    given = jnp.concatenate([jnp.asarray(given)] * 2)
    sigma = jnp.concatenate([sigma, sigma])
    xt = interpolate(x0, noise, frame_sigma(sigma, given))
    return _Noised(x0=x0, noise=noise, sigma=sigma, given=given, xt=xt)
