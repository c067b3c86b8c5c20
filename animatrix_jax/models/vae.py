"""Wan's causal video VAE: pixels to latents and back, the first frame on its own.

    video [b 1+4k h w 3] in [-1, 1]  --encode-->  Gaussian  --sample-->  latents
    latents [b 1+k h' w' c]  --decode-->  video
    uint8 video  --encode_pixels-->  normalised latents  --decode_pixels-->  uint8 video

`VAEConfig` makes it Wan 2.1's (arXiv 2503.20314), Wan 2.2's (pixels folded in 2x2, stages
with averaging shortcuts, a wider decoder), or a small one of the same kind. Activations
take the dtype of the parameters; norms, softmax and the Gaussian are fp32. Latents are
raw here: everything outside the VAE sees them through `normalize`. Between uint8 pixels
and normalised latents a long clip goes chunk by chunk, each layer remembering its last
frames, in memory that does not grow with its length (beyond the clip's own).
"""

import dataclasses
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, UInt8, UInt32

from animatrix_jax.models import vae_layers as layers
from animatrix_jax.models.config import Downsample, Norm, VAEConfig
from animatrix_jax.models.vae_layers import Chunk, Past, Resized, Stream, Video

PIXEL_CHANNELS = 3
# Pixels of a clip, over all its frames, above which it is coded in chunks of as many.
_CHUNK_PIXELS = 2**18


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A diagonal normal distribution over latents."""

    mean: Float[Array, "b t h w c"]
    logvar: Float[Array, "b t h w c"]

    @property
    def mode(self) -> Float[Array, "b t h w c"]:
        """The likeliest latents."""
        return self.mean

    def sample(
        self, key: PRNGKeyArray | UInt32[Array, "2"]
    ) -> Float[Array, "b t h w c"]:
        """One draw, differentiable in mean and variance."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.logvar) * noise


class MidBlock(nnx.Module):
    """Attention between two residual blocks, at the coarsest scale."""

    def __init__(self, channels: int, norm: Norm):
        self.block1 = layers.ResidualBlock(channels, channels, norm)
        self.attention = layers.FrameAttention(channels, norm)
        self.block2 = layers.ResidualBlock(channels, channels, norm)

    def __call__(self, x: Video, stream: Stream) -> Video:
        return self.block2(self.attention(self.block1(x, stream)), stream)


class DownStage(nnx.Module):
    """Residual blocks, then halving, round which Wan 2.2 has an averaging shortcut."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kind: Downsample | None,
        config: VAEConfig,
    ):
        self.kind, self.outputs, self.residual = kind, outputs, config.residual
        channels = [inputs] + [outputs] * config.num_res_blocks
        self.blocks = nnx.List(
            layers.ResidualBlock(a, b, config.norm)
            for a, b in itertools.pairwise(channels)
        )
        self.downsampler = kind and layers.Downsampler(outputs, kind)

    def __call__(self, x: Video, stream: Stream) -> Resized:
        before = x
        for block in self.blocks:
            x = block(x, stream)
        if self.downsampler is not None:
            x = self.downsampler(x, stream)
        if self.residual:
            x = x + layers.average_down(before, self.outputs, self.kind)
        return x


class UpStage(nnx.Module):
    """Residual blocks, then doubling, round which Wan 2.2 has a repeating shortcut."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kind: Downsample | None,
        config: VAEConfig,
    ):
        self.kind, self.outputs, self.residual = kind, outputs, config.residual
        channels = [inputs] + [outputs] * (config.num_res_blocks + 1)
        self.blocks = nnx.List(
            layers.ResidualBlock(a, b, config.norm)
            for a, b in itertools.pairwise(channels)
        )
        resampled = outputs if config.residual else outputs // 2
        self.upsampler = kind and layers.Upsampler(outputs, resampled, kind)

    def __call__(self, x: Video, stream: Stream) -> Resized:
        before = x
        for block in self.blocks:
            x = block(x, stream)
        if self.upsampler is not None:
            x = self.upsampler(x, stream)
            if self.residual:
                x = x + layers.duplicate_up(before, self.outputs, self.kind, stream)
        return x


class Encoder(nnx.Module):
    """From folded pixels to the moments of the latents."""

    def __init__(self, config: VAEConfig):
        dims = [config.base_dim * mult for mult in (1, *config.dim_mult)]
        kinds = (*config.downsample, None)
        self.conv_in = layers.CausalConv(PIXEL_CHANNELS * config.patch**2, dims[0])
        self.stages = nnx.List(
            DownStage(inputs, outputs, kind, config)
            for inputs, outputs, kind in zip(dims, dims[1:], kinds)
        )
        self.mid = MidBlock(dims[-1], config.norm)
        self.norm_out = layers.make_norm(dims[-1], config.norm)
        self.conv_out = layers.CausalConv(dims[-1], 2 * config.latent_channels)

    def __call__(self, x: Video, stream: Stream) -> Resized:
        x = self.conv_in(x, stream)
        for stage in self.stages:
            x = stage(x, stream)
        x = self.mid(x, stream)
        return self.conv_out(jax.nn.silu(self.norm_out(x)), stream)


class Decoder(nnx.Module):
    """From latents to folded pixels."""

    def __init__(self, config: VAEConfig):
        base = config.decoder_dim or config.base_dim
        dims = [base * mult for mult in (config.dim_mult[-1], *config.dim_mult[::-1])]
        kinds = (*config.downsample[::-1], None)
        self.conv_in = layers.CausalConv(config.latent_channels, dims[0])
        self.mid = MidBlock(dims[0], config.norm)
        # Wan 2.1 halves the channels as it doubles the size; Wan 2.2 does not.
        inputs = dims[:1] + [d if config.residual else d // 2 for d in dims[1:-1]]
        self.stages = nnx.List(
            UpStage(before, after, kind, config)
            for before, after, kind in zip(inputs, dims[1:], kinds)
        )
        self.norm_out = layers.make_norm(dims[-1], config.norm)
        self.conv_out = layers.CausalConv(dims[-1], PIXEL_CHANNELS * config.patch**2)

    def __call__(self, x: Video, stream: Stream) -> Resized:
        x = self.mid(self.conv_in(x, stream), stream)
        for stage in self.stages:
            x = stage(x, stream)
        return self.conv_out(jax.nn.silu(self.norm_out(x)), stream)


class VAE(nnx.Module):
    """The autoencoder; see the module's docstring."""

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs):
        self.config = config
        moments = 2 * config.latent_channels
        self.encoder = Encoder(config)
        self.quant_conv = layers.Pointwise(moments, moments)
        self.post_quant_conv = layers.Pointwise(
            config.latent_channels, config.latent_channels
        )
        self.decoder = Decoder(config)
        layers.initialise(self, rngs.params())

    def encode(
        self, video: Float[Array, "b t h w 3"], *, chunk: int | None = None
    ) -> Gaussian:
        """The distribution of a clip's latents.

        Args:
          video: pixels in [-1, 1]; 1 + k * stride frames, and whole strides of rows and
            columns.
          chunk: latent frames to encode at once, for long clips; None: all.

        Raises:
          ValueError: if the clip does not divide into strides.
        """
        return _gaussian(self._encode(video, chunk, lambda moments, _: moments))

    def encode_pixels(
        self, video: UInt8[Array, "b t h w 3"] | Float[Array, "b t h w 3"]
    ) -> Float[Array, "b _ _ _ c"]:
        """The likeliest latents of a clip, normalised.

        Args:
          video: pixels, or what `signed` makes of them.

        Raises:
          ValueError: as `encode`.
        """

        def finish(moments: Array, past: Past | None) -> Array:
            return self.normalize(_gaussian(moments).mode, opens=past is None)

        return self._encode(video, self.chunk_length(*video.shape[1:4]), finish)

    def decode(
        self, latents: Video, *, chunk: int | None = None
    ) -> Float[Array, "b _ _ _ 3"]:
        """The clip in [-1, 1]; `chunk` latent frames at once, or all."""
        return jnp.clip(self.decode_unclipped(latents, chunk=chunk), -1.0, 1.0)

    def decode_unclipped(
        self, latents: Video, *, chunk: int | None = None
    ) -> Float[Array, "b _ _ _ 3"]:
        """The clip before it is cut to [-1, 1]: training wants the gradient outside."""
        return layers.in_chunks(self.decode_chunk, latents, first=chunk, chunk=chunk)

    def decode_pixels(self, latents: Video) -> UInt8[Array, "b _ _ _ 3"]:
        """The clip of normalised latents."""

        def run(latents: Array, past: Past | None) -> Chunk:
            raw = self.denormalize(latents, opens=past is None)
            result = self.decode_chunk(raw, past)
            return Chunk(value=unsigned(result.value), past=result.past)

        time, rows, columns = self.config.stride
        _, frames, height, width, _ = latents.shape
        chunk = self.chunk_length(
            1 + time * (frames - 1), height * rows, width * columns
        )
        return layers.in_chunks(run, latents, first=chunk, chunk=chunk)

    def chunk_length(self, frames: int, height: int, width: int) -> int | None:
        """Latent frames to code at once of a clip of so many pixels; None: all of them."""
        if frames * height * width <= _CHUNK_PIXELS:
            return None
        return max(1, _CHUNK_PIXELS // (self.config.stride[0] * height * width))

    def encode_chunk(self, video: Video, past: Past | None = None) -> Chunk:
        """Mean and log variance, concatenated, of the clip's next frames, in [-1, 1].

        The first chunk (`past` None) has 1 + k * stride frames, each further one k * stride.
        """
        stream = Stream(past)
        x = layers.patchify(video, self.config.patch)
        x = self.encoder(x.astype(self.quant_conv.kernel.dtype), stream)
        return Chunk(value=self.quant_conv(x), past=stream.past)

    def decode_chunk(self, latents: Video, past: Past | None = None) -> Chunk:
        """The unclipped pixels of the clip's next latent frames, however many."""
        stream = Stream(past)
        x = latents.astype(self.post_quant_conv.kernel.dtype)
        x = self.decoder(self.post_quant_conv(x), stream)
        video = layers.unpatchify(x, self.config.patch).astype(jnp.float32)
        return Chunk(value=video, past=stream.past)

    def normalize(self, latents: Video, *, opens: bool = True) -> Video:
        """Raw latents to those that the rest of the package sees: mean 0, deviation 1.

        Args:
          opens: whether the clip begins with these frames, or has begun before them.
        """
        mean, std = self._statistics(latents.shape[1], opens)
        return layers.tilt((latents - mean) / std, self.config.tilt)

    def denormalize(self, latents: Video, *, opens: bool = True) -> Video:
        """The inverse of `normalize`."""
        mean, std = self._statistics(latents.shape[1], opens)
        return layers.tilt(latents, -self.config.tilt) * std + mean

    def _encode(
        self,
        video: Array,
        chunk: int | None,
        finish: Callable[[Array, Past | None], Array],
    ) -> Array:
        """What `finish` makes of the moments that each chunk of a clip gives."""
        time, rows, columns = self.config.stride
        _, frames, height, width, _ = video.shape
        if (frames - 1) % time or height % rows or width % columns:
            raise ValueError(
                f"expected 1 + {time}k frames, and {rows}m x {columns}n pixels,"
                f" got {frames} frames of {height} x {width}"
            )

        def run(video: Array, past: Past | None) -> Chunk:
            video = signed(video) if video.dtype == jnp.uint8 else video
            result = self.encode_chunk(video, past)
            return Chunk(value=finish(result.value, past), past=result.past)

        first = chunk and 1 + time * (chunk - 1)
        return layers.in_chunks(run, video, first=first, chunk=chunk and time * chunk)

    def _statistics(self, frames: int, opens: bool) -> tuple[Array, Array]:
        """Mean and deviation [t 1 1 c] of the latents of some frames of a clip."""
        config, channels = self.config, self.config.latent_channels
        mean = config.latents_mean or (0.0,) * channels
        std = config.latents_std or (1.0,) * channels

        def over_time(first: tuple[float, ...], rest: tuple[float, ...]) -> Array:
            rows = [first if opens and first else rest] + [rest] * (frames - 1)
            return jnp.asarray(rows)[:, None, None]

        return over_time(config.first_mean, mean), over_time(config.first_std, std)


def signed(video: UInt8[Array, "..."]) -> Float[Array, "..."]:
    """uint8 pixels to fp32 in [-1, 1]."""
    return video.astype(jnp.float32) / 127.5 - 1.0


def unsigned(video: Float[Array, "..."]) -> UInt8[Array, "..."]:
    """The inverse of `signed`, cut and rounded."""
    return jnp.round((jnp.clip(video, -1.0, 1.0) + 1.0) * 127.5).astype(jnp.uint8)


def _gaussian(moments: Array) -> Gaussian:
    mean, logvar = jnp.split(moments.astype(jnp.float32), 2, axis=-1)
    return Gaussian(mean=mean, logvar=jnp.clip(logvar, -30.0, 20.0))
