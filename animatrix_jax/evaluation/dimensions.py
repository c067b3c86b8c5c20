"""The five dimensions of AniMatrix's evaluation, measured on Cel World's truth.

A first, automatic form of what fifteen professionals scored. Everything is relative: a
raw figure means nothing until it is set between what chance gives and what another real
clip of the same tags gives. With `x` the figure of the samples,

    closeness = clip((x - chance) / (real - chance), 0, 1)      score = 1 + 4 closeness

| dimension | parts |
|---|---|
| Style Fidelity | style tags read back; feature distance to the real clip |
| Prompt Understanding | tags of every field read back |
| Artistic Motion | motion and camera tags; motion energy; cadence of the drawings |
| Structural Stability | the judge's four heads, already 1 to 5 |
| Anime Aesthetic | Frechet distance in feature space; flat areas and lines |

Chance for tags is the most common value of each field. Intervals resample prompts.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from animatrix_jax.statistics import Interval, bootstrap

LABELS = {
    "style_fidelity": "Style Fidelity",
    "prompt_understanding": "Prompt Understanding",
    "artistic_motion": "Artistic Motion",
    "structural_stability": "Structural Stability",
    "anime_aesthetic": "Anime Aesthetic",
}
_MOTION_FIELDS = ("camera.camera_motion", "camera.camera_speed")
# A probe that reads a field no better than chance says nothing of the samples.
_LEAST_SPAN = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What the instruments say of one set of clips.

    Attributes:
      agreement: [n f] agreement of the probe's reading with the tags asked for; NaN
        where a clip does not state the field.
      features: [n d] of the probe.
      motion: [n] log of the mean optical flow m(x).
      cadence: [n] share of frames that repeat the drawing before them.
      finish: [n s] flat areas, lines and saturation.
    """

    agreement: Float[np.ndarray, "n f"]
    features: Float[np.ndarray, "n d"]
    motion: Float[np.ndarray, " n"]
    cadence: Float[np.ndarray, " n"]
    finish: Float[np.ndarray, "n s"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the five dimensions are computed from, row i being prompt i.

    Attributes:
      fields: keys of the columns of `agreement`.
      sample, real, twin: readings of the samples and of the suite's real clips.
      blurred: of the real clips with their drawing blurred away, for the aesthetic.
      majority: [n f] agreement of always answering the most common value.
      judge: [n 4] scores of the samples, or None without a judge.
      judge_real: the same of the real clips.
    """

    fields: tuple[str, ...]
    sample: Reading
    real: Reading
    twin: Reading
    blurred: Reading
    majority: Float[np.ndarray, "n f"]
    judge: Float[np.ndarray, "n 4"] | None = None
    judge_real: Float[np.ndarray, "n 4"] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimension:
    """A score from 1 to 5 with its 95% interval and its parts (closeness, 0 to 1)."""

    name: str
    score: Interval
    parts: dict[str, float]


def score_dimensions(
    evidence: Evidence, *, seed: int = 0, draws: int = 1000
) -> tuple[Dimension, ...]:
    """The dimensions that the evidence allows, in the paper's order."""
    parts, size = _parts(evidence), len(evidence.majority)
    found = []
    for name in LABELS:
        if name != "structural_stability":
            found.append(_relative(name, parts[name], size, seed, draws))
        elif evidence.judge is not None:
            found.append(_judged(evidence.judge, evidence.judge_real, seed, draws))
    return tuple(found)


def _relative(
    name: str,
    members: dict[str, tuple[float, "Part"]],
    size: int,
    seed: int,
    draws: int,
) -> Dimension:

    def statistic(index: np.ndarray) -> float:
        return 1.0 + 4.0 * sum(
            weight * part(index) for weight, part in members.values()
        )

    everything = np.arange(size)
    return Dimension(
        name=name,
        score=bootstrap(statistic, size=size, seed=seed, draws=draws),
        parts={key: part(everything) for key, (_, part) in members.items()},
    )


def _judged(
    heads: np.ndarray, real: np.ndarray | None, seed: int, draws: int
) -> Dimension:
    parts = {"worst head": float(heads.min(axis=1).mean())}
    if real is not None:
        parts["real clips"] = float(real.mean())
    return Dimension(
        name="structural_stability",
        score=bootstrap(
            lambda index: float(heads[index].mean()),
            size=len(heads),
            seed=seed,
            draws=draws,
        ),
        parts=parts,
    )


def closeness(value: float, *, chance: float, real: float, span: float = 1e-6) -> float:
    """Where a figure that should be high lies between chance (0) and real (1), clipped.

    A distance, which should be low, comes with its sign changed. Where real is not above
    chance by `span`, the instrument resolves nothing: `span` then stands for their
    difference, so that no sample scores well by it.
    """
    return float(np.clip((value - chance) / max(real - chance, span), 0.0, 1.0))


def majority_agreement(
    truth: Bool[np.ndarray, "n v"], membership: Bool[np.ndarray, "f v"]
) -> Float[np.ndarray, "n f"]:
    """Agreement of answering, for each field, the set of values that is most common.

    NaN where a clip does not state the field.
    """
    columns = []
    for member in membership:
        part = truth[:, member]
        stated = part.any(axis=1)
        column = np.full(len(truth), np.nan)
        if stated.any():
            answers, counts = np.unique(part[stated], axis=0, return_counts=True)
            best = answers[counts.argmax()]
            both = (part & best).sum(axis=1)
            either = np.maximum((part | best).sum(axis=1), 1)
            column[stated] = (both / either)[stated]
        columns.append(column)
    return np.stack(columns, axis=1)


Part = Callable[[np.ndarray], float]


def _parts(e: Evidence) -> dict[str, dict[str, tuple[float, Part]]]:
    """Dimension -> part -> (weight, closeness as a function of prompt indices)."""
    axis = np.array([key.split(".")[0] for key in e.fields])
    style = axis == "style"
    motion = (axis == "motion") | np.isin(e.fields, _MOTION_FIELDS)
    everything = np.ones(len(e.fields), bool)
    scale = e.real.features.std(axis=0) + 1e-3

    def tags(columns: np.ndarray) -> Part:
        def part(index: np.ndarray) -> float:
            return closeness(
                float(np.nanmean(e.sample.agreement[index][:, columns])),
                chance=float(np.nanmean(e.majority[index][:, columns])),
                real=float(np.nanmean(e.real.agreement[index][:, columns])),
                span=_LEAST_SPAN,
            )

        return part

    def nearness(get: Callable[[Reading], np.ndarray], chance: str = "shift") -> Part:
        """Distance to the real clip, between the twin's and a stranger's."""
        target = get(e.real)
        stranger = np.roll(target, 1, axis=0) if chance == "shift" else get(e.blurred)
        sample, twin, other = (
            _gap(x, target) for x in (get(e.sample), get(e.twin), stranger)
        )

        def part(index: np.ndarray) -> float:
            ends = float(other[index].mean()), float(twin[index].mean())
            if ends[0] <= ends[1]:  # the instrument cannot tell them apart
                return 0.5
            return closeness(
                -float(sample[index].mean()), chance=-ends[0], real=-ends[1]
            )

        return part

    def frechet(index: np.ndarray) -> float:
        real = e.real.features[index] / scale
        sample, blurred, twin = (
            frechet_distance(reading.features[index] / scale, real)
            for reading in (e.sample, e.blurred, e.twin)
        )
        if blurred <= twin:  # the instrument cannot tell them apart
            return 0.5
        return closeness(-sample, chance=-blurred, real=-twin)

    return {
        "style_fidelity": {
            "style tags": (0.5, tags(style)),
            "distance": (0.5, nearness(lambda r: r.features / scale)),
        },
        "prompt_understanding": {"all tags": (1.0, tags(everything))},
        "artistic_motion": {
            "motion tags": (0.5, tags(motion)),
            "amplitude": (0.25, nearness(lambda r: r.motion[:, None])),
            "cadence": (0.25, nearness(lambda r: r.cadence[:, None])),
        },
        "anime_aesthetic": {
            "distribution": (0.5, frechet),
            "flats and lines": (0.5, nearness(lambda r: r.finish, "blurred")),
        },
    }


def frechet_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Frechet distance of two Gaussians with diagonal covariance.

    The full covariance of a few dozen clips is singular; its diagonal is not.
    """
    mean = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    return float(mean + np.square(a.std(axis=0) - b.std(axis=0)).sum())


def _gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance row by row."""
    return np.linalg.norm(a - b, axis=1)
