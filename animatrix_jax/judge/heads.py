"""The judge's heads alone, on the generator's trunk as it is, before the whole is trained.

    every clip, once:   tokens of the trunk, h_cls of each of its directives
    then, many times:   pool, heads, loss

A trunk under heads that know nothing is taught nothing (Kumar et al., 2022,
arXiv 2202.10054): fresh heads learn slowly and bend good features meanwhile. What the
trunk makes of the clips is kept in memory as float16, so a step takes milliseconds, where
one through the trunk takes seconds.
"""

import dataclasses
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from jaxtyping import Array, Float, Float16

from animatrix_jax.judge.model import JudgeConfig
from animatrix_jax.models.functional import Build, Params, bind
from animatrix_jax.objectives.reward import RewardConfig, RewardTerms, reward_loss
from animatrix_jax.training.stage import Batch

_PARTS = ("pool", "heads")
_PAIRS = 16  # a step
_WEIGHT_DECAY = 0.05


def pair_loss(
    scores: Float[Array, "b a 4"],
    targets: Float[Array | np.ndarray, "b a 4"],
    weights: Float[Array | np.ndarray, "b a"],
    *,
    config: RewardConfig,
) -> RewardTerms:
    """The reward loss of clips 2j and 2j + 1, each under all of its directives."""
    pairs, candidates = scores.shape[0] // 2, 2 * scores.shape[1]
    return reward_loss(
        scores.reshape(pairs, candidates, -1),
        targets.reshape(pairs, candidates, -1),
        config=config,
        weights=weights.reshape(pairs, candidates),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DirectedClips:
    """What the trunk makes of clips and of their directives; 2j and 2j + 1 are a pair."""

    tokens: Float16[np.ndarray, "b n d"]
    told: Float[np.ndarray, "b a c"]
    scores: Float[np.ndarray, "b a 4"]
    weights: Float[np.ndarray, "b a"]

    @classmethod
    def of(
        cls,
        build: Build,
        params: Params,
        batches: Iterable[Batch],
        *,
        latents: Callable[[Batch], Array],
    ) -> "DirectedClips":
        """Of each clip of `batches`, which `latents` makes latents of."""

        @jax.jit
        def see(params: Params, latents: Array, batch: Batch) -> tuple[Array, Array]:
            judge = bind(build, params)
            names = ("tag_fields", "tag_values", "tag_mask")
            told = judge.read(*(batch[name] for name in names))
            return judge.look(latents).astype(jnp.float16), told

        params, parts = jax.device_put(params), []
        for batch in batches:
            batch = {k: v for k, v in batch.items() if k != "clip_id"}
            seen = see(params, latents(batch), batch)
            parts.append((*map(np.asarray, seen), batch["scores"], batch["weights"]))
        return cls(
            **{
                field.name: np.concatenate(some)
                for field, some in zip(dataclasses.fields(cls), zip(*parts))
            }
        )

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: np.ndarray) -> "DirectedClips":
        """Some of the clips."""
        return dataclasses.replace(
            self,
            **{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)},
        )


def fit_heads(
    build: Build,
    params: Params,
    clips: DirectedClips,
    *,
    config: JudgeConfig,
    reward: RewardConfig,
    seed: int,
) -> Params:
    """The judge's parameters with its pool and heads fitted, the trunk untouched.

    AdamW under a cosine to nothing, pairs in a new order each time round.
    """
    steps = config.heads_steps
    pairs = len(clips) // 2
    size = min(_PAIRS, pairs)
    update = optax.adamw(
        optax.warmup_cosine_decay_schedule(
            0.0, config.heads_rate, min(50, steps // 2), steps
        ),
        weight_decay=_WEIGHT_DECAY,
    )
    rest = {name: value for name, value in params.items() if name not in _PARTS}

    def loss(heads: Params, rest: Params, some: tuple) -> Array:
        tokens, told, scores, weights = some
        judge = bind(build, rest | heads)
        found = judge.score(tokens.astype(jnp.float32), told)
        return pair_loss(found, scores, weights, config=reward).loss

    @jax.jit
    def step(heads: Params, state: optax.OptState, rest: Params, some: tuple) -> tuple:
        value, gradient = jax.value_and_grad(loss)(heads, rest, some)
        change, state = update.update(gradient, state, heads)
        return optax.apply_updates(heads, change), state, value

    rest = jax.device_put(rest)
    heads = jax.device_put({name: params[name] for name in _PARTS})
    state = update.init(heads)
    rng, order, losses = np.random.default_rng(seed), np.empty(0, int), []
    for _ in range(steps):
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(pairs)])
        first, order = order[:size], order[size:]
        some = clips.take(np.stack([2 * first, 2 * first + 1], axis=1).reshape(-1))
        batch = tuple(getattr(some, f.name) for f in dataclasses.fields(some))
        heads, state, value = step(heads, state, rest, batch)
        losses.append(value)
    edge = max(steps // 20, 1)
    start, end = (float(np.mean(part)) for part in (losses[:edge], losses[-edge:]))
    logging.info(
        "heads alone, %d clips, %d steps: loss %.4f -> %.4f",
        len(clips),
        steps,
        start,
        end,
    )
    return params | jax.tree.map(np.asarray, heads)
