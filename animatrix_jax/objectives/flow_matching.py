"""Flow matching: the base objective of every generator stage.

    x_s    = (1 - s) x0 + s noise            the path from data (s = 0) to noise (s = 1)
    v*     = d x_s / d s = noise - x0        what the network predicts
    s      = k u / (1 + (k - 1) u)           shifted noise level, k > 1 leans to noise
    u      = sigmoid(mean + std z), z ~ N(0, 1)          logit-normal
             (z truncated so that low <= s <= high, for an expert's own range)
    z_i    = quantile (i / b + r mod 1),  r ~ U(0, 1)     clip i of a batch of b
    L      = E mean (v(x_s, s) - v*)^2       over frames that are not given clean

The shift k compensates for redundancy between neighbouring pixels: the more tokens a
clip has, the more noise it takes to hide it. (Esser et al. 2024; Wan 2025.) The loss of
a clip depends on its noise level more than on anything else, so the levels of a batch are
spread evenly over their distribution, by one draw r for all. (Kingma et al. 2021.)
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Bool, Float

from animatrix_jax.errors import check_range


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """The distribution of noise levels in training.

    Attributes:
      shift: k of the noise level k u / (1 + (k - 1) u).
      logit_mean, logit_std: of the normal distribution whose sigmoid is u.
      low, high: the noise levels that this network is for; (0, 1) unless it is one of
        two experts.
    """

    shift: float = 3.0
    logit_mean: float = 0.0
    logit_std: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        check_range(self, "shift", "logit_std", low=0, above=True, section="flow")
        if not 0.0 <= self.low < self.high <= 1.0:
            raise ValueError(
                f"flow.low {self.low} and flow.high {self.high} must be within 0..1, "
                "low below high"
            )


def shift_sigma(u: Float[Array, "..."], shift: float) -> Float[Array, "..."]:
    """The noise level s = k u / (1 + (k - 1) u); fixes 0 and 1."""
    return shift * u / (1.0 + (shift - 1.0) * u)


def sample_sigma(key: Array, batch: int, config: FlowConfig) -> Float[Array, " b"]:
    """Draws a noise level for each clip, each by itself distributed as above."""
    low, high = (
        norm.cdf(_normal_of(level, config)) for level in (config.low, config.high)
    )
    place = (jnp.arange(batch) / batch + jax.random.uniform(key)) % 1.0
    z = norm.ppf(jnp.clip(low + place * (high - low), 1e-7, 1 - 1e-7))
    return shift_sigma(
        jax.nn.sigmoid(config.logit_mean + config.logit_std * z), config.shift
    )


def _normal_of(sigma: float, config: FlowConfig) -> float:
    """The z whose noise level is sigma, kept within what fp32 can tell apart."""
    u = sigma / (config.shift - (config.shift - 1.0) * sigma)
    if u <= 0.0 or u >= 1.0:
        return -8.0 if u <= 0.0 else 8.0
    return (math.log(u / (1.0 - u)) - config.logit_mean) / config.logit_std


def frame_sigma(
    sigma: Float[Array, " b"], given: Bool[Array, "b t"]
) -> Float[Array, "b t"]:
    """A noise level a latent frame: 0 where the frame is given clean."""
    return jnp.where(given, 0.0, sigma[:, None])


def interpolate(
    x0: Float[Array, "b t h w c"],
    noise: Float[Array, "b t h w c"],
    sigma: Float[Array, "b t"],
) -> Float[Array, "b t h w c"]:
    """The noised clip x_s."""
    s = sigma[:, :, None, None, None]
    return (1.0 - s) * x0 + s * noise


def flow_error(
    velocity: Float[Array, "b t h w c"],
    x0: Float[Array, "b t h w c"],
    noise: Float[Array, "b t h w c"],
    given: Bool[Array, "b t"],
) -> Float[Array, " b"]:
    """Each clip's mean squared velocity error over its frames not given; fp32."""
    error = jnp.square(velocity.astype(jnp.float32) - (noise - x0))
    return free_mean(error, given)


def free_mean(
    values: Float[Array, "b t h w c"], given: Bool[Array | np.ndarray, "b t"]
) -> Float[Array, " b"]:
    """Each clip's mean over the frames that are not given; zero if all are."""
    free = 1.0 - jnp.asarray(given, jnp.float32)
    per_frame = jnp.mean(values, axis=(2, 3, 4))
    return jnp.sum(per_frame * free, axis=1) / jnp.maximum(jnp.sum(free, axis=1), 1.0)
