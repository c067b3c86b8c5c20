"""What the instruments read of samples, and how sure the figures are.

    accuracy   1 where the probe reads the demanded field as the clip's tags have it (of
               a field of several values: shared values over all), prompt by prompt
    wins       of prompts whose text claims a rival, and of which the probe reads one of
               the two alone: 1 where that is the tag
    sharpness  mean of |Sobel| over the pixels, over that of the real clips

The probe's own accuracy on the real clips is beside every figure: what it cannot read
there it cannot measure, and which fields count is decided on other real clips. Intervals
resample prompts; what two arms differ by is paired, prompt by prompt, with the same
noises.
"""

import dataclasses
import itertools

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from animatrix_jax.errors import UserError
from animatrix_jax.evaluation.instruments import (
    Probe,
    agreement_with,
    truth_of,
)
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.statistics import Interval, bootstrap
from benchmarks.claims.prompts import Asked

# What a probe must gain on chance, on real clips, for a field to count in a mean.
LEAST_GAIN = 0.2


def accuracy(
    videos: UInt8[np.ndarray, "n t h w 3"], asked: list[Asked], *, probe: Probe
) -> Float[np.ndarray, " n"]:
    """Of each prompt's demanded field; see the module's docstring."""
    read, truth = probe(videos).read, truth_of([one.tags for one in asked])
    table = probe.table
    agreement = agreement_with(read, truth, table=table)
    columns = [table.fields.index(one.field) for one in asked]
    return agreement[np.arange(len(asked)), columns]


def wins(
    videos: UInt8[np.ndarray, "n t h w 3"], asked: list[Asked], *, probe: Probe
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
      real: the probe's accuracy on the prompts' real clips.
      chance: that of whoever answers with the tag of another prompt of the field.
      read: the fields that count, read well on real clips that no figure is of.
    """

    rows: dict[str, np.ndarray]
    real: dict[str, float]
    chance: dict[str, float]
    read: tuple[str, ...]

    @classmethod
    def of(
        cls,
        asked: list[Asked],
        *,
        real: Float[np.ndarray, " n"],
        gate: dict[str, float],
    ) -> "Fields":
        """Of the prompts.

        Args:
          asked: the prompts.
          real: the probe's accuracy on their real clips.
          gate: its mean accuracy by field, on other real clips.

        Raises:
          UserError: if it reads no field well enough.
        """
        rows = cls._rows(asked)
        chance = {
            name: _chance([asked[i] for i in some]) for name, some in rows.items()
        }
        read = tuple(name for name in rows if gate[name] - chance[name] >= LEAST_GAIN)
        if not read:
            raise UserError(
                f"the probe reads no field {LEAST_GAIN:.0%} better than chance on real "
                "clips, and can measure nothing: train it longer"
            )
        return cls(rows=rows, real=cls.means(asked, real), chance=chance, read=read)

    @classmethod
    def means(
        cls, asked: list[Asked], values: Float[np.ndarray, " n"]
    ) -> dict[str, float]:
        """The mean of some values over each field's prompts."""
        rows = cls._rows(asked)
        return {name: float(np.nanmean(values[some])) for name, some in rows.items()}

    @staticmethod
    def _rows(asked: list[Asked]) -> dict[str, np.ndarray]:
        names = dict.fromkeys(one.field for one in asked)
        return {
            name: np.array([i for i, one in enumerate(asked) if one.field == name])
            for name in names
        }

    def mean(
        self,
        values: Float[np.ndarray, " n"],
        *,
        only: Bool[np.ndarray, " n"] | None = None,
    ) -> Interval:
        """The mean over the fields that count of the mean over their prompts.

        Args:
          values: of each prompt.
          only: the prompts that count; fields that have none are left out.
        """
        rows = [self.rows[name] for name in self.read]
        if only is not None:
            rows = [some[only[some]] for some in rows]
        return _mean_of_groups([values[some] for some in rows if len(some)])

    def by_field(self, values: Float[np.ndarray, " n"]) -> dict[str, float]:
        """Each field's mean, read well or not."""
        return {
            name: round(float(np.nanmean(values[rows])), 4)
            for name, rows in self.rows.items()
        }


def _chance(asked: list[Asked]) -> float:
    """The accuracy of answering with the tag of another prompt: one over the values."""
    tags = [one.tag for one in asked]
    return float(np.mean([a == b for a, b in itertools.product(tags, tags)]))


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


def mean(values: Float[np.ndarray, "*noises n"]) -> Interval:
    """The mean of the values that are not NaN; prompts are resampled, with all of their
    noises."""
    values = np.atleast_2d(values)
    kept = values[:, ~np.isnan(values).all(axis=0)]
    return bootstrap(lambda rows: float(np.nanmean(kept[:, rows])), size=kept.shape[1])


def ratio(after: Float[np.ndarray, " n"], before: Float[np.ndarray, " n"]) -> Interval:
    """The mean after over the mean before, prompts resampled as pairs."""
    return bootstrap(
        lambda rows: float(after[rows].mean() / max(before[rows].mean(), 1e-9)),
        size=len(after),
    )
