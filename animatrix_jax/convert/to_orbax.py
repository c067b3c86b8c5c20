"""From a folder of downloaded weights to a checkpoint of ours, a block at a time.

    WanPipeline folder  -->  OUT/generator  OUT/vae  OUT/text     (`training/weights.py`)
                             OUT/generator_low, of Wan 2.2 A14B
                             OUT/image, of Wan 2.1's image-to-video models

Wan has no tags: the tag encoder and the tag deltas come from the folder's own
`animatrix_tags`, where `to_diffusers` wrote it, or start afresh, at zero effect.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from animatrix_jax.convert import files
from animatrix_jax.convert.source import (
    PLACES,
    Flat,
    Weights,
    flat_shapes,
    open_source,
    tags_folder,
)
from animatrix_jax.convert.table import Entry, from_theirs
from animatrix_jax.errors import UserError
from animatrix_jax.models import presets
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig, from_dict, to_dict
from animatrix_jax.models.functional import init_params
from animatrix_jax.models.generator import TagPaths
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.training import lazy_orbax
from animatrix_jax.training.lazy import Index, LazyArray, lazy
from animatrix_jax.training.weights import Component, check_tags

# Of a tower that is converted alone, whose config says nothing of the rest.
_ANY_PRESET = "wan21_1_3b"
_TAG_FIELDS = ("tag_dim", "tag_cross_attention", "tag_adaln", "tag_rank")
_TOKENIZER_FILES = ("*.json", "*.model")


def convert(
    folder: pathlib.Path,
    out: pathlib.Path,
    *,
    components: Sequence[str] = (),
    preset: str | None = None,
    expert: str | None = None,
    dtype: np.dtype | None = None,
    tokenizer: pathlib.Path | None = None,
) -> dict[str, int]:
    """Writes each component of `folder` into a folder of its own in `out`.

    Args:
      folder: see `source.py`.
      out: a new folder, or a converted one that lacks these components.
      components: of a pipeline, only these; empty: all that it has.
      preset: what the transformer should be; None: the preset whose shapes it has.
      expert: see `open_source`.
      dtype: of what is written; None: as it comes.
      tokenizer: the text tower's tokenizer.json, where the source has none.

    Returns:
      The number of parameters by component.

    Raises:
      UserError: for a source that is not whole or of another family, a value that
        `dtype` cannot hold, and a disk that is full; what it concerns is not written.
    """
    opened = open_source(folder, components=components, preset=preset, expert=expert)
    for weights in opened:
        if (out / weights.name).exists():
            raise UserError(
                f"{out / weights.name} is there already: remove it, or name another --out"
            )
    sizes = {}
    for weights in opened:
        if tokenizer is not None and weights.name == "text":
            weights = dataclasses.replace(weights, tokenizer=tokenizer)
        made = component(weights, preset=preset)
        params = {
            path: checked(value, dtype, name=f"{weights.name}/{path}")
            for path, value in _flat(made.params).items()
        }
        with whole_folder(out / weights.name) as partial:
            tree = traverse_util.unflatten_dict(params, sep="/")
            lazy_orbax.save_tree(partial / "weights", tree)
            files.write_json(partial / "config.json", made.config)
            if weights.tokenizer is not None:
                _copy_tokenizer(weights.tokenizer, partial / "tokenizer")
        sizes[weights.name] = sum(value.size for value in params.values())
    return sizes


def open_pipeline(folder: pathlib.Path, **options: Any) -> Pipeline:
    """A pipeline that samples from a diffusers folder as it lies there.

    Args:
      folder: of diffusers.
      options: as of `Pipeline.from_components`.

    Raises:
      UserError: if the folder is not whole, a part is of another family, or its tags are
        in another order than the taxonomy's.
    """
    parts = {}
    for weights in open_source(folder):
        made = component(weights)
        check_tags(made)
        params = jax.tree.map(lambda leaf: leaf.astype(np.float32), made.params)
        parts[weights.name] = dataclasses.replace(made, params=params)
    if "generator" not in parts:
        raise UserError(f"{folder} has no {PLACES['generator']}")
    return Pipeline.from_components(parts, **options)


def component(weights: Weights, *, preset: str | None = None) -> Component:
    """A component as the rest of the package takes it; its weights are still lazy."""
    name = weights.preset or preset or _ANY_PRESET
    model = presets.preset(name)
    params = weights.params
    if model.experts and weights.boundary is not None:
        experts = dataclasses.replace(model.experts, boundary=weights.boundary)
        model = dataclasses.replace(model, experts=experts)
    if isinstance(weights.config, DiTConfig):
        model = _with_tags(dataclasses.replace(model, dit=weights.config), weights)
        params = {f"dit/{path}": value for path, value in params.items()}
        if model.dit.uses_tags:
            params |= {f"tags/{k}": v for k, v in _tags(model, weights).items()}
    else:
        model = dataclasses.replace(model, **{weights.name: weights.config})
    config = {"preset": name, "model": to_dict(model)}
    tokenizer = weights.tokenizer and weights.tokenizer / "tokenizer.json"
    return Component(
        name=weights.name,
        config=json.loads(json.dumps(config)),
        params=traverse_util.unflatten_dict(params, sep="/"),
        tokenizer=tokenizer if tokenizer and tokenizer.is_file() else None,
        source=str(weights.folder),
    )


def checked(value: LazyArray, dtype: np.dtype | None, *, name: str) -> LazyArray:
    """`value` in `dtype`, or in its own, every number of it seen to be finite.

    Raises:
      UserError: when it is read, if it holds what `dtype` cannot, or inf or nan.
    """
    dtype = np.dtype(value.dtype if dtype is None else dtype)

    def read(index: Index) -> np.ndarray:
        part = value.read(index)
        with np.errstate(over="ignore"):
            made = part.astype(dtype, copy=False)
        finite = np.isfinite(made)
        if not finite.all():
            worst = np.abs(np.asarray(part)[~finite].astype(np.float64)).max()
            if np.isfinite(worst):
                why = f"which {dtype.name} cannot: take bfloat16 or float32"
            else:
                why = f"as {value.dtype.name}: it has overflowed, or is damaged"
            raise UserError(f"{name} holds {worst:g}, {why}")
        return made

    return dataclasses.replace(value, dtype=dtype, read=read)


@contextlib.contextmanager
def whole_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write into, which becomes `folder` when all of it is there.

    Raises:
      UserError: if it cannot be written; nothing of it is left then.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(folder)
    except UserError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        why = _of_storage(error)
        if why is None:
            raise
        raise UserError(f"cannot write {folder}: {why}") from error


def _of_storage(error: Exception) -> str | None:
    """What the file system said, if it is an error of the file system.

    TensorStore gives those as ValueErrors that tell the number.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    told = re.search(r"os_error_code='(\d+)'", str(error))
    return told and os.strerror(int(told.group(1)))


def _with_tags(model: ModelPreset, weights: Weights) -> ModelPreset:
    """The model with the tag paths of the source's own tags, if it has any."""
    folder = _tags_folder(weights)
    if folder is None:
        return model
    values = files.read_json(folder / "config.json")
    try:
        dit = dataclasses.replace(model.dit, **values["paths"])
        tags = from_dict(TagEncoderConfig, values["encoder"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} does not fit: {error}") from error
    return dataclasses.replace(model, dit=dit, tags=tags)


def _tags(model: ModelPreset, weights: Weights) -> Flat:
    """The parameters of the tag paths: the source's own, or fresh ones."""

    def build(rngs: Any) -> TagPaths:
        return TagPaths(model.dit, model.tags, rngs=rngs)

    folder = _tags_folder(weights)
    if folder is None:
        # Not jitted: compiled as one, the draws take eight times as long, and more room.
        fresh = init_params(build, jax.random.key(0))
        flat = traverse_util.flatten_dict(fresh, sep="/")
        return {path: lazy(np.asarray(value)) for path, value in flat.items()}
    shapes = flat_shapes(build)
    return from_theirs(
        [Entry(theirs=path, ours=path) for path in shapes],
        files.read_folder(folder),
        shapes,
        source=str(folder),
        family="set of tag paths",
    )


def tag_config(model: ModelPreset) -> dict[str, Any]:
    """What the config beside exported tags holds."""
    paths = {name: getattr(model.dit, name) for name in _TAG_FIELDS}
    return {"paths": paths, "encoder": to_dict(model.tags)}


def _tags_folder(weights: Weights) -> pathlib.Path | None:
    folder = tags_folder(weights.folder.parent, weights.folder.name)
    return folder if folder.is_dir() and folder != weights.folder else None


def _copy_tokenizer(source: pathlib.Path, folder: pathlib.Path) -> None:
    folder.mkdir()
    if source.is_file():
        shutil.copyfile(source, folder / "tokenizer.json")
        return
    for pattern in _TOKENIZER_FILES:
        for path in source.glob(pattern):
            if (
                "tokenizer" in path.name
                or "spiece" in path.name
                or "special" in path.name
            ):
                shutil.copyfile(path, folder / path.name)


def _flat(params: dict[str, Any]) -> Flat:
    return traverse_util.flatten_dict(params, sep="/")
