"""The networks that a pipeline samples with: found, and known to go together."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from animatrix_jax.errors import UserError
from animatrix_jax.models.config import from_dict
from animatrix_jax.models.presets import EXPERTS, ModelPreset
from animatrix_jax.training.weights import Component, load_component


def load_parts(checkpoint: str, stage: str = "") -> dict[str, Component]:
    """The generator of a checkpoint, its other expert if there are two, its towers.

    Args:
      checkpoint: a packaged name, or a folder as `training/weights.py` describes.
      stage: of a run, the stage whose generator to take; empty for the latest.

    Raises:
      UserError: if there is no such model or a part of it is missing.
    """
    parts = {"generator": load_component(checkpoint, "generator", stage=stage)}
    model = from_dict(ModelPreset, parts["generator"].config["model"])
    for name in model.generators[1:]:
        parts[name] = _other_expert(checkpoint, name, stage)
    for name in model.towers:
        parts[name] = parts["generator"].tower(name)
    return parts


def preset_of(parts: Mapping[str, Component]) -> ModelPreset:
    """The model of loaded parts: each part's sizes come from its own config.

    Raises:
      UserError: for a part that is missing or does not go with the others.
    """
    models = {
        name: from_dict(ModelPreset, part.config["model"])
        for name, part in parts.items()
    }
    _check(parts, models)
    preset = models["generator"]
    own = {name: getattr(models[name], name) for name in preset.towers}
    return dataclasses.replace(preset, **own)


def _other_expert(checkpoint: str, name: str, stage: str) -> Component:
    """The second of two experts.

    Raises:
      UserError: if it is not there, with what this model takes.
    """
    try:
        return load_component(checkpoint, name, stage=stage)
    except UserError as error:
        raise UserError(
            f"{error}; the model has two experts, {' and '.join(EXPERTS.values())}, and "
            f"samples with both: convert both, or name it by --config.init.{name}"
        ) from error


def _check(parts: Mapping[str, Component], models: Mapping[str, ModelPreset]) -> None:
    """All networks are there, and two experts are of one shape and go with one VAE."""
    model = models["generator"]
    missing = [name for name in model.networks if name not in parts]
    if missing:
        raise UserError(
            f"{parts['generator'].source} takes {', '.join(model.networks)} to sample;"
            f" there is no {', '.join(missing)}"
        )
    for name in model.generators[1:]:
        if _shapes(models[name]) != _shapes(model):
            raise UserError(
                f"the experts {parts['generator'].source} and {parts[name].source} are "
                "not of one shape, or not with one boundary between them"
            )
        for tower in model.towers:
            parts[name].check_tower(parts[tower])


def _shapes(model: ModelPreset) -> tuple[Any, ...]:
    """What of a generator's config its parameters and its use depend on."""
    dit = dataclasses.replace(
        model.dit, remat="none", attention="auto", dtype="float32"
    )
    tags = dataclasses.replace(model.tags, taxonomy="")  # load_component sees to it
    return dit, tags, model.experts
