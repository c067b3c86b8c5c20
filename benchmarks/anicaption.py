"""How far AniCaption is to be trusted, on worlds that it has never seen.

    python -m benchmarks.anicaption [--checkpoint=nano] [--clips=384] [--json]

Clips of Cel World's held-out worlds (characters, colours, places and rigs that training
never draws), 33 frames at 128 px, by the world's own odds; and the same clips after H.264
at crf 30, at three quarters of their size, and without a tenth of height and width.

    F1 of a field   mean over its values that the clips hold of 2 TP / (2 TP + FP + FN),
                    of the reading, on the clips that state the field
    macro_f1        mean over the fields that Cel World draws
    majority        the same of always reading the commonest value (several: set of values)
    ece             15 bins over all clips and fields; a reading of a field that the clip
                    does not state is wrong (caption/calibration.py)
    claimed, right  the share of readings sure enough to be claimed, and of those the
                    share that is right
    overclaimed     of the readings of fields that the clip does not state, the share
                    that is claimed all the same
    prose           the share of the writer's mentions of tags (knowledge/mentions.py) that
                    agree with its own tags, and with the clip's
"""

import dataclasses
import json

import numpy as np
import tqdm
from absl import flags

from animatrix_jax.caption import calibration
from animatrix_jax.caption.anicaption import AniCaptionLabeller, load_anicaption
from animatrix_jax.caption.reading import flags as flags_of
from animatrix_jax.caption.sight import look
from animatrix_jax.caption.wear import VARIANTS
from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.cli import app
from animatrix_jax.data import seeds
from animatrix_jax.knowledge.mentions import find_mentions
from animatrix_jax.knowledge.taxonomy import load_taxonomy

FLAGS = flags.FLAGS
_BATCH = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clips:
    """The benchmark's clips as they are looked at, by variant, and their truth."""

    sights: dict[str, dict[str, np.ndarray]]
    truth: np.ndarray
    tags: list[tuple[str, ...]]


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    labeller = load_anicaption(FLAGS.checkpoint)
    clips = draw(labeller, FLAGS.clips, held_out=FLAGS.held_out)
    variants = {name: score(labeller, clips, name) for name in clips.sights}
    report = variants.pop("clean")
    report["variants"] = {
        name: {k: v for k, v in found.items() if k in ("macro_f1", "ece", "right")}
        | {key: found["fields"][key]["f1"] for key in _NAMED if key in found["fields"]}
        for name, found in variants.items()
    }
    if labeller.programs.writes and FLAGS.prose:
        report["prose"] = prose(labeller, clips, FLAGS.prose)
    report["clips"] = FLAGS.clips
    show(report)
    app.print_json(json.loads(json.dumps(report)))


_NAMED = ("camera.camera_motion", "motion.timing")


def draw(
    labeller: AniCaptionLabeller,
    count: int,
    *,
    held_out: bool = True,
    frames: int = 33,
    size: int = 128,
) -> Clips:
    """Draws the clips, wears them and looks at them."""
    world = CelWorld(
        seed=seeds.LABELS,
        size=count,
        height=size,
        width=size,
        frames=frames,
        split="test",
        held_out=held_out,
    )
    config = labeller.programs.config
    rows: dict[str, list] = {name: [] for name in ("clean", *VARIANTS)}
    tags = []
    for i in tqdm.trange(count, desc="looking at clips", mininterval=1.0):
        clip = world[i]
        tags.append(clip.tags)
        rows["clean"].append(look(clip.video, config.sight))
        for name, wear in VARIANTS.items():
            rows[name].append(look(wear(clip.video), config.sight))
    sights = {
        name: {key: np.stack([s[key] for s in found]) for key in found[0]}
        for name, found in rows.items()
    }
    return Clips(sights=sights, truth=flags_of(config, tags), tags=tags)


def score(labeller: AniCaptionLabeller, clips: Clips, variant: str) -> dict:
    """All figures but those of the prose."""
    table, truth = labeller.table, clips.truth
    logits, shown = labeller.programs.logits(clips.sights[variant], batch=_BATCH)
    read = labeller.read(logits, shown)
    right = calibration.right(read.values, truth, table=table)
    places = [i for i, key in enumerate(table.fields) if key in WEIGHTS]
    claimed = read.confidence >= labeller.threshold
    fields, stated_all = {}, np.zeros(right.shape, bool)
    for place in places:
        member = table.membership[place]
        y, z = truth[:, member], read.values[:, member]
        stated = y.any(axis=1)
        stated_all[:, place] = stated
        if not stated.any():
            continue
        common = majority(y[stated])
        fields[table.fields[place]] = {
            "f1": calibration.macro_f1(z[stated], y[stated]),
            "majority": calibration.macro_f1(
                np.broadcast_to(common, y[stated].shape), y[stated]
            ),
            "right": float(right[stated, place].mean()),
            "majority_right": float((y[stated] == common).all(axis=1).mean()),
            "ece": calibration.expected_calibration_error(
                read.confidence[:, place], right[:, place]
            ),
            "claimed": float(claimed[stated, place].mean()),
        }
    of = np.array(places)
    unstated = ~stated_all[:, of]
    return {
        "macro_f1": float(np.mean([f["f1"] for f in fields.values()])),
        "majority": float(np.mean([f["majority"] for f in fields.values()])),
        "ece": calibration.expected_calibration_error(
            read.confidence[:, of].ravel(), right[:, of].ravel()
        ),
        "claimed": float(claimed[:, of][~unstated].mean()),
        "right": float(right[:, of][claimed[:, of]].mean()) if claimed.any() else 0.0,
        "overclaimed": float(claimed[:, of][unstated].mean())
        if unstated.any()
        else 0.0,
        "fields": fields,
    }


def majority(truth: np.ndarray) -> np.ndarray:
    """The commonest reading: the set of values that most clips hold."""
    sets, counts = np.unique(truth, axis=0, return_counts=True)
    return sets[counts.argmax()]


def prose(labeller: AniCaptionLabeller, clips: Clips, count: int) -> dict[str, float]:
    """How the writer's mentions agree with its own tags, and with the clips'."""
    taxonomy = load_taxonomy()
    every = set(taxonomy.values_by_tag)
    own = agree = total = unclaimed = 0
    for start in range(0, min(count, len(clips.tags)), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(clips.tags)))
        sights = {k: v[rows] for k, v in clips.sights["clean"].items()}
        reading = labeller.programs.read(sights)
        read = labeller.read(np.asarray(reading.logits), np.asarray(reading.shown))
        claims = [labeller.claims(read, i).tags for i in range(len(rows))]
        told = labeller.tell(reading, claims)
        for i, row in enumerate(rows):
            text = " ".join(told[i])
            for mention in find_mentions(text, every, taxonomy):
                field = mention.tag.partition("=")[0]
                claimed = {t for t in claims[i] if t.partition("=")[0] == field}
                truth = {t for t in clips.tags[row] if t.partition("=")[0] == field}
                unclaimed += not claimed
                if not claimed or not truth:
                    continue
                total += 1
                own += mention.tag in claimed
                agree += mention.tag in truth
    return {
        "mentions": total,
        "mentions_unclaimed": unclaimed,
        "own_tags": own / max(total, 1),
        "true": agree / max(total, 1),
    }


def show(report: dict) -> None:
    """The figures as a table."""
    print(
        f"{'field':<24} {'F1':>6} {'majority':>9} {'right':>6} {'ECE':>6} {'claimed':>8}"
    )
    for key, f in report["fields"].items():
        print(
            f"{key:<24} {f['f1']:6.3f} {f['majority']:9.3f} {f['right']:6.3f}"
            f" {f['ece']:6.3f} {f['claimed']:8.3f}"
        )
    names = ("macro_f1", "majority", "ece", "claimed", "right", "overclaimed")
    print(", ".join(f"{name} {report[name]:.3f}" for name in names))
    for name, found in report["variants"].items():
        print(name, ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    if "prose" in report:
        print("prose", ", ".join(f"{k} {v:.3g}" for k, v in report["prose"].items()))


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "nano", "A shipped model, or a run's folder.")
    flags.DEFINE_integer("clips", 384, "How many.")
    flags.DEFINE_integer("prose", 128, "Clips that are written of; 0: none.")
    flags.DEFINE_bool("held_out", True, "Held-out worlds; else the default world.")
    app.run(main)
