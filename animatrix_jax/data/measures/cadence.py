"""Cadence: how many frames each drawing stays, by when the figure is drawn anew.

The evidence is y_t, the logarithm of what is left of a cell's change from frame t to t+1
after the camera's motion is taken out. A sheet (twos from the first frame, say) parts the
pairs of frames into those on its beat, where a new drawing comes, and those off it. Its
gain is that of two Gaussians over one, less a price for their parameters,

    G = T/2 log var - T_on/2 log var_on - T_off/2 log var_off - price

counted where y is greater on the beat. The sheets' gains in all cells, with the middle of
the frame before its edges, are added to the gain in the sum of the cells. A sheet that is
modulated has ones in the middle of the clip and a slower rate at both its ends; it is
judged by its ends. No sheet's gain is ones; nothing to explain is held.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float32

from animatrix_jax.data.measures.layers import middle_weight
from animatrix_jax.data.measures.matching import Matches

_PERIODS = {2: "twos", 3: "threes", 4: "fours_plus", 5: "fours_plus", 6: "fours_plus"}
_LONGEST = 48
# Grey levels that are noise in a cell, and in the sum of the cells.
_NOISE, _SUM_NOISE = 0.7, 0.3
_CHANGES = 1.0
_CELL_SPREAD, _SUM_SPREAD = 0.3, 0.15
_CELL_STEP, _SUM_STEP = 0.3, 0.15
_PRICE, _MODULATED_PRICE = 4.0, 7.0
# The most that a cell may say: lines that flicker at the edges say much.
_LOUDEST = 1.5
_SUM_SHARE = 0.6
_SURE, _BETTER = 0.35, 1.15
# Of the gradient: with less change than this in nearly all pairs a drawing is held.
_HELD, _HELD_SHARE = 0.08, 0.85


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exposure:
    """A value of motion.timing, and the share of pairs with nothing but the camera."""

    cadence: str
    repeated: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sheets:
    on: np.ndarray  # [sheets pairs]
    off: np.ndarray
    names: np.ndarray


def read_cadence(
    matches: Matches, unexplained: Float32[np.ndarray, "s h w"]
) -> Exposure:
    """The cadence of a clip; of a long one, that of most of its parts.

    Args:
      matches: of the clip.
      unexplained: grey levels that the camera does not explain.
    """
    middle = middle_weight(*unexplained.shape[1:]).ravel()
    left = unexplained.reshape(len(unexplained), -1)
    slope = matches.slope.reshape(left.shape).mean(axis=0)
    moved = (left @ middle) / (slope @ middle + 1.0)
    repeated = float(np.mean(matches.same | (moved < _HELD)))
    parts = np.array_split(left, max(1, -(-len(left) // _LONGEST)))
    rates = np.array_split(moved, len(parts))
    found = [_cadence(*part, middle) for part in zip(parts, rates)]
    most = max(set(found), key=found.count)
    agree = found.count(most) >= 0.6 * len(found)
    return Exposure(cadence=most if agree else "modulated", repeated=repeated)


def _cadence(left: np.ndarray, moved: np.ndarray, middle: np.ndarray) -> str:
    active = left.max(axis=0) > _CHANGES
    if active.sum() < 3 or np.quantile(moved, _HELD_SHARE) < _HELD:
        return "held"
    if len(left) < 4:
        return "ones"
    sheets = _sheets(len(left))
    price = np.where(sheets.names == "modulated", _MODULATED_PRICE, _PRICE)[:, None]
    shown = left[:, active]
    weight = middle[active] * np.minimum(shown.max(axis=0), 30.0)
    cells = _gain(np.log(shown + _NOISE), sheets, _CELL_SPREAD, _CELL_STEP)
    total = np.minimum(left, 20.0) @ middle / middle.sum()
    total = np.log(total + _SUM_NOISE)[:, None]
    summed = _gain(total, sheets, _SUM_SPREAD, _SUM_STEP)
    gain = np.clip(cells - price, 0.0, _LOUDEST) @ (weight / weight.sum())
    gain += _SUM_SHARE * np.clip(summed - price, 0.0, _LOUDEST)[:, 0]
    best = {
        name: gain[sheets.names == name].max(initial=0.0) for name in set(sheets.names)
    }
    modulated = best.pop("modulated", 0.0)
    even = max(best, key=lambda name: best[name])
    if modulated > max(_BETTER * best[even], _SURE):
        return "modulated"
    return str(even) if best[even] > _SURE else "ones"


def _gain(y: np.ndarray, sheets: _Sheets, spread: float, step: float) -> np.ndarray:
    """Log-likelihood [sheets cells] that two Gaussians gain; 0 if the beat is lower."""
    count_on, count_off = sheets.on.sum(1)[:, None], sheets.off.sum(1)[:, None]
    square = np.square(y)
    sum_on, sum_off = sheets.on @ y, sheets.off @ y
    square_on, square_off = sheets.on @ square, sheets.off @ square
    count = count_on + count_off
    mean_on, mean_off = sum_on / count_on, sum_off / count_off
    floor = spread**2

    def variance(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
        return np.maximum(square - np.square(mean), 0.0) + floor

    one = variance((square_on + square_off) / count, (sum_on + sum_off) / count)
    gain = 0.5 * (
        count * np.log(one)
        - count_on * np.log(variance(square_on / count_on, mean_on))
        - count_off * np.log(variance(square_off / count_off, mean_off))
    )
    return np.where(mean_on - mean_off > step, gain, 0.0)


@functools.lru_cache(maxsize=64)
def _sheets(pairs: int) -> _Sheets:
    """Every even sheet in every phase, and modulated ones on threes and on twos."""
    times = np.arange(1, pairs + 1)
    on, off, names = [], [], []
    for period, name in _PERIODS.items():
        for phase in range(min(period, pairs)):
            beat = times % period == phase
            on.append(beat)
            off.append(~beat)
            names.append(name)
    if pairs >= 12:
        for rate in (2, 3):
            for first in np.round(pairs * np.array([0.2, 0.3, 0.4])):
                for last in np.round(pairs * np.array([0.6, 0.7, 0.8])):
                    for phase in range(rate * rate):
                        begins, ends = times <= first, times > last
                        beat = begins & (times % rate == phase % rate)
                        beat |= ends & (times % rate == phase // rate)
                        on.append(beat)
                        off.append((begins | ends) & ~beat)
                        names.append("modulated")
    usable = [n for n in range(len(on)) if on[n].any() and off[n].any()]
    return _Sheets(
        on=np.array([on[n] for n in usable], float),
        off=np.array([off[n] for n in usable], float),
        names=np.array([names[n] for n in usable]),
    )
