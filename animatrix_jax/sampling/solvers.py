"""ODE solvers of the flow: Euler, DPM-Solver++ (2M) and UniPC, as pure (init, step) pairs.

The flow is x_s = (1 - s) x0 + s noise, so alpha = 1 - sigma, and the network predicts
the velocity dx/dsigma = noise - x0. A clip is sampled down a grid of noise levels

    sigma(u) = k u / (1 + (k - 1) u),   u linear from 1 to 0,   k the shift.

Euler:      x' = x + (sigma' - sigma) v
The others work on m = x - sigma v, the predicted clean clip, and in half log-SNR
lambda = log(alpha / sigma), with h = lambda' - lambda and r = h_previous / h:
DPM++ 2M:   x' = (sigma'/sigma) x - alpha' (e^-h - 1) (m + (m - m_previous) / (2 r))
            (Lu et al. 2022, arXiv 2211.01095; first order at both ends)
UniPC:      the same predictor, and before it, as soon as m is known at the new point, a
            corrector of the point itself (Zhao et al. 2023, arXiv 2302.04867: order 2, B2).

Every coefficient depends on the grid alone: a solver turns it into a table once, in
float64 on the host, and a step in `lax.scan` is a few multiplications. Grids and steps
equal those of diffusers' FlowMatchEulerDiscrete (given u explicitly),
DPMSolverMultistep and UniPCMultistep schedulers with `use_flow_sigmas`. The latter two
have whole timesteps, so that in Wan's pipelines a network is told a noise level cut to
thousandths; `told` gives that.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SOLVERS = ("euler", "dpm++2m", "unipc")
Table = dict[str, np.ndarray]
State = Any

# The smallest level and the distance of the first level from 1, where log(alpha) is
# infinite; both are diffusers' values.
_LOWEST = 1e-3
_MARGIN = 1e-6


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SolverStep:
    """The next point of the trajectory, an array, and what the solver remembers."""

    xt: Any
    state: State


@runtime_checkable
class Solver(Protocol):
    """A pure stepping rule; `state` is any pytree of arrays."""

    def grid(self, steps: int, shift: float) -> np.ndarray:
        """float32[steps + 1] noise levels, falling, the last one 0."""
        ...

    def told(self, steps: int, shift: float) -> np.ndarray:
        """float32[steps]: each step's noise level as the network is told it."""
        ...

    def table(self, sigmas: np.ndarray) -> Table:
        """Coefficients for each step, each of shape [steps, ...]."""
        ...

    def init(self, xt: Float[Array, "..."]) -> State:
        """The state before the first step."""
        ...

    def step(
        self,
        state: State,
        xt: Float[Array, "..."],
        velocity: Float[Array, "..."],
        row: dict[str, Array],
    ) -> SolverStep:
        """One step down the grid with that step's row of the table."""
        ...


def noise_grid(
    steps: int, shift: float, *, start: float = 1.0, end: float = 0.0
) -> np.ndarray:
    """Shifted noise levels of `steps` steps, and the final 0: float32[steps + 1].

    Args:
      steps: number of steps, at least 1.
      shift: k of the module docstring; above 1 spends more steps at high noise.
      start: u of the first level.
      end: u that the last (dropped, replaced by 0) level would have.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if shift <= 0:
        raise ValueError(f"shift must be positive, got {shift}")
    levels = _shifted(np.linspace(start, end, steps + 1)[:-1], shift)
    return np.append(levels, 0.0).astype(np.float32)


def get_solver(name: str) -> Solver:
    """The solver of that name, one of `SOLVERS`."""
    if name not in _SOLVERS:
        raise ValueError(f"unknown solver {name!r}: one of {', '.join(SOLVERS)}")
    return _SOLVERS[name]


@dataclasses.dataclass(frozen=True)
class Euler:
    """First order: one straight line a step."""

    def grid(self, steps: int, shift: float) -> np.ndarray:
        return noise_grid(steps, shift)

    def told(self, steps: int, shift: float) -> np.ndarray:
        return self.grid(steps, shift)[:-1]

    def table(self, sigmas: np.ndarray) -> Table:
        return {"delta": np.diff(sigmas.astype(np.float64)).astype(np.float32)}

    def init(self, xt: Float[Array, "..."]) -> State:
        return ()

    def step(
        self,
        state: State,
        xt: Float[Array, "..."],
        velocity: Float[Array, "..."],
        row: dict[str, Array],
    ) -> SolverStep:
        return SolverStep(xt=xt + row["delta"] * velocity, state=state)


@dataclasses.dataclass(frozen=True)
class DPMPlusPlus2M:
    """Second order, multistep: remembers one predicted clean clip."""

    def grid(self, steps: int, shift: float) -> np.ndarray:
        return noise_grid(steps, shift, start=1.0 - _LOWEST)

    def told(self, steps: int, shift: float) -> np.ndarray:
        # Where a level is whole its rounding decides: the operations are diffusers'.
        u = (1.0 - np.linspace(1.0, _LOWEST, steps + 1))[::-1][:-1]
        return _whole_timesteps(_shifted(u, shift))

    def table(self, sigmas: np.ndarray) -> Table:
        return {"sigma": sigmas[:-1], "predict": _predictor(sigmas)}

    def init(self, xt: Float[Array, "..."]) -> State:
        return jnp.zeros_like(xt)

    def step(
        self,
        state: State,
        xt: Float[Array, "..."],
        velocity: Float[Array, "..."],
        row: dict[str, Array],
    ) -> SolverStep:
        clean = xt - row["sigma"] * velocity
        return SolverStep(
            xt=_combine(row["predict"], xt, clean, state),
            state=clean,
        )


@dataclasses.dataclass(frozen=True)
class UniPC:
    """Predictor and corrector: remembers the last point and two clean clips."""

    def grid(self, steps: int, shift: float) -> np.ndarray:
        sigmas = noise_grid(steps, shift, end=_LOWEST)
        sigmas[0] = min(sigmas[0], 1.0 - _MARGIN)
        return sigmas

    def told(self, steps: int, shift: float) -> np.ndarray:
        levels = _shifted(np.linspace(1.0, _LOWEST, steps + 1)[:-1], shift)
        return _whole_timesteps(np.minimum(levels, 1.0 - _MARGIN))

    def table(self, sigmas: np.ndarray) -> Table:
        return {
            "sigma": sigmas[:-1],
            "correct": _corrector(sigmas),
            "predict": _predictor(sigmas),
        }

    def init(self, xt: Float[Array, "..."]) -> State:
        zeros = jnp.zeros_like(xt)
        return {"point": zeros, "clean": zeros, "older": zeros}

    def step(
        self,
        state: State,
        xt: Float[Array, "..."],
        velocity: Float[Array, "..."],
        row: dict[str, Array],
    ) -> SolverStep:
        clean = xt - row["sigma"] * velocity
        point = _combine(
            row["correct"], xt, state["point"], clean, state["clean"], state["older"]
        )
        return SolverStep(
            xt=_combine(row["predict"], point, clean, state["clean"]),
            state={"point": point, "clean": clean, "older": state["clean"]},
        )


_SOLVERS: dict[str, Solver] = dict(zip(SOLVERS, (Euler(), DPMPlusPlus2M(), UniPC())))


def _combine(
    weights: Float[Array, " n"], *terms: Float[Array, "..."]
) -> Float[Array, "..."]:
    """sum_i weights[i] * terms[i]."""
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


def _shifted(u: np.ndarray, shift: float) -> np.ndarray:
    """The noise levels of u, float64."""
    return shift * u / (1 + (shift - 1) * u)


def _whole_timesteps(levels: np.ndarray) -> np.ndarray:
    """Levels cut to thousandths: these schedulers have integer timesteps."""
    return (np.floor(1000 * levels) / 1000).astype(np.float32)


def _log_snr(sigmas: np.ndarray) -> np.ndarray:
    """lambda = log((1 - sigma) / sigma); infinite at sigma 0."""
    sigmas = np.minimum(sigmas.astype(np.float64), 1.0 - _MARGIN)
    with np.errstate(divide="ignore"):
        return np.log(1.0 - sigmas) - np.log(sigmas)


def _predictor(sigmas: np.ndarray) -> np.ndarray:
    """Rows (x, m, m_previous) of the second-order predictor, float32[steps, 3].

    First order at the first step, which has no history, and at the last, which goes to
    sigma 0: there x' = m exactly.
    """
    levels, lambdas = sigmas.astype(np.float64), _log_snr(sigmas)
    steps = len(sigmas) - 1
    rows = np.zeros((steps, 3))
    for i in range(steps):
        h = lambdas[i + 1] - lambdas[i]
        gain = -(1.0 - levels[i + 1]) * np.expm1(-h)
        rows[i] = levels[i + 1] / levels[i], gain, 0.0
        if 0 < i < steps - 1:
            ratio = (lambdas[i] - lambdas[i - 1]) / h
            rows[i, 1:] += gain / (2.0 * ratio) * np.array([1.0, -1.0])
    return rows.astype(np.float32)


def _corrector(sigmas: np.ndarray) -> np.ndarray:
    """Rows (xt, point, m, m_previous, m_older) of UniC with B2(h), float32[steps, 5].

    Step i corrects the point the predictor reached from i - 1, with the order that the
    predictor had there; step 0 has nothing to correct. With D1 = m_older - m_previous,
    Dt = m - m_previous, r = (lambda_{i-2} - lambda_{i-1}) / h, B = e^-h - 1:

        x = (sigma_i / sigma_{i-1}) point - alpha_i B (m_previous + p1 D1 / r + p2 Dt)

    where [[1, 1], [r, 1]] p = b solves for order 2 and p2 = 1/2, p1 = 0 for order 1.
    """
    levels, lambdas = sigmas.astype(np.float64), _log_snr(sigmas)
    steps = len(sigmas) - 1
    rows = np.zeros((steps, 5))
    rows[0, 0] = 1.0
    for i in range(1, steps):
        h = lambdas[i] - lambdas[i - 1]
        b_h = np.expm1(-h)
        gain = -(1.0 - levels[i]) * b_h
        older, newest = 0.0, 0.5
        if i > 1:
            r = (lambdas[i - 2] - lambdas[i - 1]) / h
            phi_2 = b_h / -h - 1.0
            phi_3 = phi_2 / -h - 0.5
            older, newest = np.linalg.solve(
                [[1.0, 1.0], [r, 1.0]], [phi_2 / b_h, 2.0 * phi_3 / b_h]
            )
            older /= r
        rows[i] = (
            0.0,
            levels[i] / levels[i - 1],
            gain * newest,
            gain * (1.0 - older - newest),
            gain * older,
        )
    return rows.astype(np.float32)
