"""Conditioning on frames, in the two ways that a generator's config names.

"clean": latents that are given stay so while the rest is sampled.

A given latent frame is its own clean self at every step, x_s[t] = x0[t], and the network
is told so (`Conditioning.clean`): its noise level is 0 (as Wan 2.2 TI2V 5B does it):

    xt[b, t] = given[b, t] ? clean[b, t] : xt[b, t]

Image-to-video gives the first latent frame, which a causal VAE makes from the first
picture alone. Training holds frames in the same way.

"concat": given frames are reference channels (`models/reference.py`), and nothing is held.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenFrames:
    """Clean latents and which frames of them are given.

    Typed loosely, because the leaves of a pytree are at times not arrays.

    Attributes:
      clean: float [b t h w c].
      given: bool [b t].
    """

    clean: Any
    given: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """What given pictures are to a model; None where it does not take them so.

    Attributes:
      frames: GivenFrames, clean latents to hold.
      reference: float [b t h w r], reference channels.
      image: float [b p i], image embeddings.
    """

    frames: Any = None
    reference: Any = None
    image: Any = None


def first_frame(
    latents: Float[Array, "b h w c"] | Float[Array, "b 1 h w c"], *, frames: int
) -> GivenFrames:
    """Image-to-video: `latents` are the first of `frames` latent frames."""
    if latents.ndim == 4:
        latents = latents[:, None]
    empty = jnp.zeros((latents.shape[0], frames - 1, *latents.shape[2:]), latents.dtype)
    given = jnp.zeros((latents.shape[0], frames), bool).at[:, 0].set(True)
    return GivenFrames(clean=jnp.concatenate([latents, empty], axis=1), given=given)


def hold(
    xt: Float[Array, "b t h w c"], frames: GivenFrames | None
) -> Float[Array, "b t h w c"]:
    """`xt` with the given frames put back."""
    if frames is None:
        return xt
    mask = frames.given[:, :, None, None, None]
    return jnp.where(mask, frames.clean.astype(xt.dtype), xt)
