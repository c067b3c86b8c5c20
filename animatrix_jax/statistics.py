"""How far raters agree, and how sure a figure is: the statistics under every score.

An interval is the bootstrap's of any figure, or of a share Wilson's (1927):

    (p + z^2 / 2n  +-  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

Krippendorff's alpha (2011) compares the disagreement seen within units with what the
pooled ratings would show by chance:

    alpha = 1 - D_o / D_e
    D_o = sum_u 1 / (m_u - 1) sum_{i != j in u} delta^2(v_i, v_j) / n
    D_e = sum_{i != j over all} delta^2(v_i, v_j) / (n (n - 1))

over the n ratings of units that have m_u >= 2 of them; delta is the level of
measurement. AniMatrix reports alpha above 0.72 for three raters a prompt.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float

Level = Literal["nominal", "ordinal", "interval"]
_Z = 1.959964  # of 95%


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    def rounded(self, digits: int = 4) -> dict[str, float]:
        """The same, for a JSON file."""
        found = dataclasses.asdict(self)
        return {name: round(value, digits) for name, value in found.items()}


def krippendorff_alpha(
    ratings: Float[np.ndarray, "raters units"], *, level: Level = "interval"
) -> float:
    """Krippendorff's alpha; 1 is perfect agreement, 0 is chance.

    Args:
      ratings: one row a rater; NaN where a rater did not rate the unit.
      level: how two ratings differ: at all, in rank, or in value.

    Raises:
      ValueError: if no unit has two ratings, or all ratings are one value.
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    index = np.searchsorted(values, np.nan_to_num(ratings, nan=values[0]))
    counts = np.zeros((ratings.shape[1], len(values)))
    rater, unit = np.nonzero(~np.isnan(ratings))
    np.add.at(counts, (unit, index[rater, unit]), 1.0)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        raise ValueError("alpha needs a unit with two ratings, got none")
    per_unit = counts.sum(axis=1)
    # Coincidences: pairs of ratings of one unit, each unit weighing as its ratings do.
    pairs = np.einsum("uc,uk,u->ck", counts, counts, 1.0 / (per_unit - 1.0))
    pairs -= np.diag(np.einsum("uc,u->c", counts, 1.0 / (per_unit - 1.0)))
    margin = pairs.sum(axis=1)
    total = margin.sum()
    expected = (np.outer(margin, margin) - np.diag(margin)) / (total - 1.0)
    distance = _distance(values, margin, level)
    chance = float(np.sum(expected * distance))
    if chance == 0.0:
        raise ValueError("alpha is undefined where all ratings are the same")
    return 1.0 - float(np.sum(pairs * distance)) / chance


def wilson(hits: int, count: int) -> Interval:
    """The share `hits / count` of independent cases, with Wilson's score interval."""
    share, spread = hits / count, _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Interval(value=share, low=max(middle - half, 0), high=min(middle + half, 1))


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    *,
    size: int,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """A percentile interval of `statistic(indices)`, resampling `size` units.

    Args:
      statistic: the figure computed on the units that the indices name.
      size: number of units (prompts); units, not frames, are independent.
      draws: resamples.
      seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    value = statistic(np.arange(size))
    resampled = [statistic(rng.integers(0, size, size)) for _ in range(draws)]
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Interval(value=float(value), low=float(low), high=float(high))


def _distance(values: np.ndarray, margin: np.ndarray, level: Level) -> np.ndarray:
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        return np.square(values[:, None] - values[None, :])
    # Ordinal: the ratings between the two values, half of each end counted.
    rank = np.cumsum(margin) - margin / 2.0
    return np.square(rank[:, None] - rank[None, :])
