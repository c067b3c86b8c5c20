"""The tag encoder treats a clip's tags as a set, whatever they are padded to."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.models.config import TagEncoderConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.tag_encoder import TagEncoder

pytestmark = pytest.mark.usefixtures("quick_compile")

CONFIG = TagEncoderConfig(
    num_fields=5, num_values=17, dim=24, num_layers=2, num_heads=3, ffn_mult=2
)


def build(rngs):
    return TagEncoder(CONFIG, rngs=rngs)


@pytest.fixture(scope="module")
def encode(quick_compile):
    params = jax.jit(lambda key: init_params(build, key))(jax.random.key(0, impl="rbg"))

    @jax.jit
    def apply(params, fields, values, mask):
        encoded = bind(build, params)(fields, values, mask)
        return encoded.sequence, encoded.cls

    def call(fields, values, mask, params=params):
        return apply(params, *(jnp.asarray(x) for x in (fields, values, mask)))

    call.params = params
    return call


@pytest.fixture(scope="module")
def tags():
    """Three clips with 4, 6 and 0 tags, padded to 6."""
    random = np.random.default_rng(0)
    fields, values = random.integers(0, 5, (3, 6)), random.integers(0, 17, (3, 6))
    return fields, values, np.arange(6) < np.array([4, 6, 0])[:, None]


def test_order_does_not_matter(encode, tags):
    sequence, cls = encode(*tags)
    order = np.random.default_rng(1).permutation(6)
    permuted_sequence, permuted_cls = encode(*(x[:, order] for x in tags))
    np.testing.assert_allclose(permuted_sequence, sequence[:, order], atol=1e-5)
    np.testing.assert_allclose(permuted_cls, cls, atol=1e-5)


def test_padding_does_not_matter(encode, tags):
    fields, values, mask = tags
    sequence, cls = encode(fields, values, mask)
    assert not sequence[~mask].any()
    other = np.where(mask, fields, 1), np.where(mask, values, 3), mask
    np.testing.assert_array_equal(encode(*other)[0], sequence)
    cut_sequence, cut_cls = encode(fields[:1, :4], values[:1, :4], mask[:1, :4])
    np.testing.assert_allclose(cut_sequence, sequence[:1, :4], atol=1e-5)
    np.testing.assert_allclose(cut_cls, cls[:1], atol=1e-5)


def test_no_tags_give_the_learned_null(encode, tags):
    _, cls = encode(*tags)
    np.testing.assert_array_equal(cls[2], encode.params["null"])
    assert np.abs(cls[0] - cls[2]).max() > 0.01


def test_a_tag_is_its_field_and_its_value(encode, tags):
    fields, values, mask = tags
    _, cls = encode(fields, values, mask)
    _, other_field = encode((fields + 1) % 5, values, mask)
    _, other_value = encode(fields, (values + 1) % 17, mask)
    for other in (other_field, other_value):
        assert np.abs(other[:2] - cls[:2]).max(-1).min() > 1e-3
        np.testing.assert_array_equal(other[2], cls[2])
