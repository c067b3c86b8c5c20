"""Dual guidance: its algebra on fake velocities, and how many branches it evaluates."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.sampling.guidance import (
    GuidanceConfig,
    branch_weights,
    guided_velocity,
)

SCALES = st.floats(-2.0, 9.0, width=32)
ORDERS = st.sampled_from(["text_first", "tag_first"])
BATCH, FRAMES = 2, 3


def _conditioning(value, tags):
    return Conditioning(
        text=jnp.full((BATCH, 2, 4), value, jnp.float32),
        tag_fields=jnp.full((BATCH, 3), tags, jnp.int32),
        tag_values=jnp.full((BATCH, 3), tags, jnp.int32),
        tag_mask=jnp.asarray([[True, True, False]] * BATCH),
    )


class Linear:
    """v = xt + sigma + 10 text + 100 (sum of unmasked tag values), and a call count."""

    def __init__(self):
        self.batches = []

    def __call__(self, xt, sigma, conditioning):
        self.batches.append(len(xt))
        text = conditioning.text.mean((1, 2))
        tags = (conditioning.tag_values * conditioning.tag_mask).sum(1)
        level = 10.0 * text + 100.0 * tags
        return xt + sigma[:, None, None, None, None] + level[:, None, None, None, None]


def _velocity(config, *, fn=None, negative=None):
    xt = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, FRAMES, 2, 2, 1)))
    sigma = jnp.asarray([0.5, 0.25])
    got = guided_velocity(
        fn or Linear(),
        xt.astype(jnp.float32),
        sigma,
        conditioning=_conditioning(3.0, 7),
        null=_conditioning(1.0, 5),
        weights=branch_weights(config),
        negative=negative,
    )
    level = got - xt - sigma[:, None, None, None, None]
    assert float(jnp.ptp(level)) < 2e-2  # xt and sigma pass through with weight 1
    return float(level.mean())


def _by_definition(config, null_text=1.0):
    def v(text, tags):
        return 10.0 * text + 100.0 * tags

    none, text, both = v(null_text, 0), v(3.0, 0), v(3.0, 14)
    tags = v(1.0, 14)
    if config.order == "text_first":
        return none + config.text * (text - none) + config.tag * (both - text)
    return none + config.tag * (tags - none) + config.text * (both - tags)


@given(text=SCALES, tag=SCALES, order=ORDERS)
@settings(max_examples=80, deadline=None)
def test_equals_its_definition(text, tag, order):
    config = GuidanceConfig(text=text, tag=tag, order=order)
    np.testing.assert_allclose(
        _velocity(config), _by_definition(config), rtol=1e-4, atol=1e-2
    )


@given(text=SCALES, tag=SCALES, order=ORDERS)
@settings(max_examples=40, deadline=None)
def test_negative_prompt_stands_for_null_text_without_tags(text, tag, order):
    config = GuidanceConfig(text=text, tag=tag, order=order)
    got = _velocity(config, negative=_conditioning(-4.0, 2))
    np.testing.assert_allclose(
        got, _by_definition(config, null_text=-4.0), rtol=1e-4, atol=1e-2
    )


@given(text=SCALES, tag=SCALES, order=ORDERS)
@settings(max_examples=40, deadline=None)
def test_weights_sum_to_one(text, tag, order):
    weights = branch_weights(GuidanceConfig(text=text, tag=tag, order=order))
    assert abs(sum(weights.values()) - 1.0) < 1e-5
    assert 0.0 not in weights.values()


@pytest.mark.parametrize("order", ["text_first", "tag_first"])
@pytest.mark.parametrize(
    ("text", "tag", "branches"),
    [(5.0, 2.0, 3), (3.0, 3.0, 2), (1.0, 1.0, 1), (0.0, 0.0, 1)],
)
def test_one_call_on_the_branches_that_count(order, text, tag, branches):
    fn = Linear()
    _velocity(GuidanceConfig(text=text, tag=tag, order=order), fn=fn)
    assert fn.batches == [branches * BATCH]


def test_scales_of_zero_and_one_drop_their_branch():
    def names(**values):
        return set(branch_weights(GuidanceConfig(**values)))

    assert names(text=5.0, tag=0.0) == {"none", "text"}
    assert names(text=1.0, tag=2.0) == {"text", "both"}
    assert names(text=0.0, tag=2.0, order="tag_first") == {"none", "tags"}
    assert names(text=5.0, tag=1.0, order="tag_first") == {"tags", "both"}
    assert names(text=0.0, tag=0.0) == {"none"}
    assert names(text=1.0, tag=1.0) == {"both"}


def test_a_contradicting_text_weighs_the_difference():
    """Expanded, text_first weighs a text at odds with its tags by w_text - w_tag."""
    weights = branch_weights(GuidanceConfig())
    assert weights == {"none": -4.0, "text": 3.0, "both": 2.0}


def test_unknown_order_names_the_known_ones():
    with pytest.raises(ValueError, match="text_first.*tag_first.*'tags'"):
        GuidanceConfig(order="tags")
