"""The instruments: a trained probe and pixel measures, turned into evidence.

    reader = ProbeReader.load("runs/local", fallback="pico")
    evidence = collect(samples, suite, reader=reader, judge=..., judge_real=...)

The probe never saw the suite: it is trained on other seeds, the suite is of the test
split.
"""

import dataclasses
import functools
from collections.abc import Sequence

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, UInt8

from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.data.batches import stack_tags
from animatrix_jax.data.measures import measure
from animatrix_jax.data.turns import full_turns
from animatrix_jax.errors import UserError
from animatrix_jax.evaluation.dimensions import (
    Evidence,
    Reading,
    majority_agreement,
)
from animatrix_jax.evaluation.probes import Probe, ProbeConfig
from animatrix_jax.evaluation.suite import Suite
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.functional import Params, bind
from animatrix_jax.objectives.fields import (
    FieldTable,
    field_agreement,
    predict,
    stated_fields,
    truth_matrix,
)
from animatrix_jax.training.weights import Component, load_component


def probe_config(model: dict) -> ProbeConfig:
    """The probe of a model's clips.

    Args:
      model: the section of that name of a run's config.
    """
    return ProbeConfig(
        num_values=load_taxonomy().num_values,
        **{name: model[name] for name in ("frames", "height", "width")},
        **model.get("probe", {}),
    )


def drawn_fields() -> FieldTable:
    """The table of every field that Cel World draws: what a probe learns to read."""
    return FieldTable.of(load_taxonomy(), tuple(WEIGHTS))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeReadings:
    """The probe on a set of clips: values read [n v] and features [n d]."""

    read: Bool[np.ndarray, "n v"]
    features: Float[np.ndarray, "n d"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeReader:
    """A trained probe; `batch` clips are read at once."""

    config: ProbeConfig
    params: Params
    table: FieldTable
    source: str = ""
    batch: int = 16

    @classmethod
    def load(cls, checkpoint: str, *, fallback: str = "") -> "ProbeReader":
        """The probe of a checkpoint, or else of the packaged model `fallback`.

        Raises:
          UserError: if neither has one.
        """
        try:
            component = load_component(checkpoint, "probe")
        except UserError as missing:
            try:
                component = load_component(fallback, "probe")
            except UserError:
                raise UserError(
                    f"no probe to evaluate with in {checkpoint}: train one with "
                    f"stage=probe into that folder ({missing})"
                ) from missing
        return cls.from_component(component)

    @classmethod
    def from_component(cls, component: Component) -> "ProbeReader":
        """The probe of a loaded component."""
        return cls(
            config=probe_config(component.config["model"]),
            params=component.params,
            table=drawn_fields(),
            source=component.source,
        )

    def build(self, rngs: nnx.Rngs) -> Probe:
        """Builds the probe."""
        return Probe(self.config, rngs=rngs)

    def check(self, frames: int, height: int, width: int) -> None:
        """That clips of this size are what the probe was trained on.

        Raises:
          UserError: if they are not.
        """
        c = self.config
        if (frames, height, width) != (c.frames, c.height, c.width):
            raise UserError(
                f"the probe of {self.source or 'this run'} reads clips of {c.frames} x "
                f"{c.height} x {c.width}, got {frames} x {height} x {width}: train one "
                "of that size into the run's folder, with stage=probe"
            )

    def __call__(self, videos: UInt8[np.ndarray, "n t h w 3"]) -> ProbeReadings:
        """Reads clips.

        Raises:
          UserError: if they are not of the size that the probe was trained on.
        """
        self.check(*videos.shape[1:4])
        read, features = [], []
        for rows in full_turns(len(videos), self.batch):
            flags, vectors = self._program(self.params, videos[rows])
            read.append(np.asarray(flags))
            features.append(np.asarray(vectors))
        return ProbeReadings(
            read=np.concatenate(read)[: len(videos)],
            features=np.concatenate(features)[: len(videos)].astype(np.float64),
        )

    @functools.cached_property
    def _program(self):
        def run(params, videos):
            output = bind(self.build, params)(videos)
            return predict(output.logits, table=self.table), output.features

        return jax.jit(run)


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
    reader: ProbeReader,
) -> Reading:
    """All instruments on a set of clips."""
    probe = reader(videos)
    measures = [measure(video) for video in videos]
    return Reading(
        agreement=agreement_with(probe.read, truth, table=reader.table),
        features=probe.features,
        # The offset keeps still clips finite.
        motion=np.log(np.array([m.motion for m in measures]) + 1e-3),
        cadence=np.array([m.repeated for m in measures]),
        finish=np.stack([read_finish(video) for video in videos]),
    )


def collect(
    samples: UInt8[np.ndarray, "n t h w 3"],
    suite: Suite,
    *,
    reader: ProbeReader,
    judge: Float[np.ndarray, "n 4"] | None = None,
    judge_real: Float[np.ndarray, "n 4"] | None = None,
) -> Evidence:
    """The evidence on samples of a suite's prompts, in the suite's order."""
    truth = truth_of([prompt.tags for prompt in suite.prompts])

    def read(videos: np.ndarray) -> Reading:
        return read_clips(videos, truth, reader=reader)

    return Evidence(
        fields=reader.table.fields,
        sample=read(samples),
        real=read(suite.real),
        twin=read(suite.twin),
        blurred=read(blur(suite.real)),
        majority=majority_agreement(truth, reader.table.membership),
        judge=judge,
        judge_real=judge_real,
    )
