"""How far our networks are from the reference implementations, with the same weights.

    python -m benchmarks.parity [--json] [--families=wan21_t2v,umt5]

Each family is built by diffusers or transformers at small odd sizes with random weights,
written as they write it, converted by `animatrix_jax.convert`, loaded, and run on the same
inputs, fp32. `max_rel_error` is the largest max|a-b| / max|b| of its outputs over all
sizes, `max_rel_gradient_error` that of the transformer's gradients, leaf by leaf
(`references.gradient_error`).

Full-size models are built on torch's `meta` device, without values: each name and shape
must be in our table, and each of ours in theirs, nothing left over.
"""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import jax
import numpy as np
import torch
import transformers
from absl import flags
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from jax import numpy as jnp

from animatrix_jax.cli import app
from animatrix_jax.convert import clip, configs, t5, to_orbax, vae, wan
from animatrix_jax.convert.source import flat_shapes, text_shapes
from animatrix_jax.convert.table import Table, their_shapes
from animatrix_jax.errors import UserError
from animatrix_jax.models import presets
from animatrix_jax.models.clip import CLIPImageEncoder
from animatrix_jax.models.config import CLIPConfig, DiTConfig, T5Config, VAEConfig
from animatrix_jax.models.dit import DiT
from animatrix_jax.models.functional import bind
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.models.vae import VAE
from animatrix_jax.training.weights import load_component
from benchmarks import references

FLAGS = flags.FLAGS
_TINY = "parity"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One size of a transformer: heads x head_dim wide, on latents t h w."""

    heads: int
    head_dim: int
    latents: tuple[int, int, int]
    layers: int = 2
    batch: int = 2
    text: int = 7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Errors:
    """The largest relative errors of a case."""

    output: float
    gradient: float | None = None


_CLIPS = (
    Clip(heads=3, head_dim=20, latents=(3, 6, 4)),
    Clip(heads=1, head_dim=28, latents=(1, 4, 10), batch=3, text=13),
    Clip(heads=2, head_dim=12, latents=(5, 2, 8), layers=3, batch=1, text=1),
)
# diffusers takes the last 512 tokens of the context for the text where there are images.
_IMAGE_CLIPS = (
    Clip(heads=2, head_dim=16, latents=(2, 4, 6), text=512),
    Clip(heads=3, head_dim=12, latents=(1, 6, 2), layers=1, batch=1, text=512),
)
_IMAGE_PATCHES, _IMAGE_DIM = 11, 14


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    torch.set_num_threads(1)
    # Compiling is what costs here; this leaves out passes for speed.
    jax.config.update("jax_disable_most_optimizations", True)
    unknown = sorted(set(FLAGS.families) - FAMILIES.keys())
    if unknown:
        raise UserError(f"no family {unknown}; there is {', '.join(FAMILIES)}")
    families = {}
    for name in FLAGS.families or FAMILIES:
        start = time.perf_counter()
        families[name] = measure(name)
        figures = ", ".join(f"{k} {v:.2g}" for k, v in families[name].items())
        print(f"{name:<15} {figures} ({time.perf_counter() - start:.0f} s)", flush=True)
    full_size = {name: full_size_names(name) for name in FULL_SIZE}
    for name, counted in full_size.items():
        print(f"{name:<15} {counted}")
    app.print_json({"families": families, "full_size": full_size})


def measure(family: str) -> dict[str, float]:
    """The largest errors over the sizes of a family."""
    with tempfile.TemporaryDirectory() as folder:
        errors = [
            case(pathlib.Path(folder) / str(i))
            for i, case in enumerate(FAMILIES[family])
        ]
    figures = {"max_rel_error": max(error.output for error in errors)}
    gradients = [error.gradient for error in errors if error.gradient is not None]
    return figures | ({"max_rel_gradient_error": max(gradients)} if gradients else {})


def transformer_case(
    clip: Clip,
    folder: pathlib.Path,
    *,
    per_token: bool = False,
    concat: bool = False,
    image: bool = False,
) -> Errors:
    """A transformer's velocity and gradients.

    Args:
      clip: its size, and that of its inputs.
      folder: to write into.
      per_token: a noise level a latent frame, 0 for the first (Wan 2.2 5B).
      concat: reference latents and their mask as further channels (image-to-video).
      image: the image embedding branch too (Wan 2.1 image-to-video).
    """
    channels = 4
    config = DiTConfig(
        dim=clip.heads * clip.head_dim,
        ffn_dim=31,
        num_heads=clip.heads,
        num_layers=clip.layers,
        in_channels=2 * channels + 1 if concat else channels,
        out_channels=channels,
        freq_dim=32,
        text_dim=10,
        rope_max_positions=32,
        image_dim=_IMAGE_DIM if image else None,
        frame_conditioning="concat" if concat else "clean",
        tag_cross_attention=False,
        tag_adaln=False,
    )
    model = references.transformer(config)
    params = converted(model, folder, "generator", dit=config)["dit"]
    draw = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape).astype(np.float32)

    t, h, w = clip.latents
    xt = normal(clip.batch, t, h, w, config.in_channels)
    text = normal(clip.batch, clip.text, config.text_dim)
    seen = normal(clip.batch, _IMAGE_PATCHES, _IMAGE_DIM) if image else None
    weight = normal(clip.batch, t, h, w, channels)
    sigma = draw.random((clip.batch, t) if per_token else clip.batch)
    sigma = sigma.astype(np.float32)
    if per_token:
        sigma[:, 0] = 0
    timestep = 1000 * sigma
    if per_token:
        timestep = np.repeat(timestep, h // 2 * w // 2, axis=1)
    theirs = model(
        torch.from_numpy(xt).permute(0, 4, 1, 2, 3),
        torch.from_numpy(timestep),
        torch.from_numpy(text),
        encoder_hidden_states_image=None if seen is None else torch.from_numpy(seen),
    ).sample.permute(0, 2, 3, 4, 1)
    (theirs * torch.from_numpy(weight)).sum().backward()

    def loss(params: Any) -> tuple[Any, Any]:
        velocity = bind(lambda rngs: DiT(config, rngs=rngs), params)(
            jnp.asarray(xt),
            jnp.asarray(sigma),
            jnp.asarray(text),
            image=None if seen is None else jnp.asarray(seen),
        )
        return (velocity * weight).sum(), velocity

    gradients, velocity = jax.jit(jax.grad(loss, has_aux=True))(params)
    expected = references.ours(
        wan.diffusers_table(config),
        {name: parameter.grad for name, parameter in model.named_parameters()},
        flat_shapes(lambda rngs: DiT(config, rngs=rngs)),
    )
    return Errors(
        output=references.relative_error(velocity, theirs.detach().numpy()),
        gradient=references.gradient_error(gradients, expected),
    )


def vae_case(
    config: VAEConfig, size: tuple[int, int, int, int], folder: pathlib.Path
) -> Errors:
    """The latents' mean and log variance of a clip (b t h w), and a clip of latents."""
    model = references.vae(config)
    params = converted(model, folder, "vae")
    batch, frames, height, width = size
    time_stride, rows, columns = config.stride
    draw = np.random.default_rng(0)
    video = draw.uniform(-1, 1, (batch, frames, height, width, 3)).astype(np.float32)
    cells = ((frames - 1) // time_stride + 1, height // rows, width // columns)
    latents = draw.uniform(-1, 1, (batch, *cells, config.latent_channels))
    latents = latents.astype(np.float32)

    @jax.jit
    def run(params: Any) -> Any:
        ours = bind(lambda rngs: VAE(config, rngs=rngs), params)
        coded = ours.encode(jnp.asarray(video))
        return coded.mean, coded.logvar, ours.decode(jnp.asarray(latents))

    def first(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))

    with torch.no_grad():
        coded = model.encode(first(video)).latent_dist
        decoded = model.decode(first(latents)).sample
    theirs = (coded.mean, coded.logvar, decoded)
    return Errors(
        output=max(
            references.relative_error(a, np.moveaxis(b.numpy(), 1, -1))
            for a, b in zip(run(params), theirs, strict=True)
        )
    )


def t5_case(config: T5Config, size: tuple[int, int], folder: pathlib.Path) -> Errors:
    """The encoding of padded texts (b s), where they are not padding."""
    model = references.t5(config, "EncoderModel")
    params = converted(model, folder, "text")["encoder"]
    batch, length = size
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, length + 1, batch)
    lengths[0] = length
    mask = np.arange(length) < lengths[:, None]
    ids = np.where(mask, draw.integers(2, config.vocab_size, size), 0).astype(np.int32)

    @jax.jit
    def run(params: Any) -> Any:
        encoder = bind(lambda rngs: T5Encoder(config, rngs=rngs), params)
        return encoder(jnp.asarray(ids), jnp.asarray(mask))

    with torch.no_grad():
        theirs = model(torch.from_numpy(ids).long(), torch.from_numpy(mask))
    theirs = theirs.last_hidden_state.numpy()
    return Errors(output=references.relative_error(run(params)[mask], theirs[mask]))


def clip_case(config: CLIPConfig, batch: int, folder: pathlib.Path) -> Errors:
    """The penultimate layer's tokens of some prepared pictures."""
    model = references.clip(config)
    params = converted(model, folder, "image")
    size = config.image_size
    pixels = np.random.default_rng(0).standard_normal((batch, size, size, 3))
    pixels = pixels.astype(np.float32)

    @jax.jit
    def run(params: Any) -> Any:
        encoder = bind(lambda rngs: CLIPImageEncoder(config, rngs=rngs), params)
        return encoder(jnp.asarray(pixels))

    with torch.no_grad():
        theirs = model(references.channels_first(pixels), output_hidden_states=True)
    theirs = theirs.hidden_states[-2].numpy()
    return Errors(output=references.relative_error(run(params), theirs))


def converted(
    model: Any, folder: pathlib.Path, name: str, *, dit: DiTConfig | None = None
) -> Any:
    """A reference's weights by way of its files, the conversion, and a checkpoint."""
    model.save_pretrained(folder / "reference")
    with known(dit) as preset:
        to_orbax.convert(folder / "reference", folder / "ours", preset=preset)
        return load_component(str(folder / "ours"), name).params


@contextlib.contextmanager
def known(dit: DiTConfig | None) -> Iterator[str | None]:
    """A transformer's preset for as long as this lasts."""
    if dit is None:
        yield None
        return
    model = dataclasses.replace(presets.preset("wan21_1_3b"), dit=dit)
    with mock.patch.dict(presets.PRESETS, {_TINY: lambda: model}):
        yield _TINY


def _transformers(
    clips: Sequence[Clip], **options: bool
) -> list[Callable[[pathlib.Path], Errors]]:
    return [
        lambda folder, clip=clip: transformer_case(clip, folder, **options)
        for clip in clips
    ]


def _vaes(
    config: VAEConfig, *sizes: tuple[int, int, int, int]
) -> list[Callable[[pathlib.Path], Errors]]:
    return [lambda folder, size=size: vae_case(config, size, folder) for size in sizes]


def _t5s(
    config: T5Config, *sizes: tuple[int, int]
) -> list[Callable[[pathlib.Path], Errors]]:
    return [lambda folder, size=size: t5_case(config, size, folder) for size in sizes]


_SMALL_CLIP = dataclasses.replace(
    references.CLIP, image_size=12, patch=4, dim=16, num_heads=1, num_layers=2
)

FAMILIES: dict[str, list[Callable[[pathlib.Path], Errors]]] = {
    "wan21_t2v": _transformers(_CLIPS),
    "wan21_i2v": _transformers(_IMAGE_CLIPS, concat=True, image=True),
    "wan22_ti2v_5b": _transformers(_CLIPS, per_token=True),
    "wan22_a14b_t2v": _transformers(_CLIPS[:2]),
    "wan22_a14b_i2v": _transformers(_CLIPS[:2], concat=True),
    "vae21": _vaes(references.VAE21, (2, 9, 16, 24), (1, 5, 24, 8), (3, 1, 8, 16)),
    "vae22": _vaes(references.VAE22, (2, 9, 16, 8), (1, 5, 8, 24), (3, 1, 16, 16)),
    "t5_11": _t5s(references.T5_11, (3, 27), (1, 1), (2, 41)),
    "umt5": _t5s(references.UMT5, (3, 27), (1, 1), (2, 41)),
    "clip": [
        functools.partial(clip_case, references.CLIP, 3),
        functools.partial(clip_case, _SMALL_CLIP, 1),
    ],
}

# Of each full size, the component of our preset; T5 1.1 XXL is none of ours.
_T5_11_XXL = T5Config(vocab_size=32128, bias_every_layer=False)
FULL_SIZE: dict[str, DiTConfig | VAEConfig | T5Config | CLIPConfig] = {
    **{
        name: presets.preset(name).dit
        for name in presets.PRESETS
        if name.startswith("wan")
    },
    "vae21": presets.WAN21_VAE,
    "vae22": presets.WAN22_VAE,
    "umt5_xxl": presets.UMT5_XXL,
    "t5_11_xxl": _T5_11_XXL,
    "clip_vit_h": presets.CLIP_VIT_H,
}


def full_size_names(name: str) -> dict[str, int]:
    """How many tensors a full-size model has, once all are seen to be mapped.

    Raises:
      ValueError: naming what is in one and not in the other, or of another shape.
    """
    config = FULL_SIZE[name]
    model, table, ours = _on_meta(config)
    state = model.state_dict()
    names = {copy: entry.theirs for entry in table for copy in entry.copies}
    theirs = {names.get(key, key): tuple(value.shape) for key, value in state.items()}
    mapped = their_shapes(table, ours)
    odd = sorted(theirs.items() ^ mapped.items())
    if odd:
        raise ValueError(f"{name}: {odd}")
    return {
        "tensors": len(mapped),
        "parameters": sum(value.numel() for value in model.parameters()),
        "unmapped": len(odd),
    }


def _on_meta(
    config: DiTConfig | VAEConfig | T5Config | CLIPConfig,
) -> tuple[torch.nn.Module, Table, dict[str, Any]]:
    """The reference without values, our table of it, and the shapes of our parameters."""
    with torch.device("meta"):
        if isinstance(config, DiTConfig):
            model = WanTransformer3DModel.from_config(configs.dit_to_diffusers(config))
            ours = flat_shapes(lambda rngs: DiT(config, rngs=rngs))
            return model, wan.diffusers_table(config), ours
        if isinstance(config, VAEConfig):
            model = AutoencoderKLWan.from_config(configs.vae_to_diffusers(config))
            ours = flat_shapes(lambda rngs: VAE(config, rngs=rngs))
            return model, vae.diffusers_table(config), ours
        if isinstance(config, CLIPConfig):
            values = configs.clip_to_transformers(config)
            model = transformers.CLIPVisionModel(
                transformers.CLIPVisionConfig(**values)
            )
            ours = flat_shapes(lambda rngs: CLIPImageEncoder(config, rngs=rngs))
            return model, clip.transformers_table(config), ours
        family = "UMT5" if config.bias_every_layer else "T5"
        values = getattr(transformers, f"{family}Config")(
            **configs.t5_to_huggingface(config)
        )
        model = getattr(transformers, f"{family}EncoderModel")(values)
        return model, t5.huggingface_table(config), text_shapes(config)


if __name__ == "__main__":
    flags.DEFINE_list("families", [], "Only these; all by default.")
    app.run(main)
