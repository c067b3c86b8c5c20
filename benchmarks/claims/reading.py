"""What the instruments read of samples, and how sure the figures are.

    accuracy   1 where the probe reads the demanded field as the clip's tags have it (of
               a field of several values: shared values over all), prompt by prompt
    wins       of prompts whose text claims a rival, and of which the probe reads one of
               the two alone: 1 where that is the tag
    sharpness  mean of |Sobel| over the pixels, over that of the real clips

The probe's own accuracy on the real clips is beside every figure: what it cannot read
there it cannot measure. Intervals resample prompts; differences of two arms are paired,
prompt by prompt, with the same noise.
"""

import dataclasses
import itertools

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from animatrix_jax.evaluation.agreement import Interval, bootstrap
from animatrix_jax.evaluation.instruments import (
    ProbeReader,
    agreement_with,
    truth_of,
)
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from benchmarks.claims.prompts import Asked

# What a probe must gain on chance, on real clips, for a field to count in a mean.
LEAST_GAIN = 0.2


def accuracy(
    videos: UInt8[np.ndarray, "n t h w 3"], asked: list[Asked], *, probe: ProbeReader
) -> Float[np.ndarray, " n"]:
    """Of each prompt's demanded field; see the module's docstring."""
    read, truth = probe(videos).read, truth_of([one.tags for one in asked])
    table = probe.table
    agreement = agreement_with(read, truth, table=table)
    columns = [table.fields.index(one.field) for one in asked]
    return agreement[np.arange(len(asked)), columns]


def wins(
    videos: UInt8[np.ndarray, "n t h w 3"], asked: list[Asked], *, probe: ProbeReader
) -> Float[np.ndarray, " n"]:
    """1 where the tag is read, 0 where its rival is, NaN where neither or both are."""
    read = probe(videos).read
    index = {
        tag: value.index for tag, (_, value) in load_taxonomy().values_by_tag.items()
    }
    rows = np.arange(len(asked))
    tag = read[rows, [index[one.tag] for one in asked]]
    rival = read[rows, [index[one.rival] for one in asked]]
    return np.where(tag != rival, tag.astype(float), np.nan)


def sharpness(videos: UInt8[np.ndarray, "n t h w 3"]) -> Float[np.ndarray, " n"]:
    """Mean magnitude of the gradient of each clip's grey levels."""
    found = []
    for video in videos:
        grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY).astype(np.float32) for f in video]
        found.append(
            np.mean(
                [
                    np.hypot(
                        cv2.Sobel(g, cv2.CV_32F, 1, 0), cv2.Sobel(g, cv2.CV_32F, 0, 1)
                    )
                    for g in grey
                ]
            )
        )
    return np.array(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fields:
    """Which prompts are of which field, and which fields the probe can read.

    Attributes:
      rows: prompts by field.
      real: the probe's accuracy on the real clips.
      chance: one over the number of values asked for.
    """

    rows: dict[str, np.ndarray]
    real: dict[str, float]
    chance: dict[str, float]

    @classmethod
    def of(cls, asked: list[Asked], real: Float[np.ndarray, " n"]) -> "Fields":
        """Of the prompts and the probe's accuracy on their real clips."""
        names = list(dict.fromkeys(one.field for one in asked))
        rows = {
            name: np.array([i for i, one in enumerate(asked) if one.field == name])
            for name in names
        }
        tags = {name: {asked[i].tag for i in found} for name, found in rows.items()}
        return cls(
            rows=rows,
            real={name: float(np.nanmean(real[found])) for name, found in rows.items()},
            chance={name: 1.0 / len(found) for name, found in tags.items()},
        )

    @property
    def read(self) -> tuple[str, ...]:
        """The fields that the probe reads well enough on real clips."""
        return tuple(
            name
            for name in self.rows
            if self.real[name] - self.chance[name] >= LEAST_GAIN
        )

    def mean(self, values: Float[np.ndarray, " n"]) -> Interval:
        """The mean over the fields that count of the mean over their prompts."""
        groups = [values[self.rows[name]] for name in self.read]
        return _mean_of_groups(groups)

    def by_field(self, values: Float[np.ndarray, " n"]) -> dict[str, float]:
        """Each field's mean, read well or not."""
        return {
            name: round(float(np.nanmean(values[rows])), 4)
            for name, rows in self.rows.items()
        }


def _mean_of_groups(groups: list[np.ndarray]) -> Interval:
    """The mean of groups' means; prompts are resampled within their group."""
    bounds = np.cumsum([0, *map(len, groups)])
    joined = np.concatenate(groups)

    def mean(rows: list[np.ndarray]) -> float:
        return float(np.mean([np.nanmean(joined[some]) for some in rows]))

    rng, spans = np.random.default_rng(0), list(itertools.pairwise(bounds))
    draws = [mean([rng.integers(a, b, b - a) for a, b in spans]) for _ in range(1000)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    value = mean([np.arange(a, b) for a, b in spans])
    return Interval(value=value, low=float(low), high=float(high))


def mean(values: Float[np.ndarray, " n"]) -> Interval:
    """The mean of the values that are not NaN, with its interval."""
    kept = values[~np.isnan(values)]
    return bootstrap(lambda rows: float(kept[rows].mean()), size=len(kept))


def rounded(interval: Interval) -> dict[str, float]:
    """For JSON."""
    return {k: round(v, 4) for k, v in dataclasses.asdict(interval).items()}
