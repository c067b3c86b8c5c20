"""Compiling dominates tests at small sizes; most of it is optimisation not needed."""

import jax
import pytest


@pytest.fixture(scope="module")
def quick_compile():
    """XLA's expensive passes off while a module's tests run."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
