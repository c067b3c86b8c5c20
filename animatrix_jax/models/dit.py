"""The video diffusion transformer in Wan's structure: noisy latents to velocity.

    tokens = patches W;  time = MLP(sinusoid(1000 sigma));  text = MLP(h_text)
    tokens = Block_L(... Block_1(tokens))                          (`blocks.py`)
    velocity = unpatch(W_head ((1 + scale) LN(tokens) + shift)),  shift, scale by time

The parameters are exactly Wan's; reference: diffusers' `WanTransformer3DModel`. Tags come
in from outside (`generator.py`) as a `TagInjection`. `sigma` is one noise level a sample;
latent frames that are given are clean, at noise level 0, so that a token's modulation is
one of two.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from animatrix_jax.models.attention import whole_blocks
from animatrix_jax.models.blocks import TOKENS, Block, Context, at_tokens
from animatrix_jax.models.config import DiTConfig
from animatrix_jax.models.layers import (
    MLP,
    LayerNorm,
    Linear,
    gelu_exact,
    gelu_tanh,
    layer_norm,
    modulate,
    normal_002,
    zeros,
)
from animatrix_jax.models.rope import rotary_table
from animatrix_jax.models.stacking import scan_layers, stack
from animatrix_jax.parallel.mesh import constrain

# Of the image embedding's two norms; the blocks' is a field of the config.
_IMAGE_EPS = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class TagInjection:
    """What the tag paths hand to the transformer; a path that is off hands None.

    Attributes:
      tokens: further context [b k d], with `mask` [b k].
      text_type: type vector [d] added to the text's context.
      cls: the tag set's vector [b c].
      modulation: stacked `TagModulation`s, one a block.
    """

    tokens: Float[Array, "b k d"] | None = None
    mask: Bool[Array, "b k"] | None = None
    text_type: Float[Array, " d"] | None = None
    cls: Float[Array, "b c"] | None = None
    modulation: Any = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hidden:
    """Tokens [b n d] after some blocks, padding behind them, their (frames, rows,
    columns), the embedding of the noise level, and of 0 where there are clean tokens,
    [b l d], and which of the tokens those are [b n 1]."""

    tokens: Array
    grid: tuple[int, int, int]
    time: Array
    clean: Array | None


class ImageEmbedding(nnx.Module):
    """CLIP's patch embeddings to context tokens (Wan 2.1 image-to-video)."""

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        width, dim = config.image_dim, config.dim
        self.norm_in = LayerNorm(width, eps=_IMAGE_EPS)
        self.mlp = MLP(width, width, dim, activation=gelu_exact, rngs=rngs)
        self.norm_out = LayerNorm(dim, eps=_IMAGE_EPS)

    def __call__(self, image: Float[Array, "b p i"]) -> Float[Array, "b p d"]:
        h = self.mlp(self.norm_in(image).astype(image.dtype))
        return self.norm_out(h).astype(image.dtype)


class DiT(nnx.Module):
    """Wan's transformer. `dit(xt, sigma, text)` is the velocity."""

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        dim, voxels = config.dim, math.prod(config.patch)
        self.config = config
        self.patch_embed = Linear(voxels * config.in_channels, dim, rngs=rngs)
        self.time_embed = MLP(
            config.freq_dim,
            dim,
            dim,
            activation=jax.nn.silu,
            kernel_init=normal_002,
            rngs=rngs,
        )
        self.time_modulation = Linear(dim, 6 * dim, rngs=rngs)
        self.text_embed = MLP(
            config.text_dim,
            dim,
            dim,
            activation=gelu_tanh,
            kernel_init=normal_002,
            rngs=rngs,
        )
        if config.image_dim is not None:
            self.image_embed = ImageEmbedding(config, rngs=rngs)
        self.blocks = stack(
            lambda rngs: Block(config, rngs=rngs), config.num_layers, rngs=rngs
        )
        self.head_modulation = nnx.Param(
            jax.random.normal(rngs.params(), (2, dim)) / dim**0.5
        )
        self.head = Linear(
            dim, voxels * config.out_channels, kernel_init=zeros, rngs=rngs
        )

    def __call__(
        self,
        xt: Float[Array, "b t h w c"],
        sigma: Float[Array, " b"],
        text: Float[Array, "b s e"],
        *,
        clean: Bool[Array, "b f"] | None = None,
        image: Float[Array, "b p i"] | None = None,
        tags: TagInjection | None = None,
    ) -> Float[Array, "b t h w o"]:
        """The velocity, fp32.

        Args:
          xt: noisy latents, with reference channels behind them if the model has any.
          text: encoded text; zero where padded, and not masked, as in Wan.
          clean: latent frames at noise level 0, where there are any.
          image: image embeddings, exactly for a model with an image branch.
        """
        hidden = self.hidden(xt, sigma, text, clean=clean, image=image, tags=tags)
        shift, scale = (
            at_tokens(part, hidden.clean)
            for part in jnp.unstack(
                hidden.time[:, :, None] + self.head_modulation[...], axis=2
            )
        )
        h = modulate(layer_norm(hidden.tokens, self.config.eps), shift, scale)
        patches = self.head(h.astype(hidden.tokens.dtype))
        patches = patches[:, : math.prod(hidden.grid)]
        return unpatch(patches.astype(jnp.float32), hidden.grid, self.config.patch)

    def hidden(
        self,
        xt: Float[Array, "b t h w c"],
        sigma: Float[Array, " b"],
        text: Float[Array, "b s e"],
        *,
        clean: Bool[Array, "b f"] | None = None,
        image: Float[Array, "b p i"] | None = None,
        tags: TagInjection | None = None,
        depth: int | None = None,
    ) -> Hidden:
        """Tokens after the first `depth` blocks (None: all)."""
        config, tags = self.config, tags or TagInjection()
        dtype = jnp.dtype(config.dtype)
        self._check(xt, clean, image)
        grid = tuple(
            size // step for size, step in zip(xt.shape[1:4], config.patch, strict=True)
        )
        length = math.prod(grid)
        padded = whole_blocks(length, config.attention)
        pad = functools.partial(_pad, length=padded)
        patches = pad(patch(xt.astype(dtype), config.patch))
        tokens = self.patch_embed(constrain(patches, *TOKENS))
        mask = None
        if padded > length:
            mask = jnp.broadcast_to(jnp.arange(padded) < length, tokens.shape[:2])
        table = functools.partial(
            rotary_table,
            grid,
            theta=config.rope_theta,
            max_positions=config.rope_max_positions,
        )
        rotary = jax.tree.map(
            lambda x: pad(x[None])[0], table(head_dim=config.head_dim)
        )
        if config.absolute_positions:
            place = table(head_dim=config.dim)
            place = jnp.concatenate([place.cos[:, ::2], place.sin[:, ::2]], axis=-1)
            tokens = tokens + pad(place.astype(dtype)[None])
        tokens = constrain(tokens, *TOKENS)
        time = self._time(sigma, several=clean is not None)
        clean = self._clean_tokens(clean, grid)
        clean = None if clean is None else pad(clean)
        modulation = self.time_modulation(jax.nn.silu(time))
        modulation = modulation.reshape(*time.shape[:2], 6, config.dim)
        context = self._context(text.astype(dtype), image, tags)

        def run(layers: tuple[Any, Any], x: Array) -> Array:
            block, tag_modulation = layers
            delta = None if tag_modulation is None else tag_modulation(time, tags.cls)
            return block(
                x,
                time=modulation,
                clean=clean,
                mask=mask,
                rotary=rotary,
                context=context,
                delta=delta,
            )

        tokens = scan_layers(
            run,
            (_with_kernels_in(self.blocks, dtype), tags.modulation),
            tokens,
            depth=depth,
            remat=config.remat,
        )
        return Hidden(tokens=tokens, grid=grid, time=time, clean=clean)

    def _time(self, sigma: Array, *, several: bool) -> Array:
        """The embedding [b l d] of the noise level, and of 0 if there are several."""
        sigma = sigma.astype(jnp.float32)[:, None]
        if several:
            sigma = jnp.concatenate([sigma, jnp.zeros_like(sigma)], axis=1)
        return self.time_embed(sinusoid(1000 * sigma, dim=self.config.freq_dim))

    def _clean_tokens(
        self, clean: Array | None, grid: tuple[int, int, int]
    ) -> Array | None:
        """Clean frames [b f] as tokens [b n 1]."""
        if clean is None:
            return None
        frames = clean[:, :: self.config.patch[0], None]
        shape = (*frames.shape[:2], grid[1] * grid[2])
        return jnp.broadcast_to(frames, shape).reshape(len(clean), -1, 1)

    def _context(self, text: Array, image: Array | None, tags: TagInjection) -> Context:
        dtype = text.dtype
        text = self.text_embed(text)
        if tags.text_type is not None:
            text = text + tags.text_type.astype(dtype)
        return Context(
            text=text,
            tags=None if tags.tokens is None else tags.tokens.astype(dtype),
            tag_mask=tags.mask,
            image=None if image is None else self.image_embed(image.astype(dtype)),
        )

    def _check(self, xt: Array, clean: Array | None, image: Array | None) -> None:
        config = self.config
        if xt.shape[-1] != config.in_channels:
            raise ValueError(
                f"expected {config.in_channels} input channels, got {xt.shape[-1]}"
            )
        if any(
            size % step for size, step in zip(xt.shape[1:4], config.patch, strict=True)
        ):
            raise ValueError(
                f"latents of {xt.shape[1:4]} do not divide into patches {config.patch}"
            )
        if clean is not None and clean.shape != xt.shape[:2]:
            raise ValueError(
                f"expected clean of shape {xt.shape[:2]}, a latent frame each, got"
                f" {clean.shape}"
            )
        if (image is None) != (config.image_dim is None):
            given, takes = image is not None, config.image_dim is not None
            raise ValueError(f"image given: {given}, model takes one: {takes}")


def _with_kernels_in(blocks: Any, dtype: jnp.dtype) -> Any:
    """The blocks with their matrices in the compute dtype.

    Cast here for all layers, and not by each, so that the stack of their gradients is of
    that dtype too: in bf16 half the memory, and no bit lost, since a gradient of a bf16
    product is bf16 before it is cast.
    """
    graphdef, state = nnx.split(blocks)
    flat = [
        (path, leaf.replace(leaf[...].astype(dtype)) if path[-1] == "kernel" else leaf)
        for path, leaf in nnx.to_flat_state(state)
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(flat))


def _pad(x: Array, *, length: int) -> Array:
    """Zeros (False) behind the tokens of x [b n .]."""
    more = length - x.shape[1]
    return jnp.pad(x, ((0, 0), (0, more), (0, 0))) if more else x


def sinusoid(x: Float[Array, "..."], *, dim: int) -> Float[Array, "... d"]:
    """Cosines, then sines, of x at frequencies from 1 down to 1/10000."""
    half = dim // 2
    frequencies = np.exp(-math.log(10000) * np.arange(half) / half)
    angles = x[..., None] * jnp.asarray(frequencies, jnp.float32)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def patch(
    x: Float[Array, "b t h w c"], size: tuple[int, int, int]
) -> Float[Array, "b n p"]:
    """Cuts a volume into patches, a row each, channels last in a row."""
    b, t, h, w, c = x.shape
    pt, ph, pw = size
    x = x.reshape(b, t // pt, pt, h // ph, ph, w // pw, pw, c)
    return x.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, -1, pt * ph * pw * c)


def unpatch(
    x: Float[Array, "b n p"],
    grid: tuple[int, int, int],
    size: tuple[int, int, int],
) -> Float[Array, "b t h w c"]:
    """The inverse of `patch`, given the grid of patches."""
    (t, h, w), (pt, ph, pw) = grid, size
    x = x.reshape(len(x), t, h, w, pt, ph, pw, -1).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(len(x), t * pt, h * ph, w * pw, -1)
