"""The claims about tags: two paths, dilution, two guidances, and the shipped model."""

import numpy as np

from animatrix_jax.sampling.guidance import DEPLOYED, GuidanceConfig
from benchmarks.claims import reading
from benchmarks.claims.bench import SEEDS, Bench
from benchmarks.claims.prompts import contradicted, unsaid

PATHS = ("both", "cross_attention", "adaln", "words")
# One scale for all arms: a model without a tag path has the text's alone. The paper's two
# are 5 and 2.
EQUAL = GuidanceConfig(text=3.0, tag=3.0)
ORDERS = {
    "5 and 2, text first": DEPLOYED,
    "3 and 3": EQUAL,
    "5 and 2, tag first": GuidanceConfig(order="tag_first"),
}
TEXT_SCALES, TAG_SCALES = (1.0, 3.0, 5.0), (1.0, 2.0, 4.0, 6.0)
# A probe that decides fewer of the prompts than this says nothing of who wins.
_LEAST_DECIDED = 0.5


def dual_path(bench: Bench) -> dict:
    """Tag accuracy of samples: both paths, one alone, tags as text."""
    told = np.all([bench.told(arm, bench.asked) for arm in PATHS], axis=0)
    found = {arm: bench.accuracy(arm, EQUAL) for arm in PATHS}
    fields, silent = bench.fields, unsaid(bench.asked)
    gains = {
        arm: fields.mean(found["both"] - found[arm]) for arm in PATHS if arm != "both"
    }
    best = all(gain.low > 0 for gain in gains.values())
    means = {
        name: {arm: fields.mean(v, only=only).rounded() for arm, v in found.items()}
        for name, only in (("all", None), ("unsaid", silent), ("read_whole", told))
    }
    deployed = {
        arm: fields.mean(bench.accuracy(arm, DEPLOYED)).rounded() for arm in PATHS
    }
    return {
        "figure": round(100 * gains["words"].value, 1),
        "unit": "points over tags as text",
        "target": "both paths best, each interval above 0; 10 points or more over tags "
        "as text",
        "reached": best and gains["words"].value >= 0.10,
        "arms": means["all"],
        "arms_unsaid": means["unsaid"],
        "arms_read_whole": means["read_whole"],
        "arms_deployed": deployed,
        "both_less_arm": {arm: one.rounded() for arm, one in gains.items()},
        "unsaid": round(float(silent.mean()), 4),
        "read_whole": round(float(told.mean()), 4),
        "real": round(float(np.mean([fields.real[k] for k in fields.read])), 4),
        "fields_counted": list(fields.read),
        "by_field": {
            "real": {k: round(v, 4) for k, v in fields.real.items()},
            "chance": {k: round(v, 4) for k, v in fields.chance.items()},
        }
        | {arm: fields.by_field(values) for arm, values in found.items()},
        "prompts": len(bench.asked),
    }


def not_diluted(bench: Bench) -> dict:
    """How often the tag wins where the text contradicts it."""
    counted = set(bench.fields.read)
    asked = [one for one in contradicted(bench.asked) if one.field in counted]
    # A contradiction that a text tower cuts off contradicts nothing.
    told = np.all([bench.told(arm, asked) for arm in ("both", "words")], axis=0)
    asked = [one for one, whole in zip(asked, told) if whole]

    def won(arm: str, guidance: GuidanceConfig) -> np.ndarray:
        sampler = bench.sampler(arm)
        read = [
            reading.wins(sampler(asked, guidance, seed=s), asked, probe=bench.probe)
            for s in SEEDS
        ]
        return np.stack(read)

    found = {
        f"both, {name}": won("both", guidance) for name, guidance in ORDERS.items()
    }
    found["words, 3"] = won("words", EQUAL)
    means = {name: reading.mean(values) for name, values in found.items()}
    decided = {name: float(np.mean(~np.isnan(v))) for name, v in found.items()}
    names = [f"both, {name}" for name in list(ORDERS)[1:]]
    best = max(names, key=lambda name: means[name].value)
    # Only prompts that are decided of both.
    ahead = reading.mean(found[best] - found["words, 3"])
    return {
        "figure": round(100 * means[best].value, 1),
        "unit": "% of the prompts that were decided",
        "target": "90% or more in the better of w_text = w_tag and tag first; 20 points "
        "or more over tags as text; half of the prompts decided",
        "reached": means[best].value >= 0.9
        and ahead.value >= 0.2
        and decided[best] >= _LEAST_DECIDED,
        "arms": {name: one.rounded() for name, one in means.items()},
        "ahead": ahead.rounded(),
        "decided": {name: round(share, 4) for name, share in decided.items()},
        "best": best,
        "left_out": round(float(1 - told.mean()), 4),
        "prompts": len(asked),
    }


def dual_guidance(bench: Bench) -> dict:
    """Tag accuracy and sharpness over the two scales."""
    sampler, fields = bench.sampler("both"), bench.fields
    real = reading.sharpness(bench.real).mean()
    grid, values = {}, {}
    for text in TEXT_SCALES:
        for tag in TAG_SCALES:
            videos = sampler(bench.asked, GuidanceConfig(text=text, tag=tag))
            values[text, tag] = reading.accuracy(videos, bench.asked, probe=bench.probe)
            grid[f"{text:g} {tag:g}"] = {
                "accuracy": fields.mean(values[text, tag]).rounded(),
                "sharpness": round(float(reading.sharpness(videos).mean() / real), 4),
            }
    # The slope of a line through all of a prompt's accuracies, over the octaves of w_tag.
    octaves = np.log2(TAG_SCALES) - np.mean(np.log2(TAG_SCALES))
    table = np.array([[values[t, g] for g in TAG_SCALES] for t in TEXT_SCALES])
    slope = np.einsum("tgn,g->n", table, octaves) / np.square(octaves).sum()
    rise = fields.mean(slope / len(TEXT_SCALES))
    # Chosen on every other prompt, and read on the rest.
    even = np.arange(len(bench.asked)) % 2 == 0
    sweet = max(values, key=lambda pair: fields.mean(values[pair], only=even).value)
    return {
        "figure": round(100 * rise.value, 1),
        "unit": "points of accuracy an octave of w_tag",
        "target": "rises with w_tag, its 95% interval above 0",
        "reached": rise.low > 0,
        "rise": rise.rounded(),
        "grid": grid,
        "sweet_spot": f"{sweet[0]:g} {sweet[1]:g}",
        "sweet_accuracy": fields.mean(values[sweet], only=~even).rounded(),
        "prompts": len(bench.asked),
    }


def shipped(bench: Bench) -> dict:
    """Tag accuracy of the shipped model's samples, at its own guidance, beside that of
    real clips."""
    fields = bench.fields
    values = bench.accuracy(bench.model(bench.runs.size), None)
    found = fields.mean(values)
    real = float(np.mean([fields.real[name] for name in fields.read]))
    share = found.value / real
    return {
        "figure": round(100 * share, 1),
        "unit": "% of the probe's own accuracy on real clips",
        "target": "85% or more",
        "reached": share >= 0.85,
        "accuracy": found.rounded(),
        "real": round(real, 4),
        "fields_counted": list(fields.read),
        "by_field": {
            "real": {k: round(v, 4) for k, v in fields.real.items()},
            "chance": {k: round(v, 4) for k, v in fields.chance.items()},
            "samples": fields.by_field(values),
        },
        "prompts": len(bench.asked),
    }
