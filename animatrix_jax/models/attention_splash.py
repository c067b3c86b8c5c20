"""Splash attention, the fused kernel of TPUs, as one of the kernels of `attention.py`.

The kernel (jax.experimental.pallas.ops.tpu.splash_attention) takes one sample's heads,
[g n e], in whole blocks. Lengths are padded to them, and padded or masked keys belong to
another segment than the queries. All gradients are of one kernel, five products where two
kernels would make seven. That pass takes o and l from outside
(`backward`), which is what a ring over devices needs: with the l of all keys, a part's
gradients are exact.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
from jax import numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel as splash,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_mask as splash_mask,
)
from jaxtyping import Array

from animatrix_jax.models.config import TPU_BLOCK, TPU_LANES
from animatrix_jax.parallel.attention import ATTENTION_OUTPUT, Keys

# Of keys at a time within a block, and the most in a block of the backward pass, which takes
# more VMEM than XLA gives a kernel by itself: a program that differentiates it is compiled
# with `COMPILER_OPTIONS`.
_COMPUTE, _GRADIENT_BLOCK = 512, 9472
# l of a query that sees no key: joins with a weight of 0.
_MASKED = -1e30


@dataclasses.dataclass(frozen=True)
class Splash:
    """The kernel.

    Attributes:
      interpret: on a CPU, slowly.
    """

    interpret: bool = False

    def __call__(self, q: Array, parts: Sequence[Keys]) -> Array:
        keys = Keys.concatenate(parts)
        laid = _Layout.of(q, keys)
        kernel = laid.kernel(residuals=False, interpret=self.interpret)
        out = jax.vmap(kernel)(*laid.queries_and_keys(q, keys), laid.segments(q, keys))
        return laid.tokens(out, q, keys)

    def forward(self, q: Array, keys: Keys) -> tuple[Array, Array]:
        laid = _Layout.of(q, keys)
        kernel = laid.kernel(residuals=True, interpret=self.interpret)
        inputs = laid.queries_and_keys(q, keys)
        out, (log_total,) = jax.vmap(kernel)(*inputs, laid.segments(q, keys))
        log_total = log_total[:, :, : q.shape[1]].swapaxes(1, 2)
        if keys.mask is not None:
            some = keys.mask.any(axis=-1)[:, None, None]
            log_total = jnp.where(some, log_total, _MASKED)
        return laid.tokens(out, q, keys).astype(jnp.float32), log_total

    def backward(
        self, q: Array, keys: Keys, out: Array, log_total: Array, d_out: Array
    ) -> tuple[Array, Array, Array]:
        laid = _Layout.of(q, keys)
        kernel = laid.kernel(residuals=False, interpret=self.interpret)
        queries, k, v = laid.queries_and_keys(q, keys)
        out, d_out = (laid.by_head(x, laid.n) for x in (out, d_out.astype(q.dtype)))
        # Padded queries have no gradient: their d_out is 0.
        log_total = jnp.pad(
            log_total.swapaxes(1, 2), ((0, 0), (0, 0), (0, laid.n - q.shape[1]))
        )
        run = functools.partial(_backward, kernel)
        d_q, d_k, d_v = jax.vmap(run)(
            queries, k, v, laid.segments(q, keys), out, log_total, d_out
        )
        width, m = q.shape[-1], keys.k.shape[1]
        return (
            d_q[:, :, : q.shape[1], :width].swapaxes(1, 2),
            d_k[:, :, :m, :width].swapaxes(1, 2),
            d_v[:, :, :m, :width].swapaxes(1, 2),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layout:
    """Lengths and widths as the kernel has them: in whole blocks, in whole lanes."""

    heads: int
    n: int
    m: int
    block_q: int
    block_k: int

    @classmethod
    def of(cls, q: Array, keys: Keys) -> "_Layout":
        (block_q, n), (block_k, m) = map(_blocks, (q.shape[1], keys.k.shape[1]))
        return cls(heads=q.shape[2], n=n, m=m, block_q=block_q, block_k=block_k)

    def kernel(
        self, *, residuals: bool, interpret: bool
    ) -> splash.SplashAttentionKernel:
        sizes = splash.BlockSizes(
            block_q=self.block_q,
            block_kv=self.block_k,
            block_kv_compute=math.gcd(self.block_k, _COMPUTE),
            **self._gradient_blocks(),
        )
        whole = splash_mask.FullMask((self.n, self.m))
        return splash.make_splash_mha(
            mask=splash_mask.MultiHeadMask([whole] * self.heads),
            block_sizes=sizes,
            head_shards=1,
            q_seq_shards=1,
            save_residuals=residuals,
            residual_checkpoint_name=ATTENTION_OUTPUT,
            interpret=interpret,
        )

    def _gradient_blocks(self) -> dict[str, Any]:
        """Sizes of the backward pass's kernel.

        It gives the gradient of queries for each block of keys apart, to be summed: so
        few blocks, large ones.
        """
        blocks = range(TPU_LANES, min(self.m, _GRADIENT_BLOCK) + 1, TPU_LANES)
        block = max(block for block in blocks if self.m % block == 0)
        return {
            "block_q_dkv": self.block_q,
            "block_kv_dkv": block,
            "block_kv_dkv_compute": math.gcd(block, _COMPUTE),
            "use_fused_bwd_kernel": True,
        }

    def queries_and_keys(self, q: Array, keys: Keys) -> tuple[Array, Array, Array]:
        """Queries, keys and values [b g . e]."""
        return (
            self.by_head(q, self.n),
            self.by_head(keys.k, self.m),
            self.by_head(keys.v, self.m),
        )

    def by_head(self, x: Array, length: int) -> Array:
        """[b n g e] as [b g n e], padded with zeros to whole blocks and lanes."""
        x = x.swapaxes(1, 2)
        more = (length - x.shape[2], -x.shape[3] % TPU_LANES)
        return (
            jnp.pad(x, ((0, 0), (0, 0), (0, more[0]), (0, more[1]))) if any(more) else x
        )

    def segments(self, q: Array, keys: Keys) -> splash.SegmentIds | None:
        """Queries and keys that may be seen are of segment 1, others of 0."""
        batch, m = keys.k.shape[:2]
        if keys.mask is None and m == self.m:
            return None
        mask = jnp.ones((batch, m), bool) if keys.mask is None else keys.mask
        seen = jnp.pad(mask, ((0, 0), (0, self.m - m))).astype(jnp.int32)
        return splash.SegmentIds(q=jnp.ones((batch, self.n), jnp.int32), kv=seen)

    def tokens(self, out: Array, q: Array, keys: Keys) -> Array:
        """[b g n e] back as [b n g e]; zeros where a sample has no keys."""
        out = out[:, :, : q.shape[1], : q.shape[3]].swapaxes(1, 2)
        if keys.mask is None or keys.never_empty:
            return out
        return jnp.where(keys.mask.any(axis=-1)[:, None, None, None], out, 0)


def _blocks(length: int) -> tuple[int, int]:
    """The block for a length, and the length in whole blocks: the least, by the largest
    block that gives it."""
    lanes = -(-length // TPU_LANES) * TPU_LANES
    if lanes <= TPU_BLOCK:
        return lanes, lanes
    blocks = range(TPU_BLOCK, TPU_BLOCK // 2 - 1, -TPU_LANES)
    return min(((b, -(-length // b) * b) for b in blocks), key=lambda pair: pair[1])


def _backward(
    kernel: splash.SplashAttentionKernel,
    q: Array,
    k: Array,
    v: Array,
    segments: splash.SegmentIds | None,
    out: Array,
    log_total: Array,
    d_out: Array,
) -> tuple[Array, Array, Array]:
    """The kernel's own backward pass, on residuals that it need not have made.

    The one use of what jax keeps private; tests/models/test_attention_splash.py is its
    guard.
    """
    options = kernel.kwargs
    saved = (q, k, v, segments, None, out, log_total)
    saved += (kernel.dq_mask_info, kernel.dkv_mask_info)
    gradients = splash._splash_attention_bwd(
        False,
        options["mask_value"],
        options["is_mqa"],
        options["block_sizes"],
        None,
        options["mask_function"],
        options["attn_logits_soft_cap"],
        options["interpret"],
        saved,
        d_out,
    )
    return gradients[3:6]
