"""What a stage has come to: its time, its losses, and the digest of its parameters."""

import json
import pathlib
import time
from typing import Any

import jax
import numpy as np

from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.files import replacing
from animatrix_jax.parallel import distributed
from animatrix_jax.training.goodput import Ledger
from animatrix_jax.training.lazy import LazyArray
from animatrix_jax.training.stage import Params, Stage
from animatrix_jax.training.step import TrainState
from animatrix_jax.training.writers import read_metrics

_NAME = "summary.json"


class Clock:
    """Seconds of training so far, over all restarts that left a checkpoint."""

    def __init__(self, folder: pathlib.Path):
        lines = read_metrics(folder)
        self._before = lines[-1].get("seconds", 0.0) if lines else 0.0
        self._start = time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start


def params_digest(params: Params) -> str:
    """The fingerprint of parameters that may be split over hosts."""

    def whole(leaf: jax.Array) -> LazyArray:
        return LazyArray(
            shape=leaf.shape,
            dtype=np.dtype(leaf.dtype),
            read=lambda index: np.asarray(distributed.fetch(leaf))[index],
        )

    return fingerprint(jax.tree.map(whole, params))


def write_summary(
    stage: Stage,
    folder: pathlib.Path,
    state: TrainState,
    *,
    ledger: Ledger,
    digest: str,
) -> dict[str, Any]:
    """The summary of a stage that is done, and summary.json."""
    lines = read_metrics(folder)
    validation = [
        line["validation_loss"] for line in lines if "validation_loss" in line
    ]
    summary = {
        "name": stage.name,
        "steps": int(state.step),
        "loss_first": validation[0],
        "loss_last": validation[-1],
        "seconds": round(lines[-1]["seconds"], 1),
        "skipped": int(state.skipped),
        **stage.counts(),
        "goodput": ledger.report(),
        "params_digest": digest,
    }
    with replacing(folder / _NAME) as partial:
        partial.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return summary


def read_summary(folder: pathlib.Path) -> dict[str, Any] | None:
    """The summary of a stage that is done; None of one that is not."""
    path = folder / _NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
