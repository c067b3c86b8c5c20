"""Whether a folder holds the very run that is asked for."""

import pathlib
from typing import Any

from absl import logging
from flax import traverse_util

from animatrix_jax.errors import UserError

# What may change between two calls of one run: none of it is in the weights, or, as the
# number of steps, it is a wish to go on.
_MAY_CHANGE = (
    *("loop", "mesh", "profile", "init", "data.workers", "data.processes", "data.path"),
    *("model.dit.remat", "model.dit.attention", "measuring.begin"),
)

# Fields that came later, each with the value that means what there was before.
_CAME_LATER = {
    "batch.buckets": [],
    "batch.multiple": 1,
    "candidates.answers": "",
    "data.apart": False,
    "data.held_out_world": False,
    "data.tiers": [],
    "judge.heads_rate": 1e-2,
    "judge.heads_steps": 0,
    "judge.pixel_blind": False,
    "optimizer.masters": "float32",
    "preference.reference_draws": 0,
}

# Of what nobody noted before, nothing is known: any value may have been it.
_ONCE_NOT_NOTED = ("model.tags.taxonomy", "reads")


def check_same_run(
    before: dict[str, Any], now: dict[str, Any], *, folder: pathlib.Path
) -> None:
    """Refuses to go on, or to be done, with what another config trained.

    Raises:
      UserError: naming each field with both values.
    """
    old, new = (traverse_util.flatten_dict(c, sep=".") for c in (before, now))
    # Only of a run's whole config: a part of one says nothing of what it leaves out. Some
    # stages have sections of their own, and no others.
    if "batch.size" in old:
        old = {k: v for k, v in _CAME_LATER.items() if k in new} | old
    old |= {k: new[k] for k in _ONCE_NOT_NOTED if k in new and not old.get(k)}
    steps = (old.get("loop.steps"), new.get("loop.steps"))
    if None not in steps and steps[0] != steps[1]:
        logging.warning(
            "%s was begun for %s steps and goes on for %s: its learning rate and all that "
            "is drawn along the run follow the new length from here",
            folder,
            *steps,
        )
    may_change = _MAY_CHANGE
    if "reads" in before and before["reads"] == now.get("reads"):
        may_change = (*may_change, "data.cached")  # it came to the same
    changed = [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
        and not any(f"{name}.".startswith(f"{may}.") for may in may_change)
    ]
    if changed:
        if "latents" in now.get("reads", ()) and "video" in old.get("reads", ()):
            changed.append("--config.data.cached=False reads videos, as before")
        raise UserError(
            f"{folder} holds another run: {'; '.join(changed)}. Use another --workdir,"
            " or remove that folder to train it anew"
        )
