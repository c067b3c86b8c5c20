"""Stages `judge` and `preference`: the reward model, and what it teaches the generator.

judge        clips with known defects, in pairs of one drawing; the loss of
             objectives/reward.py on the scores of judge/model.py, which starts from
             the generator's own blocks.
preference   the starting policy samples N candidates a prompt, the judge ranks them
             (candidates.py), and Diffusion-DPO (objectives/preference.py) moves the
             policy; its starting point is the reference, evaluated in the same step.
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
from flax import nnx
from jaxtyping import Array

from animatrix_jax.data.batches import stack_tags
from animatrix_jax.data.pipeline import batches_of_steps
from animatrix_jax.errors import UserError
from animatrix_jax.judge.candidates import before_and_after, candidate_pairs
from animatrix_jax.judge.model import HEADS, Judge, JudgeConfig, judge_params
from animatrix_jax.judge.pairs import CandidateConfig, PairSet, PairTable
from animatrix_jax.judge.scoring import Scorer
from animatrix_jax.knowledge.corruption import CorruptionConfig
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.objectives.flow_matching import FlowConfig, sample_sigma
from animatrix_jax.objectives.preference import (
    Denoiser,
    PreferenceConfig,
    preference_loss,
)
from animatrix_jax.objectives.reward import RewardConfig, reward_loss
from animatrix_jax.parallel import distributed
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.training.config import BatchConfig, SourceConfig, section
from animatrix_jax.training.stage import Batch, Metrics, StepShapes
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers


def whole_videos(config: Any) -> Any:
    """The run's config with whole clips under their whole tags, as judging needs them.

    What a clip was asked to show is what it is judged by, so nothing is left out.
    """
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.tasks.update({"t2i": (0.0,), "t2v": (1.0,), "i2v": (0.0,)})
        whole = CorruptionConfig(
            hybrid=1.0,
            tags_only=0.0,
            text_only=0.0,
            none=0.0,
            tag_drop=0.0,
            synonym=0.0,
            conflict=0.0,
        )
        config.corruption.update(dataclasses.asdict(whole))
    return config


class JudgeStage:
    """The reward model on clips with known defects."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "judge"
        self._towers = Towers(config, workdir=workdir)
        self._judge = section(JudgeConfig, config.judge)
        self._reward = section(RewardConfig, config.reward)
        self._clips = Clips(
            whole_videos(config),
            workdir=workdir,
            towers=self._towers,
            fields=("media", "tags", "scores"),
            group=2,
        )

    def build(self, rngs: nnx.Rngs) -> Judge:
        """Builds the judge."""
        return Judge(self._judge, self._towers.dit, self._towers.tags, rngs=rngs)

    def init(self, key: Array) -> Params:
        return {"judge": init_params(self.build, key)}

    def initial(self) -> Params | None:
        judge = self._towers.initial("judge")
        generator = self._towers.component("generator")
        if judge is not None or generator is None:
            return judge
        fresh = jax.jit(lambda: init_params(self.build, jax.random.key(0)))()
        fresh = jax.tree.map(np.asarray, fresh)
        try:
            return {"judge": judge_params(generator.params, fresh)}
        except ValueError as error:
            raise UserError(f"init.generator: {error}") from error

    def frozen(self) -> Params:
        return {} if not self._clips.pixels else self._pixels_frozen()

    def step_shapes(self) -> StepShapes:
        towers = self._towers.frozen_shapes(pixels=True)
        frozen = {"vae": towers["vae"]} if self._clips.pixels else {}
        return StepShapes(frozen=frozen, batch=self._clips.batch_shapes())

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        latents = self._towers.latents(frozen, batch)
        noise = None
        if self._judge.noise:
            # One draw a pair: what differs within a pair is the defect alone.
            half = jax.random.normal(key, (latents.shape[0] // 2, *latents.shape[1:]))
            noise = jnp.repeat(half, 2, axis=0)
        scores = bind(self.build, params["judge"])(
            latents,
            tag_fields=batch["tag_fields"],
            tag_values=batch["tag_values"],
            tag_mask=batch["tag_mask"],
            noise=noise,
        )
        targets = jnp.asarray(batch["scores"], jnp.float32)
        terms = reward_loss(scores, targets, config=self._reward)
        error = jnp.mean(jnp.abs(scores - targets), axis=0)
        metrics = {f"error_{name}": error[i] for i, name in enumerate(HEADS)}
        metrics |= {
            "huber": terms.huber,
            "pairs": terms.pairs,
            "pair_accuracy": terms.pair_accuracy,
        }
        return terms.loss, metrics

    def batches(self) -> grain.IterDataset:
        return self._clips.batches()

    def held_out(self) -> list[Batch]:
        return self._clips.held_out()

    def counts(self) -> dict[str, int]:
        return self._clips.counts()

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Nothing: the judge needs no more than its weights and the run's config."""

    def _pixels_frozen(self) -> Params:
        vae = self._towers.component("vae")
        if vae is None:
            raise UserError("the judge reads latents: set --config.init.vae")
        return {"vae": vae.params}


class PreferenceStage:
    """The generator by Diffusion-DPO on the judge's pairs."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "preference"
        self._towers = Towers(config, workdir=workdir)
        if self._towers.refers:
            raise UserError(
                "the preference stage samples from words and tags alone, and has no "
                "first frames to give to an image-to-video model"
            )
        self._trained = self._towers.trained
        self._flow = section(FlowConfig, config.flow)
        self._preference = section(PreferenceConfig, config.preference)
        candidates = section(CandidateConfig, config.candidates)
        data = section(SourceConfig, config.data)
        self._odds = data.odds
        # A smoke run has few clips of anything, candidates too.
        self._candidates = dataclasses.replace(
            candidates,
            prompts=max(
                min(candidates.prompts, data.clips // candidates.candidates), 2
            ),
        )
        self._batch_config = section(BatchConfig, config.batch)
        self._steps, self._seed = config.loop.steps, config.seed
        self._folder = workdir / self.name / "pairs"

    def init(self, key: Array) -> Params:
        return {self._trained: init_params(self._towers.generator, key)}

    def initial(self) -> Params | None:
        return {self._trained: self._component(self._trained).params}

    def frozen(self) -> Params:
        towers = self._towers.frozen(pixels=False)
        return towers | {"reference": self._component(self._trained).params}

    def step_shapes(self) -> StepShapes:
        size, model = self._batch_config.size, self._towers.model
        tags = (size, self._batch_config.max_tags)
        text = (size, self._towers.text_length)
        latents = (size, *model.latent_shape)
        shapes = {
            "winner": (latents, np.float32),
            "loser": (latents, np.float32),
            "text_tokens": (text, np.int32),
            "text_mask": (text, np.bool_),
            "given": (latents[:2], np.bool_),
            "tag_fields": (tags, np.int32),
            "tag_values": (tags, np.int32),
            "tag_mask": (tags, np.bool_),
        }
        reference = jax.eval_shape(self.init, jax.random.key(0))[self._trained]
        return StepShapes(
            frozen=self._towers.frozen_shapes(pixels=False) | {"reference": reference},
            batch={k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()},
        )

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        conditioning = self._towers.conditioning(frozen, batch)
        both = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), conditioning)
        winner = jnp.asarray(batch["winner"], jnp.float32)
        sigma_key, noise_key = jax.random.split(key)
        terms = preference_loss(
            self._denoiser(params[self._trained], both),
            self._denoiser(frozen["reference"], both),
            winner=winner,
            loser=jnp.asarray(batch["loser"], jnp.float32),
            noise=jax.random.normal(noise_key, winner.shape, jnp.float32),
            sigma=sample_sigma(sigma_key, winner.shape[0], self._flow),
            given=batch["given"],
            config=self._preference,
        )
        metrics = {
            field.name: getattr(terms, field.name)
            for field in dataclasses.fields(terms)
            if field.name != "loss"
        }
        return terms.loss, metrics

    def batches(self) -> grain.IterDataset:
        make = functools.partial(self._batch, table=self.pairs.train)
        return batches_of_steps(make, self._steps)

    def held_out(self) -> list[Batch]:
        table = self.pairs.held_out
        count = max(len(table) // self._batch_config.size, 1)
        return [self._batch(step, table=table) for step in range(count)]

    def counts(self) -> dict[str, int]:
        return self.pairs.counts

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Samples the same prompts again, and writes what changed to change.json."""
        params = distributed.fetch(params)
        if not distributed.is_first():
            return
        with distributed.apart():
            change = before_and_after(
                self._pipeline.with_networks(params),
                self._scorer,
                pairs=self.pairs,
                config=self._candidates,
                seed=self._seed,
            )
        text = json.dumps(change, indent=1)
        (folder / "change.json").write_text(text, encoding="utf-8")

    @functools.cached_property
    def pairs(self) -> PairSet:
        """The candidates' pairs, from the run's folder or made now."""
        make = functools.partial(
            candidate_pairs,
            self._pipeline,
            self._scorer,
            folder=self._folder,
            config=self._candidates,
            odds=self._odds,
            seed=self._seed,
        )
        return distributed.in_turn(make)  # hosts share the folder

    @functools.cached_property
    def _pipeline(self) -> Pipeline:
        names = self._towers.model.networks
        return Pipeline.from_components({name: self._component(name) for name in names})

    @functools.cached_property
    def _scorer(self) -> Scorer:
        return Scorer.from_component(self._component("judge"))

    def _component(self, name: str) -> Any:
        component = self._towers.component(name)
        if component is None:
            raise UserError(f"the preference stage needs --config.init.{name}")
        return component

    def _denoiser(self, params: Params, conditioning: Conditioning) -> Denoiser:
        generator = bind(self._towers.generator, params)

        def velocity(xt: Array, sigma: Array) -> Array:
            return generator(xt, sigma, conditioning)

        return velocity

    def _batch(self, step: int, *, table: PairTable) -> Batch:
        """This host's pairs of a step: epoch after epoch, each in an order of its own."""
        pairs, (host, hosts) = self.pairs, distributed.batch_share()
        size = self._batch_config.size
        local = size // hosts
        start = int(step) * size + host * local
        slots = np.arange(start, start + local)
        rows = np.array([_shuffled(len(table), int(s), self._seed) for s in slots])
        chosen = table.take(rows)
        tokens = self._towers.tokenizer.encode(
            [pairs.texts[i] for i in chosen.prompt], self._towers.text_length
        )
        winner = pairs.latents[chosen.prompt, chosen.winner]
        return {
            "winner": winner,
            "loser": pairs.latents[chosen.prompt, chosen.loser],
            "text_tokens": tokens.tokens,
            "text_mask": tokens.mask,
            "given": np.zeros(winner.shape[:2], bool),
            "clip_id": rows.astype(np.int64),
            **stack_tags(
                [pairs.tags[i] for i in chosen.prompt], self._batch_config.max_tags
            ),
        }


@functools.lru_cache(maxsize=8)
def _order(count: int, epoch: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def _shuffled(count: int, slot: int, seed: int) -> int:
    """Row of the slot-th draw: a permutation of all rows an epoch."""
    epoch, place = divmod(slot, count)
    return int(_order(count, epoch, seed)[place])
