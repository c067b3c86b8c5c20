"""The work that the block stack's speed is told by."""

import dataclasses

import jax
import pytest

from animatrix_jax.models.dit import DiT
from animatrix_jax.models.functional import init_params
from benchmarks import stack

# Small, and of a length whose score matrix is held whole.
SIZE = dataclasses.replace(stack.SIZES["tiny"], heads=4, head_dim=32, ffn_dim=512)


def test_analytic_flops_are_those_of_the_compiled_program():
    """XLA counts what is not a matrix product too; in small widths that is not little."""
    size = SIZE
    build = lambda rngs: DiT(size.config, rngs=rngs)
    shapes = jax.eval_shape(lambda key: init_params(build, key), jax.random.key(0))
    ours = stack.Ours(size, jax.tree.map(lambda s: jax.numpy.zeros(s.shape), shapes))
    batch = stack.draw_batch(size)
    lowered = jax.jit(ours._velocity).lower(shapes, batch)
    counted = lowered.cost_analysis()["flops"]
    assert counted == pytest.approx(stack.forward_flops(size), rel=0.1)
    assert counted > stack.forward_flops(size)
