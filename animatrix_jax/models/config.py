"""Configs of the networks: frozen, keyword-only, and plain enough for JSON.

Every module of this room is built from one of these and nothing else, so a checkpoint
that carries the config's dictionary (`to_dict`) can rebuild its network (`from_dict`).
A size is a config; the named ones are in `presets.py`.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

ComputeDtype = Literal["float32", "bfloat16"]
Remat = Literal["none", "block", "attention", "dots", "offload"]
AttentionImplementation = Literal["auto", "plain", "blocked", "splash", "cudnn"]
FrameConditioning = Literal["clean", "concat"]
Downsample = Literal["spatial", "spacetime", "time"]
Norm = Literal["rms", "none"]

# Of the TPU's attention kernel: tokens in a block, and in a register.
TPU_BLOCK, TPU_LANES = 1024, 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """The video diffusion transformer, in Wan's structure, and where tags enter it.

    Attributes:
      dim: width of a token.
      ffn_dim: width of the feed-forward layers.
      num_heads: attention heads.
      num_layers: blocks.
      in_channels: channels of the patch embedding's input: those of the latents, and of
        the reference latents and their mask where `frame_conditioning` is "concat".
      out_channels: channels of the latents.
      patch: latent frames, rows and columns in a token.
      freq_dim: width of the sinusoidal embedding of the noise level.
      text_dim: width of the text tower's output.
      eps: of the norms.
      rope_max_positions: most positions along each of time, height and width.
      rope_theta: base of the rotary frequencies.
      absolute_positions: tokens start with their place as well. Rotary positions are
        relative: of pure noise they tell no token where it is, and in a grid of a few
        tokens the edges tell little. Wan has none.
      image_dim: width of the image embeddings of Wan 2.1's image-to-video models, whose
        blocks attend to them through keys and values of their own; None: no such branch.
      frame_conditioning: how given frames enter. "clean": they replace their latents, at
        noise level 0. "concat": as extra input channels.
      tag_dim: width of the tag encoder's output.
      tag_cross_attention: tags join the cross-attention context.
      tag_adaln: tags shift, scale and gate every sub-layer.
      tag_rank: rank of each block's tag modulation.
      attention: the implementation of `attention.attention`.
      remat: what the backward pass computes again: nothing ("none"), whole blocks
        ("block"), all of a block but what its attention gave ("attention"), or but that
        and its matrix products ("dots"). "offload" is "block" with the blocks' inputs
        waiting in the host's memory.
      dtype: of activations and matrix products. Parameters, norms, softmax and
        modulation are fp32 always.
    """

    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    in_channels: int = 16
    out_channels: int = 16
    patch: tuple[int, int, int] = (1, 2, 2)
    freq_dim: int = 256
    text_dim: int = 4096
    eps: float = 1e-6
    rope_max_positions: int = 1024
    rope_theta: float = 10000.0
    absolute_positions: bool = False
    image_dim: int | None = None
    frame_conditioning: FrameConditioning = "clean"
    tag_dim: int = 64
    tag_cross_attention: bool = True
    tag_adaln: bool = True
    tag_rank: int = 16
    attention: AttentionImplementation = "auto"
    remat: Remat = "none"
    dtype: ComputeDtype = "float32"

    def __post_init__(self):
        if self.dim % self.num_heads:
            raise ValueError(
                f"dim {self.dim} is not a multiple of {self.num_heads} heads"
            )
        if self.head_dim % 2:
            raise ValueError(
                f"rotary embedding needs an even head, got {self.head_dim}"
            )

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    @property
    def uses_tags(self) -> bool:
        """Whether tags enter the network at all."""
        return self.tag_cross_attention or self.tag_adaln


@dataclasses.dataclass(frozen=True, kw_only=True)
class TagEncoderConfig:
    """The transformer over a clip's set of tags.

    Attributes:
      num_fields: fields of the taxonomy.
      num_values: values of the taxonomy, each unique to its field.
      taxonomy: names its tags in their order (`Taxonomy.order`); empty where no one
        noted it.
      dim: width of a tag's vector.
      num_layers: blocks.
      num_heads: attention heads.
      ffn_mult: width of the feed-forward layers over `dim`.
      eps: of the norms.
    """

    num_fields: int
    num_values: int
    taxonomy: str = ""
    dim: int
    num_layers: int = 3
    num_heads: int = 4
    ffn_mult: int = 4
    eps: float = 1e-6

    def __post_init__(self):
        if self.dim % self.num_heads:
            raise ValueError(
                f"dim {self.dim} is not a multiple of {self.num_heads} heads"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Wan's causal video VAE.

    Attributes:
      latent_channels: channels of the latents.
      base_dim: channels at full resolution; stage i has `base_dim * dim_mult[i]`.
      decoder_dim: the decoder's own `base_dim`; None: as the encoder's.
      dim_mult: channels of each stage over `base_dim`.
      num_res_blocks: residual blocks of a stage.
      downsample: what each stage but the last halves.
      patch: pixels of a square patch folded into channels before the first stage.
      residual: Wan 2.2's stages, with an averaging shortcut round each.
      norm: "rms", Wan's, divides each position by its length over the channels. "none"
        for a few dozen channels, which cannot spare what the norm takes away.
      latents_mean, latents_std: per channel, of the raw latents. Everything outside the
        VAE sees latents normalised by them; empty: 0 and 1.
      first_mean, first_std: the same of a clip's first latent frame, which codes one frame
        of pixels and not `stride[0]`; empty, as in Wan: no other than the rest's.
      tilt: how much coarse structure is set above detail in what the rest sees: spatial
        frequency k has (1 + |k|^2)^(-tilt / 2) of its amplitude. 0, as in Wan: not at all.
    """

    latent_channels: int = 16
    base_dim: int = 96
    decoder_dim: int | None = None
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    downsample: tuple[Downsample, ...] = ("spatial", "spacetime", "spacetime")
    patch: int = 1
    residual: bool = False
    norm: Norm = "rms"
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()
    first_mean: tuple[float, ...] = ()
    first_std: tuple[float, ...] = ()
    tilt: float = 0.0

    def __post_init__(self):
        if len(self.downsample) != len(self.dim_mult) - 1:
            raise ValueError(
                f"{len(self.dim_mult)} stages need {len(self.dim_mult) - 1} entries in"
                f" downsample, got {len(self.downsample)}"
            )
        for name in ("latents_mean", "latents_std", "first_mean", "first_std"):
            if len(getattr(self, name)) not in (0, self.latent_channels):
                raise ValueError(
                    f"{name} needs {self.latent_channels} numbers,"
                    f" got {len(getattr(self, name))}"
                )

    @property
    def stride(self) -> tuple[int, int, int]:
        """Frames, rows and columns of pixels to one latent."""
        time = sum(kind != "spatial" for kind in self.downsample)
        space = sum(kind != "time" for kind in self.downsample)
        return 2**time, self.patch * 2**space, self.patch * 2**space


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
    """T5 1.1 and umT5: the encoder, and a decoder where it is trained here.

    Attributes:
      vocab_size: tokens of the vocabulary, padded as the weights are.
      d_model: width of a token.
      d_kv: width of a head.
      d_ff: width of the feed-forward layers.
      num_heads: attention heads.
      num_layers: blocks of the encoder.
      num_decoder_layers: 0 for an encoder alone.
      relative_buckets: buckets of the relative position bias.
      relative_max_distance: from which all distances share a bucket.
      bias_every_layer: each layer has its own relative position bias (umT5), or the first
        layer's serves all (T5 1.1, mT5).
      eps: of the norms.
    """

    vocab_size: int = 256384
    d_model: int = 4096
    d_kv: int = 64
    d_ff: int = 10240
    num_heads: int = 64
    num_layers: int = 24
    num_decoder_layers: int = 0
    relative_buckets: int = 32
    relative_max_distance: int = 128
    bias_every_layer: bool = True
    eps: float = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """CLIP's image encoder; the defaults are those of the ViT-H that Wan 2.1 takes.

    Attributes:
      image_size: pixels of a side of the square picture.
      patch: pixels of a side of a patch.
      dim: width of a token.
      ffn_dim: width of the feed-forward layers.
      num_heads: attention heads.
      num_layers: blocks.
      eps: of the norms.
    """

    image_size: int = 224
    patch: int = 14
    dim: int = 1280
    ffn_dim: int = 5120
    num_heads: int = 16
    num_layers: int = 32
    eps: float = 1e-5

    def __post_init__(self):
        if self.dim % self.num_heads:
            raise ValueError(
                f"dim {self.dim} is not a multiple of {self.num_heads} heads"
            )
        if self.image_size % self.patch:
            raise ValueError(
                f"pictures of {self.image_size} do not divide into patches of"
                f" {self.patch}"
            )

    @property
    def num_tokens(self) -> int:
        """A token a patch, and one for the whole picture."""
        return (self.image_size // self.patch) ** 2 + 1


Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as a dictionary that JSON takes; `from_dict` is its inverse."""
    return dataclasses.asdict(config)


def from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """The config of class `cls` that `to_dict` gave, also after a trip through JSON.

    Raises:
      ValueError: if a field is unknown to `cls`.
    """
    hints = typing.get_type_hints(cls)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)}")
    return cls(**{name: _revive(hints[name], value) for name, value in values.items()})


def _revive(hint: Any, value: Any) -> Any:
    """Lists back into tuples, dictionaries back into configs."""
    if isinstance(value, Mapping):
        options = (
            typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        )
        return from_dict(next(filter(dataclasses.is_dataclass, options)), value)
    return tuple(value) if isinstance(value, list) else value
