"""FLOPs of one step of the generator, from its config: what the model needs.

Of one clip: n tokens of width d in L layers, f feed-forward, c tokens of context (text and
tags), p of an image, m noise levels (two where frames may be given clean). A product
[a b][b c] is 2abc.

    block      self   2 n 4 d^2  + 4 n^2 d
               cross  2 n 2 d^2  + 2 c 2 d^2 + 4 n c d      (image: 2 p 2 d^2 + 4 n p d)
               ffn    2 n 2 d f
    round it   patches 2 n d (in + out),  text 2 s (e d + d^2),  time 2 m (q d + 7 d^2)
    tags       encoder; and a block's delta  2 m (d w + 3 w r + 9 r d) + 2 w^2

A training step is three forward passes: one forward, and two products backward for each.
What is recomputed to save memory, or done again inside an attention kernel, is work but
not the model's: it is counted apart and is no part of MFU (Chowdhery et al. 2022,
arXiv:2204.02311, appendix B).
"""

import dataclasses
import math

from animatrix_jax.models.config import DiTConfig, T5Config, TagEncoderConfig
from animatrix_jax.models.presets import ModelPreset

_BACKWARD = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardFlops:
    """Of one clip's forward pass.

    Attributes:
      attention: scores and values of self-attention.
      cross: the same of cross-attention.
      products: matrix products of the blocks.
      rest: embeddings, head, time and tags.
    """

    tokens: int
    attention: float
    cross: float
    products: float
    rest: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.blocks + self.rest

    @property
    def blocks(self) -> float:
        """What a block recomputed does again."""
        return self.attention + self.cross + self.products


def tokens_of(model: ModelPreset, frames: int | None = None) -> int:
    """Tokens of a clip, or of `frames` latent frames of it."""
    t, h, w, _ = model.latent_shape
    sizes = zip((frames or t, h, w), model.dit.patch, strict=True)
    return math.prod(size // step for size, step in sizes)


def forward(
    model: ModelPreset, *, max_tags: int, frames: int | None = None
) -> ForwardFlops:
    """The generator's forward pass on one clip of the preset's size.

    Args:
      max_tags: tags of a clip, padded to.
      frames: latent frames; None: the preset's.
    """
    dit = model.dit
    d, layers = dit.dim, dit.num_layers
    n = tokens_of(model, frames)
    m = 2 if dit.frame_conditioning == "clean" else 1
    text, tags = model.text_length, max_tags if dit.tag_cross_attention else 0
    image = model.image.num_tokens if dit.image_dim is not None else 0
    context = text + tags + image
    products = 2 * n * 4 * d**2 + 2 * n * 2 * d**2 + 2 * context * 2 * d**2
    products += 2 * n * 2 * d * dit.ffn_dim
    delta = _delta(dit, m) if dit.tag_adaln else 0
    voxels = math.prod(dit.patch)
    rest = 2 * n * d * voxels * (dit.in_channels + dit.out_channels)
    rest += 2 * text * (dit.text_dim * d + d**2)
    rest += 2 * m * (dit.freq_dim * d + d**2 + 6 * d**2)
    if dit.uses_tags:
        rest += _tag_encoder(model.tags, max_tags) + 2 * tags * model.tags.dim * d
    if image:
        rest += 2 * image * (dit.image_dim**2 + dit.image_dim * d)
    return ForwardFlops(
        tokens=n,
        attention=4.0 * n**2 * d * layers,
        cross=4.0 * n * context * d * layers,
        products=float((products + delta) * layers),
        rest=float(rest),
    )


def train_step(flops: ForwardFlops, batch: int) -> float:
    """FLOPs that a step on `batch` clips needs: forward and backward."""
    return (1 + _BACKWARD) * batch * flops.total


def recomputed(flops: ForwardFlops, batch: int, remat: str) -> float:
    """FLOPs that remat adds to a step: blocks again, or a part of them.

    Of "dots", projections with their gate in the weights, done again, are not counted.
    """
    again = {
        "none": 0.0,
        "dots": 0.0,
        "attention": flops.products,
    }.get(remat, flops.blocks)
    return batch * again


def text_tower(config: T5Config, length: int) -> float:
    """The encoder's forward pass on one text of `length` tokens, padded."""
    inner = config.num_heads * config.d_kv
    products = 4 * config.d_model * inner + 3 * config.d_model * config.d_ff
    layer = 2 * length * products + 4 * length**2 * inner
    return float(config.num_layers * layer)


def _delta(dit: DiTConfig, levels: int) -> int:
    """One block's modulation by tags."""
    width, rank = dit.tag_dim, dit.tag_rank
    each = dit.dim * width + 3 * width * rank + 9 * rank * dit.dim
    return 2 * levels * each + 2 * width**2


def _tag_encoder(config: TagEncoderConfig, tags: int) -> int:
    """The transformer over [CLS] and the tags."""
    tokens, d = tags + 1, config.dim
    layer = 2 * tokens * (4 + 2 * config.ffn_mult) * d**2 + 4 * tokens**2 * d
    return config.num_layers * layer
