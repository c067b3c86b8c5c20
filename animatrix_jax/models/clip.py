"""CLIP's image encoder: what Wan 2.1's image-to-video models see of the first picture.

    patches = image W;   x = LN([cls ; patches] + positions)
    x = x + Attention(LN(x));   x = x + MLP(LN(x))                  all layers but the last

(Radford et al. 2021, arXiv:2103.00020; the ViT-H of OpenCLIP.) Wan takes the tokens that
go into the last layer; that layer and the norm after it are parameters all the same, so
that a checkpoint comes in and goes out whole. Activations take the dtype of the
patches' kernel; norms and softmax are fp32. Reference: transformers' `CLIPVisionModel`,
`hidden_states[-2]`, and `CLIPImageProcessor`.
"""

import numpy as np
import PIL.Image
from flax import nnx
from jax import numpy as jnp
from jaxtyping import Array, Float, UInt8

from animatrix_jax.models.attention import attention
from animatrix_jax.models.config import CLIPConfig
from animatrix_jax.models.layers import (
    MLP,
    LayerNorm,
    Linear,
    gelu_exact,
    normal_002,
)
from animatrix_jax.models.stacking import scan_layers, stack

# Of the pictures that CLIP was trained on.
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


class CLIPAttention(nnx.Module):
    """Attention of the tokens to each other."""

    def __init__(self, config: CLIPConfig, *, rngs: nnx.Rngs):
        self.num_heads = config.num_heads
        self.q = Linear(config.dim, config.dim, rngs=rngs)
        self.k = Linear(config.dim, config.dim, rngs=rngs)
        self.v = Linear(config.dim, config.dim, rngs=rngs)
        self.out = Linear(config.dim, config.dim, rngs=rngs)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        q, k, v = (
            y.reshape(*y.shape[:2], self.num_heads, -1)
            for y in (self.q(x), self.k(x), self.v(x))
        )
        return self.out(attention(q, k, v).reshape(x.shape))


class CLIPLayer(nnx.Module):
    """Attention and MLP, each on the normalised stream."""

    def __init__(self, config: CLIPConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.norm_attention = LayerNorm(dim, eps=config.eps)
        self.attention = CLIPAttention(config, rngs=rngs)
        self.norm_mlp = LayerNorm(dim, eps=config.eps)
        self.mlp = MLP(dim, config.ffn_dim, dim, activation=gelu_exact, rngs=rngs)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        x = x + self.attention(self.norm_attention(x).astype(x.dtype))
        return x + self.mlp(self.norm_mlp(x).astype(x.dtype))


class CLIPImageEncoder(nnx.Module):
    """Pictures to one vector a patch, and one of the whole before them."""

    def __init__(self, config: CLIPConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        self.config = config
        self.patch_embed = Linear(3 * config.patch**2, dim, bias=False, rngs=rngs)
        self.cls = nnx.Param(normal_002(rngs.params(), (dim,)))
        self.position = nnx.Param(normal_002(rngs.params(), (config.num_tokens, dim)))
        self.norm_in = LayerNorm(dim, eps=config.eps)
        self.layers = stack(
            lambda rngs: CLIPLayer(config, rngs=rngs), config.num_layers, rngs=rngs
        )
        self.norm_out = LayerNorm(dim, eps=config.eps)

    def __call__(self, pixels: Float[Array, "b s s 3"]) -> Float[Array, "b p d"]:
        """The tokens that go into the last layer.

        Args:
          pixels: as `preprocess` gives them.

        Raises:
          ValueError: if they are not of the config's size.
        """
        size, patch = self.config.image_size, self.config.patch
        if pixels.shape[1] != size:
            raise ValueError(f"expected pictures of {size}, got {pixels.shape[1]}")
        dtype = self.patch_embed.kernel.dtype
        cells = size // patch
        patches = pixels.astype(dtype).reshape(-1, cells, patch, cells, patch, 3)
        patches = patches.transpose(0, 1, 3, 2, 4, 5).reshape(len(pixels), cells**2, -1)
        x = self.patch_embed(patches)
        whole = jnp.broadcast_to(self.cls[...].astype(dtype), (len(x), 1, x.shape[-1]))
        x = jnp.concatenate([whole, x], axis=1) + self.position[...].astype(dtype)
        x = self.norm_in(x).astype(dtype)
        depth = self.config.num_layers - 1
        return scan_layers(lambda layer, x: layer(x), self.layers, x, depth=depth)


def preprocess(
    images: UInt8[np.ndarray, "b h w 3"], config: CLIPConfig
) -> Float[np.ndarray, "b s s 3"]:
    """Pictures as CLIP takes them: the shorter side resized to the config's size
    (bicubic), the middle of the longer one cut out, and channels normalised."""
    size = config.image_size
    height, width = images.shape[1:3]
    shorter = min(height, width)
    height, width = (int(size * side / shorter) for side in (height, width))
    top, left = (height - size) // 2, (width - size) // 2
    box = (left, top, left + size, top + size)
    pixels = np.stack(
        [
            np.asarray(
                PIL.Image.fromarray(image)
                .resize((width, height), PIL.Image.Resampling.BICUBIC)
                .crop(box)
            )
            for image in images
        ]
    )
    mean, std = np.float32(PIXEL_MEAN), np.float32(PIXEL_STD)
    return (pixels.astype(np.float32) / 255 - mean) / std
