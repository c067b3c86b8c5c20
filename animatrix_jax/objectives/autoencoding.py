"""What the VAE is trained by: sharp drawings, flashes of one frame, tame latents.

With r the reconstruction, x the video, |e| the mean of abs(e) + w_s e^2, D_a the difference
of neighbours along axis a, and P_k the mean over k x k squares of pixels:

    edge     = |D_h (r - x)| + |D_w (r - x)|
    temporal = |D_t (r - x)|
    coarse   = |P_2 (r - x)| + |P_4 (r - x)|
    kl       = mean (mu^2 + e^logvar - 1 - logvar) / 2
    loss     = |r - x| + w_e edge + w_t temporal + w_c coarse + w_kl kl

Of what the latents leave open, the absolute value alone shows the likelier colour: an eye
three pixels wide becomes skin. The square shows the mean, so that a trace of it stays. A
thin line is little of |r - x| and all of `edge`; an impact frame, shown once, is all of
`temporal`. There is no adversary: cel animation is flat colour and line, and has no
texture to hallucinate. Everything is fp32.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from animatrix_jax.models.vae import Gaussian

POOLS = (2, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencodingConfig:
    """Weights of the terms beside the plain error, which has 1.

    Attributes:
      square: of the squared error beside the absolute one, in each term.
      edge: of differences along height and width.
      temporal: of differences along time.
      coarse: of errors averaged over squares of pixels.
      kl: of the divergence from a unit normal, per latent number.
    """

    square: float = 2.5
    edge: float = 0.5
    temporal: float = 0.5
    coarse: float = 0.25
    kl: float = 0.01


def autoencoding_loss(
    video: Float[Array, "b t h w 3"],
    reconstruction: Float[Array, "b t h w 3"],
    gaussian: Gaussian,
    config: AutoencodingConfig,
) -> dict[str, Float[Array, ""]]:
    """The loss under "loss", its terms unweighted, and "psnr" in decibels.

    Args:
      video: pixels in [-1, 1].
      reconstruction: the same decoded, better not clipped: a clipped pixel learns nothing.
    """
    error = reconstruction.astype(jnp.float32) - video.astype(jnp.float32)

    def magnitude(x: Array) -> Array:
        if not x.size:  # the differences of a single frame
            return jnp.zeros(())
        return (jnp.abs(x) + config.square * jnp.square(x)).mean()

    terms = {
        "pixel": magnitude(error),
        "edge": magnitude(jnp.diff(error, axis=2)) + magnitude(jnp.diff(error, axis=3)),
        "temporal": magnitude(jnp.diff(error, axis=1)),
        "coarse": sum(magnitude(_pool(error, size)) for size in POOLS),
        "kl": kl_divergence(gaussian),
    }
    loss = (
        terms["pixel"]
        + config.edge * terms["edge"]
        + config.temporal * terms["temporal"]
        + config.coarse * terms["coarse"]
        + config.kl * terms["kl"]
    )
    # Pixels span 2, so the peak's square is 4.
    psnr = 10 * jnp.log10(4 / jnp.maximum(jnp.square(error).mean(), 1e-10))
    return {"loss": loss, **terms, "psnr": psnr}


def kl_divergence(gaussian: Gaussian) -> Float[Array, ""]:
    """Mean divergence from a unit normal, in nats per latent number."""
    mean, logvar = gaussian.mean, gaussian.logvar
    return 0.5 * (jnp.square(mean) + jnp.exp(logvar) - 1 - logvar).mean()


def _pool(x: Array, size: int) -> Array:
    """Means over squares of pixels; rows and columns left over are cut."""
    b, t, h, w, c = x.shape
    x = x[:, :, : h // size * size, : w // size * size]
    return x.reshape(b, t, h // size, size, w // size, size, c).mean((3, 5))
