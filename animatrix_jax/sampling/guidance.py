"""Dual classifier-free guidance (AniMatrix, arXiv 2605.03652), in one batched pass.

With v(text, tags) the network's velocity, null text and no tags written 0:

    text_first:  v = v(0, 0) + w_text (v(text, 0) - v(0, 0))
                             + w_tag  (v(text, tags) - v(text, 0))
    tag_first:   v = v(0, 0) + w_tag  (v(0, tags) - v(0, 0))
                             + w_text (v(text, tags) - v(0, tags))

Gathered by branch, the weights are

    text_first:  none 1 - w_text,  text w_text - w_tag,  both w_tag
    tag_first:   none 1 - w_tag,   tags w_tag - w_text,  both w_text

and sum to 1. A branch of weight 0 is not evaluated: both scales at 1 cost one
evaluation, equal scales two, any others three. Under text_first a text that contradicts
its tags still weighs w_text - w_tag, which tag_first takes away.

A negative prompt stands in the place of the null text in v(0, 0).
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from animatrix_jax.models.conditioning import Conditioning

ORDERS = ("text_first", "tag_first")
Weight = float | Float[Array, ""]
VelocityFn = Callable[[Array, Array, Conditioning], Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuidanceConfig:
    """Scales w_text and w_tag, and their order; by default the paper's deployed values."""

    text: float = 5.0
    tag: float = 2.0
    order: str = ORDERS[0]

    def __post_init__(self):
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {ORDERS}, got {self.order!r}")


DEPLOYED = GuidanceConfig()
"""The paper's."""

UNSCALED = GuidanceConfig(text=0.0, tag=0.0)
"""Of programs that take the weights of the branches as they run."""


def branch_weights(config: GuidanceConfig) -> dict[str, float]:
    """Weight by branch ("none", "text" or "tags", "both"), zero weights left out."""
    if config.order == "text_first":
        first, second, middle = config.text, config.tag, "text"
    else:
        first, second, middle = config.tag, config.text, "tags"
    weights = {"none": 1.0 - first, middle: first - second, "both": second}
    return {branch: weight for branch, weight in weights.items() if weight != 0.0}


def without_tags(conditioning: Conditioning) -> Conditioning:
    """The same text, every tag masked out."""
    return dataclasses.replace(
        conditioning, tag_mask=jnp.zeros_like(conditioning.tag_mask)
    )


def guided_velocity(
    velocity_fn: VelocityFn,
    xt: Float[Array, "b t h w c"],
    sigma: Float[Array, " b"],
    *,
    conditioning: Conditioning,
    null: Conditioning,
    weights: Mapping[str, Weight],
    negative: Conditioning | None = None,
) -> Float[Array, "b t h w c"]:
    """The guided velocity; one call of `velocity_fn` on all branches that count.

    Args:
      velocity_fn: (xt, sigma, conditioning) -> velocity, over any batch size.
      xt: noisy latents.
      sigma: noise level of the frames that are not given.
      conditioning: text and tags, and pictures that are given.
      null: null text; nothing else of it is looked at.
      weights: weight by branch, as `branch_weights` gives them; only the branches
        are fixed when this is compiled, the weights may be traced.
      negative: text that takes the place of null text in v(0, 0).
    """
    # Pictures that are given are so to every branch, as in Wan.
    away = null if negative is None else negative
    given = {
        "none": without_tags(dataclasses.replace(conditioning, text=away.text)),
        "text": without_tags(conditioning),
        "tags": dataclasses.replace(conditioning, text=null.text),
        "both": conditioning,
    }
    batch = [given[branch] for branch in weights]
    count = len(batch)
    velocity = velocity_fn(
        _repeat(xt, count),
        _repeat(sigma, count),
        jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *batch),
    ).astype(jnp.float32)
    parts = velocity.reshape(count, *xt.shape)
    return sum(weight * parts[i] for i, weight in enumerate(weights.values()))


def _repeat(array: Array, count: int) -> Array:
    """`count` copies one after another on the batch axis."""
    return jnp.concatenate([array] * count) if count > 1 else array
