"""The judge: a reward model made of the generator's own blocks, on latents.

    tokens, h_cls = trunk((1 - sigma) x0, sigma, null text, tags)       first N blocks
    pooled_j = [mean(tokens) ; attention pool with query j]             j of four heads
    score_j  = w_j . [pooled_j ; h_cls ; pooled_j * (G h_cls)] + b_j    1 (bad) to 5

Nothing is decoded to be judged. Each head is linear in what it sees; that includes the
tag set's vector, so the same deformation can score high where it was asked for and low
where it was not (AniMatrix, "deformation-aware"). A tag-blind judge, to compare with,
is the same network with every tag masked; a pixel-blind one has every clip blank.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.errors import check_range
from animatrix_jax.knowledge.labels import HEADS
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig
from animatrix_jax.models.functional import Params
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.layers import Linear, layer_norm, normal_002

_START = 4.0  # a typical expert score, where the heads start


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """The judge beside the generator that it is made from.

    Attributes:
      depth: blocks of the generator that it keeps; 0 for all.
      sigma: noise level that the trunk is told; the clip is scaled as at that level.
      noise: whether training adds the noise of that level. Scoring never does.
      tag_blind: mask all tags, in the trunk and in the heads.
      pixel_blind: see the tags alone, the clip blanked out: what a judge could guess
        from what was asked.
    """

    depth: int = 0
    sigma: float = 0.05
    noise: bool = True
    tag_blind: bool = False
    pixel_blind: bool = False

    def __post_init__(self):
        check_range(self, "depth", low=0, section="judge")
        check_range(self, "sigma", low=0, high=1, section="judge")


class AttentionPool(nnx.Module):
    """Tokens to one vector a head, by a learned query each."""

    def __init__(self, heads: int, dim: int, *, rngs: nnx.Rngs):
        self.query = nnx.Param(normal_002(rngs.params(), (heads, dim)))

    def __call__(self, tokens: Float[Array, "b n d"]) -> Float[Array, "b j d"]:
        scores = jnp.einsum("bnd,jd->bjn", tokens, self.query[...])
        return jnp.einsum("bjn,bnd->bjd", jax.nn.softmax(scores, axis=-1), tokens)


class Heads(nnx.Module):
    """Four linear heads over pooled tokens, the tags' vector and their product."""

    def __init__(self, heads: int, dim: int, tag_dim: int, *, rngs: nnx.Rngs):
        width = 2 * dim
        self.gate = Linear(tag_dim, width, rngs=rngs)
        self.kernel = nnx.Param(normal_002(rngs.params(), (heads, 2 * width + tag_dim)))
        self.bias = nnx.Param(jnp.full((heads,), _START))

    def __call__(
        self, pooled: Float[Array, "b j p"], tags: Float[Array, "b c"]
    ) -> Float[Array, "b j"]:
        gated = pooled * self.gate(tags)[:, None]
        shared = jnp.broadcast_to(tags[:, None], (*pooled.shape[:2], tags.shape[-1]))
        seen = jnp.concatenate([pooled, shared, gated], axis=-1)
        return jnp.einsum("bjp,jp->bj", seen, self.kernel[...]) + self.bias[...]


class Judge(nnx.Module):
    """Scores of latents under tags.

    Args:
      config: the judge's own choices.
      dit: the generator's config; its own depth and image branch do not matter.
      tags: the tag encoder's config.
    """

    def __init__(
        self,
        config: JudgeConfig,
        dit: DiTConfig,
        tags: TagEncoderConfig,
        *,
        rngs: nnx.Rngs,
    ):
        if not 0 <= config.depth <= dit.num_layers:
            raise ValueError(
                f"the judge keeps at most {dit.num_layers} blocks, got {config.depth}"
            )
        if not dit.uses_tags:
            raise ValueError("the judge needs a generator with a tag path")
        self.config = config
        self.dit = dataclasses.replace(
            dit, num_layers=config.depth or dit.num_layers, image_dim=None
        )
        self.trunk = Generator(self.dit, tags, rngs=rngs)
        # The velocity head has no part in a score.
        del self.trunk.dit.head, self.trunk.dit.head_modulation
        self.null = nnx.Param(jnp.zeros((dit.text_dim,)))
        self.pool = AttentionPool(len(HEADS), dit.dim, rngs=rngs)
        self.heads = Heads(len(HEADS), dit.dim, tags.dim, rngs=rngs)

    def __call__(
        self,
        latents: Float[Array, "b t h w c"],
        *,
        tag_fields: Int[Array | np.ndarray, "b k"],
        tag_values: Int[Array | np.ndarray, "b k"],
        tag_mask: Bool[Array | np.ndarray, "b k"],
        noise: Float[Array, "b t h w c"] | None = None,
    ) -> Float[Array, "b 4"]:
        """Scores on the scale of the experts, not clipped; see HEADS for the order.

        Args:
          latents: clean normalised latents.
          tag_fields, tag_values, tag_mask: the tags that the clip was asked to have.
          noise: for training; None scores without.
        """
        batch, sigma = latents.shape[0], self.config.sigma
        mask = jnp.asarray(tag_mask)
        if self.config.tag_blind:
            mask = jnp.zeros_like(mask)
        if self.config.pixel_blind:
            latents = jnp.zeros_like(latents)
        xt = (1.0 - sigma) * latents
        if noise is not None:
            xt = xt + sigma * noise
        reference = None
        if self.dit.frame_conditioning == "concat":
            width = self.dit.in_channels - latents.shape[-1]
            reference = jnp.zeros((*latents.shape[:-1], width), latents.dtype)
        features = self.trunk.features(
            xt,
            jnp.full((batch,), sigma),
            Conditioning(
                text=jnp.broadcast_to(self.null[...], (batch, 1, self.dit.text_dim)),
                tag_fields=jnp.asarray(tag_fields),
                tag_values=jnp.asarray(tag_values),
                tag_mask=mask,
                reference=reference,
            ),
        )
        tokens = layer_norm(features.tokens, self.dit.eps)
        tokens = tokens.reshape(batch, -1, tokens.shape[-1])
        mean = jnp.broadcast_to(
            tokens.mean(axis=1)[:, None], (batch, len(HEADS), tokens.shape[-1])
        )
        pooled = jnp.concatenate([mean, self.pool(tokens)], axis=-1)
        return self.heads(pooled, features.tags.astype(jnp.float32))


def judge_params(generator: Params, fresh: Params) -> Params:
    """A judge's starting parameters: the generator's trunk under fresh heads.

    Args:
      generator: parameters of the generator; stacked blocks may be more than the
        judge keeps, of which it takes the first.
      fresh: initial parameters of the judge.

    Raises:
      ValueError: if the generator lacks a parameter of the trunk, or one has another
        shape.
    """
    given = traverse_util.flatten_dict(generator)
    wanted = traverse_util.flatten_dict(fresh["trunk"])
    trunk = {}
    for path, leaf in wanted.items():
        name = "/".join(path)
        if path not in given:
            raise ValueError(f"the generator has no {name} for the judge's trunk")
        value = given[path]
        if value.shape != leaf.shape:
            value = value[: leaf.shape[0]] if value.ndim else value
        if value.shape != leaf.shape:
            raise ValueError(
                f"{name}: the judge's trunk needs {leaf.shape}, the generator has "
                f"{given[path].shape}"
            )
        trunk[path] = value
    return fresh | {"trunk": traverse_util.unflatten_dict(trunk)}
