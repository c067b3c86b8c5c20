"""From noise to latents: the guided flow solved down a noise grid in one `lax.scan`.

    x = noise
    for i in 0 .. steps-1:                                  (lax.scan)
        x = hold(x)                                         conditioning.py
        v = guided velocity at (x, sigma_i)                 guidance.py
        x, state = solver.step(state, x, v, row_i)          solvers.py
    return hold(x)

Where two experts share the noise levels (Wan 2.2 A14B), the high-noise one takes the
first of the steps and the other goes on from there: `turns` says who takes which, and
each turn is a call of its own, so that no more than one of them need lie on a device.

Pure and jit-able with `velocity_fn`, `config` and `steps` static; the trajectory is
float32 whatever the network computes in.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.presets import EXPERTS, Experts
from animatrix_jax.sampling import conditioning as frame_conditioning
from animatrix_jax.sampling.guidance import (
    DEPLOYED,
    GuidanceConfig,
    VelocityFn,
    Weight,
    branch_weights,
    guided_velocity,
)
from animatrix_jax.sampling.solvers import get_solver


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How a clip is sampled; hashable, so that it can be a static argument of jit.

    Attributes:
      steps: of the solver.
      shift: k of the grid of noise levels (solvers.py); higher spends more steps at
        high noise.
      guidance: the scales w_text and w_tag, and their order.
      guidance_high: the high-noise expert's `guidance.text`, if it has its own.
      solver: one of `solvers.SOLVERS`.
    """

    steps: int = 20
    shift: float = 5.0
    guidance: GuidanceConfig = DEPLOYED
    guidance_high: float | None = None
    solver: str = "euler"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Where sampling stands: the latents [b t h w c], and what the solver remembers."""

    xt: Any
    state: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """The steps that one network takes, first and end, and how it is guided."""

    generator: str
    steps: tuple[int, int]
    guidance: GuidanceConfig


def turns(config: SamplerConfig, experts: Experts | None) -> tuple[Turn, ...]:
    """Who takes which steps; a network that has none is left out."""
    low = config.guidance
    if experts is None:
        return (Turn(generator="generator", steps=(0, config.steps), guidance=low),)
    told = get_solver(config.solver).told(config.steps, config.shift)
    first = int(np.sum(told >= np.float32(experts.boundary)))
    high = low
    if config.guidance_high is not None:
        high = dataclasses.replace(low, text=config.guidance_high)
    both = (
        Turn(generator=EXPERTS["high"], steps=(0, first), guidance=high),
        Turn(generator=EXPERTS["low"], steps=(first, config.steps), guidance=low),
    )
    return tuple(turn for turn in both if turn.steps[0] < turn.steps[1])


def begin(noise: Float[Array, "b t h w c"], config: SamplerConfig) -> Trajectory:
    """The trajectory before its first step."""
    start = noise.astype(jnp.float32)
    return Trajectory(xt=start, state=get_solver(config.solver).init(start))


def sample_latents(
    velocity_fn: VelocityFn,
    start: Trajectory,
    *,
    conditioning: Conditioning,
    null: Conditioning,
    config: SamplerConfig,
    frames: frame_conditioning.GivenFrames | None = None,
    negative: Conditioning | None = None,
    weights: Mapping[str, Weight] | None = None,
    steps: tuple[int, int] | None = None,
) -> Trajectory:
    """The trajectory after some steps, all of them by default.

    Args:
      velocity_fn: (xt [b t h w c], sigma [b], conditioning) -> velocity.
      start: where the first of these steps begins; `begin` gives the first of all.
      conditioning: text and tags to follow.
      null: null text without tags.
      config: steps, shift, guidance, solver.
      frames: latents to hold, where they are given clean.
      negative: text to move away from, in place of null text in v(0, 0).
      weights: weight by branch, to trace what `config.guidance` would fix.
      steps: the first of them and the end; None: from the first of all to the last.
    """
    weights = branch_weights(config.guidance) if weights is None else weights
    if frames is not None:
        conditioning = dataclasses.replace(conditioning, clean=frames.given)
    solver = get_solver(config.solver)
    sigmas = solver.grid(config.steps, config.shift)
    told = solver.told(config.steps, config.shift)
    rows = {"told": told, **solver.table(sigmas)}

    def step(at, row):
        xt = frame_conditioning.hold(at.xt, frames)
        velocity = guided_velocity(
            velocity_fn,
            xt,
            jnp.full(len(xt), row["told"]),
            conditioning=conditioning,
            null=null,
            weights=weights,
            negative=negative,
        )
        after = solver.step(at.state, xt, velocity, row)
        return Trajectory(xt=after.xt, state=after.state), None

    chosen = slice(*steps) if steps else slice(None)
    rows = jax.tree.map(lambda row: jnp.asarray(row[chosen]), rows)
    end, _ = jax.lax.scan(step, start, rows)
    held = frame_conditioning.hold(end.xt, frames)
    return Trajectory(xt=held, state=end.state)
