"""The judge: made from the generator, aware of tags or blind to them, small and exact."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx, traverse_util

from animatrix_jax.judge.model import HEADS, Heads, Judge, JudgeConfig, judge_params
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.layers import layer_norm
from animatrix_jax.parallel.sharding import partition_spec

DIT = DiTConfig(
    dim=32, ffn_dim=48, num_heads=2, num_layers=2, text_dim=16, tag_dim=16, tag_rank=4
)
TAGS = TagEncoderConfig(num_fields=5, num_values=20, dim=16, num_layers=1, num_heads=2)
DEPTH = 1
TAG_ARRAYS = ("tag_fields", "tag_values", "tag_mask")


def build(config, dit=DIT):
    return lambda rngs: Judge(config, dit, TAGS, rngs=rngs)


def clips(count=4, key=2):
    """Latents, each under two directives of up to six tags."""
    ids = jax.random.randint(jax.random.key(key), (count, 2, 6), 0, 5)
    mask = jnp.arange(6)[None, None] < 2 + jnp.arange(count)[:, None, None] % 4
    return jax.random.normal(jax.random.key(key), (count, 3, 4, 4, 16)), {
        "tag_fields": ids,
        "tag_values": ids + 3,
        "tag_mask": jnp.broadcast_to(mask, ids.shape),
    }


def shapes(module):
    return jax.eval_shape(lambda k: init_params(module, k), jax.random.key(0))


def filled(tree, seed):
    """Parameters of given shapes without a compiled program: quick, and none is zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: rng.normal(0.1, 0.2, leaf.shape).astype(np.float32), tree
    )


def score(config, dit=DIT):
    return jax.jit(lambda p, x, tags: bind(build(config, dit), p)(x, **tags))


AWARE = score(JudgeConfig(depth=DEPTH))


@pytest.fixture(scope="module")
def generator():
    return filled(shapes(lambda rngs: Generator(DIT, TAGS, rngs=rngs)), 0)


@pytest.fixture(scope="module")
def params(generator):
    fresh = filled(shapes(build(JudgeConfig(depth=DEPTH))), 1)
    return judge_params(generator, fresh)


def test_heads_start_at_a_typical_score():
    heads = Heads(len(HEADS), 8, 4, rngs=nnx.Rngs(0))
    scores = heads(jnp.ones((2, 4, 16)), jnp.ones((2, 3, 4)))
    assert scores.shape == (2, 3, 4)
    assert float(jnp.abs(scores - 4.0).max()) < 1.5


def test_trunk_is_the_generators_first_blocks(generator, params):
    """The hidden tokens that the generator gives at that depth, told nothing."""
    latents, tags = clips()
    config = JudgeConfig(depth=DEPTH, sigma=0.05)
    none = jnp.zeros((4, 1), jnp.int32)
    text = jnp.broadcast_to(params["null"], (4, 1, 16))
    conditioning = Conditioning(
        text=text, tag_fields=none, tag_values=none, tag_mask=none > 0
    )

    def both(judge_params, generator_params):
        judge = bind(build(config), judge_params)
        full = bind(lambda rngs: Generator(DIT, TAGS, rngs=rngs), generator_params)
        sigma = jnp.full((4,), 0.05)
        theirs = full.features(0.95 * latents, sigma, conditioning, depth=DEPTH)
        cls = full.tags.encoder(*(tags[name][:, 1] for name in TAG_ARRAYS)).cls
        told = judge.read(*(tags[name] for name in TAG_ARRAYS))
        return judge.look(latents), layer_norm(theirs.tokens, DIT.eps), told, cls

    ours, theirs, told, cls = jax.jit(both)(params, generator)
    np.testing.assert_allclose(ours, theirs.reshape(ours.shape), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(told[:, 1], cls, rtol=1e-5, atol=1e-6)


def test_a_directive_alone_scores_as_beside_others(params):
    latents, tags = clips()
    both = AWARE(params, latents, tags)
    assert both.shape == (4, 2, len(HEADS))
    alone = AWARE(params, latents, {k: v[:, 1:] for k, v in tags.items()})
    np.testing.assert_allclose(both[:, 1:], alone, rtol=1e-5, atol=1e-5)


def test_heads_are_fresh_and_trunk_is_taken(generator, params):
    flat = traverse_util.flatten_dict(params)
    given = traverse_util.flatten_dict(generator)
    for path, leaf in flat.items():
        if path[0] == "trunk":
            source = given[path[1:]]
            np.testing.assert_array_equal(leaf, source[: leaf.shape[0]])
    assert not any("head" in "/".join(path) for path in flat if path[0] == "trunk")


def test_tags_change_the_score_unless_blind(params):
    latents, tags = clips()
    other = tags | {"tag_values": tags["tag_values"][..., ::-1]}
    blind = score(JudgeConfig(depth=DEPTH, tag_blind=True))
    change = jnp.abs(AWARE(params, latents, tags) - AWARE(params, latents, other))
    assert float(change.max()) > 1e-5
    np.testing.assert_array_equal(
        blind(params, latents, tags), blind(params, latents, other)
    )


def test_gated_heads_read_pixels_by_tag(params):
    """h_CLS changes what the pixels mean, not only the score."""
    given = jax.tree.map(jnp.asarray, params["heads"])
    heads = bind(lambda rngs: Heads(4, 32, 16, rngs=rngs), given)
    a, b = jax.random.normal(jax.random.key(5), (2, 1, 4, 64))
    tags = jax.random.normal(jax.random.key(6), (1, 2, 16))
    effect = heads(a, tags) - heads(b, tags)
    assert float(jnp.abs(effect[:, 0] - effect[:, 1]).max()) > 1e-4


def test_all_depths_and_errors(generator):
    fresh = shapes(build(JudgeConfig(depth=0)))
    taken = judge_params(generator, fresh)
    blocks = taken["trunk"]["dit"]["blocks"]["ffn"]["up"]["kernel"]
    assert blocks.shape[0] == DIT.num_layers
    with pytest.raises(ValueError, match="at most 2 blocks, got 4"):
        shapes(build(JudgeConfig(depth=4)))
    wide = dataclasses.replace(DIT, ffn_dim=64)
    other = shapes(build(JudgeConfig(), wide))
    with pytest.raises(ValueError, match="judge's trunk needs"):
        judge_params(generator, other)
    with pytest.raises(ValueError, match="tag path"):
        blind = dataclasses.replace(DIT, tag_cross_attention=False, tag_adaln=False)
        shapes(build(JudgeConfig(), blind))


def test_concat_generators_are_judged_without_reference():
    dit = dataclasses.replace(DIT, in_channels=36, frame_conditioning="concat")
    judge = shapes(build(JudgeConfig(), dit))
    latents, tags = clips(2)
    scores = jax.eval_shape(score(JudgeConfig(), dit), judge, latents, tags)
    assert scores.shape == (2, 2, len(HEADS))
    assert judge["trunk"]["dit"]["patch_embed"]["kernel"].shape[0] == 4 * 36


def test_every_leaf_has_a_placement(params):
    for path, leaf in traverse_util.flatten_dict(params).items():
        spec = partition_spec("params/judge/" + "/".join(path), leaf.ndim)
        assert len(spec) <= leaf.ndim
        if path[0] in ("heads", "pool"):
            assert not any(spec)


def test_gradient_reaches_trunk_and_heads(params):
    latents, tags = clips()
    gradient = jax.jit(jax.grad(lambda p: AWARE(p, latents, tags).sum()))(params)
    flat = traverse_util.flatten_dict(gradient)
    for path in (
        ("heads", "kernel"),
        ("heads", "gate", "kernel"),
        ("pool", "query"),
        ("trunk", "dit", "patch_embed", "kernel"),
        ("trunk", "tags", "encoder", "value"),
    ):
        assert float(jnp.abs(flat[path]).max()) > 0.0, path
