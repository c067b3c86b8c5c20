"""From noise to latents: the guided flow solved down a noise grid in one `lax.scan`.

    x = noise
    for i in 0 .. steps-1:                                  (lax.scan)
        x = hold(x)                                         conditioning.py
        v = guided velocity at (x, sigma_i)                 guidance.py
        x, state = solver.step(state, x, v, row_i)          solvers.py
    return hold(x)

Pure and jit-able with `velocity_fn` and `config` static; the trajectory is float32
whatever the network computes in.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.sampling import conditioning as frame_conditioning
from animatrix_jax.sampling.guidance import (
    GuidanceConfig,
    VelocityFn,
    Weight,
    branch_weights,
    guided_velocity,
)
from animatrix_jax.sampling.solvers import get_solver


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How a clip is sampled; hashable, so that it can be a static argument of jit."""

    steps: int = 20
    shift: float = 5.0
    guidance_text: float = 5.0
    guidance_tag: float = 2.0
    order: str = "text_first"
    solver: str = "euler"

    @property
    def guidance(self) -> GuidanceConfig:
        return GuidanceConfig(
            text=self.guidance_text, tag=self.guidance_tag, order=self.order
        )


def sample_latents(
    velocity_fn: VelocityFn,
    noise: Float[Array, "b t h w c"],
    *,
    conditioning: Conditioning,
    null: Conditioning,
    config: SamplerConfig,
    clean: Float[Array, "b t h w c"] | None = None,
    given: Bool[Array, "b t"] | None = None,
    negative: Conditioning | None = None,
    weights: Mapping[str, Weight] | None = None,
) -> Float[Array, "b t h w c"]:
    """Latents sampled from `noise`.

    Args:
      velocity_fn: (xt [b t h w c], sigma [b t], conditioning) -> velocity.
      noise: standard normal start.
      conditioning: text and tags to follow.
      null: null text without tags.
      config: steps, shift, guidance, solver.
      clean: latents to hold where `given`; both or neither.
      given: latent frames that are given.
      negative: text to move away from, in place of null text in v(0, 0).
      weights: weight by branch, to trace what `config.guidance` would fix.
    """
    if (clean is None) != (given is None):
        raise ValueError("clean and given come together: one of them is missing")
    frames = None
    if clean is not None:
        frames = frame_conditioning.GivenFrames(clean=clean, given=given)
    weights = branch_weights(config.guidance) if weights is None else weights
    solver = get_solver(config.solver)
    sigmas = solver.grid(config.steps, config.shift)
    rows = {"sigmas": sigmas[:-1], **solver.table(sigmas)}

    def step(carry, row):
        xt, state = carry
        xt = frame_conditioning.hold(xt, frames)
        velocity = guided_velocity(
            velocity_fn,
            xt,
            frame_conditioning.frame_sigma(
                row["sigmas"], shape=xt.shape[:2], frames=frames
            ),
            conditioning=conditioning,
            null=null,
            weights=weights,
            negative=negative,
        )
        after = solver.step(state, xt, velocity, row)
        return (after.xt, after.state), None

    start = noise.astype(jnp.float32)
    rows = jax.tree.map(jnp.asarray, rows)
    (latents, _), _ = jax.lax.scan(step, (start, solver.init(start)), rows)
    return frame_conditioning.hold(latents, frames)
