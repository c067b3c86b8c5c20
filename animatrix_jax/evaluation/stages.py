"""Stage `probe`: the instrument of the evaluation, on real Cel World clips.

    L = mean over stated fields of softmax (one value) or sigmoid (several) cross-entropy

It sees whole clips under their whole tags, pixels only, and never a sample.
"""

import pathlib
from typing import Any

import grain
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from animatrix_jax.evaluation.instruments import drawn_fields, probe_config
from animatrix_jax.evaluation.probes import Probe
from animatrix_jax.judge.stages import whole_videos
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.objectives.fields import field_loss, truth_matrix
from animatrix_jax.training.stage import Batch, Metrics, Stage, StepShapes
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers


class ProbeStage(Stage):
    """The probe on pixels and tags."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self.name = "probe"
        self._towers = Towers(config, workdir=workdir)
        self._probe = probe_config(config.model.to_dict())
        self._table = drawn_fields()
        self._clips = Clips(
            whole_videos(config),
            workdir=workdir,
            towers=self._towers,
            fields=("media", "tags"),
            pixels=True,
        )

    def build(self, rngs: nnx.Rngs) -> Probe:
        """Builds the probe."""
        return Probe(self._probe, rngs=rngs)

    def init(self, key: Array) -> Params:
        return {"probe": init_params(self.build, key)}

    def initial(self) -> Params | None:
        return self._towers.initial("probe")

    def frozen(self) -> Params:
        return {}

    def step_shapes(self) -> StepShapes:
        return StepShapes(frozen={}, batch=self._clips.batch_shapes())

    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        truth = truth_matrix(
            jnp.asarray(batch["tag_values"]),
            jnp.asarray(batch["tag_mask"]),
            num_values=self._probe.num_values,
        )
        output = bind(self.build, params["probe"])(jnp.asarray(batch["video"]))
        terms = field_loss(output.logits, truth, table=self._table)
        return terms.loss, {"accuracy": terms.accuracy}

    def batches(self) -> grain.IterDataset:
        return self._clips.batches()

    def held_out(self) -> list[Batch]:
        return self._clips.held_out()

    def counts(self) -> dict[str, int]:
        return self._clips.counts()

    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Nothing: the run's config says all that a reader needs."""
