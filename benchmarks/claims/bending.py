"""The claim about the curriculum: it reaches expression where one step collapses."""

import numpy as np

from animatrix_jax.data.measures import measure
from animatrix_jax.knowledge.counterfactual import KINDS
from benchmarks.claims import reading
from benchmarks.claims.arms import ODDS
from benchmarks.claims.bench import SEEDS, Bench
from benchmarks.claims.prompts import demanded

MODES = ("curriculum", "uniform", "hardest_first")
# A sample farther from the real clips than this share of them are from the rest of them
# has collapsed.
_FAR = 0.99


def curriculum(bench: Bench) -> dict:
    """What is left of four deformations in samples, and how many samples collapse."""
    asked = [
        one
        for one in demanded(("motion.deformation",), each=6 * bench.each, odds=ODDS)
        if one.tag.partition("=")[2] in KINDS
    ]
    reader = bench.probe
    real = bench.drawn(asked)
    real_d = np.log([measure(v).deformation + 1e-4 for v in real])
    seen = reader(real).features
    scale = seen.std(axis=0) + 1e-3
    limit = np.quantile(_nearest(seen / scale, seen / scale, apart=True), _FAR)

    def read(arm: str) -> dict[str, np.ndarray]:
        """Of each prompt, the means over its noises."""
        parts = []
        for seed in SEEDS:
            videos = bench.sampler(arm)(asked, seed=seed)
            d = np.log([measure(v).deformation + 1e-4 for v in videos])
            far = _nearest(reader(videos).features / scale, seen / scale) > limit
            parts.append(
                {
                    "accuracy": reading.accuracy(videos, asked, probe=reader),
                    "log_d_ratio": d - real_d,
                    "collapsed": far.astype(float),
                }
            )
        return {k: np.mean([part[k] for part in parts], axis=0) for k in parts[0]}

    found = {arm: read(arm) for arm in ("near_physical", *MODES)}
    means = {
        arm: {name: reading.mean(values) for name, values in parts.items()}
        for arm, parts in found.items()
    }
    ours = found["curriculum"]
    ahead = {
        arm: reading.mean(ours["accuracy"] - found[arm]["accuracy"])
        for arm in MODES[1:]
    }
    fewer = {
        arm: reading.mean(found[arm]["collapsed"] - ours["collapsed"])
        for arm in MODES[1:]
    }
    return {
        "figure": round(100 * min(one.value for one in ahead.values()), 1),
        "unit": "points of deformation read, over the better of the others",
        "target": "curriculum best and its collapse lowest, both intervals above 0",
        "reached": all(one.low > 0 for one in (*ahead.values(), *fewer.values())),
        "arms": {
            arm: {name: one.rounded() for name, one in parts.items()}
            for arm, parts in means.items()
        },
        "ahead": {arm: one.rounded() for arm, one in ahead.items()},
        "fewer_collapsed": {arm: one.rounded() for arm, one in fewer.items()},
        "real": round(
            float(np.nanmean(reading.accuracy(real, asked, probe=reader))), 4
        ),
        "prompts": len(asked),
    }


def _nearest(a: np.ndarray, b: np.ndarray, *, apart: bool = False) -> np.ndarray:
    """Distance of each row of a to the nearest of b; `apart`: that is not itself."""
    gaps = np.linalg.norm(a[:, None] - b[None], axis=-1)
    if apart:
        np.fill_diagonal(gaps, np.inf)
    return gaps.min(axis=1)
