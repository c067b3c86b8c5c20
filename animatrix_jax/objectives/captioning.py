"""AniCaption's losses: what is read, whether it can be seen, what is written, preference.

    L  = L_fields + a L_shown + c L_prose
    L_shown   mean over drawn fields of the sigmoid cross-entropy of "the clip states it"
    L_prose   mean over tokens of -log p(token | earlier ones, clip, tags)

Preference (Rafailov et al. 2023, on whole captions): with the log-probability of a caption
l = sum over its motion and VFX fields log p(values) + sum over tokens log p(token),

    L = -log sigma(beta [(l_w - l_w_ref) - (l_l - l_l_ref)]) + anchor * (-l_w / count)

for winner w and loser l of one clip, and the model before it as reference; ln 2 plus the
anchor at the start.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.objectives.fields import FieldTable, stated_fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptioningConfig:
    """Weights of the losses.

    Attributes:
      shown: a.
      prose: c.
      tag_drop: share of fields that the writer is not told of in training.
      beta: sharpness of the preference.
      anchor: weight of the winner's own likelihood beside it, a field or token.
    """

    shown: float = 0.3
    prose: float = 0.5
    tag_drop: float = 0.15
    beta: float = 0.1
    anchor: float = 0.2


def shown_loss(
    shown: Float[Array, "b f"],
    truth: Bool[Array, "b v"],
    *,
    table: FieldTable,
    drawn: Bool[np.ndarray, " f"],
) -> Float[Array, ""]:
    """Of the log-odds that a clip states a field; over the fields that are drawn."""
    stated = stated_fields(truth, table=table).astype(jnp.float32)
    each = jax.nn.softplus(shown) - stated * shown
    weight = jnp.asarray(drawn, jnp.float32)
    return jnp.sum(each * weight) / (each.shape[0] * jnp.maximum(weight.sum(), 1.0))


def token_log_probs(
    logits: Float[Array, "b n w"], targets: Int[Array, "b n"], mask: Bool[Array, "b n"]
) -> Float[Array, "b n"]:
    """Log-probability of each target; 0 on padding."""
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jnp.where(mask, chosen - jax.nn.logsumexp(logits, axis=-1), 0.0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionPreferenceTerms:
    """The loss, and means over pairs to watch.

    Attributes:
      accuracy: share of pairs whose winner has gained on its loser.
      margin: (l_w - l_w_ref) - (l_l - l_l_ref); positive is good.
      winner_drift: l_w - l_w_ref.
    """

    loss: Array
    accuracy: Array
    margin: Array
    winner_drift: Array


def caption_preference_loss(
    winner: Float[Array, " b"],
    loser: Float[Array, " b"],
    *,
    reference_winner: Float[Array, " b"],
    reference_loser: Float[Array, " b"],
    counts: Float[Array, " b"],
    config: CaptioningConfig,
) -> CaptionPreferenceTerms:
    """Direct preference over captions.

    Args:
      winner, loser: log-probabilities of whole captions under the policy.
      reference_winner, reference_loser: under the reference; no gradient reaches them.
      counts: fields and tokens of the winner, for the anchor.
    """
    drift = winner - jax.lax.stop_gradient(reference_winner)
    margin = drift - (loser - jax.lax.stop_gradient(reference_loser))
    loss = -jax.nn.log_sigmoid(config.beta * margin)
    loss = loss - config.anchor * winner / jnp.maximum(counts, 1.0)
    return CaptionPreferenceTerms(
        loss=jnp.mean(loss),
        accuracy=jnp.mean((margin > 0).astype(jnp.float32)),
        margin=jnp.mean(margin),
        winner_drift=jnp.mean(drift),
    )
