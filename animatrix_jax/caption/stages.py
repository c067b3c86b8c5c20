"""Stages `caption_experts` and `caption`: AniCaption on looked-at clips of Cel World.

caption_experts   eyes and one expert an axis, no field knowing of another axis
caption           all together: the editor, and the writer told of the true tags

    L = L_fields + a L_shown [+ c L_prose]          (objectives/captioning.py)

A step sees an even picture of each clip, drawn anew, and its unusual ones, and clips as
another hand would have made them (caption/variety.py); labels are read from all pictures.
What a start lacks of the network begins anew. At its end a stage fits the
calibration, on clips of a stream of their own, and writes all that a labeller needs beside
the weights to caption.json.
"""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util
from jaxtyping import Array

from animatrix_jax.caption import calibration
from animatrix_jax.caption.model import AniCaption, CaptionConfig, Looked
from animatrix_jax.caption.prose import encode_prose, shifted
from animatrix_jax.caption.reading import Programs, flags, table_of
from animatrix_jax.caption.sight import FORM
from animatrix_jax.caption.sights import SightsConfig, open_sights
from animatrix_jax.caption.variety import varied
from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.data import seeds
from animatrix_jax.data.chunks import Chunks
from animatrix_jax.data.pipeline import (
    batches_of_steps,
    epoch_rows,
    held_out_rows,
    host_slots,
)
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.errors import UserError
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.objectives.captioning import (
    CaptioningConfig,
    shown_loss,
    token_log_probs,
)
from animatrix_jax.objectives.fields import field_loss
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import BatchConfig, SourceConfig, section
from animatrix_jax.training.stage import Batch, Metrics, Stage, StepShapes
from animatrix_jax.training.weights import Component, load_component

RECORD = "caption.json"
# Modules that weights from before may lack: the writer, and what adds nothing at first.
_LATER = ("writer/", "reader/eyes/patches/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionDataConfig:
    """What AniCaption's stages add to the `data` section.

    Attributes:
      height: of the drawn clips, pixels.
      calibration: clips that the calibration is fitted on.
      chunk: clips that are drawn and written at a time.
    """

    height: int = 128
    calibration: int = 2048
    chunk: int = 256


class CaptionStage(Stage):
    """Reading fields, and with `caption` writing prose."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = config.stage
        self.together = config.stage != "caption_experts"
        self.model = section(CaptionConfig, config.caption)
        self.losses = section(CaptioningConfig, config.captioning)
        self.table = table_of(self.model)
        self.drawn = np.array([key in WEIGHTS for key in self.model.fields])
        self.data = section(SourceConfig, config.data)
        self._more = section(CaptionDataConfig, config.caption_data)
        if self.data.source != "cels":
            raise UserError(
                f"stage {self.name!r} trains on Cel World: data.source must be 'cels'"
            )
        self.size = section(BatchConfig, config.batch).size
        self.steps, self.seed = config.loop.steps, config.seed
        self._init, self._workdir = config.init, workdir
        self._folder = workdir / self.name

    # Parameters.

    def build(self, rngs: nnx.Rngs) -> AniCaption:
        """Builds the networks that this stage trains."""
        return AniCaption(self.model, writes=self.together, rngs=rngs)

    def init(self, key: Array) -> Params:
        return {"caption": init_params(self.build, key)}

    def initial(self) -> Params | None:
        before = self.component("caption")
        if before is None:
            return None
        return {"caption": self.grown(before.params)}

    def grown(self, given: Params) -> Params:
        """Weights, and anew those modules of the network that began after them."""
        flat = traverse_util.flatten_dict(given, sep="/")
        key = jax.random.key(self.seed)
        there = traverse_util.flatten_dict(jax.eval_shape(self.init, key), sep="/")
        lacking = [
            module
            for module in _LATER
            if any(name.startswith(f"caption/{module}") for name in there)
            and not any(name.startswith(module) for name in flat)
        ]
        if not lacking:
            return given
        fresh = jax.tree.map(np.asarray, jax.jit(self.init)(key)["caption"])
        for name, value in traverse_util.flatten_dict(fresh, sep="/").items():
            if name.startswith(tuple(lacking)):
                flat[name] = value
        return traverse_util.unflatten_dict(flat, sep="/")

    def frozen(self) -> Params:
        return {}

    def component(self, name: str) -> Component | None:
        """What `config.init` names, or None."""
        ref = self._init[name]
        return load_component(ref, name, workdir=self._workdir) if ref else None

    # The loss.

    def step_shapes(self) -> StepShapes:
        batch = self._batch(np.zeros(1, np.int64), None, np.random.default_rng(0))
        shapes = {
            name: jax.ShapeDtypeStruct((self.size, *value.shape[1:]), value.dtype)
            for name, value in batch.items()
            if name != "clip_id"
        }
        return StepShapes(frozen={}, batch=shapes)

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        model = bind(self.build, params["caption"])
        truth = jnp.asarray(batch["tags"])
        reading = model.reader(Looked.of(batch), together=self.together)
        terms = field_loss(reading.logits, truth, table=self.table)
        shown = shown_loss(reading.shown, truth, table=self.table, drawn=self.drawn)
        loss = terms.loss + self.losses.shown * shown
        metrics = {"fields": terms.loss, "accuracy": terms.accuracy, "shown": shown}
        if self.together:
            told = self._told(truth, key)
            prose = self._prose(model, reading, told, batch)
            loss = loss + self.losses.prose * prose
            metrics["prose"] = prose
        return loss, metrics

    def _told(self, truth: Array, key: Array) -> Array:
        """The tags that the writer is told of: fields are left out at random."""
        shape = (truth.shape[0], len(self.model.fields))
        kept = jax.random.bernoulli(key, 1.0 - self.losses.tag_drop, shape)
        return truth & kept[:, self.model.owner]

    def _prose(
        self, model: AniCaption, reading: Any, told: Array, batch: Batch
    ) -> Array:
        tokens, mask = jnp.asarray(batch["tokens"]), jnp.asarray(batch["token_mask"])
        source = model.writer.source(reading, told)
        logits = model.writer(source, shifted(tokens), mask)
        found = token_log_probs(logits, tokens, mask)
        return -found.sum() / jnp.maximum(mask.sum(), 1)

    # The data.

    def batches(self) -> grain.IterDataset:
        if self.together:
            self.tokenizer.save(self._folder / "tokenizer.json")
        _ = self.train_sights  # drawn before the threads ask for them
        return batches_of_steps(self._step, self.steps, workers=self.data.workers)

    def held_out(self) -> list[Batch]:
        sights = self._held_out
        rng = np.random.default_rng(seeds.HELD_OUT)
        host, hosts = distributed.batch_share()
        rows = held_out_rows(len(sights), size=self.size, host=host, hosts=hosts)
        return [self._batch(own, sights, rng) for own in rows]

    def counts(self) -> dict[str, int]:
        return {}

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Fits the calibration and writes caption.json."""
        params = distributed.fetch(params)
        if not distributed.is_first():
            return
        with distributed.apart():
            self.record(params["caption"], folder)

    def record(self, params: Params, folder: pathlib.Path) -> dict[str, Any]:
        """Writes caption.json: the config, the calibration, and its error."""
        sights = self.sights("calibration", self._more.calibration, seeds.CALIBRATION)
        programs = Programs(config=self.model, params=params, together=self.together)
        logits, shown = programs.logits(sights.take(range(len(sights))))
        truth = flags(self.model, [tuple(label["tags"]) for label in sights.labels])
        drawn = [k for k, d in zip(self.model.fields, self.drawn, strict=True) if d]
        fitted = calibration.fit(logits, shown, truth, table=self.table, fields=drawn)
        read = calibration.read(logits, shown, table=self.table, calibration=fitted)
        right = calibration.right(read.values, truth, table=self.table)
        error = calibration.expected_calibration_error(
            read.confidence[:, self.drawn].ravel(), right[:, self.drawn].ravel()
        )
        record = {
            "form": FORM,
            "config": dataclasses.asdict(self.model),
            "together": self.together,
            "calibration": dataclasses.asdict(fitted),
            "ece_of_the_fit": error,
        }
        path = folder / RECORD
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return record

    def sights(self, split: str, count: int, seed: int) -> Chunks:
        """Looked-at clips of a stream; those that are missing are drawn now."""
        config = SightsConfig(
            count=count,
            seed=seed,
            split=split,
            height=self._more.height,
            odds=self.data.odds,
            held_out=self.data.apart or (split == "test" and self.data.held_out_world),
            demand=split == "train",
            chunk=self._more.chunk,
            sight=self.model.sight,
        )
        make = functools.partial(
            open_sights, self._workdir / "cache", config, workers=self.data.workers
        )
        return distributed.in_turn(make)  # hosts share the folder

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """That of the text tower which `config.init.text` names."""
        text = self.component("text")
        if text is None or text.tokenizer is None:
            raise UserError(
                f"stage {self.name!r} writes: name a text tower with a tokenizer.json "
                "by --config.init.text"
            )
        tokenizer = Tokenizer.from_file(text.tokenizer)
        if tokenizer.vocab_size != self.model.vocab_size:
            raise UserError(
                f"caption.vocab_size is {self.model.vocab_size}, and the tokenizer of "
                f"{self._init.text} has {tokenizer.vocab_size}"
            )
        return tokenizer

    @functools.cached_property
    def train_sights(self) -> Chunks:
        """The training clips."""
        return self.sights("train", self.data.clips, self.seed)

    @functools.cached_property
    def _held_out(self) -> Chunks:
        return self.sights("test", self.data.held_out, seeds.HELD_OUT)

    def _step(self, step: int) -> Batch:
        """This host's clips of a step: epoch after epoch, each in an order of its own."""
        host, hosts = distributed.batch_share()
        slots = host_slots(step, size=self.size, host=host, hosts=hosts)
        rows = epoch_rows(len(self.train_sights), slots, seed=self.seed).rows
        rng = np.random.default_rng((self.seed, int(step), host))
        return self._batch(rows, self.train_sights, rng, vary=True)

    def _batch(
        self,
        rows: np.ndarray,
        sights: Chunks | None,
        rng: np.random.Generator,
        *,
        vary: bool = False,
    ) -> Batch:
        """Without sights, a batch of nothing, for its shapes."""
        picked, named = self._picked(len(rows), rng), np.ones(len(rows), bool)
        if sights is None:
            taken, labels = blank(self.model, len(rows)), [{}] * len(rows)
            each = np.arange(len(rows))[:, None]
            taken |= {name: taken[name][each, of] for name, of in picked.items()}
            words = [""] * len(rows), [""] * len(rows)
        else:
            taken, labels = sights.take(rows, picked), [sights.labels[i] for i in rows]
            if vary:
                taken, labels, named = varied(taken, labels, rng, of=self.model.sight)
            words = (
                [label["summary"] for label in labels],
                [label["description"] for label in labels],
            )
        tags = [tuple(label.get("tags", ())) for label in labels]
        batch = taken | {"tags": flags(self.model, tags)}
        batch["clip_id"] = rows.astype(np.int64)
        if not self.together:
            return batch
        length = self.model.text_length
        if sights is None:
            batch["tokens"] = np.zeros((len(rows), length), np.int32)
            batch["token_mask"] = np.zeros((len(rows), length), bool)
            return batch
        tokens = encode_prose(*words, tokenizer=self.tokenizer, length=length)
        mask = tokens.mask & named[:, None]
        return batch | {"tokens": tokens.tokens, "token_mask": mask}

    def _picked(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The pictures of a step's clips: an even one, and all strikes."""
        sight = self.model.sight
        even = rng.integers(sight.even, size=(count, 1))
        strikes = np.tile(sight.even + np.arange(sight.strikes), (count, 1))
        picked = np.concatenate([even, strikes], axis=1)
        return {"pictures": picked, "times": picked}


def blank(config: CaptionConfig, count: int) -> dict[str, np.ndarray]:
    """Sights of nothing, for their shapes."""
    s = config.sight
    shapes = {
        "pictures": ((s.pictures, s.size, s.size, 3), np.uint8),
        "times": ((s.pictures,), np.float32),
        "thumbs": ((s.frames, s.thumb, s.thumb, 3), np.uint8),
        "motion": ((s.frames, s.motion), np.float16),
        "seen": ((s.frames,), np.bool_),
        "whole": ((s.whole,), np.float32),
    }
    return {k: np.zeros((count, *shape), kind) for k, (shape, kind) in shapes.items()}
