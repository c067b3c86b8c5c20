"""Equal layers, one after the other: their parameters stacked, one compiled body.

`stack` gives a module whose every parameter has a leading layer axis, and `scan_layers`
runs it, unrolled if it is small; `remat` says what the backward pass computes again.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array

from animatrix_jax.models.config import Remat
from animatrix_jax.parallel.attention import ATTENTION_OUTPUT

# Stacks of fewer parameters are unrolled: on a CPU the loop around them, which copies what
# the backward pass needs, takes a fifth of a step of pico.
_UNROLLED = 40_000_000

PRODUCT = "product"
"""What the backward pass calls the product of a layer's input and its matrix."""

_LAYER_INPUT = "layer_input"
_POLICIES = {
    "block": None,
    "attention": jax.checkpoint_policies.save_only_these_names(ATTENTION_OUTPUT),
    "dots": jax.checkpoint_policies.save_only_these_names(PRODUCT, ATTENTION_OUTPUT),
    "offload": jax.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[_LAYER_INPUT],
        offload_src="device",
        offload_dst="pinned_host",
    ),
}


def stack(
    build: Callable[[nnx.Rngs], nnx.Module], num_layers: int, *, rngs: nnx.Rngs
) -> Any:
    """`num_layers` modules as one, each parameter with a leading layer axis."""
    graphdef = nnx.graphdef(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    keys = jax.random.split(rngs.params(), num_layers)
    state = jax.vmap(lambda key: nnx.state(build(nnx.Rngs(key))))(keys)
    return nnx.merge(graphdef, state)


def scan_layers(
    body: Callable[[Any, Array], Array],
    stacked: Any,
    x: Array,
    *,
    depth: int | None = None,
    remat: Remat = "none",
) -> Array:
    """Runs `x = body(layer, x)` over the layers of `stacked` in order.

    Args:
      body: takes one layer of `stacked` (one module, or a tuple of modules).
      stacked: a module from `stack`, or a tuple of them of one depth.
      depth: only the first so many layers; None: all.
      remat: what the backward pass recomputes.
    """
    graphdef, state = nnx.split(stacked)
    if depth is not None:
        state = jax.tree.map(lambda leaf: leaf[:depth], state)

    def step(x: Array, layer: Any) -> tuple[Array, None]:
        x = checkpoint_name(x, _LAYER_INPUT)
        return body(nnx.merge(graphdef, layer), x), None

    if remat != "none":
        step = jax.checkpoint(step, prevent_cse=False, policy=_POLICIES[remat])
    small = sum(leaf.size for leaf in jax.tree.leaves(state)) < _UNROLLED
    # Outside a loop XLA would merge what is recomputed with what it should replace.
    return lax.scan(step, x, state, unroll=small and remat == "none")[0]
