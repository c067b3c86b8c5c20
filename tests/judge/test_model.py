"""The judge: made from the generator, aware of tags or blind to them, small and exact."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from animatrix_jax.judge.model import HEADS, Judge, JudgeConfig, judge_params
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.parallel.sharding import partition_spec

DIT = DiTConfig(
    dim=32, ffn_dim=48, num_heads=2, num_layers=3, text_dim=16, tag_dim=16, tag_rank=4
)
TAGS = TagEncoderConfig(num_fields=5, num_values=20, dim=16, num_layers=1, num_heads=2)
DEPTH = 2


def build(config, dit=DIT):
    return lambda rngs: Judge(config, dit, TAGS, rngs=rngs)


def clips(count=4, key=2):
    ids = jax.random.randint(jax.random.key(key), (count, 6), 0, 5)
    return jax.random.normal(jax.random.key(key), (count, 3, 4, 4, 16)), {
        "tag_fields": ids,
        "tag_values": ids + 3,
        "tag_mask": jnp.arange(6)[None] < 2 + jnp.arange(count)[:, None] % 4,
    }


@pytest.fixture(scope="module")
def generator():
    return init_params(lambda rngs: Generator(DIT, TAGS, rngs=rngs), jax.random.key(0))


@pytest.fixture(scope="module")
def params(generator):
    fresh = init_params(build(JudgeConfig(depth=DEPTH)), jax.random.key(1))
    return judge_params(generator, fresh)


def test_scores_start_near_the_scale(params):
    latents, tags = clips()
    scores = bind(build(JudgeConfig(depth=DEPTH)), params)(latents, **tags)
    assert scores.shape == (4, len(HEADS))
    assert float(jnp.abs(scores - 4.0).max()) < 1.5
    assert float(scores.std(axis=0).min()) > 0.0


def test_trunk_is_the_generators_first_blocks(generator, params):
    """Same hidden tokens as the generator gives at that depth, to the bit of fp32."""
    latents, tags = clips()
    config = JudgeConfig(depth=DEPTH, sigma=0.05)
    judge = bind(build(config), params)
    full = bind(lambda rngs: Generator(DIT, TAGS, rngs=rngs), generator)
    from animatrix_jax.models.conditioning import Conditioning

    conditioning = Conditioning(text=jnp.zeros((4, 1, 16)), **tags)
    args = (0.95 * latents, jnp.full((4,), 0.05), conditioning)
    ours = judge.trunk.features(*args)
    theirs = full.features(*args, depth=DEPTH)
    np.testing.assert_allclose(ours.tokens, theirs.tokens, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.tags, theirs.tags, rtol=1e-5, atol=1e-6)


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
    other = tags | {"tag_values": tags["tag_values"][:, ::-1]}
    aware = bind(build(JudgeConfig(depth=DEPTH)), params)
    blind = bind(build(JudgeConfig(depth=DEPTH, tag_blind=True)), params)
    change = jnp.abs(aware(latents, **tags) - aware(latents, **other)).max()
    assert float(change) > 1e-5
    np.testing.assert_array_equal(blind(latents, **tags), blind(latents, **other))


def test_gated_heads_read_pixels_by_tag(params):
    """With the trunk's own tag paths cut, h_CLS still changes what the pixels mean."""
    from animatrix_jax.judge.model import Heads

    heads = bind(lambda rngs: Heads(4, 32, 16, rngs=rngs), params["heads"])
    a, b = jax.random.normal(jax.random.key(5), (2, 1, 4, 64))
    one, two = jax.random.normal(jax.random.key(6), (2, 1, 16))
    effect_one = heads(a, one) - heads(b, one)
    effect_two = heads(a, two) - heads(b, two)
    assert float(jnp.abs(effect_one - effect_two).max()) > 1e-4


def test_all_depths_and_errors(generator):
    fresh = init_params(build(JudgeConfig(depth=0)), jax.random.key(1))
    taken = judge_params(generator, fresh)
    blocks = taken["trunk"]["dit"]["blocks"]["ffn"]["up"]["kernel"]
    assert blocks.shape[0] == DIT.num_layers
    with pytest.raises(ValueError, match="at most 3 blocks, got 4"):
        init_params(build(JudgeConfig(depth=4)), jax.random.key(1))
    wide = dataclasses.replace(DIT, ffn_dim=64)
    other = init_params(build(JudgeConfig(), wide), jax.random.key(1))
    with pytest.raises(ValueError, match="judge's trunk needs"):
        judge_params(generator, other)
    with pytest.raises(ValueError, match="tag path"):
        blind = dataclasses.replace(DIT, tag_cross_attention=False, tag_adaln=False)
        init_params(build(JudgeConfig(), blind), jax.random.key(1))


def test_concat_generators_are_judged_without_reference():
    dit = dataclasses.replace(DIT, in_channels=36, frame_conditioning="concat")
    params = init_params(build(JudgeConfig(), dit), jax.random.key(0))
    latents, tags = clips(2)
    assert bind(build(JudgeConfig(), dit), params)(latents, **tags).shape == (2, 4)


def test_every_leaf_has_a_placement(params):
    for path, leaf in traverse_util.flatten_dict(params).items():
        spec = partition_spec("params/judge/" + "/".join(path), leaf.ndim)
        assert len(spec) <= leaf.ndim
        if path[0] in ("heads", "pool"):
            assert not any(spec)


def test_gradient_reaches_trunk_and_heads(params):
    latents, tags = clips()
    gradient = jax.grad(
        lambda p: bind(build(JudgeConfig(depth=DEPTH)), p)(latents, **tags).sum()
    )(params)
    flat = traverse_util.flatten_dict(gradient)
    for path in (
        ("heads", "kernel"),
        ("heads", "gate", "kernel"),
        ("pool", "query"),
        ("trunk", "dit", "patch_embed", "kernel"),
        ("trunk", "tags", "encoder", "value"),
    ):
        assert float(jnp.abs(flat[path]).max()) > 0.0, path
