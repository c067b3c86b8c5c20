"""Reference channels: what Wan's image-to-video models see of given frames.

    clip       the given frames in their places, grey (0) elsewhere
    reference  [mask ; latents of the clip]     beside the noisy latents, at every step

The mask has one channel for each frame of pixels behind a latent frame, 1 where that one
is given; the clip's first latent frame stands for one frame alone, and repeats it.
Reference: diffusers' `WanImageToVideoPipeline`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from animatrix_jax.models.vae import VAE


def reference_channels(
    vae: VAE, video: Float[Array, "b t h w 3"], given: Bool[Array, "b t"]
) -> Float[Array, "b _ _ _ r"]:
    """The reference channels of a clip.

    Args:
      vae: encodes it.
      video: pixels in [-1, 1]; only the given frames are looked at.
      given: which frames of pixels are given.
    """
    clip = jnp.where(given[:, :, None, None, None], video, 0.0)
    latents = vae.encode_pixels(clip)
    mask = frame_mask(given, vae.config.stride[0])[:, :, None, None]
    mask = jnp.broadcast_to(mask, (*latents.shape[:-1], mask.shape[-1]))
    return jnp.concatenate([mask.astype(latents.dtype), latents], axis=-1)


def frame_mask(given: Bool[Array, "b t"], stride: int) -> Bool[Array, "b f s"]:
    """Which of the `stride` frames of pixels behind each latent frame are given."""
    first = jnp.repeat(given[:, :1], stride, axis=1)
    whole = jnp.concatenate([first, given[:, 1:]], axis=1)
    return whole.reshape(len(given), -1, stride)


def frames_of_pixels(given: Bool[Array, "b f"], stride: int) -> Bool[Array, "b t"]:
    """Latent frames that are given, as the frames of pixels behind them."""
    rest = jnp.repeat(given[:, 1:], stride, axis=1)
    return jnp.concatenate([given[:, :1], rest], axis=1)
