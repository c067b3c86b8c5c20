"""Stage `judge`: the reward model.

Clips with known defects, in pairs of one drawing, or real clips that people scored, in
pairs of one prompt where there are, each under its own directive and under others
(knowledge/counterfactual.py); the loss of objectives/reward.py on the scores of
judge/model.py. The judge starts from the generator's own blocks, and its heads from what
they learn on those alone (heads.py).
"""

import dataclasses
import functools
import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from animatrix_jax.errors import UserError
from animatrix_jax.judge.heads import DirectedClips, fit_heads, pair_loss
from animatrix_jax.judge.model import HEADS, Judge, JudgeConfig, judge_params
from animatrix_jax.knowledge.corruption import CorruptionConfig
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.objectives.reward import RewardConfig
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import section
from animatrix_jax.training.lazy import loaded
from animatrix_jax.training.stage import Batch, Metrics, Stage, StepShapes
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


class JudgeStage(Stage):
    """The reward model on clips with known defects, or with people's scores."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "judge"
        if config.data.source == "dataset":
            raise UserError(
                "a prepared dataset has no scores: train the judge with data=cels, or "
                "with data=videos on a folder whose labels have scores"
            )
        micro = config.batch.size // config.optimizer.accumulation
        if micro % 2:
            raise UserError(
                f"batch.size {config.batch.size} in optimizer.accumulation "
                f"{config.optimizer.accumulation} parts are {micro} clips each: the judge "
                "learns from pairs, an even number of clips"
            )
        self._seed = config.seed
        self._towers = Towers(config, workdir=workdir)
        self._judge = section(JudgeConfig, config.judge)
        self._reward = section(RewardConfig, config.reward)
        self._clips = Clips(
            whole_videos(config),
            workdir=workdir,
            towers=self._towers,
            fields=("media", "directives"),
            group=2,
        )

    def build(self, rngs: nnx.Rngs) -> Judge:
        """Builds the judge."""
        return Judge(self._judge, self._towers.dit, self._towers.tags, rngs=rngs)

    def init(self, key: Array) -> Params:
        return {"judge": init_params(self.build, key)}

    def initial(self) -> Params | None:
        judge = self._towers.initial("judge")
        generator = self._towers.component(self._towers.expert_at(self._judge.sigma))
        if judge is not None or generator is None:
            return judge
        fresh = jax.jit(lambda: init_params(self.build, jax.random.key(self._seed)))()
        fresh = jax.tree.map(np.asarray, fresh)
        try:
            start = judge_params(generator.params, fresh)
        except ValueError as error:
            raise UserError(f"init.generator: {error}") from error
        if not self._judge.heads_steps:
            return {"judge": start}
        with distributed.apart():  # the same on every host
            return {"judge": self._with_heads(loaded(start))}

    def _with_heads(self, start: Params) -> Params:
        """Those parameters, with heads that have learnt on the trunk as it is."""
        frozen = jax.device_put(loaded(self.frozen()))
        latents = functools.partial(jax.jit(self._towers.latents), frozen)
        clips = DirectedClips.of(self.build, start, self._clips.once(), latents=latents)
        return fit_heads(
            self.build,
            start,
            clips,
            config=self._judge,
            reward=self._reward,
            seed=self._seed,
        )

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
        directives = ("tag_fields", "tag_values", "tag_mask")
        scores = bind(self.build, params["judge"])(
            latents, **{name: batch[name] for name in directives}, noise=noise
        )
        terms = pair_loss(
            scores, batch["scores"], batch["weights"], config=self._reward
        )
        # Of its own directive.
        error = jnp.mean(jnp.abs(scores - batch["scores"])[:, 0], axis=0)
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
