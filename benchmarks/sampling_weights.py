"""The curriculum's sampler over 16 million clips: its cost, and its frequencies.

    python -m benchmarks.sampling_weights [--json] [--clips=16000000] [--draws=4000000]

The clips are synthetic: first fields and style clusters by Zipf's law, log-normal motion
and deformation, of which a tenth are exactly zero.

    build_seconds, bytes_per_clip   tables to sampler (of the CPU), and what it keeps
    peak_bytes_per_clip             the most that building held at once beside the tables
    single_us, batched_us           CPU time of a draw, alone and among the 256 of a step
    small_batched_us                the same among `--small` clips
    chi_square                      at progress 0, 1/2 and 1: p-values of the frequencies
                                    of the draws against the formula, in cells of a bucket
                                    and a quantile of weight
    hosts                           the numbers of hosts whose slots together gave the
                                    batches that one host gives

Every p-value is of one fixed seed: below 1e-4 the draws do not follow the formula.
"""

import time
import tracemalloc

import numpy as np
from absl import flags
from scipy import stats

from animatrix_jax.cli import app
from animatrix_jax.data.curriculum import (
    ClipTables,
    CurriculumConfig,
    CurriculumSampler,
    long_tail_weights,
    quantile_buckets,
)

FLAGS = flags.FLAGS
_BATCH = 256
_WEIGHT_CELLS = 16
_HOSTS = (2, 4, 8, 32, 256)


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    report = figures(FLAGS.clips, draws=FLAGS.draws, small=FLAGS.small)
    for name, value in report.items():
        print(f"{name}: {value}")
    app.print_json(report)


def figures(clips: int, *, draws: int, small: int) -> dict[str, object]:
    """All of them, over so many clips, with so many draws at each progress."""
    config = CurriculumConfig(mode="curriculum")
    tables = synthetic_tables(clips)
    start = time.process_time()
    sampler = CurriculumSampler(tables, config)
    seconds = time.process_time() - start
    few = CurriculumSampler(synthetic_tables(small), config)
    return {
        "clips": clips,
        "build_seconds": round(seconds, 2),
        "bytes_per_clip": round(sampler.nbytes / clips, 2),
        "peak_bytes_per_clip": round(_peak(tables, config) / clips, 1),
        "single_us": round(microseconds(sampler, slots=1), 2),
        "batched_us": round(microseconds(sampler, slots=_BATCH), 3),
        "small_batched_us": round(microseconds(few, slots=_BATCH), 3),
        "chi_square": [
            float(f"{chi_square(sampler, tables, progress, draws=draws):.3g}")
            for progress in (0.0, 0.5, 1.0)
        ],
        "hosts": [n for n in _HOSTS if same_batch(sampler, hosts=n)],
    }


def synthetic_tables(clips: int) -> ClipTables:
    """Columns with long tails, of a fixed seed."""
    rng = np.random.default_rng(0)

    def codes(values: int) -> np.ndarray:
        share = 1.0 / np.arange(1, values + 1)
        edges = np.cumsum(share / share.sum())[:-1]
        return np.searchsorted(edges, rng.random(clips, np.float32)).astype(np.int32)

    def measures() -> np.ndarray:
        found = np.exp(rng.standard_normal(clips, np.float32) - 4.0)
        found[rng.random(clips, np.float32) < 0.1] = 0.0
        return found

    return ClipTables(
        axes=np.stack([codes(n) for n in (9, 40, 24, 60)], axis=1),
        clusters=codes(2000),
        motion=measures(),
        deformation=measures(),
    )


def microseconds(sampler: CurriculumSampler, *, slots: int) -> float:
    """Of one draw among the `slots` of a step, over the steps of a second."""
    which = np.arange(slots)
    start, step = time.process_time(), 0
    while time.process_time() - start < 1.0:
        sampler.draw(seed=1, step=step, slots=which, progress=(step % 1000) / 999)
        step += 1
    return (time.process_time() - start) / step / slots * 1e6


def chi_square(
    sampler: CurriculumSampler, tables: ClipTables, progress: float, *, draws: int
) -> float:
    """The p-value of the draws' frequencies under equations 1 to 3, written out.

    Cells that expect fewer than five draws are taken together.
    """
    weights = long_tail_weights(tables)
    cells = sampler.buckets.astype(np.int32) * _WEIGHT_CELLS
    cells += quantile_buckets(weights, _WEIGHT_CELLS)
    ahead = progress - sampler.difficulty + 0.25
    admitted = (1.0 / (1.0 + np.exp(-8.0 * ahead)))[sampler.buckets]
    expected = np.bincount(cells, admitted * weights)
    expected *= draws / expected.sum()
    observed = np.zeros(len(expected))
    for step, first in enumerate(range(0, draws, 1 << 20)):
        slots = np.arange(min(1 << 20, draws - first))
        drawn = sampler.draw(seed=2, step=step, slots=slots, progress=progress)
        observed += np.bincount(cells[drawn], minlength=len(expected))
    few = expected < 5
    observed = np.append(observed[~few], observed[few].sum())
    expected = np.append(expected[~few], max(expected[few].sum(), 1e-9))
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, len(expected) - 1))


def same_batch(sampler: CurriculumSampler, *, hosts: int) -> bool:
    """Whether the slots of so many hosts together draw what one host draws."""
    slots = np.arange(_BATCH)
    for step in range(100):
        draw = {"seed": 3, "step": step, "progress": step / 99}
        whole = sampler.draw(slots=slots, **draw)
        parts = [sampler.draw(slots=s, **draw) for s in np.split(slots, hosts)]
        if not np.array_equal(np.concatenate(parts), whole):
            return False
    return True


def _peak(tables: ClipTables, config: CurriculumConfig) -> int:
    """Bytes that NumPy held at most while a sampler was built."""
    tracemalloc.start()
    CurriculumSampler(tables, config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    flags.DEFINE_integer("clips", 16_000_000, "In the tables.", lower_bound=1000)
    flags.DEFINE_integer("draws", 4_000_000, "At each progress.", lower_bound=1000)
    flags.DEFINE_integer("small", 16_000, "Clips of the small tables.", lower_bound=1)
    app.run(main)
