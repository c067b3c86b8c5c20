"""The reference's errors on fixed draws: evaluated once, kept in the run's folder.

Pair p of P has K draws of a noise level s and a noise eps, which stay:

    place[p, k] = ((k P + pi(p)) / (K P) + r) mod 1     s[p, k] = the level at that place
    eps[p, k]   = noise p K + k of a seed
    e[p, k]     = the reference's errors on winner and loser under them

pi is a permutation, r one number for all. So the K levels of a pair lie evenly over the
distribution of levels, and those of all pairs together do. Training takes them in turn:
pair p has draw (epoch + p) mod K, and after K epochs it has had each once.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from animatrix_jax.data.turns import full_turns
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing
from animatrix_jax.objectives.flow_matching import FlowConfig, sample_sigma
from animatrix_jax.objectives.preference import PairErrors
from animatrix_jax.training.stage import Batch

_ARRAYS = ("sigma", "winner", "loser")

Evaluate = Callable[[np.ndarray, Batch], PairErrors]
"""Errors of some pairs, by their numbers, under their draws; always of one size."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReferenceErrors:
    """Noise levels, and the reference's error on winner and loser, by pair and draw.

    Attributes:
      made_from: names weights, pairs and settings.
    """

    sigma: Float[np.ndarray, "p k"]
    winner: Float[np.ndarray, "p k"]
    loser: Float[np.ndarray, "p k"]
    made_from: str

    def take(
        self, pairs: Int[np.ndarray, " b"], epochs: Int[np.ndarray, " b"]
    ) -> Batch:
        """What a batch has of pairs that are seen for the `epochs`-th time."""
        turn = (pairs + epochs) % self.sigma.shape[1]
        return draw_of(self.sigma, pairs, turn) | {
            "reference_winner": self.winner[pairs, turn],
            "reference_loser": self.loser[pairs, turn],
        }

    def save(self, path: pathlib.Path) -> None:
        """Writes one npz, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        header = np.frombuffer(json.dumps(self.made_from).encode(), np.uint8)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, header=header, **arrays)

    @classmethod
    def load(cls, path: pathlib.Path) -> "ReferenceErrors":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            made_from = json.loads(file["header"].tobytes().decode())
            return cls(made_from=made_from, **{name: file[name] for name in _ARRAYS})


def draw_of(
    sigma: Float[np.ndarray, "p k"],
    pairs: Int[np.ndarray, " b"],
    turn: Int[np.ndarray, " b"],
) -> Batch:
    """Level and number of the `turn`-th draw of pairs."""
    return {
        "sigma": sigma[pairs, turn],
        "draw": (pairs * sigma.shape[1] + turn).astype(np.int32),
    }


def draw_levels(
    pairs: int, draws: int, *, flow: FlowConfig, seed: int
) -> Float[np.ndarray, "p k"]:
    """Noise levels of every pair's draws; see the module's docstring."""
    levels = sample_sigma(jax.random.key(seed), pairs * draws, flow)
    order = np.random.default_rng(seed).permutation(pairs)
    return np.asarray(levels, np.float32).reshape(draws, pairs)[:, order].T


def reference_errors(
    evaluate: Evaluate,
    *,
    path: pathlib.Path,
    made_from: str,
    pairs: int,
    draws: int,
    size: int,
    flow: FlowConfig,
    seed: int,
) -> ReferenceErrors:
    """The errors in `path`, evaluated first if they are not there.

    Args:
      evaluate: the reference on `size` pairs.
      path: an npz in the run's folder.
      made_from: names weights, pairs and settings.
      pairs: how many there are.
      draws: K.
      size: pairs evaluated at once.
      flow: the distribution of noise levels.
      seed: of levels and noises.

    Raises:
      UserError: if those in `path` are of other weights or settings.
    """
    if path.exists():
        found = ReferenceErrors.load(path)
        if found.made_from != made_from:
            raise UserError(
                f"the reference errors in {path} are of other weights, pairs or "
                "settings: remove the file to evaluate the reference again"
            )
        return found
    sigma = draw_levels(pairs, draws, flow=flow, seed=seed)
    errors = np.zeros((2, pairs, draws), np.float32)
    total = pairs * draws
    with tqdm(
        total=total, desc="reference errors", unit="draw", mininterval=1.0
    ) as bar:
        for numbers in full_turns(total, size):
            rows, turn = np.divmod(numbers, draws)
            found = evaluate(rows, draw_of(sigma, rows, turn))
            errors[0, rows, turn] = found.winner
            errors[1, rows, turn] = found.loser
            bar.update(min(size, total - bar.n))
    made = ReferenceErrors(
        sigma=sigma, winner=errors[0], loser=errors[1], made_from=made_from
    )
    made.save(path)
    return made
