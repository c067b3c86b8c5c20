"""The judge: a reward model made of the generator's own blocks, on latents.

    tokens   = trunk((1 - sigma) x0, sigma, no text, no tags)           first N blocks
    pooled_j = [mean(tokens) ; attention pool with query j]             j of four heads
    score_j  = w_j . [pooled_j ; h_cls ; pooled_j * (G h_cls)] + b_j    1 (bad) to 5

Nothing is decoded to be judged. Each head is linear in what it sees; that includes the
tag set's vector h_cls, so the same deformation can score high where it was asked for and
low where it was not (AniMatrix, "deformation-aware"). The trunk is told nothing: a clip
passes it once, however many directives it is judged under. A tag-blind judge, to compare
with, is the same network with every tag masked; a pixel-blind one has every clip blank.
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
      heads_steps: steps that the heads learn alone, on the generator's own trunk, before
        all of it is trained (heads.py); 0 without `init.generator`.
      heads_rate: the learning rate at its peak in those.
      tag_blind: mask all tags.
      pixel_blind: see the tags alone, the clip blanked out: what a judge could guess
        from what was asked.
    """

    depth: int = 0
    sigma: float = 0.05
    noise: bool = True
    heads_steps: int = 0
    heads_rate: float = 1e-2
    tag_blind: bool = False
    pixel_blind: bool = False

    def __post_init__(self):
        check_range(self, "depth", "heads_steps", low=0, section="judge")
        check_range(self, "heads_rate", low=0, above=True, section="judge")
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
        self, pooled: Float[Array, "b j p"], tags: Float[Array, "b a c"]
    ) -> Float[Array, "b a j"]:
        width = pooled.shape[-1]
        seen, told, gated = jnp.split(
            self.kernel[...], (width, self.kernel.shape[-1] - width), axis=-1
        )
        return (
            jnp.einsum("bjp,jp->bj", pooled, seen)[:, None]
            + jnp.einsum("bac,jc->baj", tags, told)
            + jnp.einsum("bjp,bap,jp->baj", pooled, self.gate(tags), gated)
            + self.bias[...]
        )


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
        tag_fields: Int[Array | np.ndarray, "b a k"],
        tag_values: Int[Array | np.ndarray, "b a k"],
        tag_mask: Bool[Array | np.ndarray, "b a k"],
        noise: Float[Array, "b t h w c"] | None = None,
    ) -> Float[Array, "b a 4"]:
        """Scores on the scale of the experts, not clipped; see HEADS for the order.

        Args:
          latents: clean normalised latents.
          tag_fields, tag_values, tag_mask: the tags of each directive that the clip is
            judged under.
          noise: for training; None scores without.
        """
        told = self.read(tag_fields, tag_values, tag_mask)
        return self.score(self.look(latents, noise), told)

    def look(
        self,
        latents: Float[Array, "b t h w c"],
        noise: Float[Array, "b t h w c"] | None = None,
    ) -> Float[Array, "b n d"]:
        """The trunk's tokens, normalised."""
        batch, sigma = latents.shape[0], self.config.sigma
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
                tag_fields=jnp.zeros((batch, 1), jnp.int32),
                tag_values=jnp.zeros((batch, 1), jnp.int32),
                tag_mask=jnp.zeros((batch, 1), bool),
                reference=reference,
            ),
        )
        tokens = layer_norm(features.tokens, self.dit.eps)
        return tokens.reshape(batch, -1, tokens.shape[-1])

    def read(
        self,
        tag_fields: Int[Array | np.ndarray, "b a k"],
        tag_values: Int[Array | np.ndarray, "b a k"],
        tag_mask: Bool[Array | np.ndarray, "b a k"],
    ) -> Float[Array, "b a c"]:
        """h_cls of each directive, fp32."""
        mask = jnp.asarray(tag_mask)
        if self.config.tag_blind:
            mask = jnp.zeros_like(mask)
        batch, asked, width = mask.shape
        flat = [
            jnp.asarray(some).reshape(batch * asked, width)
            for some in (tag_fields, tag_values, mask)
        ]
        cls = self.trunk.tags.encoder(*flat).cls
        return cls.reshape(batch, asked, -1).astype(jnp.float32)

    def score(
        self, tokens: Float[Array, "b n d"], told: Float[Array, "b a c"]
    ) -> Float[Array, "b a 4"]:
        """The heads, on what `look` and `read` give."""
        mean = tokens.mean(axis=1)[:, None]
        mean = jnp.broadcast_to(mean, (len(tokens), len(HEADS), tokens.shape[-1]))
        return self.heads(jnp.concatenate([mean, self.pool(tokens)], axis=-1), told)


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
