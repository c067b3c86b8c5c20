"""Stage `preference`: what the judge teaches the generator.

The starting policy samples N candidates a prompt, the judge ranks them (candidates.py),
people decide the closest pairs if they are asked (page.py, answers.py), and
Diffusion-DPO (objectives/preference.py) moves the policy. Its starting point is the
reference: evaluated in the same step or, with `preference.reference_draws`, on fixed
draws before the first one (reference.py).
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from animatrix_jax.data.batches import stack_tags
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.pipeline import batches_of_steps, epoch_rows, host_slots
from animatrix_jax.errors import UserError
from animatrix_jax.judge.answers import with_answers
from animatrix_jax.judge.candidates import before_and_after, candidate_pairs
from animatrix_jax.judge.pairs import CandidateConfig, PairSet, PairTable
from animatrix_jax.judge.prompts import Prompts, source_prompts, world_prompts
from animatrix_jax.judge.reference import (
    Evaluate,
    ReferenceErrors,
    reference_errors,
)
from animatrix_jax.judge.scoring import Scorer
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.objectives.flow_matching import FlowConfig, sample_sigma
from animatrix_jax.objectives.preference import (
    Denoiser,
    PairErrors,
    PreferenceConfig,
    pair_errors,
    preference_loss,
)
from animatrix_jax.parallel import distributed
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.programs import clip_noise
from animatrix_jax.training.config import BatchConfig, SourceConfig, section
from animatrix_jax.training.lazy import loaded
from animatrix_jax.training.stage import Batch, Metrics, Stage, StepShapes
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers

# Of the noises of fixed draws: others than the candidates were sampled from.
_NOISE_SEED = 5_000_011


class PreferenceStage(Stage):
    """The generator by Diffusion-DPO on the judge's pairs."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "preference"
        self._config, self._workdir = config, workdir
        self._towers = Towers(config, workdir=workdir)
        if self._towers.refers:
            raise UserError(
                "the preference stage samples from words and tags alone, and has no "
                "first frames to give to an image-to-video model"
            )
        self._trained = self._towers.trained
        self._flow = section(FlowConfig, config.flow)
        self._preference = section(PreferenceConfig, config.preference)
        self._candidates = section(CandidateConfig, config.candidates)
        self._batch_config = section(BatchConfig, config.batch)
        self._steps, self._seed = config.loop.steps, config.seed
        self._folder = workdir / self.name / "pairs"
        self._draws = self._preference.reference_draws

    def init(self, key: Array) -> Params:
        return {self._trained: init_params(self._towers.generator, key)}

    def initial(self) -> Params | None:
        return {self._trained: self._component(self._trained).params}

    def frozen(self) -> Params:
        towers = self._towers.frozen(pixels=False)
        if self._draws:
            return towers
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
        frozen = self._towers.frozen_shapes(pixels=False)
        if self._draws:
            of_draw = ("sigma", "reference_winner", "reference_loser")
            shapes |= {name: ((size,), np.float32) for name in of_draw}
            shapes |= {"draw": ((size,), np.int32)}
        else:
            policy = jax.eval_shape(self.init, jax.random.key(0))
            frozen = frozen | {"reference": policy[self._trained]}
        return StepShapes(
            frozen=frozen,
            batch={k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()},
        )

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        both = self._conditioning(frozen, batch)
        if self._draws:
            pair = self._drawn(batch)
            reference = PairErrors(
                winner=batch["reference_winner"], loser=batch["reference_loser"]
            )
        else:
            pair = self._draw(batch, key)
            reference = self._denoiser(frozen["reference"], both)
        terms = preference_loss(
            self._denoiser(params[self._trained], both),
            reference,
            **pair,
            config=self._preference,
        )
        metrics = {
            field.name: getattr(terms, field.name)
            for field in dataclasses.fields(terms)
            if field.name != "loss" and getattr(terms, field.name) is not None
        }
        return terms.loss, metrics

    def _conditioning(self, frozen: Params, batch: Batch) -> Conditioning:
        """That of the winners, and again of the losers."""
        conditioning = self._towers.conditioning(frozen, batch)
        return jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), conditioning)

    def _draw(self, batch: Batch, key: Array) -> dict[str, Array]:
        """The pairs of a batch under new noise levels and noises."""
        sigma_key, noise_key = jax.random.split(key)
        shape = batch["winner"].shape
        return _pair(
            batch,
            sigma=sample_sigma(sigma_key, shape[0], self._flow),
            noise=jax.random.normal(noise_key, shape, jnp.float32),
        )

    def _drawn(self, batch: Batch) -> dict[str, Array]:
        """The pairs of a batch under the draws that it names."""
        shape, draw = batch["winner"].shape[1:], jnp.asarray(batch["draw"])
        noise = clip_noise(self._seed + _NOISE_SEED, draw, shape=shape)
        return _pair(batch, sigma=jnp.asarray(batch["sigma"]), noise=noise)

    def batches(self) -> grain.IterDataset:
        if self._draws:
            _ = self.reference  # before threads ask for it
        make = functools.partial(self._batch, table=self.pairs.train)
        return batches_of_steps(make, self._steps)

    def held_out(self) -> list[Batch]:
        table = self.pairs.held_out
        count = max(len(table) // self._batch_config.size, 1)
        return [self._batch(step, table=table) for step in range(count)]

    def counts(self) -> dict[str, int]:
        return self.pairs.counts

    def sampled(self) -> str | None:
        return self._trained

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
        """The candidates' pairs, from the run's folder or made now, with people's."""
        make = functools.partial(
            candidate_pairs,
            self._pipeline,
            self._scorer,
            folder=self._folder,
            config=self._candidates,
            prompts=self._prompts(),
            seed=self._seed,
        )
        pairs = distributed.in_turn(make)  # hosts share the folder
        answers = self._candidates.answers
        return with_answers(pairs, pathlib.Path(answers)) if answers else pairs

    def digests(self) -> dict[str, str]:
        """What people's answers are, beside their name in `config.candidates`."""
        answers = self._candidates.answers
        if not answers:
            return {}
        try:
            read = pathlib.Path(answers).read_bytes()
        except OSError as error:
            raise UserError(
                f"candidates.answers: cannot read {answers}: {error.strerror}"
            ) from None
        return {"answers": hashlib.sha256(read).hexdigest()}

    def _prompts(self) -> Prompts:
        """What the candidates are asked to be."""
        count, data = self._candidates.prompts, section(SourceConfig, self._config.data)
        if data.source == "cels":
            frames = self._towers.model.frames
            return world_prompts(count, frames=frames, odds=data.odds, seed=self._seed)
        clips = Clips(self._config, workdir=self._workdir, towers=self._towers)
        return source_prompts(clips.source, count, seed=self._seed)

    @functools.cached_property
    def reference(self) -> ReferenceErrors:
        """The reference's errors on fixed draws of all pairs, those held out last."""
        make = functools.partial(
            reference_errors,
            self._evaluator(),
            path=self._folder / "reference.npz",
            made_from=self._reference_mark(),
            pairs=len(self._all_pairs),
            draws=self._draws,
            size=self._batch_config.size,
            flow=self._flow,
            seed=self._seed,
        )
        return distributed.in_turn(make)  # hosts share the folder

    @property
    def _all_pairs(self) -> PairTable:
        return self.pairs.train.followed_by(self.pairs.held_out)

    def _evaluator(self) -> Evaluate:
        """The reference, through the step's own text tower and noise.

        It takes its weights to the device when it is first called, and lets them go with
        itself.
        """
        pairs = self._all_pairs

        @functools.cache
        def networks() -> Params:
            reference = self._component(self._trained).params
            read = self._towers.frozen(pixels=False) | {"reference": reference}
            return jax.device_put(loaded(read))

        @jax.jit
        def errors(networks: Params, batch: Batch) -> PairErrors:
            both = self._conditioning(networks, batch)
            denoiser = self._denoiser(networks["reference"], both)
            return pair_errors(denoiser, **self._drawn(batch))

        def evaluate(rows: np.ndarray, draw: Batch) -> PairErrors:
            return errors(networks(), self._rows(pairs, rows) | draw)

        return evaluate

    def _reference_mark(self) -> str:
        """What the reference's errors depend on."""
        dit = dataclasses.asdict(self._towers.dit)
        parts = {
            "pairs": self.pairs.made_from,
            "reference": fingerprint(self._component(self._trained).params),
            "text": fingerprint(self._towers.frozen(pixels=False)),
            # How a network is computed, not what.
            "dit": {k: dit[k] for k in dit if k not in ("remat", "attention")},
            "text_length": self._towers.text_length,
            "max_tags": self._batch_config.max_tags,
            "flow": dataclasses.asdict(self._flow),
            "draws": self._draws,
            "seed": self._seed,
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @functools.cached_property
    def _pipeline(self) -> Pipeline:
        model = self._towers.model
        parts = {name: self._component(name) for name in model.networks}
        for generator in model.generators:
            for tower in model.towers:
                parts[generator].check_tower(parts[tower])
        return Pipeline.from_components(parts)

    @functools.cached_property
    def _scorer(self) -> Scorer:
        judge = self._component("judge")
        judge.check_tower(self._component("vae"))  # it reads this one's latents
        return Scorer.from_component(judge)

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
        host, hosts = distributed.batch_share()
        size = self._batch_config.size
        slots = host_slots(step, size=size, host=host, hosts=hosts)
        taken = epoch_rows(len(table), slots, seed=self._seed)
        batch = self._rows(table, taken.rows) | {"clip_id": taken.rows}
        if not self._draws:
            return batch
        first = len(self.pairs.train) if table is self.pairs.held_out else 0
        return batch | self.reference.take(first + taken.rows, taken.epochs)

    def _rows(self, table: PairTable, rows: np.ndarray) -> Batch:
        """Some pairs of a table under their prompts."""
        pairs, chosen = self.pairs, table.take(rows)
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
            **stack_tags(
                [pairs.tags[i] for i in chosen.prompt], self._batch_config.max_tags
            ),
        }


def _pair(batch: Batch, *, sigma: Array, noise: Array) -> dict[str, Array]:
    """The pairs of a batch and their draws, as the objective takes them."""
    return {
        "winner": jnp.asarray(batch["winner"], jnp.float32),
        "loser": jnp.asarray(batch["loser"], jnp.float32),
        "given": jnp.asarray(batch["given"]),
        "sigma": sigma,
        "noise": noise,
    }
