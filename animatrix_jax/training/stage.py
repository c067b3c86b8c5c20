"""What a stage supplies to the one loop: parameters, an objective, and data.

The loop (loop.py) never asks which stage it runs: a stage derives from `Stage`, which
answers for it where most have nothing to say. It names its components ("vae",
"text", "generator", "judge", "caption"): parameters are nested dicts keyed by component,
in training, in checkpoints and in the weights that ship.
"""

import abc
import dataclasses
import pathlib
from typing import Any, Protocol, runtime_checkable

import grain
import numpy as np
from jaxtyping import Array

Params = dict[str, Any]
Batch = dict[str, np.ndarray | Array]
Metrics = dict[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepShapes:
    """What a step reads beside the train state, as shapes: a step can be compiled, or
    planned, before a clip is read or a weight loaded.

    Attributes:
      frozen: of `Stage.frozen()`.
      batch: of a batch over all hosts, without `clip_id`; of several shapes the largest.
      others: the other shapes that batches come in, where they are known ahead.
    """

    frozen: Any
    batch: dict[str, Any]
    others: tuple[dict[str, Any], ...] = ()


@runtime_checkable
class Stage(Protocol):
    """One stage of the programme."""

    name: str
    """Its name, and its folder below the work directory."""

    @abc.abstractmethod
    def init(self, key: Array) -> Params:
        """Fresh trainable parameters by component; pure, so it runs under jit."""

    @abc.abstractmethod
    def initial(self) -> Params | None:
        """Trainable parameters to start from (numpy), or None to start fresh."""

    @abc.abstractmethod
    def frozen(self) -> Params:
        """Parameters that the loss reads and nothing updates, by component."""

    @abc.abstractmethod
    def step_shapes(self) -> StepShapes:
        """Shapes of the frozen parameters and of a batch; reads no data."""

    @abc.abstractmethod
    def loss(
        self, params: Params, frozen: Params, batch: Batch, key: Array
    ) -> tuple[Array, Metrics]:
        """The scalar loss of a batch and what to log beside it; pure."""

    @abc.abstractmethod
    def batches(self) -> grain.IterDataset:
        """The training batches, whose iterator state can be saved."""

    @abc.abstractmethod
    def held_out(self) -> list[Batch]:
        """A few fixed batches for the validation loss, of clips that training never sees
        wherever there are enough."""

    @abc.abstractmethod
    def counts(self) -> dict[str, int]:
        """What the data has left out so far, to log with the metrics."""

    def digests(self) -> dict[str, str]:
        """The sha256 of files that the config names, weights apart: with others in their
        place it is another run."""
        return {}

    def sampled(self) -> str | None:
        """The generator that it trains, to sample from along the run; None: it has
        nothing to show."""
        return None

    @abc.abstractmethod
    def finish(self, params: Params, folder: pathlib.Path) -> None:
        """Called once after the last step with the EMA: what others need to know."""
