"""Stage `text`: the small T5 of `pico` and `nano`, by span corruption.

The corpus is Cel World's narrative, drawn without pixels, in the three forms that later
stages read: summaries alone, summaries that go on with the description, and summaries
after the tags in words, as models without a tag path are told them. The tokenizer is
trained on it first and kept in the stage's folder; later stages freeze the encoder.
(Raffel et al. 2020, section 3.1.4.)
"""

import pathlib
from typing import Any

import grain
import jax
import numpy as np
from flax import nnx
from jaxtyping import Array
from tqdm import tqdm

from animatrix_jax.cels.narrative import narrate
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data import seeds
from animatrix_jax.data.pipeline import batches_of_steps
from animatrix_jax.data.tokenizer import NUM_SENTINELS, Tokenizer, train_tokenizer
from animatrix_jax.knowledge.directive import say_tags
from animatrix_jax.models import config as model_config
from animatrix_jax.models.config import T5Config
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.models.t5 import T5
from animatrix_jax.objectives.span_corruption import (
    SpanCorruptionConfig,
    corrupt_batch,
    span_corruption_loss,
    targets_length,
)
from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.mesh import batch_parts
from animatrix_jax.training.checkpoint import latest_step
from animatrix_jax.training.config import BatchConfig, SourceConfig, section
from animatrix_jax.training.stage import Batch, Metrics, Stage, StepShapes
from animatrix_jax.training.stages.batch_shapes import held_out_size


class TextStage(Stage):
    """T5 on narratives with spans hidden."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "text"
        self._seed, self._steps = config.seed, config.loop.steps
        self._data = section(SourceConfig, config.data)
        self._size = section(BatchConfig, config.batch).size
        self._length = config.model.text_length
        self._t5 = model_config.from_dict(T5Config, config.model.text.to_dict())
        self._folder = workdir / self.name

    def build(self, rngs: nnx.Rngs) -> T5:
        """Builds the encoder and its decoder."""
        return T5(self._t5, rngs=rngs)

    def init(self, key: Array) -> Params:
        return {"text": init_params(self.build, key)}

    def initial(self) -> Params | None:
        return None

    def frozen(self) -> Params:
        return {}

    def step_shapes(self) -> StepShapes:
        config = SpanCorruptionConfig(first_sentinel=0, num_sentinels=NUM_SENTINELS)
        text = (self._size, self._length)
        target = (self._size, targets_length(self._length, config))
        shapes = {
            "text_tokens": (text, np.int32),
            "text_mask": (text, np.bool_),
            "decoder_tokens": (target, np.int32),
            "targets": (target, np.int32),
            "target_mask": (target, np.bool_),
        }
        batch = {k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()}
        return StepShapes(frozen={}, batch=batch)

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        logits = bind(self.build, params["text"])(
            batch["text_tokens"],
            batch["text_mask"],
            batch["decoder_tokens"],
            batch["target_mask"],
        )
        metrics = span_corruption_loss(logits, batch["targets"], batch["target_mask"])
        return metrics["loss"], {"accuracy": metrics["accuracy"]}

    def batches(self) -> grain.IterDataset:
        corpus = self._texts("train", self._data.clips, self._seed)
        tokenizer = self._tokenizer(corpus)

        def make(step: int) -> Batch:
            # All hosts draw the same batch, and each keeps its part.
            rng = np.random.default_rng((self._seed, int(step)))
            rows = rng.integers(len(corpus), size=self._size)
            batch = self._batch([corpus[row] for row in rows], tokenizer, rng)
            return _own_rows(batch)

        return batches_of_steps(make, self._steps)

    def held_out(self) -> list[Batch]:
        texts = self._texts("test", self._data.held_out, seeds.HELD_OUT)
        multiples = (distributed.batch_share()[1], batch_parts())
        size = held_out_size(len(texts), len(texts), multiples_of=multiples)
        texts = [texts[i % len(texts)] for i in range(size)]
        tokenizer = Tokenizer.from_file(self._folder / "tokenizer.json")
        rng = np.random.default_rng(seeds.HELD_OUT)
        return [_own_rows(self._batch(texts, tokenizer, rng))]

    def counts(self) -> dict[str, int]:
        return {}

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Nothing: the tokenizer is in the folder since the start."""

    def _texts(self, split: str, count: int, seed: int) -> list[str]:
        world = CelWorld(seed=seed, size=count, split=split)
        found = []
        for i in tqdm(range(count), desc=f"telling {split} clips", mininterval=1.0):
            spec = world.spec(i)
            told = narrate(spec)
            found += [
                told.summary,
                f"{told.summary} {told.description}",
                say_tags(told.summary, spec.tags),
            ]
        return found

    def _tokenizer(self, corpus: list[str]) -> Tokenizer:
        path = self._folder / "tokenizer.json"

        def forget() -> None:
            # Before there is a checkpoint, whose config is compared, nothing says what
            # a file that is there was made of.
            if latest_step(self._folder / "checkpoints") is None:
                path.unlink(missing_ok=True)

        def make() -> Tokenizer:
            if path.exists():
                return Tokenizer.from_file(path)
            return train_tokenizer(corpus, self._t5.vocab_size, path)

        distributed.agreed(forget)
        return distributed.in_turn(make)  # hosts share the folder

    def _batch(
        self, texts: list[str], tokenizer: Tokenizer, rng: np.random.Generator
    ) -> Batch:
        tokens = tokenizer.encode(texts, self._length)
        config = SpanCorruptionConfig(
            first_sentinel=tokenizer.sentinel(0), num_sentinels=NUM_SENTINELS
        )
        return corrupt_batch(tokens.tokens, tokens.mask, rng=rng, config=config)


def _own_rows(batch: Batch) -> Batch:
    """This host's part of a batch that all of them have made."""
    host, hosts = distributed.batch_share()
    local = len(batch["text_tokens"]) // hosts
    return {name: v[host * local : (host + 1) * local] for name, v in batch.items()}
