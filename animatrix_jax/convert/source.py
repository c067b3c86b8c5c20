"""What a folder of downloaded weights holds: components, each with config and tensors.

    a diffusers pipeline   model_index.json, transformer/, transformer_2/, vae/,
                           text_encoder/, tokenizer/, image_encoder/, image_processor/
    a component            config.json and safetensors: diffusers', Hugging Face's, Wan's
    a T5X checkpoint       target.* zarr arrays

Nothing but configs and headers is read here; the tensors are read as they are asked for.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
from flax import traverse_util

from animatrix_jax.convert import clip, configs, files, t5, t5x, vae, wan
from animatrix_jax.convert.table import Table, Tensors, from_theirs
from animatrix_jax.errors import UserError
from animatrix_jax.models import presets
from animatrix_jax.models.clip import CLIPImageEncoder
from animatrix_jax.models.config import CLIPConfig, DiTConfig, T5Config, VAEConfig
from animatrix_jax.models.dit import DiT
from animatrix_jax.models.functional import Build, init_params
from animatrix_jax.models.presets import EXPERTS, ModelPreset
from animatrix_jax.models.t5 import T5, T5Encoder
from animatrix_jax.models.vae import VAE
from animatrix_jax.training.lazy import LazyArray

Name = Literal["generator", "generator_low", "vae", "text", "image"]
Flat = dict[str, LazyArray]

# Our components, and their folders in a pipeline of diffusers.
PLACES: dict[Name, str] = {
    "generator": "transformer",
    "generator_low": "transformer_2",
    "vae": "vae",
    "text": "text_encoder",
    "image": "image_encoder",
}
_T5_TYPES = ("t5", "mt5", "umt5")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """One component of a source, in our names.

    Attributes:
      params: Wan's own parameters by path, a generator's without "dit/".
      tokenizer: the folder of a text tower's tokenizer.
      preset: a generator's, by name; None where the source does not say.
      boundary: noise level between two experts, where the source says.
      folder: where it lies.
    """

    name: Name
    config: DiTConfig | VAEConfig | T5Config | CLIPConfig
    params: Flat
    folder: pathlib.Path
    tokenizer: pathlib.Path | None = None
    preset: str | None = None
    boundary: float | None = None


def is_source(folder: pathlib.Path) -> bool:
    """Whether a folder is a diffusers pipeline."""
    return (folder / "model_index.json").is_file()


def tags_folder(folder: pathlib.Path, transformer: str) -> pathlib.Path:
    """Where in a diffusers folder the tags of one of its transformers are."""
    return folder / transformer.replace("transformer", "animatrix_tags")


def open_source(
    folder: pathlib.Path,
    *,
    components: Sequence[str] = (),
    preset: str | None = None,
    expert: str | None = None,
) -> list[Weights]:
    """The components of a folder.

    Args:
      folder: see the module's docstring.
      components: only these; empty: all that it has.
      preset: what the transformer should be; None: the preset whose shapes it has.
      expert: which of two a transformer that comes alone is; of a pipeline, the one of
        its two to take.

    Raises:
      UserError: if the folder is of no family known here, or not whole.
    """
    if folder.is_file():
        files.refuse_pickle(folder)
        raise UserError(f"{folder} is a file; name the folder that holds its config")
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    if not is_source(folder):
        generator = EXPERTS[expert or "high"]
        two = expert is not None
        check_names(components)
        found = _open_component(folder, preset, generator=generator, experts=two)
        if components and found.name not in components:
            raise UserError(
                f"{folder} is {found.name!r}, and not {', '.join(components)}"
            )
        return [found]
    index = files.read_json(folder / "model_index.json")
    boundary = index.get("boundary_ratio")
    opened = []
    for name in _names(folder, index, components, expert):
        weights = _open_component(
            folder / PLACES[name],
            preset,
            generator=name,
            experts=boundary is not None,
        )
        weights = dataclasses.replace(weights, boundary=boundary)
        if weights.name == "text" and (folder / "tokenizer").is_dir():
            weights = dataclasses.replace(weights, tokenizer=folder / "tokenizer")
        opened.append(weights)
    return opened


def flat_shapes(build: Build) -> dict[str, jax.ShapeDtypeStruct]:
    """The parameters of a network by path, as shapes alone."""
    shapes = jax.eval_shape(lambda key: init_params(build, key), jax.random.key(0))
    return traverse_util.flatten_dict(shapes, sep="/")


def text_shapes(config: T5Config) -> dict[str, jax.ShapeDtypeStruct]:
    """A text tower's parameters: under "encoder", also where there is no decoder."""
    if config.num_decoder_layers:
        return flat_shapes(lambda rngs: T5(config, rngs=rngs))
    shapes = flat_shapes(lambda rngs: T5Encoder(config, rngs=rngs))
    return {f"encoder/{path}": shape for path, shape in shapes.items()}


def check_names(components: Sequence[str]) -> None:
    """Raises UserError for a component that there is not."""
    unknown = sorted(set(components) - PLACES.keys())
    if unknown:
        raise UserError(
            f"no component {', '.join(unknown)}; there is {', '.join(PLACES)}"
        )


def _names(
    folder: pathlib.Path,
    index: Mapping[str, Any],
    components: Sequence[str],
    expert: str | None,
) -> list[Name]:
    """The components of a pipeline that are asked for."""
    check_names(components)
    there = [name for name, place in PLACES.items() if _is_there(index, place)]
    asked = list(components) or there
    if expert is not None:
        asked = [name for name in asked if name not in EXPERTS.values()]
        asked.append(EXPERTS[expert])
    missing = [name for name in asked if name not in there]
    if missing:
        raise UserError(f"{folder} has no {', '.join(missing)}")
    return [name for name in there if name in asked]


def _is_there(index: Mapping[str, Any], name: str) -> bool:
    """A pipeline's index has [None, None] for a part that it goes without."""
    return (index.get(name) or [None])[0] is not None


def _open_component(
    folder: pathlib.Path, preset: str | None, *, generator: Name, experts: bool
) -> Weights:
    """The component in a folder.

    Args:
      generator: which a transformer is.
      experts: whether it is one of two.
    """
    if t5x.is_t5x(folder):
        return _open_t5x(folder)
    if not (folder / "config.json").is_file():
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            files.refuse_pickle(path)
        raise UserError(
            f"{folder} has neither model_index.json nor config.json, and no target.* "
            "arrays of T5X: it is no source of weights known here"
        )
    values = files.read_json(folder / "config.json")
    kind = values.get("_class_name") or values.get("model_type")
    opener: Callable[..., Weights] | None = {
        "WanTransformer3DModel": _open_dit,
        "WanModel": _open_dit,
        "AutoencoderKLWan": _open_vae,
        "clip_vision_model": _open_clip,
        **dict.fromkeys(_T5_TYPES, _open_t5),
    }.get(kind)
    if opener is None:
        raise UserError(
            f"{folder} is a {kind}; expected WanTransformer3DModel, WanModel, "
            f"AutoencoderKLWan, or model_type {', '.join(_T5_TYPES)}, clip_vision_model"
        )
    try:
        if opener is _open_dit:
            return _open_dit(folder, values, preset, generator, experts)
        return opener(folder, values)
    except KeyError as error:
        raise UserError(f"{folder / 'config.json'} has no field {error}") from error


def _open_dit(
    folder: pathlib.Path,
    values: Mapping[str, Any],
    preset: str | None,
    generator: Name,
    experts: bool,
) -> Weights:
    tensors = files.read_folder(folder)
    original = values["_class_name"] == "WanModel"

    def config_like(like: DiTConfig) -> DiTConfig:
        if not original:
            return configs.dit_from_diffusers(values, like)
        first = tensors.get("img_emb.proj.0.weight")
        image_dim = None if first is None else first.shape[0]
        return configs.dit_from_original(values, like, image_dim=image_dim)

    name = preset or _preset_of(folder, config_like, experts=experts)
    like = presets.preset(name).dit
    config = config_like(like)
    if not configs.same_wan(config, like):
        raise UserError(f"{folder} is not {name}: {configs.differences(config, like)}")
    table = (wan.original_table if original else wan.diffusers_table)(config)
    params = _ours(
        table, tensors, lambda rngs: DiT(config, rngs=rngs), folder, "Wan DiT"
    )
    return Weights(
        name=generator, config=config, params=params, folder=folder, preset=name
    )


def _preset_of(
    folder: pathlib.Path,
    config_like: Callable[[DiTConfig], DiTConfig],
    *,
    experts: bool,
) -> str:
    """The preset with these shapes; of those with two experts, or without."""
    for name, build in presets.PRESETS.items():
        model: ModelPreset = build()
        if (model.experts is not None) == experts and configs.same_wan(
            config_like(model.dit), model.dit
        ):
            return name
    raise UserError(
        f"{folder} has the shapes of no preset{' with two experts' * experts}: "
        f"{', '.join(presets.PRESETS)}"
    )


def _open_vae(folder: pathlib.Path, values: Mapping[str, Any]) -> Weights:
    config = configs.vae_from_diffusers(values)
    params = _ours(
        vae.diffusers_table(config),
        files.read_folder(folder),
        lambda rngs: VAE(config, rngs=rngs),
        folder,
        "Wan VAE",
    )
    return Weights(name="vae", config=config, params=params, folder=folder)


def _open_t5(folder: pathlib.Path, values: Mapping[str, Any]) -> Weights:
    tensors = files.read_folder(folder)
    whole = any(name.startswith("decoder.block.") for name in tensors)
    config = configs.t5_from_huggingface(values, decoder=whole)
    table = t5.huggingface_table(config)
    return _text(folder, config, table, tensors, "T5 of Hugging Face")


def _open_clip(folder: pathlib.Path, values: Mapping[str, Any]) -> Weights:
    config = configs.clip_from_transformers(values)
    processor = folder.parent / "image_processor" / "preprocessor_config.json"
    if processor.is_file():
        configs.check_image_processor(files.read_json(processor), config)
    params = _ours(
        clip.transformers_table(config),
        files.read_folder(folder),
        lambda rngs: CLIPImageEncoder(config, rngs=rngs),
        folder,
        "CLIP image encoder",
    )
    return Weights(name="image", config=config, params=params, folder=folder)


def _open_t5x(folder: pathlib.Path) -> Weights:
    tensors = t5x.read_t5x(folder)
    config = t5x.config_of(tensors, source=str(folder))
    table = t5.t5x_table(config, split_heads=t5x.has_split_heads(tensors))
    return _text(folder, config, table, tensors, "T5 of T5X")


def _text(
    folder: pathlib.Path, config: T5Config, table: Table, tensors: Tensors, family: str
) -> Weights:
    params = from_theirs(
        table, tensors, text_shapes(config), source=str(folder), family=family
    )
    tokenizer = folder if (folder / "tokenizer.json").is_file() else None
    return Weights(
        name="text", config=config, params=params, folder=folder, tokenizer=tokenizer
    )


def _ours(
    table: Table, tensors: Tensors, build: Build, folder: pathlib.Path, family: str
) -> Flat:
    return from_theirs(
        table, tensors, flat_shapes(build), source=str(folder), family=family
    )
