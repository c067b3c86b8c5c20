"""Named sizes: every network of one model, with its clip shape and sampling defaults.

`pico` and `nano` are ours. The others have exactly Wan's shapes, so that Wan's weights
load, with Wan's own sampling settings (arXiv 2605.03652 starts from Wan 2.2's A14B); the
tag parts beside them are ours. The tag encoder's tables are as long as the taxonomy, which is read when a preset
is asked for, not when this module is imported.
"""

import dataclasses
import difflib
from collections.abc import Callable

from animatrix_jax.errors import UserError
from animatrix_jax.models.config import (
    CLIPConfig,
    DiTConfig,
    T5Config,
    TagEncoderConfig,
    VAEConfig,
)

# Which component is which of two experts. Where there is one transformer, it is the
# "generator" too.
EXPERTS = {"high": "generator", "low": "generator_low"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experts:
    """Two transformers of one shape, chosen by noise level (Wan 2.2 A14B).

    Attributes:
      boundary: noise level from which the high-noise expert works.
      guidance_high: guidance scale of the high-noise expert.
    """

    boundary: float
    guidance_high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelPreset:
    """All that a size determines.

    Attributes:
      dit: the transformer.
      tags: the tag encoder.
      vae: the VAE.
      text: the text tower.
      text_length: tokens of text, padded to.
      frames, height, width: pixels of the default clip.
      fps: frames a second at which a clip plays.
      shift: of the sampling schedule.
      steps: solver steps.
      guidance: text guidance scale; with experts, the low-noise one's.
      experts: of a model of two transformers.
      image: the encoder of given pictures, of models with an image branch.
    """

    dit: DiTConfig
    tags: TagEncoderConfig
    vae: VAEConfig
    text: T5Config
    text_length: int
    frames: int
    height: int
    width: int
    fps: int
    shift: float
    steps: int
    guidance: float
    experts: Experts | None = None
    image: CLIPConfig | None = None

    @property
    def generators(self) -> tuple[str, ...]:
        """The components that predict a velocity, from high noise to low."""
        return tuple(EXPERTS.values()) if self.experts else ("generator",)

    @property
    def towers(self) -> tuple[str, ...]:
        """The frozen components round them."""
        return (
            ("vae", "text") if self.dit.image_dim is None else ("vae", "text", "image")
        )

    @property
    def networks(self) -> tuple[str, ...]:
        """The components that it takes to sample."""
        return (*self.generators, *self.towers)

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """Shape (t, h, w, c) of the default clip's latents."""
        time, rows, columns = self.vae.stride
        return (
            (self.frames - 1) // time + 1,
            self.height // rows,
            self.width // columns,
            self.vae.latent_channels,
        )


# The statistics of the latents that Wan published with each VAE.
WAN21_LATENTS_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
WAN21_LATENTS_STD = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)
WAN22_LATENTS_MEAN = (
    *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557),
    *(-0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825),
    *(-0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
    *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230),
    *(-0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748),
    *(0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
)
WAN22_LATENTS_STD = (
    *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013),
    *(0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978),
    *(0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
    *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093),
    *(0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887),
    *(0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
)

WAN21_VAE = VAEConfig(latents_mean=WAN21_LATENTS_MEAN, latents_std=WAN21_LATENTS_STD)
WAN22_VAE = VAEConfig(
    latent_channels=48,
    base_dim=160,
    decoder_dim=256,
    patch=2,
    residual=True,
    latents_mean=WAN22_LATENTS_MEAN,
    latents_std=WAN22_LATENTS_STD,
)
UMT5_XXL = T5Config()
CLIP_VIT_H = CLIPConfig()


def _tag_encoder(dim: int, num_heads: int) -> TagEncoderConfig:
    """The tag encoder over the taxonomy that the package carries."""
    from animatrix_jax.knowledge import taxonomy

    loaded = taxonomy.load_taxonomy()
    return TagEncoderConfig(
        num_fields=loaded.num_fields,
        num_values=loaded.num_values,
        taxonomy=loaded.order,
        dim=dim,
        num_heads=num_heads,
    )


def _pico() -> ModelPreset:
    return ModelPreset(
        dit=DiTConfig(
            dim=128,
            ffn_dim=384,
            num_heads=4,
            num_layers=5,
            in_channels=16,
            out_channels=16,
            patch=(1, 1, 1),
            text_dim=64,
            absolute_positions=True,
            tag_dim=64,
        ),
        tags=_tag_encoder(64, 4),
        # One latent is one token: 8 x 8 pixels of four frames.
        vae=VAEConfig(
            latent_channels=16,
            base_dim=32,
            dim_mult=(1, 2, 2),
            num_res_blocks=1,
            downsample=("spacetime", "spacetime"),
            patch=2,
            residual=True,
            norm="none",
            tilt=0.5,
        ),
        text=T5Config(
            vocab_size=2048,
            d_model=64,
            d_kv=16,
            d_ff=160,
            num_heads=4,
            num_layers=2,
            num_decoder_layers=1,
        ),
        text_length=64,
        frames=17,
        height=32,
        width=32,
        fps=12,
        shift=3.0,
        steps=20,
        guidance=3.0,
    )


def _nano() -> ModelPreset:
    pico = _pico()
    return dataclasses.replace(
        pico,
        dit=DiTConfig(
            dim=192,
            ffn_dim=576,
            num_heads=6,
            num_layers=8,
            in_channels=16,
            out_channels=16,
            patch=(1, 1, 1),
            text_dim=64,
            absolute_positions=True,
            tag_dim=128,
        ),
        tags=_tag_encoder(128, 4),
        height=64,
        width=64,
        steps=30,
    )


def _wan21_1_3b() -> ModelPreset:
    return ModelPreset(
        dit=DiTConfig(
            dim=1536,
            ffn_dim=8960,
            num_heads=12,
            num_layers=30,
            tag_dim=512,
            tag_rank=64,
            remat="block",
            dtype="bfloat16",
        ),
        tags=_tag_encoder(512, 8),
        vae=WAN21_VAE,
        text=UMT5_XXL,
        text_length=512,
        frames=81,
        height=480,
        width=832,
        fps=16,
        shift=8.0,
        steps=50,
        guidance=6.0,
    )


def _wan21_14b() -> ModelPreset:
    return ModelPreset(
        dit=DiTConfig(
            dim=5120,
            ffn_dim=13824,
            num_heads=40,
            num_layers=40,
            tag_dim=1024,
            tag_rank=128,
            remat="block",
            dtype="bfloat16",
        ),
        tags=_tag_encoder(1024, 16),
        vae=WAN21_VAE,
        text=UMT5_XXL,
        text_length=512,
        frames=81,
        height=720,
        width=1280,
        fps=16,
        shift=5.0,
        steps=50,
        guidance=5.0,
    )


def _wan21_14b_i2v() -> ModelPreset:
    base = _wan21_14b()
    # 16 latent channels, 4 of the mask of given frames, 16 of the given latents; and
    # the 1280-wide image embeddings of CLIP ViT-H.
    dit = dataclasses.replace(
        base.dit, in_channels=36, image_dim=1280, frame_conditioning="concat"
    )
    return dataclasses.replace(base, dit=dit, image=CLIP_VIT_H)


def _wan22_5b() -> ModelPreset:
    return ModelPreset(
        dit=DiTConfig(
            dim=3072,
            ffn_dim=14336,
            num_heads=24,
            num_layers=30,
            in_channels=48,
            out_channels=48,
            tag_dim=768,
            tag_rank=128,
            remat="block",
            dtype="bfloat16",
        ),
        tags=_tag_encoder(768, 12),
        vae=WAN22_VAE,
        text=UMT5_XXL,
        text_length=512,
        frames=121,
        height=704,
        width=1280,
        fps=24,
        shift=5.0,
        steps=50,
        guidance=5.0,
    )


def _wan22_a14b() -> ModelPreset:
    return dataclasses.replace(
        _wan21_14b(),
        shift=12.0,
        steps=40,
        guidance=3.0,
        experts=Experts(boundary=0.875, guidance_high=4.0),
    )


def _wan22_a14b_i2v() -> ModelPreset:
    base = _wan22_a14b()
    dit = dataclasses.replace(base.dit, in_channels=36, frame_conditioning="concat")
    return dataclasses.replace(
        base,
        dit=dit,
        shift=5.0,
        guidance=3.5,
        experts=Experts(boundary=0.9, guidance_high=3.5),
    )


PRESETS: dict[str, Callable[[], ModelPreset]] = {
    "pico": _pico,
    "nano": _nano,
    "wan21_1_3b": _wan21_1_3b,
    "wan21_14b": _wan21_14b,
    "wan21_14b_i2v": _wan21_14b_i2v,
    "wan22_5b": _wan22_5b,
    "wan22_a14b": _wan22_a14b,
    "wan22_a14b_i2v": _wan22_a14b_i2v,
}


def preset(name: str) -> ModelPreset:
    """The preset called `name`.

    Raises:
      UserError: if there is none, with the nearest names.
    """
    if name not in PRESETS:
        nearest = difflib.get_close_matches(name, PRESETS, n=3, cutoff=0.3)
        raise UserError(
            f"unknown preset {name!r}, expected one of {', '.join(nearest or PRESETS)}"
        )
    return PRESETS[name]()
