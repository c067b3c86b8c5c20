"""The measures of pixels against the truth of Cel World.

    python -m benchmarks.measures [--json] [--clips=300] [--height=256] [--frames=33]

On clips of the split "measures", which nothing was tuned on, drawn at `--height`:

    motion           Spearman's rank correlation of m(x) with the mean of the true optical
                     flow over the pixels that have structure
    deformation      of d(x) with the energy of deformation: the root mean square of what
                     one affine map leaves of the figure's true flow
    *_world          of both with the clip's own `motion` and `deformation`, which Cel
                     World reads from points on the figure and the set, with no pixels
    cadence          share of clips whose value of motion.timing is read right
    camera           share whose camera.camera_motion is right; `camera_values`: by value
    claimed          share of clips whose camera `animatrix prepare` claims without a
                     label (curation/measured.py), and of those the share that is right
    parallax         median d(x) / m(x) where a held drawing stands before a multiplane pan
    bends            the same where a figure moves before a camera that is fixed
    lineless, flat   chance that a clip with lines has a higher line density than one
                     without, and a flat cel a higher flatness than a watercolour
    *_h264           motion, deformation and cadence after H.264 at a low bitrate
                     (`--crf`; the mean of kbit a second is given)
    *_bare           the same on clips on which no effect is drawn (vfx.* all none). An
                     effect moves and flickers, and the truth is of figure and set alone
    ms_per_second    CPU time of measure() for a second of video at 24 frames a second, at
                     the benchmark's size and at 640 x 360, on one core
"""

import collections
import dataclasses
import time
from typing import Any

import cv2
import numpy as np
import tqdm
from absl import flags
from jaxtyping import Float, UInt8
from scipy import stats

from animatrix_jax.caption.wear import decoded, encoded
from animatrix_jax.cels.world import CelClip, CelWorld
from animatrix_jax.cli import app
from animatrix_jax.curation.measured import measured_tags
from animatrix_jax.curation.measuring import TRUTH_HEIGHT, true_measures
from animatrix_jax.data.measures import Measures, measure

FLAGS = flags.FLAGS
_SPLIT, _SEED = "measures", 11
_FPS = 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """m(x) and d(x) of the true flow, frame heights per frame."""

    motion: float
    deformation: float


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    cv2.setNumThreads(1)
    report = figures(FLAGS.clips, height=FLAGS.height, frames=FLAGS.frames)
    for name, value in report.items():
        print(f"{name}: {value}")
    app.print_json(report)


def figures(clips: int, *, height: int, frames: int) -> dict[str, Any]:
    """All of them, over so many clips."""
    of = {"seed": _SEED, "split": _SPLIT, "size": clips, "frames": frames}
    world = CelWorld(**of, height=height, width=height)
    small = CelWorld(**of, height=TRUTH_HEIGHT, width=TRUTH_HEIGHT, truth=True)
    drawn, found, squeezed, truths, rates, cost = [], [], [], [], [], 0.0
    for index in tqdm.trange(clips, desc="measuring clips", mininterval=2.0):
        clip = world[index]
        start = time.process_time()
        found.append(measure(clip.video))
        cost += time.process_time() - start
        coded = compress(clip.video, crf=FLAGS.crf)
        rates.append(coded.kilobits)
        squeezed.append(measure(coded.video))
        truths.append(truth(small[index]))
        drawn.append(dataclasses.replace(clip, video=clip.video[:1]))
    report = scores(drawn, found, truths)
    report |= {
        f"{name}_h264": value
        for name, value in scores(drawn, squeezed, truths).items()
        if name.removesuffix("_bare") in ("motion", "deformation", "cadence")
    }
    report["h264_kbits"] = round(float(np.mean(rates)), 1)
    report |= _parallax(height, frames)
    report["ms_per_second"] = round(1e3 * cost / (clips * frames / _FPS), 1)
    report["ms_per_second_360p"] = round(_cost_at_360p(world), 1)
    return {"clips": clips, "height": height, "frames": frames} | report


def scores(
    clips: list[CelClip], found: list[Measures], truths: list[Truth]
) -> dict[str, Any]:
    """How the measures of clips agree with what is known of them."""
    bare = np.array([_is_bare(clip) for clip in clips])
    every = np.ones(len(clips), bool)
    timing = np.array(
        [clip.spec.value("motion.timing") == m.cadence for clip, m in zip(clips, found)]
    )
    moves = [
        set(clip.spec.values("camera.camera_motion")) == set(m.camera)
        for clip, m in zip(clips, found)
    ]
    report: dict[str, Any] = {}
    for name in ("motion", "deformation"):
        ours = np.array([getattr(m, name) for m in found])
        true = np.array([getattr(t, name) for t in truths])
        told = np.array([getattr(clip, name) for clip in clips])
        report[name] = _rank(ours, true, every)
        report[f"{name}_bare"] = _rank(ours, true, bare)
        report[f"{name}_world"] = _rank(ours, told, every)
        report[f"{name}_world_bare"] = _rank(ours, told, bare)
    report["cadence"] = round(float(timing.mean()), 3)
    report["cadence_bare"] = round(float(timing[bare].mean()), 3)
    report["cadence_values"] = _by_value(clips, timing, "motion.timing")
    report["camera"] = round(float(np.mean(moves)), 3)
    report["camera_bare"] = round(float(np.mean(np.array(moves)[bare])), 3)
    report["camera_values"] = _by_value(clips, moves, "camera.camera_motion")
    claimed = np.array([_claims_camera(m) for m in found])
    report["claimed"] = round(float(claimed.mean()), 3)
    if claimed.any():
        report["claimed_right"] = round(float(np.array(moves)[claimed].mean()), 3)
    report["bare"] = int(bare.sum())
    lines = np.array([m.line_density for m in found])
    flat = np.array([m.flatness for m in found])
    line = np.array([clip.spec.value("style.line") for clip in clips])
    look = np.array([clip.spec.value("style.rendering") for clip in clips])
    report["lineless"] = _above(lines[line != "lineless"], lines[line == "lineless"])
    report["flat"] = _above(flat[look == "flat_cel"], flat[look == "watercolor"])
    return report


def _claims_camera(found: Measures) -> bool:
    return any(tag.startswith("camera.camera_motion=") for tag in measured_tags(found))


def truth(clip: CelClip) -> Truth:
    """m(x) and d(x) of a clip that was drawn with its truth."""
    pairs = true_measures(clip)
    return Truth(
        motion=float(np.mean(pairs.motion)),
        deformation=float(np.sqrt(np.mean(np.square(pairs.deformation)))),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coded:
    """A clip after a codec, and its bitrate."""

    video: np.ndarray
    kilobits: float


def compress(video: UInt8[np.ndarray, "t h w 3"], *, crf: int) -> Coded:
    """H.264 and back."""
    file = encoded(video, crf=crf)
    kilobits = len(file) * 8e-3 / (len(video) / _FPS)
    return Coded(video=decoded(file), kilobits=kilobits)


def _parallax(height: int, frames: int) -> dict[str, float]:
    """d / m of held drawings before a multiplane pan, and of figures that move."""
    demands = {
        "parallax": "motion.motion_style=still,camera.depth=multiplane,"
        "camera.camera_motion=pan_left,style.background=painted,vfx.vfx_level=none",
        "bends": "motion.motion_style=dance,camera.camera_motion=fix,"
        "style.background=painted,vfx.vfx_level=none",
    }
    report = {}
    for name, tags in demands.items():
        world = CelWorld(
            seed=_SEED,
            split=_SPLIT,
            size=16,
            height=height,
            width=height,
            frames=frames,
            tags=tags,
        )
        found = [measure(world[n].video) for n in range(len(world))]
        ratios = [m.deformation / max(m.motion, 1e-6) for m in found]
        report[name] = round(float(np.median(ratios)), 3)
    return report


def _cost_at_360p(world: CelWorld) -> float:
    seconds, spent = 0.0, 0.0
    for index in range(min(8, len(world))):
        video = np.stack([cv2.resize(f, (640, 360)) for f in world[index].video])
        start = time.process_time()
        measure(video)
        spent += time.process_time() - start
        seconds += len(video) / _FPS
    return 1e3 * spent / seconds


def _is_bare(clip: CelClip) -> bool:
    """No effect is drawn, and nothing is done to the whole picture."""
    return all(tag.endswith("=none") for tag in clip.tags if tag.startswith("vfx."))


def _rank(
    ours: Float[np.ndarray, " n"], true: Float[np.ndarray, " n"], chosen: np.ndarray
) -> float:
    return round(float(stats.spearmanr(ours[chosen], true[chosen]).statistic), 3)


def _above(high: np.ndarray, low: np.ndarray) -> float:
    return round(float((high[:, None] > low).mean()), 3) if len(low) else float("nan")


def _by_value(clips: list[CelClip], right: Any, key: str) -> dict[str, float]:
    """The share that is right, by the first value of a field."""
    found = collections.defaultdict(list)
    for clip, correct in zip(clips, right):
        found[clip.spec.values(key)[0]].append(bool(correct))
    return {value: round(float(np.mean(found[value])), 2) for value in sorted(found)}


if __name__ == "__main__":
    flags.DEFINE_integer("clips", 300, "Clips of the main figures.", lower_bound=8)
    flags.DEFINE_integer("height", 256, "Of the clips, which are square, in pixels.")
    flags.DEFINE_integer("frames", 33, "Of a clip.", lower_bound=2)
    flags.DEFINE_integer("crf", 34, "Of H.264: higher is fewer bits.")
    app.run(main)
