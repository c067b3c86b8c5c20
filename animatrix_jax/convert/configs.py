"""Their config.json beside our configs, both ways.

    WanTransformer3DModel, WanModel   DiTConfig
    AutoencoderKLWan                  VAEConfig
    UMT5..., T5..., MT5...            T5Config
    CLIPVisionModel                   CLIPConfig

A field that our network has no form of is refused, rather than lost.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from animatrix_jax.errors import UserError
from animatrix_jax.models.clip import PIXEL_MEAN, PIXEL_STD
from animatrix_jax.models.config import CLIPConfig, DiTConfig, T5Config, VAEConfig

Json = dict[str, Any]
# Of every Wan; diffusers' config has no field for it.
_ROPE_THETA = 10_000.0

_PIXEL_CHANNELS = 3
_MLP = "gated-gelu"
_CLIP_ACTIVATION = "gelu"


def dit_from_diffusers(values: Mapping[str, Any], like: DiTConfig) -> DiTConfig:
    """The transformer of a `WanTransformer3DModel`; what Wan has not is `like`'s.

    Raises:
      UserError: if it has a part that ours has not.
    """
    _same(values, "cross_attn_norm", True)
    _same(values, "qk_norm", "rms_norm_across_heads")
    _same(values, "pos_embed_seq_len", None)
    heads = values["num_attention_heads"]
    channels = values["in_channels"]
    return _wan(
        like,
        dim=heads * values["attention_head_dim"],
        ffn_dim=values["ffn_dim"],
        num_heads=heads,
        num_layers=values["num_layers"],
        in_channels=channels,
        out_channels=values.get("out_channels") or channels,
        patch=tuple(values["patch_size"]),
        freq_dim=values["freq_dim"],
        text_dim=values["text_dim"],
        eps=values["eps"],
        rope_max_positions=values.get("rope_max_seq_len", 1024),
        image_dim=values.get("image_dim"),
    )


def dit_to_diffusers(config: DiTConfig) -> Json:
    """The config.json of the same transformer in diffusers.

    Raises:
      UserError: for a transformer that is not Wan's.
    """
    if config.absolute_positions:
        raise UserError(
            "diffusers has no form of this transformer: its tokens start with absolute "
            "positions, which Wan's do not"
        )
    if config.rope_theta != _ROPE_THETA:
        raise UserError(
            f"diffusers has no form of this transformer: rope_theta is "
            f"{config.rope_theta:g}, and Wan's is {_ROPE_THETA:g}"
        )
    return {
        "_class_name": "WanTransformer3DModel",
        "patch_size": list(config.patch),
        "num_attention_heads": config.num_heads,
        "attention_head_dim": config.head_dim,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "text_dim": config.text_dim,
        "freq_dim": config.freq_dim,
        "ffn_dim": config.ffn_dim,
        "num_layers": config.num_layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": config.eps,
        "image_dim": config.image_dim,
        "added_kv_proj_dim": None if config.image_dim is None else config.dim,
        "rope_max_seq_len": config.rope_max_positions,
        "pos_embed_seq_len": None,
    }


def dit_from_original(
    values: Mapping[str, Any], like: DiTConfig, *, image_dim: int | None
) -> DiTConfig:
    """The transformer of a `WanModel`; `image_dim` is not in its config."""
    if values.get("model_type", "t2v") not in ("t2v", "i2v", "ti2v"):
        raise UserError(
            f"Wan's model_type {values['model_type']!r} is none of t2v, i2v, ti2v"
        )
    return _wan(
        like,
        dim=values["dim"],
        ffn_dim=values["ffn_dim"],
        num_heads=values["num_heads"],
        num_layers=values["num_layers"],
        in_channels=values["in_dim"],
        out_channels=values["out_dim"],
        freq_dim=values["freq_dim"],
        text_dim=values.get("text_dim", 4096),
        patch=tuple(values.get("patch_size", (1, 2, 2))),
        eps=values["eps"],
        image_dim=image_dim,
    )


def vae_from_diffusers(values: Mapping[str, Any]) -> VAEConfig:
    """The VAE of an `AutoencoderKLWan`.

    Raises:
      UserError: if it has a part that ours has not.
    """
    patch = values.get("patch_size") or 1
    _same(values, "attn_scales", [])
    for name in ("in_channels", "out_channels"):
        _same(values, name, _PIXEL_CHANNELS * patch**2)
    decoder = values.get("decoder_base_dim")
    return VAEConfig(
        latent_channels=values["z_dim"],
        base_dim=values["base_dim"],
        decoder_dim=None if decoder == values["base_dim"] else decoder,
        dim_mult=tuple(values["dim_mult"]),
        num_res_blocks=values["num_res_blocks"],
        downsample=tuple(
            "spacetime" if time else "spatial" for time in values["temperal_downsample"]
        ),
        patch=patch,
        residual=values.get("is_residual", False),
        latents_mean=tuple(values["latents_mean"]),
        latents_std=tuple(values["latents_std"]),
    )


def vae_to_diffusers(config: VAEConfig) -> Json:
    """The config.json of the same VAE in diffusers.

    Raises:
      UserError: if diffusers has no form of it.
    """
    own = config.first_mean or config.tilt
    if config.norm != "rms" or "time" in config.downsample or own:
        raise UserError(
            "diffusers has no form of this VAE: it has no norm, halves time alone, "
            "tilts its latents, or has statistics of its own for the first frame, as "
            "none of Wan's has"
        )
    channels = _PIXEL_CHANNELS * config.patch**2
    _, rows, _ = config.stride
    return {
        "_class_name": "AutoencoderKLWan",
        "base_dim": config.base_dim,
        "decoder_base_dim": config.decoder_dim,
        "z_dim": config.latent_channels,
        "dim_mult": list(config.dim_mult),
        "num_res_blocks": config.num_res_blocks,
        "attn_scales": [],
        "temperal_downsample": [kind == "spacetime" for kind in config.downsample],
        "dropout": 0.0,
        "latents_mean": list(config.latents_mean or (0.0,) * config.latent_channels),
        "latents_std": list(config.latents_std or (1.0,) * config.latent_channels),
        "is_residual": config.residual,
        "in_channels": channels,
        "out_channels": channels,
        "patch_size": config.patch if config.patch > 1 else None,
        "scale_factor_temporal": config.stride[0],
        "scale_factor_spatial": rows,
    }


def t5_from_huggingface(values: Mapping[str, Any], *, decoder: bool) -> T5Config:
    """The T5 of a config.json; without a decoder, unless its weights are there.

    Raises:
      UserError: if it is T5 1.0, whose feed-forward has no gate.
    """
    _same(values, "feed_forward_proj", _MLP)
    depth = values["num_layers"]
    return T5Config(
        vocab_size=values["vocab_size"],
        d_model=values["d_model"],
        d_kv=values["d_kv"],
        d_ff=values["d_ff"],
        num_heads=values["num_heads"],
        num_layers=depth,
        num_decoder_layers=(values.get("num_decoder_layers") or depth) * decoder,
        relative_buckets=values["relative_attention_num_buckets"],
        relative_max_distance=values.get("relative_attention_max_distance", 128),
        bias_every_layer=values.get("model_type") == "umt5",
        eps=values["layer_norm_epsilon"],
    )


def t5_to_huggingface(config: T5Config) -> Json:
    """The config.json of the same T5 in transformers."""
    kind = ("umt5", "UMT5") if config.bias_every_layer else ("t5", "T5")
    whole = config.num_decoder_layers > 0
    return {
        "architectures": [
            kind[1] + ("ForConditionalGeneration" if whole else "EncoderModel")
        ],
        "model_type": kind[0],
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_heads": config.num_heads,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.num_decoder_layers or config.num_layers,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "layer_norm_epsilon": config.eps,
        "feed_forward_proj": _MLP,
        "dense_act_fn": "gelu_new",
        "is_gated_act": True,
        "is_encoder_decoder": True,
        "tie_word_embeddings": False,
        "dropout_rate": 0.1,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


def clip_from_transformers(values: Mapping[str, Any]) -> CLIPConfig:
    """The image encoder of a `CLIPVisionModel`.

    Raises:
      UserError: if it has a part that ours has not.
    """
    _same(values, "hidden_act", _CLIP_ACTIVATION)
    _same(values, "num_channels", _PIXEL_CHANNELS)
    return CLIPConfig(
        image_size=values["image_size"],
        patch=values["patch_size"],
        dim=values["hidden_size"],
        ffn_dim=values["intermediate_size"],
        num_heads=values["num_attention_heads"],
        num_layers=values["num_hidden_layers"],
        eps=values["layer_norm_eps"],
    )


def clip_to_transformers(config: CLIPConfig) -> Json:
    """The config.json of the same encoder in transformers."""
    return {
        "architectures": ["CLIPVisionModel"],
        "model_type": "clip_vision_model",
        "hidden_act": _CLIP_ACTIVATION,
        "num_channels": _PIXEL_CHANNELS,
        "image_size": config.image_size,
        "patch_size": config.patch,
        "hidden_size": config.dim,
        "intermediate_size": config.ffn_dim,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "layer_norm_eps": config.eps,
        "attention_dropout": 0.0,
    }


def image_processor(config: CLIPConfig) -> Json:
    """The preprocessor_config.json of what `models.clip.preprocess` does."""
    size = config.image_size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(PIXEL_MEAN),
        "image_std": list(PIXEL_STD),
    }


def check_image_processor(values: Mapping[str, Any], config: CLIPConfig) -> None:
    """Refuses a preparation of pictures that is not ours.

    Raises:
      UserError: naming the field.
    """
    named = {**values, "_class_name": "image_processor"}
    for name, expected in image_processor(config).items():
        if name != "image_processor_type":
            _same(named, name, expected)


def same_wan(a: DiTConfig, b: DiTConfig) -> bool:
    """Whether two transformers have the same parameters of Wan."""
    return all(getattr(a, name) == getattr(b, name) for name in _SHAPES)


def differences(a: DiTConfig, b: DiTConfig) -> str:
    """In what two transformers' parameters of Wan differ."""
    return ", ".join(
        f"{name} is {getattr(a, name)}, expected {getattr(b, name)}"
        for name in _SHAPES
        if getattr(a, name) != getattr(b, name)
    )


_SHAPES = (
    *("dim", "ffn_dim", "num_heads", "num_layers", "in_channels", "out_channels"),
    *("patch", "freq_dim", "text_dim", "image_dim"),
)


def _wan(like: DiTConfig, **values: Any) -> DiTConfig:
    concat = values["in_channels"] != values["out_channels"]
    conditioning = "concat" if concat else "clean"
    return dataclasses.replace(
        like, frame_conditioning=conditioning, absolute_positions=False, **values
    )


def _same(values: Mapping[str, Any], name: str, expected: Any) -> None:
    """Refuses a field that is there with another value."""
    if values.get(name, expected) != expected:
        raise UserError(
            f"{values.get('_class_name') or values.get('model_type')}: {name} "
            f"{values[name]!r} has no form here, expected {expected!r}"
        )
