"""From a checkpoint of ours to a folder that diffusers loads, a block at a time.

    OUT/transformer  OUT/vae  OUT/text_encoder  OUT/tokenizer  OUT/scheduler
    OUT/transformer_2               the low-noise one of two experts
    OUT/image_encoder  OUT/image_processor      of a model with an image branch
    OUT/model_index.json            so that `WanPipeline.from_pretrained(OUT)` loads
    OUT/animatrix_tags  _2          the tag encoder and the tag deltas, with their config

diffusers knows nothing of tags, and samples as Wan does when none are given.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from animatrix_jax.convert import clip, configs, files, t5, vae, wan
from animatrix_jax.convert.source import PLACES, Flat, check_names, tags_folder
from animatrix_jax.convert.table import Table, to_theirs
from animatrix_jax.convert.to_orbax import checked, tag_config, whole_folder
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing
from animatrix_jax.models.config import CLIPConfig, from_dict
from animatrix_jax.models.presets import EXPERTS, ModelPreset
from animatrix_jax.training.lazy import LazyArray, lazy
from animatrix_jax.training.weights import Component, load_component

_STEMS = dict.fromkeys(("text_encoder", "image_encoder"), "model")
_IMAGE_TO_VIDEO = "WanImageToVideoPipeline"
_WHOLE = "ForConditionalGeneration"
_CLASSES = {
    "transformer": ("diffusers", "WanTransformer3DModel"),
    "transformer_2": ("diffusers", "WanTransformer3DModel"),
    "vae": ("diffusers", "AutoencoderKLWan"),
    "text_encoder": ("transformers", "UMT5EncoderModel"),
    "tokenizer": ("transformers", "T5TokenizerFast"),
    "scheduler": ("diffusers", "UniPCMultistepScheduler"),
}
# Of image-to-video pipelines alone.
_IMAGE_CLASSES = {
    "image_encoder": ("transformers", "CLIPVisionModel"),
    "image_processor": ("transformers", "CLIPImageProcessor"),
}
_SCHEDULER: dict[str, Any] = {
    "_class_name": "UniPCMultistepScheduler",
    "num_train_timesteps": 1000,
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
}
_TOKENIZER = {
    "tokenizer_class": "T5Tokenizer",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
}


def convert(
    checkpoint: str,
    out: pathlib.Path,
    *,
    components: Sequence[str] = (),
    dtype: np.dtype | None = None,
) -> dict[str, int]:
    """Writes the components of a checkpoint as diffusers has them.

    Args:
      checkpoint: whatever `load_component` takes.
      out: a new folder, or one that lacks these components.
      components: only these; empty: all that it takes to sample.
      dtype: of what is written; None: as it is stored, and float32 from a run.

    Returns:
      The number of parameters by component.

    Raises:
      UserError: for a component that is not there or that diffusers has no form of, a
        value that `dtype` cannot hold, and a disk that is full.
    """
    parts = _parts(checkpoint, components)
    plans = [_plan(part, out, dtype) for part in parts.values()]
    for part, plan in zip(parts.values(), plans, strict=True):
        _write_tags(out, plan)
        with whole_folder(out / plan.place) as partial:
            stem = _STEMS.get(plan.place, "diffusion_pytorch_model")
            files.write_folder(partial, stem, to_theirs(plan.table, plan.params))
            files.write_json(partial / "config.json", plan.config)
        if part.name == "text" and part.tokenizer is not None:
            _write_tokenizer(part.tokenizer, out / "tokenizer")
        if part.name == "image":
            _write_processor(plan.model.image, out / "image_processor")
    _write_pipeline(out, _a_generator(parts))
    return {
        name: sum(value.size for value in plan.params.values())
        for name, plan in zip(parts, plans, strict=True)
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """One component, all of it seen to have a form in diffusers.

    Attributes:
      place: its folder.
      config: its config.json.
      params: Wan's own parameters by path.
      tags: those of the tag paths, which Wan has not.
    """

    place: str
    config: dict[str, Any]
    table: Table
    model: ModelPreset
    params: Flat
    tags: Flat


def _plan(part: Component, out: pathlib.Path, dtype: np.dtype | None) -> _Plan:
    place = PLACES[part.name]
    if (out / place).exists():
        raise UserError(
            f"{out / place} is there already: remove it, name another --out, or leave "
            "it out of --components"
        )
    model = from_dict(ModelPreset, part.config["model"])
    flat = {
        path: checked(_lazily(value), dtype, name=f"{part.name}/{path}")
        for path, value in traverse_util.flatten_dict(part.params, sep="/").items()
    }
    tags = {}
    if part.name in EXPERTS.values():
        tags, flat = _below(flat, "tags"), _below(flat, "dit")
    config, table = _form(part.name, model, flat)
    return _Plan(
        place=place, config=config, table=table, model=model, params=flat, tags=tags
    )


def _parts(checkpoint: str, components: Sequence[str]) -> dict[str, Component]:
    """The components asked for; a tower is the one that the generator goes with."""
    check_names(components)
    if not components:
        generator = load_component(checkpoint, "generator", form="stored")
        components = from_dict(ModelPreset, generator.config["model"]).networks
    parts: dict[str, Component] = {}
    for name in (name for name in PLACES if name in components):
        generator = _a_generator(parts)
        try:
            if generator is None or name in EXPERTS.values():
                parts[name] = load_component(checkpoint, name, form="stored")
            else:
                parts[name] = generator.tower(name, "stored")
        except UserError as error:
            if generator is None:
                raise
            raise UserError(
                f"{error}; --components={','.join(parts)} writes what there is alone"
            ) from error
    return parts


def _a_generator(parts: Mapping[str, Component]) -> Component | None:
    """Either of two, or the one; they say the same of what they go with."""
    return parts.get(EXPERTS["high"]) or parts.get(EXPERTS["low"])


def _lazily(value: Any) -> LazyArray:
    return value if isinstance(value, LazyArray) else lazy(np.asarray(value))


def _form(name: str, model: ModelPreset, flat: Flat) -> tuple[dict[str, Any], Table]:
    """The config.json and the table of a component."""
    if name in EXPERTS.values():
        return configs.dit_to_diffusers(model.dit), wan.diffusers_table(model.dit)
    if name == "vae":
        return configs.vae_to_diffusers(model.vae), vae.diffusers_table(model.vae)
    if name == "image":
        table = clip.transformers_table(model.image)
        return configs.clip_to_transformers(model.image), table
    config = model.text
    if not any(path.startswith("decoder/") for path in flat):
        config = dataclasses.replace(config, num_decoder_layers=0)
    return configs.t5_to_huggingface(config), t5.huggingface_table(config)


def _below(flat: Flat, name: str) -> Flat:
    """The parameters under a name, without it."""
    return {
        path.removeprefix(f"{name}/"): value
        for path, value in flat.items()
        if path.startswith(f"{name}/")
    }


def _write_tags(out: pathlib.Path, plan: _Plan) -> None:
    if not plan.tags:
        return
    folder = tags_folder(out, plan.place)
    shutil.rmtree(folder, ignore_errors=True)
    with whole_folder(folder) as partial:
        files.write_folder(partial, "tags", plan.tags)
        files.write_json(partial / "config.json", tag_config(plan.model))


def _write_tokenizer(file: pathlib.Path, folder: pathlib.Path) -> None:
    """The tokenizer's files; a tokenizer.json alone gets the config that T5's has."""
    with whole_folder(folder) as partial:
        for path in (
            file.parent.iterdir() if file.parent.name == "tokenizer" else [file]
        ):
            shutil.copyfile(path, partial / path.name)
        if not (partial / "tokenizer_config.json").exists():
            files.write_json(partial / "tokenizer_config.json", _TOKENIZER)


def _write_processor(config: CLIPConfig, folder: pathlib.Path) -> None:
    with whole_folder(folder) as partial:
        values = configs.image_processor(config)
        files.write_json(partial / "preprocessor_config.json", values)


def _write_pipeline(out: pathlib.Path, generator: Component | None) -> None:
    """model_index.json of what is there by now, and the scheduler's config."""
    path = out / "model_index.json"
    index = files.read_json(path) if path.exists() else {"_class_name": "WanPipeline"}
    if generator is not None:
        model = from_dict(ModelPreset, generator.config["model"])
        index |= _pipeline_of(model)
        (out / "scheduler").mkdir(exist_ok=True)
        scheduler = _SCHEDULER | {"flow_shift": model.shift}
        files.write_json(out / "scheduler" / "scheduler_config.json", scheduler)
    pictures = _IMAGE_CLASSES if index["_class_name"] == _IMAGE_TO_VIDEO else {}
    for name, classes in (_CLASSES | pictures).items():
        folder = out / name
        if name == "text_encoder" and folder.is_dir():
            (which,) = files.read_json(folder / "config.json")["architectures"]
            family = which.removesuffix("EncoderModel").removesuffix(_WHOLE)
            classes = (classes[0], f"{family}EncoderModel")
        index[name] = list(classes) if folder.is_dir() else [None, None]
    with replacing(path) as partial:
        files.write_json(partial, index)


def _pipeline_of(model: ModelPreset) -> dict[str, Any]:
    """The pipeline's class and settings for a model."""
    if model.dit.frame_conditioning == "concat":
        index: dict[str, Any] = {"_class_name": _IMAGE_TO_VIDEO}
    else:
        # Given frames are clean, at a noise level of their own, in Wan 2.2's 5B alone.
        per_token = model.vae.residual and model.vae.patch > 1
        index = {"_class_name": "WanPipeline", "expand_timesteps": per_token}
    return index | {"boundary_ratio": model.experts and model.experts.boundary}
