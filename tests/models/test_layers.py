"""A gate that goes into the weights is the gate on the output."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from animatrix_jax.models.cpu_gradients import spread
from animatrix_jax.models.layers import Linear, RMSNorm


@pytest.mark.parametrize("batch,tokens", [(1, 1), (2, 1), (1, 5)])
def test_gated_equals_its_definition(batch, tokens):
    """One clip with one gate, several clips, and a gate of each token's own."""
    linear = Linear(6, 4, rngs=nnx.Rngs(0))
    linear.bias[...] = jnp.arange(4.0)
    graphdef, state = nnx.split(linear)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch, 5, 6))
    gate = jax.random.normal(keys[1], (batch, tokens, 4))
    d_out = jax.random.normal(keys[2], (batch, 5, 4))

    def loss(function, state, x, gate):
        return (function(nnx.merge(graphdef, state), x, gate) * d_out).sum()

    def of(function):
        return jax.value_and_grad(loss, argnums=(1, 2, 3))(function, state, x, gate)

    got = of(lambda linear, x, gate: linear.gated(x, gate))
    expected = of(lambda linear, x, gate: linear(x) * gate)
    for ours, theirs in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_heads_are_the_output_cut():
    linear = Linear(6, 8, rngs=nnx.Rngs(0))
    linear.bias[...] = jnp.arange(8.0)
    x = jax.random.normal(jax.random.key(0), (2, 3, 6))
    cut = linear.heads(x, (2, 2, 2))
    np.testing.assert_allclose(cut.reshape(2, 3, 8), linear(x), rtol=1e-6)


def test_rms_norm_over_heads_is_over_all_their_channels():
    norm = RMSNorm(8, eps=1e-6)
    norm.scale[...] = jnp.arange(8.0)
    x = jax.random.normal(jax.random.key(0), (2, 3, 8))
    for shape in ((2, 3, 4, 2), (2, 3, 2, 2, 2)):
        got = norm(x.reshape(shape)).reshape(x.shape)
        np.testing.assert_allclose(got, norm(x), rtol=1e-6)


@pytest.mark.parametrize(
    "vector,x",
    [
        ((5,), (2, 3, 5)),
        ((1, 1, 5), (2, 3, 5)),
        ((2, 1, 5), (2, 3, 5)),
        ((4, 5), (2, 3, 4, 5)),
        ((2, 3, 5), (2, 3, 5)),
        ((2, 1, 4, 1), (2, 3, 4, 5)),
    ],
)
def test_what_is_spread_has_the_gradient_of_a_broadcast(vector, x):
    """By automatic differentiation of the same product, in float64 by numpy's sums."""
    draw = np.random.default_rng(0)
    v, h, dy = (draw.standard_normal(shape).astype("f") for shape in (vector, x, x))
    value, pull = jax.vjp(lambda v: h * spread(v, jnp.asarray(h)), jnp.asarray(v))
    np.testing.assert_array_equal(value, h * v)
    full = (1,) * (len(x) - len(vector)) + vector
    axes = tuple(i for i, n in enumerate(full) if n != x[i])
    expected = (h.astype("d") * dy).sum(axes, keepdims=True).reshape(vector)
    np.testing.assert_allclose(pull(dy)[0], expected, rtol=1e-5, atol=1e-6)
