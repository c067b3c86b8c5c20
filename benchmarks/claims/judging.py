"""The claims about the judge and what it teaches: art from failure, never stillness."""

import dataclasses

import numpy as np
from jaxtyping import Float

from animatrix_jax.cels.defects import draw_defects
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.render import render
from animatrix_jax.cels.spec import ClipSpec, draw_spec
from animatrix_jax.cels.staging import make_stage
from animatrix_jax.cels.staging import measure as true_measure
from animatrix_jax.cels.unasked import unasked
from animatrix_jax.data.measures import measure
from animatrix_jax.evaluation.agreement import Interval
from animatrix_jax.evaluation.run import encode_clips
from animatrix_jax.models.presets import ModelPreset, preset
from animatrix_jax.sampling.pipeline import Pipeline
from benchmarks.claims import reading
from benchmarks.claims.bench import ODDS, Bench
from benchmarks.claims.prompts import demanded, real_clips
from benchmarks.claims.reading import rounded

JUDGES = ("judge", "judge_tag_blind", "judge_pixel_blind")
KINDS = ("smear", "multiples", "squash_stretch", "chibi_shift")
_SEED = 303_652
# Of sound real clips, the share that the examiner may call defective.
_FALSE_ALARMS = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """Clips to be told apart, in three groups that ask for each deformation alike.

    Attributes:
      intended: asked for a deformation, and drawn with it.
      defective: the same, with a defect of the drawing.
      unasked: drawn like the intended ones, asked for another deformation.
    """

    intended: list[ClipSpec]
    defective: list[ClipSpec]
    unasked: list[ClipSpec]


def trial(*, each: int, frames: int) -> Trial:
    """`each` clips of every kind of deformation, in each group."""
    intended, defective, misasked = [], [], []
    for place, kind in enumerate(KINDS):
        # The next kind's drawings ask for this one, so that all ask alike.
        other = KINDS[(place + 1) % len(KINDS)]
        for index in range(each):
            spec = _spec(kind, index, frames)
            intended.append(spec)
            draws = Draws(_SEED, "trial", kind, index)
            defects = draw_defects(draws.child("defects"), frames=frames, clean=0.0)
            defective.append(dataclasses.replace(spec, defects=defects))
            drawn = _spec(other, index, frames)
            misasked.append(unasked(drawn, draws.child("unasked"), asked=kind))
    return Trial(intended=intended, defective=defective, unasked=misasked)


def _spec(kind: str, index: int, frames: int) -> ClipSpec:
    # A figure of standard build, which every kind suits.
    tags = (
        f"motion.deformation={kind}",
        "style.proportion=standard",
    )
    return draw_spec(
        seed=_SEED, index=index, split="test", frames=frames, tags=tags, odds=ODDS
    )


def judge(bench: Bench) -> dict:
    """AUC of intended against pathological, of three judges."""
    model = preset(bench.size)
    groups = trial(each=6 * bench.each, frames=model.frames)
    pipeline = bench.sampler("generator").pipeline
    specs = {f.name: getattr(groups, f.name) for f in dataclasses.fields(groups)}
    latents = {name: _encode(pipeline, some, model) for name, some in specs.items()}
    tags = {name: [spec.tags for spec in some] for name, some in specs.items()}
    d = {
        name: [true_measure(spec, make_stage(spec)).deformation for spec in some]
        for name, some in specs.items()
    }
    aucs, parts = {}, {}
    for arm in JUDGES:
        scorer = bench.scorer(arm)
        worst = {
            name: scorer(latents[name], tags[name], clip=False).min(axis=1)
            for name in specs
        }
        bad = np.concatenate([worst["defective"], worst["unasked"]])
        aucs[arm] = auc(worst["intended"], bad)
        parts[arm] = {
            name: round(auc(worst["intended"], worst[name]).value, 4)
            for name in ("defective", "unasked")
        }
    aware, blind, pixels = (aucs[arm].value for arm in JUDGES)
    return {
        "figure": round(aware, 3),
        "unit": "AUC of the tag-aware judge",
        "target": "0.95 or more; tag-blind lower by 0.1 or more; pixel-blind within "
        "0.05 of 0.5",
        "reached": aware >= 0.95 and aware - blind >= 0.1 and abs(pixels - 0.5) <= 0.05,
        "arms": {arm: rounded(one) for arm, one in aucs.items()},
        "against": parts,
        "d": {name: round(float(np.mean(values)), 5) for name, values in d.items()},
        "prompts": sum(map(len, specs.values())),
    }


def preference(bench: Bench) -> dict:
    """Defect rate by a judge that nobody trained on, before and after."""
    asked, scorer = bench.asked, bench.scorer("examiner")
    pipeline = bench.sampler("generator").pipeline
    tags = [one.tags for one in asked]

    def worst(videos: np.ndarray) -> np.ndarray:
        return scorer(encode_clips(pipeline, videos), tags, clip=False).min(axis=1)

    threshold = float(np.quantile(worst(bench.real), _FALSE_ALARMS))
    clips = {
        name: bench.sampler(arm)(asked)
        for name, arm in (("before", "generator"), ("after", "preference"))
    }
    bad = {name: worst(some) < threshold for name, some in clips.items()}
    d = {
        name: np.array([measure(video).deformation for video in some])
        for name, some in clips.items()
    }
    right = {
        name: reading.accuracy(some, asked, probe=bench.probe)
        for name, some in clips.items()
    }
    rates = {name: reading.mean(some.astype(float)) for name, some in bad.items()}
    down = 1.0 - rates["after"].value / max(rates["before"].value, 1e-9)
    kept = float(d["after"].mean() / d["before"].mean())
    return {
        "figure": round(100 * down, 1),
        "unit": "% fewer defective samples",
        "target": "40% or more, d(x) within 5%",
        "reached": down >= 0.4 and abs(kept - 1.0) <= 0.05,
        "defective": {name: rounded(one) for name, one in rates.items()},
        "threshold": round(threshold, 3),
        "false_alarms": _FALSE_ALARMS,
        "d_kept": round(kept, 4),
        "accuracy": {
            name: rounded(bench.fields.mean(some)) for name, some in right.items()
        },
        "prompts": len(asked),
    }


def not_still(bench: Bench) -> dict:
    """Motion of samples on the fastest motions, before and after preference."""
    asked = [
        one
        for one in demanded(("motion.motion_style",), each=6 * bench.each, odds=ODDS)
        if one.tag.endswith(("=dash", "=melee"))
    ]
    m = {
        name: np.array([measure(v).motion for v in bench.sampler(arm)(asked)])
        for name, arm in (("before", "generator"), ("after", "preference"))
    }
    model = preset(bench.size)
    real = real_clips(asked, odds=ODDS, frames=model.frames, size=model.height)
    kept = float(m["after"].mean() / m["before"].mean())
    return {
        "figure": round(100 * (kept - 1.0), 1),
        "unit": "% change of m(x)",
        "target": "within 5%",
        "reached": abs(kept - 1.0) <= 0.05,
        "motion": {name: rounded(reading.mean(some)) for name, some in m.items()},
        "real": round(float(np.mean([measure(v).motion for v in real])), 5),
        "prompts": len(asked),
    }


def auc(good: Float[np.ndarray, " n"], bad: Float[np.ndarray, " m"]) -> Interval:
    """The chance that a good clip scores above a bad one, ties half; clips of both
    groups are resampled for the interval."""
    above = (good[:, None] > bad).astype(float) + 0.5 * (good[:, None] == bad)
    rng = np.random.default_rng(0)
    n, m = above.shape
    draws = [
        above[np.ix_(rng.integers(0, n, n), rng.integers(0, m, m))].mean()
        for _ in range(1000)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value=float(above.mean()), low=float(low), high=float(high))


def _encode(
    pipeline: Pipeline, specs: list[ClipSpec], model: ModelPreset
) -> np.ndarray:
    size = {"height": model.height, "width": model.width}
    return encode_clips(pipeline, np.stack([render(spec, **size) for spec in specs]))
