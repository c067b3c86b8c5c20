"""FLOPs of kernels and library products, of real programs where they can be compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from planned_sizes import LAYERS, ROWS, WIDTH

from animatrix_jax.planning import chips, hlo, target, timeline

HALF = timeline.Efficiency(attention=0.5, matmul=0.5)
LINKS = chips.links(chips.chip("v5e"), (2, 2))
HEADS, TOKENS, HEAD = 2, 256, 128


def test_products_in_a_scan_count_each_turn(scanned):
    """And their time is what the chip's peak allows, or its memory."""
    chip = target.parse("cpu:1").chip
    line = timeline.walk(scanned, chip, HALF, links=LINKS)
    assert line.matmul_flops == pytest.approx(LAYERS * 2 * ROWS * WIDTH * WIDTH)
    assert line.compute >= line.matmul_flops / (chip.flops * 0.5)
    # A turn cuts its own layer out of the stack (read, written), and reads that.
    kernels = LAYERS * WIDTH * WIDTH * 4
    assert 3 * kernels <= line.memory_bytes < 4.5 * kernels


def test_batched_products():
    def run(x, y):
        return jnp.einsum("bmk,bkn->bmn", x, y)

    x = jax.ShapeDtypeStruct((3, 8, 16), jnp.float32)
    y = jax.ShapeDtypeStruct((3, 16, 32), jnp.float32)
    module = hlo.parse(jax.jit(run).lower(x, y).compile().as_text())
    line = timeline.walk(module, target.parse("cpu:1").chip, HALF, links=LINKS)
    assert line.matmul_flops == pytest.approx(2 * 3 * 8 * 16 * 32)


@pytest.fixture(scope="module")
def splash(tpu):
    """Splash attention with its gradient, on one TPU."""
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as kernel_lib,
    )
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_mask as mask_lib,
    )

    def run(fused):
        backward = {"block_q_dq": None, "block_kv_dq": None}
        if not fused:
            backward = {"block_q_dq": 128, "block_kv_dq": 128}
        sizes = kernel_lib.BlockSizes(
            block_q=128,
            block_kv=128,
            block_kv_compute=128,
            block_q_dkv=128,
            block_kv_dkv=128,
            block_kv_dkv_compute=128,
            use_fused_bwd_kernel=fused,
            **backward,
        )
        mask = mask_lib.MultiHeadMask([mask_lib.FullMask((TOKENS, TOKENS))] * HEADS)

        def loss(q, k, v):
            attend = kernel_lib.make_splash_mha_single_device(mask, block_sizes=sizes)
            return attend(q, k, v).astype(jnp.float32).sum()

        devices = np.array(tpu("tpu:v5e:2x2")[:1])
        place = NamedSharding(Mesh(devices, ("a",)), P())
        x = jax.ShapeDtypeStruct((HEADS, TOKENS, HEAD), jnp.bfloat16, sharding=place)
        step = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
        return hlo.parse(step.lower(x, x, x).compile().as_text())

    return run


@pytest.mark.parametrize("fused,products", [(True, 2 + 5), (False, 2 + 4 + 3)])
def test_splash_attention(splash, fused, products):
    chip = chips.chip("v5e")
    line = timeline.walk(splash(fused), chip, HALF, links=LINKS)
    flops = products * 2 * HEADS * TOKENS**2 * HEAD
    assert line.attention_flops == flops
    assert line.attention == pytest.approx(flops / (chip.flops * 0.5))
    assert sum(line.kernels.values()) == (2 if fused else 3)


CUDNN = """HloModule m, is_scheduled=true

ENTRY %main (q: bf16[2,512,4,64], k: bf16[2,256,4,64]) -> bf16[2,512,4,64] {
  %q = bf16[2,512,4,64]{3,2,1,0} parameter(0)
  %k = bf16[2,256,4,64]{3,2,1,0} parameter(1)
  ROOT %a = (bf16[2,4,512,64]{3,1,2,0}, u8[0]{0}) custom-call(%q, %k, %k), custom_call_target="__cudnn$fmhaSoftmax"
}
"""


@pytest.mark.parametrize("target_,products", [("", 2), ("Backward", 5)])
def test_cudnn_attention(target_, products):
    module = hlo.parse(CUDNN.replace("Softmax", f"Softmax{target_}"))
    line = timeline.walk(module, chips.chip("h100"), HALF, links=LINKS)
    assert line.attention_flops == products * 2 * 2 * 4 * 512 * 256 * 64
