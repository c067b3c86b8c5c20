"""What XLA:GPU makes of attention, with no GPU here."""

import pytest

pytest.importorskip(
    "jax_plugins.xla_cuda13", reason="XLA:GPU is not installed (the extra plan)"
)


import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from animatrix_jax.models.attention import attention
from animatrix_jax.planning import hlo, target, timeline


def test_masked_cross_attention_compiles_for_gpus_as_one_kernel_each_way():
    """Text and tags as keys, masked, under more queries: forward and backward."""
    aim = target.parse("gpu:h100:1")
    mesh = Mesh(np.array(target.devices(aim)), ("a",), axis_types=(AxisType.Auto,))
    place = NamedSharding(mesh, P())

    def shape(*dims, dtype=jnp.bfloat16):
        return jax.ShapeDtypeStruct(dims, dtype, sharding=place)

    def loss(q, k, v, mask):
        out = attention(q, k, v, mask=mask, implementation="cudnn")
        return out.astype(jnp.float32).sum()

    q, k = shape(2, 512, 2, 64), shape(2, 128, 2, 64)
    step = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    lowered = step.lower(q, k, k, shape(2, 128, dtype=jnp.bool_))
    line = timeline.walk(
        hlo.parse(lowered.compile().as_text()),
        aim.chip,
        timeline.Efficiency(attention=0.5, matmul=0.5),
        links=aim.links,
    )
    assert line.attention_flops == (2 + 5) * 2 * 2 * 2 * 512 * 128 * 64
