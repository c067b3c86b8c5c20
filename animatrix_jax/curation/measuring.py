"""Stage `measures`: the reading of a clip's measures, learnt on Cel World.

    clip at 128 to 256 px [--H.264] --match, rules--> Evidence     64 px --> truth
    L = cross-entropy(cadence) + cross-entropy(new drawing)
        + |log m - log m*| + |log d - log d*|      of clips, and by less of pairs

The network is that of data/measures/readout.py; m*, d* and the exposure sheet are Cel
World's own. A step sees half of the clips in a mirror, and a stretch of each that begins
anywhere: no sheet of Cel World begins but with its clip. The stage leaves `readout.npz`.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any

import cv2
import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, UInt8

from animatrix_jax.caption.wear import coded
from animatrix_jax.cels import world as cels
from animatrix_jax.data import seeds
from animatrix_jax.data.chunks import Chunks
from animatrix_jax.data.measures import evidence_of, readout
from animatrix_jax.data.pipeline import (
    batches_of_steps,
    epoch_rows,
    held_out_rows,
    host_slots,
)
from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import BatchConfig, SourceConfig, section
from animatrix_jax.training.stage import Batch, Metrics, Params, Stage, StepShapes

_SPLITS = {"train": seeds.MEASURES, "test": seeds.HELD_OUT}
_STRIDE, _STREAM, _PLATES = 1 << 20, 2, 3
_RECIPE = 1  # of what `draw` does; another number is another folder
# The truth is drawn smaller: in frame heights it is the same.
TRUTH_HEIGHT = 64
_AXES = ((1, 0), (0, 1))
_BORDER = cv2.BORDER_REFLECT_101


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuringConfig:
    """What the stage adds to the `data` section.

    Attributes:
      heights: of the drawn clips, pixels.
      frames: of a clip.
      stretch: pairs of frames that a step sees.
      coded: share of the clips that go through H.264.
      crf: of H.264, from and to.
      plates: of how many clips one is a plate: a picture under a camera, of which the
        rules know everything already.
      chunk: clips that are drawn and written at a time.
      begin: a readout.npz whose weights the training begins with; empty for fresh ones.
    """

    heights: tuple[int, ...] = (128, 192, 256)
    frames: int = 33
    stretch: int = 26
    coded: float = 0.5
    crf: tuple[int, int] = (22, 37)
    plates: int = 8
    chunk: int = 128
    begin: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrueMeasures:
    """Of each pair of frames, in frame heights per frame: m and d of the true flow."""

    motion: Float[np.ndarray, " s"]
    deformation: Float[np.ndarray, " s"]


def true_measures(clip: cels.CelClip) -> TrueMeasures:
    """m and d of a clip that was drawn with its truth.

    m is over the pixels that show the figure or the set, weighed by their structure as
    `measure` weighs them; d is Cel World's own energy of deformation.
    """
    known, size = clip.truth, clip.video.shape[1]
    motion = [
        _mean_speed(image, np.where(visible[..., None], flow, 0.0), visible) / size
        for image, flow, visible in zip(clip.video, known.flow, known.visible)
    ]
    return TrueMeasures(
        motion=np.array(motion, np.float32),
        deformation=np.asarray(known.energy, np.float32),
    )


def _mean_speed(
    image: UInt8[np.ndarray, "h w 3"],
    flow: Float[np.ndarray, "h w 2"],
    visible: Bool[np.ndarray, "h w"] | float = 1.0,
) -> float:
    """Pixels a frame, over what has structure."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    slopes = (cv2.Sobel(grey, cv2.CV_32F, *d, scale=0.125) for d in _AXES)
    weight = np.minimum(cv2.magnitude(*slopes), 8.0) / 8.0 * visible
    speed = np.linalg.norm(flow, axis=-1)
    return float((speed * weight).sum() / (weight.sum() + 1e-6))


def draw(
    config: MeasuringConfig, split: str, index: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Clip `index`: its evidence and its truth, pair by pair, and its cadence."""
    seed = _SPLITS[split]
    rng = np.random.default_rng((seed, index, _STREAM))
    height = int(rng.choice(config.heights))
    of = {"seed": seed, "split": split, "size": _STRIDE, "frames": config.frames}
    clip = cels.CelWorld(**of, height=height, width=height)[index]
    video = clip.video
    if rng.random() < config.coded:
        video = coded(video, crf=int(rng.integers(*config.crf)))
    size = {"height": TRUTH_HEIGHT, "width": TRUTH_HEIGHT}
    small = cels.CelWorld(**of, **size, truth=True)[index]
    true = true_measures(small)
    new = small.truth.new_drawing[1:]
    return _row(video, true, new), {"timing": clip.spec.value("motion.timing")}


def draw_plate(
    config: MeasuringConfig, split: str, index: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The same of plate `index`: one picture, a still of Cel World's or a texture, under
    a camera that pans, trucks, rolls or shakes. Nothing in it moves or deforms."""
    seed = _SPLITS[split]
    rng = np.random.default_rng((seed, index, _PLATES))
    height = int(rng.choice(config.heights))
    side = round(2.5 * height)
    if rng.random() < 0.5:
        world = cels.CelWorld(
            seed=seed, split="plate", size=_STRIDE, height=side, width=side, still=True
        )
        picture = world[index].video[0]
    else:
        cells = side // int(rng.integers(3, 24)) + 2
        noise = rng.integers(0, 255, (cells, cells, 3)).astype(np.uint8)
        picture = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    moves = _camera(rng, config.frames, height, side)
    video = np.stack(
        [
            cv2.warpAffine(picture, m[:2], (height, height), borderMode=_BORDER)
            for m in moves
        ]
    )
    y, x = np.mgrid[0:height, 0:height].astype(float)
    places = np.stack([x, y, np.ones_like(x)], axis=-1)
    motion = [
        _mean_speed(
            image, (places @ (after @ np.linalg.inv(before) - np.eye(3)).T)[..., :2]
        )
        / height
        for image, before, after in zip(video, moves, moves[1:])
    ]
    still = np.zeros(len(motion), np.float32)
    true = TrueMeasures(motion=np.array(motion, np.float32), deformation=still)
    if rng.random() < config.coded:
        video = coded(video, crf=int(rng.integers(*config.crf)))
    return _row(video, true, still), {"timing": "held"}


def _camera(
    rng: np.random.Generator, frames: int, height: int, side: int
) -> Float[np.ndarray, "t 3 3"]:
    """From the picture to each frame, in pixels; what moves is drawn, as is how fast."""
    time = np.linspace(-0.5, 0.5, frames)
    if rng.random() < 0.5:  # eased
        time = time * (1.5 - 2.0 * time**2)
    pan = rng.normal(size=(2, 1)) * 0.4 * height * (rng.random() < 0.7) * time
    if rng.random() < 0.15:  # shake
        pan = pan + rng.normal(size=(2, frames)) * rng.uniform(0.003, 0.03) * height
    zoom = np.exp(rng.normal(0.0, 0.4) * (rng.random() < 0.4) * time)
    turn = rng.normal(0.0, 0.5) * (rng.random() < 0.3) * time
    moves = np.zeros((frames, 3, 3))
    cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
    moves[:, 0, 0], moves[:, 0, 1] = cosine, -sine
    moves[:, 1, 0], moves[:, 1, 1] = sine, cosine
    moves[:, 2, 2] = 1.0
    middle = np.full(2, side / 2)
    moves[:, :2, 2] = height / 2 + pan.T - moves[:, :2, :2] @ middle
    return moves


def _row(
    video: UInt8[np.ndarray, "t h w 3"], true: TrueMeasures, new: np.ndarray
) -> dict[str, np.ndarray]:
    seen = dataclasses.asdict(evidence_of(video))
    return seen | {
        "cells": seen["cells"].astype(np.float16),
        "true_motion": true.motion,
        "true_deformation": true.deformation,
        "new": new.astype(np.float32),
    }


class MeasuresStage(Stage):
    """Reads m, d and the exposure sheet from the evidence of `data.measures`."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "measures"
        self._data = section(SourceConfig, config.data)
        self._more = section(MeasuringConfig, config.measuring)
        self._size = section(BatchConfig, config.batch).size
        self._steps, self._seed = config.loop.steps, config.seed
        self._workdir = workdir

    def init(self, key: Array) -> Params:
        del key  # the seed is the config's
        fresh = readout.init(np.random.default_rng(self._seed))
        return {"readout": jax.tree.map(jnp.asarray, fresh)}

    def initial(self) -> Params | None:
        if not self._more.begin:
            return None
        path = pathlib.Path(self._more.begin)
        try:
            found = readout.load(path)
        except Exception as error:
            raise UserError(f"measuring.begin: cannot read {path}: {error}") from error
        shapes = jax.tree.map(np.shape, readout.init(np.random.default_rng(0)))
        if jax.tree.map(np.shape, found) != shapes:
            raise UserError(f"measuring.begin: {path} holds no weights of this readout")
        return {"readout": found}

    def frozen(self) -> Params:
        return {}

    @functools.cached_property
    def _one(self) -> dict[str, np.ndarray]:
        """A clip, for its shapes."""
        return draw(self._more, "test", 0)[0] | {"cadence": np.int32(0)}

    def step_shapes(self) -> StepShapes:
        one = self._one
        pairs = self._more.stretch
        shapes = {
            name: jax.ShapeDtypeStruct(
                (self._size, *((pairs, *value.shape[1:]) if value.ndim else ())),
                np.float32 if value.dtype == np.float16 else value.dtype,
            )
            for name, value in one.items()
        }
        return StepShapes(frozen={}, batch=shapes)

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        del frozen, key
        batch = {name: jnp.asarray(value) for name, value in batch.items()}
        weights, moves = params["readout"], 1.0 - batch["same"]
        said = readout.forward(weights, batch, jnp)
        logits = readout.cadence_logits(weights, said.new, jnp)
        cadence = optax.softmax_cross_entropy_with_integer_labels(
            logits, batch["cadence"]
        )
        new = optax.sigmoid_binary_cross_entropy(said.new, batch["new"]) * moves
        floor = readout.FLOOR
        pairs = [
            jnp.abs(ours - jnp.log(batch[f"true_{name}"] + floor)) * moves
            for name, ours in (
                ("motion", said.motion),
                ("deformation", said.deformation),
            )
        ]
        m, d = readout.clip_means(said, batch["same"], jnp)
        true_m = batch["true_motion"].mean(axis=-1)
        true_d = jnp.sqrt((batch["true_deformation"] ** 2).mean(axis=-1))
        motion = jnp.abs(jnp.log(m + floor) - jnp.log(true_m + floor)).mean()
        bent = jnp.abs(jnp.log(d + floor) - jnp.log(true_d + floor)).mean()
        loss = cadence.mean() + new.mean() + motion + bent
        loss = loss + 0.3 * sum(pair.mean() for pair in pairs)
        return loss, {
            "cadence": cadence.mean(),
            "right": (logits.argmax(axis=-1) == batch["cadence"]).mean(),
            "new": new.mean(),
            "motion": motion,
            "deformation": bent,
        }

    def batches(self) -> grain.IterDataset:
        _ = self._train  # drawn before the threads ask for it
        return batches_of_steps(self._step, self._steps, workers=self._data.workers)

    def held_out(self) -> list[Batch]:
        clips = self._clips("test", self._data.held_out)
        host, hosts = distributed.batch_share()
        rows = held_out_rows(len(clips), size=self._size, host=host, hosts=hosts)
        return [self._batch(own, clips, starts=np.zeros(len(own), int)) for own in rows]

    def counts(self) -> dict[str, int]:
        return {}

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Writes readout.npz."""
        params = distributed.fetch(params)
        if distributed.is_first():
            readout.save(folder / readout.WEIGHTS.name, params["readout"])

    @functools.cached_property
    def _train(self) -> tuple[Chunks, Chunks]:
        """The clips, and the plates."""
        clips = self._clips("train", self._data.clips)
        count = max(self._data.clips // self._more.plates, 1)
        return clips, self._clips("train", count, plates=True)

    def _clips(self, split: str, count: int, *, plates: bool = False) -> Chunks:
        more = self._more
        said = (more.heights, more.frames, more.coded, more.crf, more.chunk)
        said = (*said, _RECIPE, cels.VERSION)
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        kind = "plates" if plates else "measures"
        make = functools.partial(
            Chunks,
            self._workdir / "cache" / f"{kind}-{split}-{digest[:10]}",
            functools.partial(draw_plate if plates else draw, self._more, split),
            count=count,
            size=self._more.chunk,
            workers=self._data.workers,
        )
        return distributed.in_turn(make)  # hosts share the folder

    def _step(self, step: int) -> Batch:
        host, hosts = distributed.batch_share()
        slots = host_slots(step, size=self._size, host=host, hosts=hosts)
        plates = slots % self._more.plates == 0
        rng = np.random.default_rng((self._seed, int(step), host))
        parts = []
        for clips, some in zip(self._train, (slots[~plates], slots[plates])):
            if not len(some):
                continue
            rows = epoch_rows(len(clips), some, seed=self._seed).rows
            starts = rng.integers(
                self._more.frames - self._more.stretch, size=len(some)
            )
            turned = rng.random(len(some)) < 0.5
            parts.append(self._batch(rows, clips, starts=starts, turned=turned))
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def _batch(
        self,
        rows: np.ndarray,
        clips: Chunks,
        *,
        starts: np.ndarray,
        turned: np.ndarray | None = None,
    ) -> Batch:
        """Clips' stretches from `starts` on; some may be `turned`, as in a mirror."""
        moments = starts[:, None] + np.arange(self._more.stretch)
        each = np.arange(len(rows))[:, None]
        batch = {
            name: np.asarray(value[each, moments], np.float32)
            for name, value in clips.take(rows).items()
        }
        if turned is not None:
            other = readout.mirrored(batch)
            for name in ("cells", "pairs"):
                batch[name][turned] = other[name][turned]
        timing = [clips.labels[row]["timing"] for row in rows]
        batch["cadence"] = np.array(
            [readout.CADENCES.index(name) for name in timing], np.int32
        )
        return batch
