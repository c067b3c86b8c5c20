"""Programs small enough to compile in a second, with work that is known beforehand."""

import jax
import jax.numpy as jnp
import pytest
from planned_sizes import LAYERS, ROWS, WIDTH

from animatrix_jax.planning import hlo, target


@pytest.fixture(scope="session")
def scanned():
    """A scan of LAYERS products [ROWS WIDTH][WIDTH WIDTH], compiled for this CPU."""

    def run(x, kernels):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, kernels)[0]

    x = jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32)
    kernels = jax.ShapeDtypeStruct((LAYERS, WIDTH, WIDTH), jnp.float32)
    return hlo.parse(jax.jit(run).lower(x, kernels).compile().as_text())


@pytest.fixture(scope="session")
def tpu():
    """From a topology to its devices; skips where the compiler is not installed."""
    pytest.importorskip("libtpu", reason="libtpu is not installed (the extra plan)")
    made = {}

    def devices(text):
        if text not in made:
            made[text] = target.devices(target.parse(text))
        return made[text]

    return devices
