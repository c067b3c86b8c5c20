"""Stage `caption_preference`: AniCaption prefers what is true of motion and effects.

The model before it labels training clips several times: values of the motion and VFX
fields drawn from what it reads, the other fields as it reads them, and prose drawn under
those tags. The clip's truth is the judge:

    score = mean over stated motion and VFX fields of [read right]
            + w (true - false) / all mentions of such tags in the prose

Of a clip's candidates the best is the winner and the worst the loser, if they differ
enough; objectives/captioning.py moves the model towards winners. Pairs are made once and
kept in the stage's folder.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.caption.model import AniCaption, Looked, Reading
from animatrix_jax.caption.prose import decode_prose, shifted
from animatrix_jax.caption.reading import Programs, flags
from animatrix_jax.caption.stages import CaptionStage
from animatrix_jax.data.pipeline import (
    batches_of_steps,
    epoch_rows,
    held_out_rows,
    host_slots,
)
from animatrix_jax.data.tokenizer import PAD
from animatrix_jax.data.turns import full_turns
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing
from animatrix_jax.knowledge.mentions import find_mentions
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.functional import Params, bind
from animatrix_jax.objectives.captioning import (
    caption_preference_loss,
    token_log_probs,
)
from animatrix_jax.objectives.fields import field_log_probs
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import section
from animatrix_jax.training.stage import Batch, Metrics, StepShapes

AXES = ("motion", "vfx")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionPairsConfig:
    """How pairs are made.

    Attributes:
      clips: training clips that are labelled.
      candidates: captions a clip.
      temperature: at which prose is drawn.
      prose_weight: w.
      margin: least difference of a pair's scores.
      held_out: share of the pairs kept for the validation loss.
    """

    clips: int = 1024
    candidates: int = 4
    temperature: float = 0.8
    prose_weight: float = 0.5
    margin: float = 0.05
    held_out: float = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionPairs:
    """Winners and losers: clip rows, tags and tokens."""

    rows: Int[np.ndarray, " n"]
    tags: Bool[np.ndarray, "n 2 v"]
    tokens: Int[np.ndarray, "n 2 s"]

    def __len__(self) -> int:
        return len(self.rows)


class CaptionPreferenceStage(CaptionStage):
    """Direct preference on captions."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        super().__init__(config, workdir=workdir)
        self._pairs_config = section(CaptionPairsConfig, config.caption_pairs)
        axes = [key.partition(".")[0] for key in self.model.fields]
        self._judged = np.array([axis in AXES for axis in axes]) & self.drawn

    def initial(self) -> Params | None:
        return {"caption": self._start}

    def frozen(self) -> Params:
        return {"reference": {"caption": self._start}}

    def step_shapes(self) -> StepShapes:
        shapes = super().step_shapes().batch
        shapes = {k: v for k, v in shapes.items() if k not in ("tokens", "token_mask")}
        two, length = (self.size, 2), self.model.text_length
        shapes["tags"] = jax.ShapeDtypeStruct((*two, len(self.model.tags)), np.bool_)
        shapes["tokens"] = jax.ShapeDtypeStruct((*two, length), np.int32)
        reference = jax.eval_shape(self.init, jax.random.key(0))
        return StepShapes(frozen={"reference": reference}, batch=shapes)

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        policy = self._log_probs(bind(self.build, params["caption"]), batch)
        before = self._log_probs(
            bind(self.build, frozen["reference"]["caption"]), batch
        )
        tags = jnp.asarray(batch["tags"])[:, 0]
        tokens = (jnp.asarray(batch["tokens"])[:, 0] != PAD).sum(axis=1)
        stated = jnp.any(tags[:, None] & jnp.asarray(self.table.membership), axis=-1)
        fields = (stated & jnp.asarray(self._judged)).sum(axis=1)
        terms = caption_preference_loss(
            policy[:, 0],
            policy[:, 1],
            reference_winner=before[:, 0],
            reference_loser=before[:, 1],
            counts=(tokens + fields).astype(jnp.float32),
            config=self.losses,
        )
        metrics = {
            field.name: getattr(terms, field.name)
            for field in dataclasses.fields(terms)
            if field.name != "loss"
        }
        return terms.loss, metrics

    def _log_probs(self, model: AniCaption, batch: Batch) -> Float[Array, "b 2"]:
        """Of winner and loser."""
        reading = model.reader(Looked.of(batch), together=True)
        twice = jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=0), reading)
        tags, tokens = (
            jnp.asarray(batch[k]).reshape(-1, batch[k].shape[-1])
            for k in ("tags", "tokens")
        )
        mask = tokens != PAD
        fields = field_log_probs(twice.logits, tags, table=self.table)
        source = model.writer.source(twice, tags)
        logits = model.writer(source, shifted(tokens), mask)
        prose = token_log_probs(logits, tokens, mask).sum(axis=1)
        judged = jnp.asarray(self._judged, jnp.float32)
        return ((fields * judged).sum(axis=1) + prose).reshape(-1, 2)

    def batches(self) -> grain.IterDataset:
        self.tokenizer.save(self._folder / "tokenizer.json")
        _ = self.pairs  # made before the threads ask for them
        return batches_of_steps(self._step, self.steps, workers=self.data.workers)

    def held_out(self) -> list[Batch]:
        kept = self._split(held_out=True)
        host, hosts = distributed.batch_share()
        rows = held_out_rows(len(kept), size=self.size, host=host, hosts=hosts)
        rng = np.random.default_rng(0)
        return [self._of_pairs(kept[own], rng) for own in rows]

    def counts(self) -> dict[str, int]:
        return {"pairs": len(self.pairs)}

    @functools.cached_property
    def _start(self) -> Params:
        before = self.component("caption")
        if before is None or "writer" not in before.params:
            raise UserError(
                "the caption_preference stage starts from one that writes: set "
                "--config.init.caption=@caption"
            )
        return self.grown(before.params)

    @functools.cached_property
    def pairs(self) -> CaptionPairs:
        """The pairs, from the stage's folder or made now."""
        return distributed.in_turn(self._pairs)  # hosts share the folder

    def _pairs(self) -> CaptionPairs:
        path = self._folder / "pairs.npz"
        if not path.exists():
            found = self._make_pairs()
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez_compressed(file, **dataclasses.asdict(found))
        with np.load(path, allow_pickle=False) as kept:
            return CaptionPairs(**{name: kept[name] for name in kept.files})

    def _make_pairs(self) -> CaptionPairs:
        config, sights = self._pairs_config, self.train_sights
        programs = Programs(config=self.model, params=self._start)
        count = min(config.clips, len(sights))
        rows, tags, tokens = [], [], []
        for some in tqdm.tqdm(full_turns(count, self.size), "captions to compare"):
            start = int(some[0])
            reading = programs.read(sights.take(some))
            truth = flags(self.model, [tuple(sights.labels[i]["tags"]) for i in some])
            drawn, written, scores = [], [], []
            for n in range(config.candidates):
                rng = np.random.default_rng((self.seed, start, n))
                drawn.append(self._drawn_tags(reading, rng))
                key = jax.random.key(int(rng.integers(1 << 31)))
                written.append(
                    programs.write(
                        reading, drawn[-1], key=key, temperature=config.temperature
                    )
                )
                scores.append(self.scores(drawn[-1], written[-1], truth))
            best, worst = np.argmax(scores, axis=0), np.argmin(scores, axis=0)
            for i, row in enumerate(some[: count - start]):
                w, l = int(best[i]), int(worst[i])
                if scores[w][i] - scores[l][i] >= config.margin:
                    rows.append(row)
                    tags.append([drawn[w][i], drawn[l][i]])
                    tokens.append([written[w][i], written[l][i]])
        if len(rows) < 2:
            raise UserError(
                f"{len(rows)} of {count} clips gave captions that differ by "
                f"caption_pairs.margin {config.margin:g}: 2 or more are needed"
            )
        return CaptionPairs(
            rows=np.array(rows), tags=np.array(tags), tokens=np.array(tokens)
        )

    def _drawn_tags(
        self, reading: Reading, rng: np.random.Generator
    ) -> Bool[np.ndarray, "b v"]:
        """Values of every field: those judged are drawn, the others the likeliest."""
        logits = np.asarray(reading.logits, np.float64)
        found = np.zeros(logits.shape, bool)
        for place, member in enumerate(self.table.membership):
            if not self.drawn[place]:
                continue
            z = logits[:, member]
            judged, several = self._judged[place], self.table.multiple[place]
            # Gumbel's maximum draws from the softmax, logistic noise from the sigmoid.
            noise = rng.gumbel(size=z.shape) if judged else 0.0
            best = (z + noise).argmax(axis=1)
            one = np.eye(z.shape[1], dtype=bool)[best]
            if several:
                above = z + (rng.logistic(size=z.shape) if judged else 0.0) > 0
                one = np.where(above.any(axis=1, keepdims=True), above, one)
            found[:, member] = one
        return found

    def scores(
        self,
        tags: Bool[np.ndarray, "b v"],
        tokens: Int[np.ndarray, "b s"],
        truth: Bool[np.ndarray, "b v"],
    ) -> Float[np.ndarray, " b"]:
        """How true each caption is of motion and effects; see the module's docstring."""
        member = self.table.membership
        stated = (truth[:, None] & member).any(axis=-1) & self._judged
        same = ((tags == truth)[:, None] | ~member).all(axis=-1)
        right = (same & stated).sum(axis=1) / np.maximum(stated.sum(axis=1), 1)
        place = {tag: i for i, tag in enumerate(self.model.tags)}
        said = np.zeros(len(tags))
        taxonomy = load_taxonomy()
        judged = {t for t in place if t.partition(".")[0] in AXES}
        for i, row in enumerate(tokens):
            text = " ".join(decode_prose(row, tokenizer=self.tokenizer))
            true = [
                truth[i, place[m.tag]] for m in find_mentions(text, judged, taxonomy)
            ]
            said[i] = 2.0 * np.mean(true) - 1.0 if true else 0.0
        return right + self._pairs_config.prose_weight * said

    def _split(self, *, held_out: bool) -> np.ndarray:
        """Places of the pairs of one side; neither is empty."""
        count = len(self.pairs)
        kept = min(max(round(count * self._pairs_config.held_out), 1), count - 1)
        return np.arange(count - kept, count) if held_out else np.arange(count - kept)

    def _step(self, step: int) -> Batch:
        host, hosts = distributed.batch_share()
        places = self._split(held_out=False)
        slots = host_slots(step, size=self.size, host=host, hosts=hosts)
        rows = epoch_rows(len(places), slots, seed=self.seed).rows
        rng = np.random.default_rng((self.seed, int(step), host))
        return self._of_pairs(places[rows], rng)

    def _of_pairs(self, places: np.ndarray, rng: np.random.Generator) -> Batch:
        pairs = self.pairs
        batch = self._batch(pairs.rows[places], self.train_sights, rng)
        batch = {k: v for k, v in batch.items() if k != "token_mask"}
        return batch | {
            "tags": pairs.tags[places],
            "tokens": pairs.tokens[places].astype(np.int32),
        }
