"""Tags steer the generator by two paths, and without them it is Wan's transformer."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.generator import Generator

pytestmark = pytest.mark.usefixtures("quick_compile")

CONFIG = DiTConfig(
    dim=32,
    ffn_dim=48,
    num_heads=2,
    num_layers=2,
    in_channels=4,
    out_channels=4,
    freq_dim=16,
    text_dim=8,
    tag_dim=12,
    tag_rank=3,
)
TAGS = TagEncoderConfig(num_fields=5, num_values=17, dim=12, num_layers=1, num_heads=2)
OFF = {"tag_cross_attention": False, "tag_adaln": False}


def builder(**changes):
    config = dataclasses.replace(CONFIG, **changes)
    return lambda rngs: Generator(config, TAGS, rngs=rngs)


@functools.cache
def velocity_of(**changes):
    build = builder(**changes)
    return jax.jit(lambda params, *inputs: bind(build, params)(*inputs))


@pytest.fixture(scope="module")
def params(quick_compile):
    """Initial parameters, but for a head that is not zero."""
    key = jax.random.key(0, impl="rbg")
    params = jax.jit(lambda key: init_params(builder(), key))(key)
    return with_leaf(params, "dit", "head", "kernel")


def with_leaf(params, *path, scale=0.1):
    """`params` with noise for one leaf."""
    name, *rest = path
    if rest:
        leaf = with_leaf(params[name], *rest, scale=scale)
    else:
        shape = params[name].shape
        leaf = np.random.default_rng(1).standard_normal(shape) * scale
        leaf = jnp.asarray(leaf, jnp.float32)
    return params | {name: leaf}


def without(params, off):
    """`params` for a generator with these paths off."""
    cross = ("project", "text_type", "tag_type")
    gone = cross * ("tag_cross_attention" in off) + ("modulation",) * (
        "tag_adaln" in off
    )
    kept = {name: leaf for name, leaf in params["tags"].items() if name not in gone}
    return params | {"tags": kept}


@pytest.fixture(scope="module")
def inputs():
    random = np.random.default_rng(0)
    conditioning = Conditioning(
        text=jnp.asarray(random.standard_normal((3, 6, 8)), jnp.float32),
        tag_fields=jnp.asarray(random.integers(0, 5, (3, 5))),
        tag_values=jnp.asarray(random.integers(0, 17, (3, 5))),
        tag_mask=jnp.asarray(np.arange(5) < np.array([5, 2, 0])[:, None]),
    )
    xt = jnp.asarray(random.standard_normal((3, 2, 4, 4, 4)), jnp.float32)
    return xt, jnp.array([0.1, 0.5, 0.9]), conditioning


def without_tags(conditioning):
    mask = jnp.zeros_like(conditioning.tag_mask)
    return dataclasses.replace(conditioning, tag_mask=mask)


def test_without_tags_equals_wan_to_the_bit(params, inputs):
    xt, sigma, conditioning = inputs
    assert not params["tags"]["modulation"]["expand"].any()
    assert not params["tags"]["text_type"].any()
    ours = velocity_of()(params, xt, sigma, without_tags(conditioning))
    wan = velocity_of(**OFF)({"dit": params["dit"]}, xt, sigma, conditioning)
    np.testing.assert_array_equal(ours, wan)
    assert np.abs(ours).max() > 0.1


def test_tag_deltas_are_the_identity_at_the_start(params, inputs):
    """AdaLN alone, tags given: nothing of Wan's output moves before training."""
    xt, sigma, conditioning = inputs
    off = {"tag_cross_attention": False}
    assert np.asarray(conditioning.tag_mask).any()
    ours = velocity_of(**off)(without(params, off), xt, sigma, conditioning)
    wan = velocity_of(**OFF)({"dit": params["dit"]}, xt, sigma, conditioning)
    np.testing.assert_array_equal(ours, wan)


def test_a_path_that_is_off_has_no_parameters():
    def names(**changes):
        build = builder(**changes)
        shapes = jax.eval_shape(lambda: init_params(build, jax.random.key(0)))
        return shapes.keys(), shapes.get("tags", {}).keys()

    cross = {"project", "text_type", "tag_type"}
    assert names() == ({"dit", "tags"}, {"encoder", "modulation"} | cross)
    assert names(tag_cross_attention=False)[1] == {"encoder", "modulation"}
    assert names(tag_adaln=False)[1] == {"encoder"} | cross
    assert names(**OFF) == ({"dit"}, set())


@pytest.mark.parametrize("off", [{path: False} for path in OFF])
def test_each_path_steers(params, inputs, off):
    xt, sigma, conditioning = inputs
    params = without(with_leaf(params, "tags", "modulation", "expand"), off)
    velocity = velocity_of(**off)
    given = velocity(params, xt, sigma, conditioning)
    none = velocity(params, xt, sigma, without_tags(conditioning))
    change = np.abs(given - none).max((1, 2, 3, 4))
    assert (change[:2] > 1e-3).all()
    assert change[2] == 0, "the third clip has no tags"

    order = jnp.array([3, 0, 4, 1, 2])
    shuffled = dataclasses.replace(
        conditioning,
        tag_fields=conditioning.tag_fields[:, order],
        tag_values=conditioning.tag_values[:, order],
        tag_mask=conditioning.tag_mask[:, order],
    )
    again = velocity(params, xt, sigma, shuffled)
    np.testing.assert_allclose(given, again, atol=1e-5)


def test_every_tag_parameter_learns(params, inputs):
    """Past the first step: at the zero start only `expand` does, by design."""
    xt, sigma, conditioning = inputs

    @jax.jit
    @jax.grad
    def gradient(params):
        out = bind(builder(), params)(xt, sigma, conditioning)
        return jnp.square(out - xt).mean()

    gradients = gradient(with_leaf(params, "tags", "modulation", "expand"))
    for path, leaf in jax.tree.leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), path
        assert leaf.any(), path


def test_features_are_tokens_on_their_grid(params, inputs):
    def features(params, *inputs):
        return bind(builder(), params).features(*inputs, depth=1)

    given = jax.eval_shape(features, params, *inputs)
    assert given.tokens.shape == (3, 2, 2, 2, 32)
    assert given.tags.shape == (3, 12)


def test_reference_is_for_models_that_concatenate(params, inputs):
    xt, sigma, conditioning = inputs
    reference = jnp.ones((3, 2, 4, 4, 5))
    referred = dataclasses.replace(conditioning, reference=reference)
    velocity = velocity_of(in_channels=9, frame_conditioning="concat", **OFF)
    kernel = {"kernel": jnp.zeros((2 * 2 * 9, 32))}
    dit = params["dit"] | {"patch_embed": params["dit"]["patch_embed"] | kernel}
    weights = with_leaf({"dit": dit}, "dit", "patch_embed", "kernel")
    out = velocity(weights, xt, sigma, referred)
    assert out.shape == xt.shape
    empty = dataclasses.replace(conditioning, reference=0 * reference)
    other = velocity(weights, xt, sigma, empty)
    assert np.abs(out - other).max() > 1e-3
    with pytest.raises(ValueError, match="'concat', reference given: False"):
        jax.eval_shape(velocity, weights, xt, sigma, conditioning)
    with pytest.raises(ValueError, match="'clean', reference given: True"):
        jax.eval_shape(velocity_of(), params, xt, sigma, referred)


def test_widths_must_agree():
    with pytest.raises(ValueError, match="tag_dim 16 .* 12"):
        init_params(builder(tag_dim=16), jax.random.key(0))
