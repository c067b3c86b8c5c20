"""A token at a time gives what the whole decoder gives."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.models import t5_decoding
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.t5 import T5Decoder
from benchmarks import references

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize("config", [references.T5_11, references.UMT5])
def test_steps_equal_the_whole(config):
    def build(rngs):
        return T5Decoder(config, rngs=rngs)

    params = jax.jit(lambda key: init_params(build, key))(jax.random.key(0))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 11, config.d_model)).astype(np.float32)
    source = rng.normal(size=(2, 5, config.d_model)).astype(np.float32)
    mask = jnp.array([[True] * 5, [True] * 3 + [False] * 2])

    @jax.jit
    def both(params, x, source):
        decoder = bind(build, params)
        every = jnp.ones(x.shape[:2], bool)
        whole = decoder(x, source, mask=every, source_mask=mask)
        state = t5_decoding.start(decoder, source, mask, length=x.shape[1])

        def body(state, x):
            logits, state = t5_decoding.step(decoder, state, x)
            return state, logits

        stepped = jax.lax.scan(body, state, x.swapaxes(0, 1))[1]
        return whole, stepped.swapaxes(0, 1)

    whole, stepped = both(params, x, source)
    error = np.abs(np.asarray(whole - stepped)).max() / np.abs(np.asarray(whole)).max()
    assert error <= 1e-5
