"""The generator: Wan's transformer under text and production tags.

Tags enter by two paths (arXiv 2605.03652, dual-path injection):

    context = [W h_text + tau_text ; W_tag h_seq + tau_tag]        cross-attention
    delta   = U (V SiLU(W_t t_emb + W_g h_cls)), each sub-layer    AdaLN, `blocks.py`

tau_text and U start at zero and padded tags are masked, so with no tags a generator with
Wan's weights gives Wan's output. Its parameters are two trees: `dit`, exactly Wan's, and
`tags`, everything of ours.
"""

import dataclasses
import math
from typing import Any

import jax
from flax import nnx
from jax import numpy as jnp
from jaxtyping import Array, Float

from animatrix_jax.models.blocks import TagModulation
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig
from animatrix_jax.models.dit import DiT, TagInjection
from animatrix_jax.models.layers import Linear, normal_002
from animatrix_jax.models.stacking import stack
from animatrix_jax.models.tag_encoder import TagEncoder


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
    """What the generator makes of a clip on the way; a pytree, so typed loosely.

    Attributes:
      tokens: hidden tokens [b t' h' w' d], a cell a patch.
      tags: the tag set's vector h_cls [b c]; None in a generator without tags.
    """

    tokens: Any
    tags: Any


class TagPaths(nnx.Module):
    """The tag encoder and the paths by which it enters; a path that is off has no
    parameters."""

    def __init__(self, config: DiTConfig, tags: TagEncoderConfig, *, rngs: nnx.Rngs):
        if config.tag_dim != tags.dim:
            raise ValueError(
                f"tag_dim {config.tag_dim} of the transformer is not the tag encoder's"
                f" {tags.dim}"
            )
        self.config = config
        self.encoder = TagEncoder(tags, rngs=rngs)
        if config.tag_cross_attention:
            self.project = Linear(tags.dim, config.dim, bias=False, rngs=rngs)
            self.text_type = nnx.Param(jnp.zeros((config.dim,)))
            self.tag_type = nnx.Param(normal_002(rngs.params(), (config.dim,)))
        if config.tag_adaln:
            self.modulation = stack(
                lambda rngs: TagModulation(config, rngs=rngs),
                config.num_layers,
                rngs=rngs,
            )

    def __call__(self, conditioning: Conditioning) -> TagInjection:
        mask = conditioning.tag_mask
        encoded = self.encoder(conditioning.tag_fields, conditioning.tag_values, mask)
        injection = TagInjection(cls=encoded.cls)
        if self.config.tag_cross_attention:
            injection = dataclasses.replace(
                injection,
                tokens=self.project(encoded.sequence) + self.tag_type[...],
                mask=mask,
                text_type=self.text_type[...],
            )
        if self.config.tag_adaln:
            injection = dataclasses.replace(injection, modulation=self.modulation)
        return injection


class Generator(nnx.Module):
    """Velocity of noisy latents, given text, tags and frames.

    Args:
      config: the transformer and where tags enter it.
      tags: the tag encoder; may be None if no path uses it.
    """

    def __init__(
        self, config: DiTConfig, tags: TagEncoderConfig | None, *, rngs: nnx.Rngs
    ):
        self.config = config
        self.dit = DiT(config, rngs=rngs)
        if config.uses_tags:
            if tags is None:
                raise ValueError("a generator with a tag path needs a tag encoder")
            self.tags = TagPaths(config, tags, rngs=rngs)

    def __call__(
        self,
        xt: Float[Array, "b t h w c"],
        sigma: Float[Array, " b"],
        conditioning: Conditioning,
    ) -> Float[Array, "b t h w c"]:
        """The velocity, fp32.

        Args:
          xt: noisy latents, in which the frames of `conditioning.clean` are clean.
          sigma: noise level in [0, 1] of each sample's other frames.
          conditioning: with `image` and `reference` exactly where the config has them.
        """
        return self.dit(
            self._inputs(xt, conditioning.reference),
            sigma,
            conditioning.text,
            clean=conditioning.clean,
            image=conditioning.image,
            tags=self._inject(conditioning),
        )

    def features(
        self,
        xt: Float[Array, "b t h w c"],
        sigma: Float[Array, " b"],
        conditioning: Conditioning,
        *,
        depth: int | None = None,
    ) -> Features:
        """Hidden tokens after the first `depth` blocks (None: all), and h_cls."""
        injection = self._inject(conditioning)
        hidden = self.dit.hidden(
            self._inputs(xt, conditioning.reference),
            sigma,
            conditioning.text,
            clean=conditioning.clean,
            image=conditioning.image,
            tags=injection,
            depth=depth,
        )
        tokens = hidden.tokens[:, : math.prod(hidden.grid)]
        tokens = tokens.reshape(len(xt), *hidden.grid, -1)
        return Features(tokens=tokens, tags=injection and injection.cls)

    def _inputs(self, xt: Array, reference: Array | None) -> Array:
        concat = self.config.frame_conditioning == "concat"
        if concat != (reference is not None):
            raise ValueError(
                f"frame_conditioning is {self.config.frame_conditioning!r}, reference"
                f" given: {reference is not None}"
            )
        return jnp.concatenate([xt, reference], axis=-1) if concat else xt

    def _inject(self, conditioning: Conditioning) -> TagInjection | None:
        return self.tags(conditioning) if self.config.uses_tags else None
