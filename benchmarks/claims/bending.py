"""The claim about the curriculum: it reaches expression where one step collapses."""

import numpy as np

from animatrix_jax.data.measures import measure
from benchmarks.claims import reading
from benchmarks.claims.bench import ODDS, Bench
from benchmarks.claims.judging import KINDS
from benchmarks.claims.prompts import demanded, real_clips
from benchmarks.claims.reading import rounded

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
    model = bench.sampler("near_physical").pipeline.preset
    real = real_clips(asked, odds=ODDS, frames=model.frames, size=model.height)
    real_d = np.log([measure(v).deformation + 1e-4 for v in real])
    seen = reader(real).features
    scale = seen.std(axis=0) + 1e-3
    limit = np.quantile(_nearest(seen / scale, seen / scale, apart=True), _FAR)
    found = {}
    for arm in ("near_physical", *MODES):
        videos = bench.sampler(arm)(asked)
        d = np.log([measure(v).deformation + 1e-4 for v in videos])
        far = _nearest(reader(videos).features / scale, seen / scale) > limit
        found[arm] = {
            "accuracy": reading.accuracy(videos, asked, probe=reader),
            "d_ratio": np.exp(d - real_d),
            "collapsed": far.astype(float),
        }
    means = {
        arm: {name: reading.mean(values) for name, values in parts.items()}
        for arm, parts in found.items()
    }
    ours = means["curriculum"]
    others = [means[arm] for arm in MODES[1:]]
    ahead = ours["accuracy"].value - max(one["accuracy"].value for one in others)
    lowest = all(ours["collapsed"].value <= one["collapsed"].value for one in others)
    return {
        "figure": round(100 * ahead, 1),
        "unit": "points of deformation read, over the better of the others",
        "target": "curriculum best, collapse lowest",
        "reached": ahead > 0 and lowest,
        "arms": {
            arm: {name: rounded(one) for name, one in parts.items()}
            for arm, parts in means.items()
        },
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
