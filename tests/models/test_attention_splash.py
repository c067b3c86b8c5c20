"""The TPU's kernel, interpreted on a CPU, is plain attention; and so is the one use of a
private function of jax, its backward pass on residuals from outside."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.models.attention import XLA
from animatrix_jax.models.attention_splash import Splash
from animatrix_jax.parallel.attention import Keys

PLAIN, SPLASH = XLA(implementation="plain"), Splash(interpret=True)


@pytest.fixture(scope="module")
def inputs():
    """Lengths that are no whole blocks, a head narrower than the kernel's lanes."""
    keys = jax.random.split(jax.random.key(0), 5)
    shapes = ((2, 140, 1, 24), (2, 37, 1, 24), (2, 37, 1, 24), (2, 140, 1, 24))
    q, k, v, d_out = map(jax.random.normal, keys[:4], shapes)
    mask = (jax.random.uniform(keys[4], (2, 37)) < 0.5).at[1].set(False)
    return q, k, v, d_out, mask


@pytest.mark.parametrize("masked", [False, True])
def test_values_and_gradients(inputs, masked):
    q, k, v, d_out, mask = inputs
    mask = mask if masked else None

    @functools.partial(jax.jit, static_argnums=0)
    def gradients(kernel, q, k, v):
        def loss(q, k, v):
            out = kernel(q, [Keys(k=k, v=v, mask=mask)])
            return (out * d_out).sum(), out

        return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(q, k, v)

    got, expected = gradients(SPLASH, q, k, v), gradients(PLAIN, q, k, v)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected)):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    if masked:
        assert not got[1][1].any(), "a sample without keys gives zeros"


def test_two_parts_give_the_gradients_of_the_whole(inputs):
    """forward and backward, as the ring joins them."""
    q, k, v, d_out, _ = inputs

    @jax.jit
    def by_parts(q, k, v):
        parts = [Keys(k=k[:, a:b], v=v[:, a:b]) for a, b in ((0, 20), (20, 37))]
        outs, logs = zip(*(SPLASH.forward(q, part) for part in parts), strict=True)
        log_total = jnp.logaddexp(*logs)
        out = sum(o * jnp.exp(log - log_total)[..., None] for o, log in zip(outs, logs))
        d_q, d_k, d_v = zip(
            *(SPLASH.backward(q, part, out, log_total, d_out) for part in parts),
            strict=True,
        )
        whole = [jnp.concatenate(x, axis=1) for x in (d_k, d_v)]
        return out, (sum(d_q), *whole)

    def plain(q, k, v):
        out = PLAIN(q, [Keys(k=k, v=v)])
        return (out * d_out).sum(), out

    expected, out = jax.grad(plain, argnums=(0, 1, 2), has_aux=True)(q, k, v)
    got_out, got = by_parts(q, k, v)
    np.testing.assert_allclose(got_out, out, atol=2e-5)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
