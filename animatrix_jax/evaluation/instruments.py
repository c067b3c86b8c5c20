"""The instruments: a probe and pixel measures, turned into evidence.

    probe = Probe.load("nano")
    evidence = collect(samples, suite, probe=probe, judge=..., judge_real=...)

The probe is an AniCaption: it reads tags from clips of any size and length, was trained on
real clips of Cel World alone, and teaches no generator and no judge. It never saw the
suite, which is of the test split and of another seed.
"""

import dataclasses
import functools
from collections.abc import Sequence

import cv2
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from animatrix_jax.caption.anicaption import (
    AniCaptionLabeller,
    load_anicaption,
    windows,
)
from animatrix_jax.caption.sight import look
from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.data.batches import stack_tags
from animatrix_jax.data.measures import measure
from animatrix_jax.data.turns import full_turns
from animatrix_jax.evaluation.dimensions import (
    Evidence,
    Reading,
    majority_agreement,
)
from animatrix_jax.evaluation.suite import Suite
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.objectives.fields import (
    FieldTable,
    field_agreement,
    predict,
    stated_fields,
    truth_matrix,
)


def drawn_fields() -> FieldTable:
    """The table of every field that Cel World draws: what a probe reads."""
    return FieldTable.of(load_taxonomy(), tuple(WEIGHTS))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeReadings:
    """The probe on a set of clips: values read [n v] and features [n d]."""

    read: Bool[np.ndarray, "n v"]
    features: Float[np.ndarray, "n d"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """An AniCaption that measures; `batch` clips are read at once."""

    labeller: AniCaptionLabeller
    batch: int = 16

    @classmethod
    def load(cls, name: str) -> "Probe":
        """The AniCaption of a shipped model, a run's folder or a stage's.

        Raises:
          UserError: if there is none.
        """
        return cls(labeller=load_anicaption(name))

    @functools.cached_property
    def table(self) -> FieldTable:
        """The fields that it reads."""
        return drawn_fields()

    def __call__(self, videos: UInt8[np.ndarray, "n t h w 3"]) -> ProbeReadings:
        """Reads clips of any size and length."""
        logits, features = [], []
        for rows in full_turns(len(videos), self.batch):
            found, vectors = self._look(videos[rows])
            logits.append(found)
            features.append(vectors)
        read = predict(np.concatenate(logits)[: len(videos)], table=self.table)
        return ProbeReadings(
            read=np.asarray(read),
            features=np.concatenate(features)[: len(videos)].astype(np.float64),
        )

    def _look(
        self, videos: UInt8[np.ndarray, "b t h w 3"]
    ) -> tuple[Float[np.ndarray, "b v"], Float[np.ndarray, "b d"]]:
        """Logits in the taxonomy's order; what is seen of pictures, and of fields."""
        programs = self.labeller.programs
        sight = programs.config.sight
        parts = list(zip(*(windows(video, sight.frames) for video in videos)))
        logits, features = [], []
        for part in parts:  # one window of each clip
            looked = [look(video, sight) for video in part]
            reading = programs.read(
                {name: np.stack([one[name] for one in looked]) for name in looked[0]}
            )
            logits.append(np.asarray(reading.logits))
            seen = [np.asarray(x).mean(axis=1) for x in (reading.view, reading.fields)]
            features.append(np.concatenate(seen, axis=-1))
        joined = [self.labeller.joined(of) for of in np.stack(logits, axis=1)]
        return self._by_taxonomy(np.stack(joined)), np.mean(features, axis=0)

    def _by_taxonomy(
        self, logits: Float[np.ndarray, "b u"]
    ) -> Float[np.ndarray, "b v"]:
        """A value that it does not know is never read."""
        taxonomy = load_taxonomy()
        found = np.full((len(logits), taxonomy.num_values), -np.inf, np.float32)
        for column, tag in enumerate(self.labeller.programs.config.tags):
            if tag in taxonomy.values_by_tag:
                found[:, taxonomy.values_by_tag[tag][1].index] = logits[:, column]
        return found


def truth_of(tags: Sequence[Sequence[str]]) -> Bool[np.ndarray, "n v"]:
    """Tags as flags a value."""
    ids = stack_tags([tuple(clip) for clip in tags])
    num_values = load_taxonomy().num_values
    truth = truth_matrix(ids["tag_values"], ids["tag_mask"], num_values=num_values)
    return np.asarray(truth)


def agreement_with(
    read: Bool[np.ndarray, "n v"], truth: Bool[np.ndarray, "n v"], *, table: FieldTable
) -> Float[np.ndarray, "n f"]:
    """Agreement a clip and field, NaN where the clip does not state the field."""
    read, truth = jnp.asarray(read), jnp.asarray(truth)
    agreement = np.asarray(field_agreement(read, truth, table=table), np.float64)
    return np.where(np.asarray(stated_fields(truth, table=table)), agreement, np.nan)


def read_finish(video: UInt8[np.ndarray, "t h w 3"]) -> Float[np.ndarray, "3"]:
    """Share of flat pixels, share of line pixels, and mean saturation of a clip."""
    flat, line, colour = [], [], []
    for frame in video[:: max(len(video) // 6, 1)]:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        step = np.hypot(
            cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        )
        around = cv2.blur(grey, (5, 5))
        flat.append(np.mean(step < 24.0))
        line.append(np.mean((around - grey > 20.0) & (step > 60.0)))
        colour.append(cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 1].mean() / 255.0)
    return np.array([np.mean(flat), np.mean(line), np.mean(colour)])


def blur(videos: UInt8[np.ndarray, "n t h w 3"]) -> UInt8[np.ndarray, "n t h w 3"]:
    """Every frame at a quarter of its size and back: colours stay, drawing goes."""
    height, width = videos.shape[2:4]
    small = (max(width // 4, 1), max(height // 4, 1))
    frames = [
        cv2.resize(
            cv2.resize(frame, small, interpolation=cv2.INTER_AREA),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        for frame in videos.reshape(-1, height, width, 3)
    ]
    return np.stack(frames).reshape(videos.shape)


def read_clips(
    videos: UInt8[np.ndarray, "n t h w 3"],
    truth: Bool[np.ndarray, "n v"],
    *,
    probe: Probe,
) -> Reading:
    """All instruments on a set of clips."""
    seen = probe(videos)
    measures = [measure(video) for video in videos]
    return Reading(
        agreement=agreement_with(seen.read, truth, table=probe.table),
        features=seen.features,
        # The offset keeps still clips finite.
        motion=np.log(np.array([m.motion for m in measures]) + 1e-3),
        cadence=np.array([m.repeated for m in measures]),
        finish=np.stack([read_finish(video) for video in videos]),
    )


def collect(
    samples: UInt8[np.ndarray, "n t h w 3"],
    suite: Suite,
    *,
    probe: Probe,
    judge: Float[np.ndarray, "n 4"] | None = None,
    judge_real: Float[np.ndarray, "n 4"] | None = None,
) -> Evidence:
    """The evidence on samples of a suite's prompts, in the suite's order."""
    truth = truth_of([prompt.tags for prompt in suite.prompts])

    def read(videos: np.ndarray) -> Reading:
        return read_clips(videos, truth, probe=probe)

    return Evidence(
        fields=probe.table.fields,
        sample=read(samples),
        real=read(suite.real),
        twin=read(suite.twin),
        blurred=read(blur(suite.real)),
        majority=majority_agreement(truth, probe.table.membership),
        judge=judge,
        judge_real=judge_real,
    )
