"""Scores of clips: a trained judge as a function of latents and tags.

    scorer = Scorer.load("runs/local")
    scores = scorer(latents, tags)            # [n 4], 1 to 5
    composite(scores), rejected(scores)

The composite is the mean of the heads. A clip whose worst head is under 2 is rejected:
it may lose a comparison but never win one.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from animatrix_jax.data.batches import stack_tags
from animatrix_jax.data.turns import full_turns
from animatrix_jax.errors import UserError
from animatrix_jax.judge.model import Judge, JudgeConfig
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig, from_dict
from animatrix_jax.models.functional import Params, bind
from animatrix_jax.training.lazy import loaded
from animatrix_jax.training.weights import Component, load_component

SCALE = (1.0, 5.0)
REJECT_BELOW = 2.0
# Of a judge's config, what only those have whose trunk is told no tags.
_TOLD_AT_HEADS = "heads_steps"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scorer:
    """A judge with its parameters; `batch` clips are scored at once."""

    config: JudgeConfig
    dit: DiTConfig
    tags: TagEncoderConfig
    params: Params
    batch: int = 16

    @classmethod
    def load(cls, checkpoint: str, stage: str = "") -> "Scorer":
        """The judge of a checkpoint.

        Raises:
          UserError: if it has none.
        """
        return cls.from_component(load_component(checkpoint, "judge", stage=stage))

    @classmethod
    def from_component(cls, component: Component) -> "Scorer":
        """The judge of a loaded component, with the config it was trained under.

        Raises:
          UserError: if that config is not one of a judge as this version has them.
        """
        config = component.config
        if _TOLD_AT_HEADS not in config.get("judge", {}):
            # Its weights have the same shapes, and would load.
            raise UserError(
                f"the judge of {component.source} is of an earlier version, where the "
                "trunk was told the tags: train stage judge again"
            )
        try:
            return cls(
                config=from_dict(JudgeConfig, config["judge"]),
                dit=from_dict(DiTConfig, config["model"]["dit"]),
                tags=from_dict(TagEncoderConfig, config["model"]["tags"]),
                params=loaded(component.params),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the judge of {component.source} has a config that this version "
                f"cannot read: {error}"
            ) from error

    def build(self, rngs: nnx.Rngs) -> Judge:
        """Builds the judge."""
        return Judge(self.config, self.dit, self.tags, rngs=rngs)

    def __call__(
        self,
        latents: Float[np.ndarray, "n t h w c"] | Float[Array, "n t h w c"],
        tags: Sequence[Sequence[str]],
        *,
        clip: bool = True,
    ) -> Float[np.ndarray, "n 4"]:
        """Scores of clips under the tags they were asked to have.

        Args:
          latents: normalised.
          tags: of each clip.
          clip: to [1, 5], as a person scores; unclipped they also rank the best.
        """
        if len(latents) != len(tags):
            raise ValueError(f"expected {len(latents)} lists of tags, got {len(tags)}")
        ids = stack_tags([tuple(clip) for clip in tags])
        scores = []
        for rows in full_turns(len(latents), self.batch):
            part = self._program(
                self.params,
                jnp.asarray(latents)[rows],
                {name: jnp.asarray(value[rows]) for name, value in ids.items()},
            )
            scores.append(np.asarray(part))
        whole = np.concatenate(scores)[: len(latents)]
        return np.clip(whole, *SCALE) if clip else whole

    @functools.cached_property
    def _program(self):
        def score(params, latents, ids):
            ids = {name: value[:, None] for name, value in ids.items()}
            scores = bind(self.build, params)(latents.astype(jnp.float32), **ids)
            return scores[:, 0]

        return jax.jit(score)


def composite(scores: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n"]:
    """One score a clip: the mean of its heads."""
    return scores.mean(axis=-1)


def rejected(
    scores: Float[np.ndarray, "*n 4"], *, below: float = REJECT_BELOW
) -> Bool[np.ndarray, "*n"]:
    """Whether a clip's worst head is under `below`."""
    return scores.min(axis=-1) < below
