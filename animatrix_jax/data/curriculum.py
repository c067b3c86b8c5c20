"""Which clip a slot of a step gets: long-tail weights and the difficulty curriculum.

Each clip i has a long-tail weight, n_axis counting the clips that share the first field
of that axis,

    w_i = (1 / (n_style n_motion n_camera n_vfx)) ^ 0.7                             (1)

and three difficulties, each cut into Q quantile buckets: the rarity of its style
cluster k(x), its motion amplitude m(x) and its deformation d(x). A bucket b is one of
the Q^3 cells, D(b) in [0, 1] the mean of its three indices over Q - 1. At progress tau
a clip is drawn in two steps, first a bucket and then a clip in it:

    P(b) ~ sigmoid(gamma (tau - D(b) + beta)) * sum of w_i in b                     (2)
    P(i | b) ~ w_i                                                                  (3)

(AniMatrix, arXiv 2605.03652, section on the style-motion-deformation curriculum.) A
draw is a pure function of (seed, step, slot) through a counter-based generator, so it
needs no state: it resumes and shards exactly, and costs the same at 16 million clips.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float32, Int, Int32, Int64, UInt

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.taxonomy import load_taxonomy

Mode = Literal["plain", "uniform", "curriculum", "hardest_first"]
_MASK = (1 << 64) - 1
_DRAW_STREAM, _CLIP_STREAM, _STEP_STREAM = 1, 2, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """How clips are drawn.

    Attributes:
      mode: "plain" draws every clip alike; "uniform" by long-tail weight alone, the
        same at every progress; "curriculum" by equation 2; "hardest_first" is the
        ablation that turns the curriculum round, with 1 - D(b) for D(b).
      quantiles: Q, buckets of each difficulty.
      gamma: how sharp the border between admitted and held-back difficulty is.
      beta: how far ahead of the progress the border runs.
      power: the exponent of equation 1.
    """

    mode: str = "plain"
    quantiles: int = 4
    gamma: float = 8.0
    beta: float = 0.25
    power: float = 0.7

    def __post_init__(self):
        if self.mode not in get_args(Mode):
            modes = ", ".join(get_args(Mode))
            raise ValueError(f"curriculum.mode {self.mode!r} is not one of {modes}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipTables:
    """What the sampler must know of every clip, as columns.

    Attributes:
      axes: for style, motion, camera and VFX, a code of the axis's first field.
      clusters: a code of the style cluster.
      motion: m(x).
      deformation: d(x).
    """

    axes: Int32[np.ndarray, "n 4"]
    clusters: Int32[np.ndarray, " n"]
    motion: Float32[np.ndarray, " n"]
    deformation: Float32[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.clusters)

    def save(self, path: pathlib.Path) -> None:
        """Writes the columns as one .npz."""
        with path.open("wb") as file:
            np.savez(file, **{k: getattr(self, k) for k in _COLUMNS})

    @staticmethod
    def load(path: pathlib.Path) -> "ClipTables":
        """Reads what save() wrote."""
        with np.load(path, allow_pickle=False) as file:
            return ClipTables(**{name: file[name] for name in _COLUMNS})


_COLUMNS = tuple(field.name for field in dataclasses.fields(ClipTables))


def build_tables(
    *,
    tags: Sequence[Sequence[str]],
    clusters: Sequence[str],
    motion: Sequence[float],
    deformation: Sequence[float],
) -> ClipTables:
    """Codes the tags and clusters of all clips; one entry a clip in each argument."""
    first = _first_fields()
    axes = np.zeros((len(tags), len(first)), np.int32)
    for column, key in enumerate(first):
        values = ["+".join(t for t in clip if t.startswith(key + "=")) for clip in tags]
        axes[:, column] = _codes(values)
    return ClipTables(
        axes=axes,
        clusters=_codes(clusters),
        motion=np.asarray(motion, np.float32),
        deformation=np.asarray(deformation, np.float32),
    )


def long_tail_weights(
    tables: ClipTables, *, power: float = 0.7
) -> Float[np.ndarray, " n"]:
    """Equation 1, in float64."""
    log_counts = np.zeros(len(tables))
    for column in tables.axes.T:
        log_counts += np.log(np.maximum(np.bincount(column), 1))[column]
    return np.exp(-power * log_counts)


def quantile_buckets(values: np.ndarray, quantiles: int) -> UInt[np.ndarray, " n"]:
    """Cuts values [n] into quantile buckets; equal values share one, by their mid-rank."""
    ordered = np.sort(values)
    # The least value of each bucket above the first; none that is cut is repeated.
    borders = []
    for bucket in range(1, quantiles):
        value = ordered[bucket * len(ordered) // quantiles]
        first = np.searchsorted(ordered, value, side="left")
        after = np.searchsorted(ordered, value, side="right")
        middle = (first + 0.5 * (after - first)) / len(ordered)
        if int(quantiles * middle) >= bucket:
            borders.append(value)
        elif after < len(ordered):
            borders.append(ordered[after])
    found = np.zeros(len(values), np.min_scalar_type(quantiles - 1))
    for border in borders:
        found += values >= border
    return found


class PlainSampler:
    """Every clip alike."""

    def __init__(self, count: int):
        self._count = count

    def draw(
        self, *, seed: int, step: int, slots: Int[np.ndarray, " s"], progress: float
    ) -> Int64[np.ndarray, " s"]:
        """One clip a slot; `progress` makes no difference."""
        uniforms = slot_uniforms(seed=seed, step=step, slots=slots)
        return (uniforms[:, 0] * self._count).astype(np.int64)


class CurriculumSampler:
    """Draws by equations 2 and 3 from precomputed tables.

    It keeps 12 bytes a clip: in the order of the buckets, each clip's index and the
    running sum of the weights. A draw is one binary search.
    """

    def __init__(self, tables: ClipTables, config: CurriculumConfig):
        if len(tables) == 0:
            raise ValueError("expected at least one clip in the tables, got none")
        self._config = config
        q = config.quantiles
        index = np.stack(np.unravel_index(np.arange(q**3), (q, q, q)))
        self.difficulty = index.mean(axis=0) / max(q - 1, 1)
        # Of the narrowest type, which sorts in one pass a byte.
        buckets = np.zeros(len(tables), np.min_scalar_type(q**3 - 1))
        for values in (_rarity(tables.clusters), tables.motion, tables.deformation):
            buckets *= q
            buckets += quantile_buckets(values, q)
        order = np.argsort(buckets, kind="stable")
        sizes = np.bincount(buckets, minlength=q**3)
        del buckets
        if config.mode == "plain":
            self._running = np.arange(1.0, len(tables) + 1)
        else:
            self._running = long_tail_weights(tables, power=config.power)[order]
            np.cumsum(self._running, out=self._running)
        self._order = order.astype(np.min_scalar_type(len(tables) - 1))
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        self._base = self._sum_before(self._starts)
        self.mass = self._sum_before(self._ends) - self._base

    @property
    def nbytes(self) -> int:
        """What the tables of all clips take."""
        return self._order.nbytes + self._running.nbytes

    @property
    def weights(self) -> Float[np.ndarray, " n"]:
        """w_i of every clip, from their running sum."""
        found = np.empty(len(self._order))
        found[self._order] = np.diff(self._running, prepend=0.0)
        return found

    @property
    def buckets(self) -> UInt[np.ndarray, " n"]:
        """The bucket of every clip."""
        kind = np.min_scalar_type(len(self.mass) - 1)
        found = np.empty(len(self._order), kind)
        sizes = self._ends - self._starts
        found[self._order] = np.repeat(np.arange(len(sizes), dtype=kind), sizes)
        return found

    def _sum_before(self, places: np.ndarray) -> np.ndarray:
        return np.where(places > 0, self._running[np.maximum(places, 1) - 1], 0.0)

    def bucket_probabilities(self, progress: float) -> Float[np.ndarray, " buckets"]:
        """P(b) of equation 2, over the Q^3 buckets."""
        config = self._config
        match config.mode:
            case "curriculum":
                difficulty = self.difficulty
            case "hardest_first":
                difficulty = 1.0 - self.difficulty
            case _:
                return self.mass / self.mass.sum()
        ahead = config.gamma * (progress - difficulty + config.beta)
        weighted = self.mass / (1.0 + np.exp(-ahead))
        return weighted / weighted.sum()

    def probabilities(self, progress: float) -> Float[np.ndarray, " n"]:
        """P(i) of every clip, for tests and reports."""
        # An empty bucket has no mass and no clip to ask for it.
        share = self.bucket_probabilities(progress) / np.maximum(self.mass, 1e-300)
        return share[self.buckets] * self.weights

    def draw(
        self, *, seed: int, step: int, slots: Int[np.ndarray, " s"], progress: float
    ) -> Int64[np.ndarray, " s"]:
        """One clip a slot: a pure function of (seed, step, slot) and the progress."""
        uniforms = slot_uniforms(seed=seed, step=step, slots=slots)
        running = np.cumsum(self.bucket_probabilities(progress))
        bucket = np.searchsorted(running, uniforms[:, 0] * running[-1], side="right")
        target = self._base[bucket] + uniforms[:, 1] * self.mass[bucket]
        place = np.searchsorted(self._running, target, side="right")
        # Rounding at a bucket's border must not fall into its neighbour.
        place = np.clip(place, self._starts[bucket], self._ends[bucket] - 1)
        return self._order[place].astype(np.int64)


Sampler = PlainSampler | CurriculumSampler


def build_sampler(
    config: CurriculumConfig, *, count: int, tables: ClipTables | None
) -> Sampler:
    """The sampler of a source with `count` clips.

    Raises:
      UserError: if the mode needs measures of the clips and there are none.
    """
    if config.mode == "plain":
        return PlainSampler(count)
    if tables is None:
        raise UserError(
            f"curriculum mode {config.mode!r} needs measured clips and this source has"
            " none: cache its latents first, or use mode 'plain'"
        )
    return CurriculumSampler(tables, config)


def slot_uniforms(
    *, seed: int, step: int, slots: Int[np.ndarray, " s"]
) -> Float[np.ndarray, "s 4"]:
    """Four numbers in [0, 1) a slot: Philox at the counter (step, slot)."""
    low, high = int(slots.min()), int(slots.max())
    bits = _philox(seed, _DRAW_STREAM, step, 0, low)
    bits = bits.random_raw(4 * (high - low + 1))
    uniforms = (bits >> np.uint64(11)) * 2.0**-53
    return uniforms.reshape(-1, 4)[slots - low]


def clip_generator(*, seed: int, step: int, slot: int) -> np.random.Generator:
    """The generator of whatever else a slot draws: its window and its corruption."""
    return np.random.Generator(_philox(seed, _CLIP_STREAM, step, slot, 0))


def step_uniform(*, seed: int, step: int) -> float:
    """A number in [0, 1) for a choice that all hosts make alike at a step."""
    bits = _philox(seed, _STEP_STREAM, step, 0, 0).random_raw()
    return (int(bits) >> 11) * 2.0**-53


def _philox(seed: int, stream: int, step: int, slot: int, low: int) -> np.random.Philox:
    # Explicit words: from a list with one above 2^63, NumPy would make floats.
    key = np.array([seed & _MASK, stream], np.uint64)
    counter = np.array([low, 0, slot, step], np.uint64)
    return np.random.Philox(key=key, counter=counter)


def _rarity(clusters: np.ndarray) -> np.ndarray:
    """k(x): the place of a clip's cluster among all, from the commonest up."""
    counts = np.bincount(clusters)
    rank = np.empty(len(counts), np.int32)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[clusters]


def _codes(values: Sequence[str]) -> np.ndarray:
    # Not by np.unique, whose strings are all as long as the longest.
    places = {value: place for place, value in enumerate(sorted(set(values)))}
    return np.fromiter((places[v] for v in values), np.int32, count=len(values))


@functools.lru_cache(maxsize=1)
def _first_fields() -> tuple[str, ...]:
    taxonomy = load_taxonomy()
    return tuple(
        next(field.key for field in taxonomy.fields if field.axis == axis)
        for axis in taxonomy.axes
    )
