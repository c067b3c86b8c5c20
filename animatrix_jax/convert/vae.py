"""Table of Wan's VAEs: diffusers' names of 2.1 and 2.2.

Reference: `AutoencoderKLWan`. Wan 2.1 counts the encoder's blocks and downsamplers in one
flat list; Wan 2.2 (`residual`) nests both in stages.
"""

from collections.abc import Iterator

from animatrix_jax.convert.table import SAME, Entry, Layout, Table, conv, trailing
from animatrix_jax.models.config import VAEConfig


def diffusers_table(config: VAEConfig) -> Table:
    """By the names of `AutoencoderKLWan`.

    Raises:
      ValueError: for a config that is none of Wan's.
    """
    if config.norm != "rms" or "time" in config.downsample:
        raise ValueError(
            "the VAE has no norm, or halves time alone: none of Wan's does"
        )
    entries = []
    for coder, stages in (("encoder", _down(config)), ("decoder", _up(config))):
        entries += _conv(f"{coder}.conv_in", f"{coder}/conv_in", 0)
        for stage in stages:
            entries += stage
        entries += _mid(coder)
        entries.append(_gain(f"{coder}.norm_out", f"{coder}/norm_out", 3))
        entries += _conv(f"{coder}.conv_out", f"{coder}/conv_out", 0)
    for name in ("quant_conv", "post_quant_conv"):
        entries += _conv(name, name, 3)
    return entries


def _down(config: VAEConfig) -> Iterator[list[Entry]]:
    dims = [config.base_dim * mult for mult in (1, *config.dim_mult)]
    count = config.num_res_blocks
    for i, kind in enumerate((*config.downsample, None)):
        ours, entries = f"encoder/stages/{i}", []
        for j in range(count):
            flat = f"encoder.down_blocks.{i * (count + 1) + j}"
            nested = f"encoder.down_blocks.{i}.resnets.{j}"
            entries += _block(
                nested if config.residual else flat,
                f"{ours}/blocks/{j}",
                shortcut=j == 0 and dims[i] != dims[i + 1],
            )
        if kind is not None:
            flat = f"encoder.down_blocks.{i * (count + 1) + count}"
            nested = f"encoder.down_blocks.{i}.downsampler"
            entries += _resampler(
                nested if config.residual else flat,
                f"{ours}/downsampler",
                time=kind == "spacetime",
            )
        yield entries


def _up(config: VAEConfig) -> Iterator[list[Entry]]:
    base = config.decoder_dim or config.base_dim
    dims = [base * mult for mult in (config.dim_mult[-1], *config.dim_mult[::-1])]
    for i, kind in enumerate((*config.downsample[::-1], None)):
        ours, theirs, entries = f"decoder/stages/{i}", f"decoder.up_blocks.{i}", []
        halved = i > 0 and not config.residual
        before = dims[i] // 2 if halved else dims[i]
        for j in range(config.num_res_blocks + 1):
            entries += _block(
                f"{theirs}.resnets.{j}",
                f"{ours}/blocks/{j}",
                shortcut=j == 0 and before != dims[i + 1],
            )
        if kind is not None:
            name = "upsampler" if config.residual else "upsamplers.0"
            entries += _resampler(
                f"{theirs}.{name}", f"{ours}/upsampler", time=kind == "spacetime"
            )
        yield entries


def _mid(coder: str) -> list[Entry]:
    theirs, ours = f"{coder}.mid_block", f"{coder}/mid"
    attention = f"{theirs}.attentions.0"
    return [
        *_block(f"{theirs}.resnets.0", f"{ours}/block1", shortcut=False),
        *_block(f"{theirs}.resnets.1", f"{ours}/block2", shortcut=False),
        _gain(f"{attention}.norm", f"{ours}/attention/norm", 2),
        *_conv(f"{attention}.to_qkv", f"{ours}/attention/to_qkv", 2),
        *_conv(f"{attention}.proj", f"{ours}/attention/proj", 2),
    ]


def _block(theirs: str, ours: str, *, shortcut: bool) -> list[Entry]:
    entries = []
    for i in (1, 2):
        entries.append(_gain(f"{theirs}.norm{i}", f"{ours}/norm{i}", 3))
        entries += _conv(f"{theirs}.conv{i}", f"{ours}/conv{i}", 0)
    if shortcut:
        entries += _conv(f"{theirs}.conv_shortcut", f"{ours}/shortcut", 3)
    return entries


def _resampler(theirs: str, ours: str, *, time: bool) -> list[Entry]:
    entries = _conv(f"{theirs}.resample.1", f"{ours}/resample", 0)
    if time:
        entries += _conv(f"{theirs}.time_conv", f"{ours}/time_conv", 2)
    return entries


def _gain(theirs: str, ours: str, ones: int) -> Entry:
    return Entry(theirs=f"{theirs}.gamma", ours=f"{ours}/scale", layout=trailing(ones))


def _conv(theirs: str, ours: str, ones: int) -> list[Entry]:
    """A kernel, to which they have `ones` axes of size 1 more, and its bias."""
    layout: Layout = conv(ones)
    return [
        Entry(theirs=f"{theirs}.weight", ours=f"{ours}/kernel", layout=layout),
        Entry(theirs=f"{theirs}.bias", ours=f"{ours}/bias", layout=SAME),
    ]
