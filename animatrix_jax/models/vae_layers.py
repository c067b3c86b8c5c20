"""Layers of the causal video VAE: they see the past, and never the future.

Every layer takes `x [b t h w c]` and a `Stream`, which holds the last frames that the
layer saw. A whole clip is a stream's first chunk; a long one goes through in several,
and comes out the same. So there is one code path for both, and memory need not grow
with a clip's length.

Time, for a clip of 1 + 2k frames. The first frame is coded alone, so that an image is a
clip of one frame. Halving keeps frame 0 and maps each further pair to one; doubling keeps
frame 0 and maps each further frame to two. Both agree with Wan 2.1 and 2.2, whose code
gets there by skipping its temporal convolutions in the first chunk (arXiv 2503.20314).
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from animatrix_jax.models.attention import attention
from animatrix_jax.models.config import Downsample, Norm

Video = Float[Array, "b t h w c"]
# A video of other sizes than the one that came in.
Resized = Float[Array, "b _ _ _ _"]
Past = tuple[Array, ...]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a chunk of a clip gave, and what the next chunk needs of it."""

    value: Array
    past: Past


class Stream:
    """The frames that each layer must remember from one chunk to the next.

    Layers are called in a fixed order, and each takes the next slot. A stream serves one
    pass; `past` of one pass is handed to the stream of the next.

    Attributes:
      first: whether this chunk opens the clip.
      past: after the pass, the last frames that each layer saw.
    """

    def __init__(self, past: Past | None = None):
        self.first = past is None
        self.past: Past = ()
        self._before = past

    def extend(self, x: Array, frames: int) -> Array:
        """`x` after the `frames` frames before it; zeros where the clip begins."""
        if self._before is None:
            before = jnp.zeros((x.shape[0], frames, *x.shape[2:]), x.dtype)
        else:
            before = self._before[len(self.past)]
        extended = jnp.concatenate([before, x], axis=1)
        self.past += (extended[:, -frames:],)
        return extended


class RMSNorm(nnx.Module):
    """`x / |x| * sqrt(c) * scale`, in fp32."""

    def __init__(self, channels: int):
        self.scale = nnx.Param(jnp.ones(channels))

    def __call__(self, x: Array) -> Array:
        wide = x.astype(jnp.float32)
        square = jnp.sum(wide * wide, axis=-1, keepdims=True)
        # The bound is on the square: the root of zero has no gradient.
        unit = wide * lax.rsqrt(jnp.maximum(square, 1e-24))
        scale = self.scale[...].astype(jnp.float32) * x.shape[-1] ** 0.5
        return (unit * scale).astype(x.dtype)


def make_norm(channels: int, kind: Norm) -> Callable[[Array], Array]:
    """Wan's norm, or none: see `VAEConfig.norm`."""
    return RMSNorm(channels) if kind == "rms" else _unchanged


def _unchanged(x: Array) -> Array:
    return x


class Pointwise(nnx.Module):
    """A linear map of the channels."""

    def __init__(self, inputs: int, outputs: int):
        self.kernel = nnx.Param(jnp.zeros((inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        return x @ self.kernel[...] + self.bias[...]


class FrameConv(nnx.Module):
    """A 3x3 convolution of each frame."""

    def __init__(self, inputs: int, outputs: int):
        self.kernel = nnx.Param(jnp.zeros((3, 3, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Video, *, halve: bool = False) -> Resized:
        # Halving pads below and to the right alone, as Wan does.
        padding, stride = ((0, 1), 2) if halve else ((1, 1), 1)
        return _frame_conv(x, self.kernel[...], padding, stride) + self.bias[...]


class CausalConv(nnx.Module):
    """A 3x3x3 convolution over a frame and the two before it."""

    def __init__(self, inputs: int, outputs: int):
        self.kernel = nnx.Param(jnp.zeros((3, 3, 3, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Video, stream: Stream) -> Float[Array, "b t h w o"]:
        extended = stream.extend(x, 2)
        return causal_conv(extended, self.kernel[...]) + self.bias[...]


class TimeConv(nnx.Module):
    """A convolution over three frames, pixel by pixel; `x` comes with its past."""

    def __init__(self, inputs: int, outputs: int):
        self.kernel = nnx.Param(jnp.zeros((3, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Video, *, stride: int = 1) -> Float[Array, "b _ h w o"]:
        steps = max(0, (x.shape[1] - 3) // stride + 1)
        taps = [x[:, i : i + stride * steps : stride][:, :steps] for i in range(3)]
        kernel = self.kernel[...].reshape(-1, self.kernel.shape[-1])
        return jnp.concatenate(taps, axis=-1) @ kernel + self.bias[...]


class ResidualBlock(nnx.Module):
    """Two causal convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, norm: Norm):
        self.norm1 = make_norm(inputs, norm)
        self.conv1 = CausalConv(inputs, outputs)
        self.norm2 = make_norm(outputs, norm)
        self.conv2 = CausalConv(outputs, outputs)
        self.shortcut = None if inputs == outputs else Pointwise(inputs, outputs)

    def __call__(self, x: Video, stream: Stream) -> Float[Array, "b t h w o"]:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = self.conv1(jax.nn.silu(self.norm1(x)), stream)
        x = self.conv2(jax.nn.silu(self.norm2(x)), stream)
        return x + shortcut


class FrameAttention(nnx.Module):
    """Attention with one head among the positions of each frame."""

    def __init__(self, channels: int, norm: Norm):
        self.norm = make_norm(channels, norm)
        self.to_qkv = Pointwise(channels, 3 * channels)
        self.proj = Pointwise(channels, channels)

    def __call__(self, x: Video) -> Video:
        frames = einops.rearrange(
            self.to_qkv(self.norm(x)), "b t h w c -> (b t) (h w) 1 c"
        )
        mixed = attention(*jnp.split(frames, 3, axis=-1))
        return x + self.proj(mixed.reshape(x.shape))


class Downsampler(nnx.Module):
    """Halves height and width, time, or both."""

    def __init__(self, channels: int, kind: Downsample):
        self.resample = None if kind == "time" else FrameConv(channels, channels)
        self.time_conv = None if kind == "spatial" else TimeConv(channels, channels)

    def __call__(self, x: Video, stream: Stream) -> Resized:
        if self.resample is not None:
            x = self.resample(x, halve=True)
        if self.time_conv is None:
            return x
        extended = stream.extend(x, 1)
        if not stream.first:
            return self.time_conv(extended, stride=2)
        return jnp.concatenate([x[:, :1], self.time_conv(x, stride=2)], axis=1)


class Upsampler(nnx.Module):
    """Doubles time, height and width, or both, and maps the channels."""

    def __init__(self, channels: int, outputs: int, kind: Downsample):
        self.time_conv = None if kind == "spatial" else TimeConv(channels, 2 * channels)
        self.resample = FrameConv(channels, outputs)
        self.scale = 1 if kind == "time" else 2

    def __call__(self, x: Video, stream: Stream) -> Resized:
        if self.time_conv is not None:
            # Frame 0 passes, and the frames after it never see it.
            alone, rest = (x[:, :1], x[:, 1:]) if stream.first else (x[:, :0], x)
            doubled = self.time_conv(stream.extend(rest, 2))
            doubled = einops.rearrange(doubled, "b t h w (u c) -> b (t u) h w c", u=2)
            x = jnp.concatenate([alone, doubled], axis=1)
        x = einops.repeat(
            x, "b t h w c -> b t (h i) (w j) c", i=self.scale, j=self.scale
        )
        return self.resample(x)


def initialise(module: nnx.Module, key: Array) -> None:
    """Draws every kernel, so that it keeps the variance; biases and gains stay.

    Uniform, and all from one draw: XLA takes minutes to compile a hundred of them.
    """
    variables = nnx.to_flat_state(nnx.state(module, nnx.Param))
    kernels = [variable for path, variable in variables if path[-1] == "kernel"]
    sizes = [kernel.size for kernel in kernels]
    drawn = jax.random.uniform(key, (sum(sizes),), minval=-1.0, maxval=1.0)
    starts = itertools.accumulate(sizes, initial=0)
    for kernel, size, start in zip(kernels, sizes, starts):
        fan_in = size / kernel.shape[-1]
        values = drawn[start : start + size].reshape(kernel.shape)
        kernel.set_value(values * (3 / fan_in) ** 0.5)


def average_down(x: Video, outputs: int, kind: Downsample | None) -> Resized:
    """Folds what `kind` halves into channels, and averages them down to `outputs`."""
    time, space = _factors(kind)
    # Only the chunk that opens a clip has an odd number of frames.
    x = jnp.pad(x, ((0, 0), (-x.shape[1] % time, 0), (0, 0), (0, 0), (0, 0)))
    x = einops.rearrange(
        x,
        "b (t u) (h i) (w j) c -> b t h w (c u i j)",
        u=time,
        i=space,
        j=space,
    )
    return x.reshape(*x.shape[:-1], outputs, -1).mean(axis=-1)


def duplicate_up(
    x: Video, outputs: int, kind: Downsample | None, stream: Stream
) -> Resized:
    """Repeats channels, and unfolds them into what `kind` doubles."""
    time, space = _factors(kind)
    x = jnp.repeat(x, outputs * time * space**2 // x.shape[-1], axis=-1)
    x = einops.rearrange(
        x,
        "b t h w (c u i j) -> b (t u) (h i) (w j) c",
        u=time,
        i=space,
        j=space,
    )
    return x[:, time - 1 :] if stream.first else x


def tilt(x: Video, power: float) -> Video:
    """`x` with spatial frequency k, in half waves a frame, times (1 + |k|^2)^(-power/2).

    By the orthonormal cosine transform of each frame; `-power` is the inverse.
    """
    if not power:
        return x
    rows, columns = (_cosines(size) for size in x.shape[2:4])
    k = [np.arange(size, dtype=np.float32) for size in x.shape[2:4]]
    gain = (1 + k[0][:, None] ** 2 + k[1] ** 2) ** (-power / 2)
    waves = jnp.einsum("ki,lj,btijc->btklc", rows, columns, x)
    return jnp.einsum("ki,lj,btklc->btijc", rows, columns, waves * gain[..., None])


def _cosines(size: int) -> np.ndarray:
    """The orthonormal cosine transform [k i] of a row."""
    k, i = np.arange(size)[:, None], np.arange(size)
    waves = np.cos(np.pi * k * (i + 0.5) / size) * (2 / size) ** 0.5
    waves[0] *= 0.5**0.5
    return waves.astype(np.float32)


def patchify(video: Video, size: int) -> Resized:
    """Folds squares of pixels into channels; width before height, as Wan does."""
    return einops.rearrange(
        video, "b t (h i) (w j) c -> b t h w (c j i)", i=size, j=size
    )


def unpatchify(x: Video, size: int) -> Resized:
    """The inverse of `patchify`."""
    return einops.rearrange(x, "b t h w (c j i) -> b t (h i) (w j) c", i=size, j=size)


def in_chunks(
    run: Callable[[Array, Past | None], Chunk],
    x: Array,
    *,
    first: int | None,
    chunk: int | None,
) -> Array:
    """`run` over `x` along time: `first` frames, then `chunk` at a time, in one loop;
    all of it at once where they are None.

    Only one chunk's activations are alive at once, and each is written where it belongs
    in the result, so that nothing else grows with the length.
    """
    opening = run(x[:, :first], None)
    head, past = opening.value, opening.past
    if chunk is None:
        return head
    steps, rest = divmod(max(x.shape[1] - first, 0), chunk)
    if not steps and not rest:
        return head
    given = jax.eval_shape(lambda *x: run(*x).value, x[:, :chunk], past).shape[1]
    frames = head.shape[1] + steps * given + rest * given // chunk
    out = jnp.zeros((head.shape[0], frames, *head.shape[2:]), head.dtype)
    out = out.at[:, : head.shape[1]].set(head)

    def step(i: Array, carry: tuple[Past, Array]) -> tuple[Past, Array]:
        past, out = carry
        piece = lax.dynamic_slice_in_dim(x, first + i * chunk, chunk, axis=1)
        result = run(piece, past)
        start = head.shape[1] + i * given
        out = lax.dynamic_update_slice_in_dim(out, result.value, start, axis=1)
        return result.past, out

    if steps:
        past, out = lax.fori_loop(0, steps, step, (past, out))
    if rest:
        value = run(x[:, -rest:], past).value
        out = out.at[:, -value.shape[1] :].set(value)
    return out


@jax.custom_vjp
def causal_conv(
    x: Float[Array, "b s h w i"], kernel: Float[Array, "3 3 3 i o"]
) -> Float[Array, "b t h w o"]:
    """A 3x3x3 convolution, padded in space and not in time: t = s - 2.

    XLA's 3D convolutions are slow on CPU: there it is three 2D ones, one for each frame
    of the kernel, which is two to four times as fast. The choice falls when the program
    is compiled; it has a gradient of its own, since that of a choice would keep what
    either side needs.
    """
    return lax.platform_dependent(x, kernel, cpu=conv_by_taps, default=conv_3d)


def _conv_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return causal_conv(x, kernel), (x, kernel)


def _conv_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    def pull(conv: Callable[[Array, Array], Array]) -> Callable[..., Any]:
        return lambda x, kernel, gradient: jax.vjp(conv, x, kernel)[1](gradient)

    return lax.platform_dependent(
        *saved, gradient, cpu=pull(conv_by_taps), default=pull(conv_3d)
    )


causal_conv.defvjp(_conv_forward, _conv_backward)


def conv_by_taps(x: Array, kernel: Array) -> Array:
    """`causal_conv` as a sum over the kernel's three frames."""
    frames = x.shape[1] - 2
    taps = [_frame_conv(x[:, i : i + frames], kernel[i], (1, 1), 1) for i in range(3)]
    return taps[0] + taps[1] + taps[2]


def conv_3d(x: Array, kernel: Array) -> Array:
    """`causal_conv` as one convolution."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1, 1),
        padding=((0, 0), (1, 1), (1, 1)),
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    )


def _frame_conv(
    x: Array, kernel: Array, padding: tuple[int, int], stride: int
) -> Array:
    """A 3x3 convolution of every frame, with time folded into the batch."""
    frames = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[2:]),
        kernel,
        window_strides=(stride, stride),
        padding=(padding, padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return frames.reshape(*x.shape[:2], *frames.shape[1:])


def _factors(kind: Downsample | None) -> tuple[int, int]:
    """By how much `kind` divides time, and each of height and width."""
    return (
        2 if kind in ("time", "spacetime") else 1,
        2 if kind in ("spatial", "spacetime") else 1,
    )
