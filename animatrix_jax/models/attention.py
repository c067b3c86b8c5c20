"""Scaled dot-product attention: the one place, whatever computes it.

    o_i = sum_j p_ij v_j,   p_ij = exp(s_ij - l_i),   s_ij = q_i k_j / sqrt(e),
    l_i = log sum_j exp(s_ij)

"plain" holds the whole score matrix. "blocked" never does: it walks over blocks of keys
for each block of queries with a running maximum and sum (Milakov and Gimelshein,
arXiv:1805.02867; Dao et al., arXiv:2205.14135), keeps only o and l for the backward
pass, and there computes each block of p again, keys by queries: so both sums over i are
products of matrices as they lie, which XLA's CPU kernels take much faster than transposed:

    dv_j = sum_i p_ij do_i,   ds_ij = p_ij (do_i v_j - do_i o_i + dl_i)

"splash" and "cudnn" are the fused kernels of TPUs and NVIDIA GPUs; gradients of splash want
`parallel.mesh.COMPILER_OPTIONS`. Scores and softmax are fp32 in all of them. "auto" takes the accelerator's own for long clips, and on a CPU
"plain" or "blocked" by the number of scores.

Keys may come in parts, each attended to on its own and joined by o = sum_a w_a o_a,
w_a = exp(l_a) / sum exp(l_a): a part whose keys are all masked then has a weight of
exactly 0, and the others give to the bit what they give without it. The fused kernels
attend to the parts' concatenation.

Where a mesh is set, `parallel/attention.py` splits the work.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float

from animatrix_jax.models.config import (
    TPU_BLOCK,
    TPU_LANES,
    AttentionImplementation,
)
from animatrix_jax.parallel.attention import (
    ATTENTION_OUTPUT,
    Kernel,
    Keys,
    over_devices,
    sequence_shards,
)
from animatrix_jax.parallel.mesh import platform

# Below this many scores a head, holding them costs less than computing them twice.
_PLAIN_SCORES = 1024 * 1024
_BLOCK = 512
# Stands for minus infinity, without its NaNs.
_MASKED = -1e30


def attention(
    q: Float[Array, "b n g e"],
    k: Float[Array, "b m g e"],
    v: Float[Array, "b m g e"],
    *,
    mask: Bool[Array, "b m"] | None = None,
    never_empty: bool = False,
    implementation: AttentionImplementation = "auto",
    tokens_are_keys: bool = False,
) -> Float[Array, "b n g e"]:
    """Attention of every query over the keys that `mask` leaves.

    Args:
      mask: True where a key may be seen. A sample with no such key gives zeros.
      never_empty: there is no such sample.
      tokens_are_keys: self-attention of a clip's tokens, which devices share out.
    """
    return joint_attention(
        q,
        (Keys(k=k, v=v, mask=mask, never_empty=never_empty),),
        implementation=implementation,
        tokens_are_keys=tokens_are_keys,
    )


def joint_attention(
    q: Float[Array, "b n g e"],
    parts: Sequence[Keys],
    *,
    implementation: AttentionImplementation = "auto",
    tokens_are_keys: bool = False,
) -> Float[Array, "b n g e"]:
    """Attention over all the parts' keys together, as `attention` over their
    concatenation."""
    kernel = _choose(implementation, q, parts)
    # Here, where what made q can take it along.
    q = (q * (1 / math.sqrt(q.shape[-1]))).astype(q.dtype)
    return over_devices(kernel, q, parts, tokens_are_keys=tokens_are_keys)


def whole_blocks(tokens: int, implementation: AttentionImplementation) -> int:
    """The length to which a clip's tokens are best padded, once for all layers: on a TPU
    to whole blocks of its kernel, on each of the devices that share a clip."""
    resolved = _resolve(implementation, tokens * tokens, jnp.bfloat16)
    if resolved != "splash":
        return tokens
    multiple = math.lcm(TPU_BLOCK, TPU_LANES * sequence_shards())
    return -(-tokens // multiple) * multiple


def _choose(
    implementation: AttentionImplementation, q: Array, parts: Sequence[Keys]
) -> Kernel:
    scores = q.shape[1] * sum(part.k.shape[1] for part in parts)
    implementation = _resolve(implementation, scores, q.dtype)
    if implementation == "splash":
        # Only who needs it waits for Pallas to be imported.
        from animatrix_jax.models.attention_splash import Splash

        return Splash()
    return CuDNN() if implementation == "cudnn" else XLA(implementation=implementation)


def _resolve(
    implementation: AttentionImplementation, scores: int, dtype: Any
) -> AttentionImplementation:
    """What "auto" is: the accelerator's own kernel, if it has one for so many scores."""
    if implementation != "auto" or scores <= _PLAIN_SCORES:
        return implementation
    target = platform()
    if target == "tpu":
        return "splash"
    if target == "gpu" and dtype in (jnp.bfloat16, jnp.float16):
        return "cudnn"
    return implementation


@dataclasses.dataclass(frozen=True)
class XLA:
    """What any device computes: "plain" and "blocked"."""

    implementation: AttentionImplementation

    def __call__(self, q: Array, parts: Sequence[Keys]) -> Array:
        results = [self._attend(q, part) for part in parts]
        return _join(*zip(*results, strict=True)).astype(q.dtype).swapaxes(1, 2)

    def forward(self, q: Array, keys: Keys) -> tuple[Array, Array]:
        out, log_total = self._attend(q, keys)
        return out.swapaxes(1, 2), log_total[..., 0].swapaxes(1, 2)

    def backward(
        self, q: Array, keys: Keys, out: Array, log_total: Array, d_out: Array
    ) -> tuple[Array, Array, Array]:
        by_head = [x.swapaxes(1, 2) for x in (q, keys.k, keys.v, out, d_out)]
        log_total = log_total.swapaxes(1, 2)[..., None]
        d_q, d_k, d_v = _blocked_backward(*by_head, log_total, keys.mask)
        return tuple(x.swapaxes(1, 2) for x in (d_q, d_k, d_v))

    def _attend(self, q: Array, keys: Keys) -> tuple[Array, Array]:
        """o and l, fp32 [b g n .]."""
        mask, some = _never_empty(keys)
        blocked = self.implementation == "blocked" or (
            self.implementation == "auto"
            and q.shape[1] * keys.k.shape[1] > _PLAIN_SCORES
        )
        out, log_total = (_blocked if blocked else _plain)(
            q.swapaxes(1, 2),
            keys.k.swapaxes(1, 2),
            keys.v.swapaxes(1, 2),
            mask,
        )
        if some is not None:
            out = jnp.where(some, out, 0)
            log_total = jnp.where(some, log_total, _MASKED)
        return out, log_total


@dataclasses.dataclass(frozen=True)
class CuDNN:
    """The fused kernel of NVIDIA GPUs, for fp16 and bf16; it has no gradient of l."""

    def __call__(self, q: Array, parts: Sequence[Keys]) -> Array:
        keys = Keys.concatenate(parts)
        mask, some = _never_empty(keys)
        if mask is not None:
            # The kernel takes it as a bias, of a row for every query.
            rows = (len(mask), 1, q.shape[1], mask.shape[1])
            mask = jnp.broadcast_to(mask[:, None, None], rows)
        out = jax.nn.dot_product_attention(
            q,
            keys.k,
            keys.v,
            mask=mask,
            scale=1.0,
            implementation="cudnn",
        )
        return out if some is None else jnp.where(some, out, 0)


def _join(outs: Sequence[Array], logs: Sequence[Array]) -> Array:
    """sum_a w_a o_a over parts; a sample with no key in any part has zeros already."""
    if len(outs) == 1:
        return outs[0]
    top = lax.stop_gradient(functools.reduce(jnp.maximum, logs))
    weights = [jnp.exp(log - top) for log in logs]
    joined = sum(out * weight for out, weight in zip(outs, weights, strict=True))
    return joined / sum(weights)


def _never_empty(keys: Keys) -> tuple[Array | None, Array | None]:
    """A mask that leaves each sample a key, and where it did before [b 1 1 1].

    A softmax over nothing is 0/0. A sample without keys is computed with all of them and
    weighted by zero, so that neither values nor gradients see a NaN.
    """
    mask = keys.mask
    if mask is None or keys.never_empty:
        return mask, None
    some = mask.any(axis=-1)
    return mask | ~some[:, None], some[:, None, None, None]


def _plain(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, Array]:
    """o and l, fp32 [b g n .], of scaled queries."""
    s = _scores(q, k)
    if mask is not None:
        s = s + jnp.where(mask, 0, _MASKED)[:, None, None]
    top = lax.stop_gradient(s.max(-1, keepdims=True))
    p = jnp.exp(s - top)
    total = p.sum(-1, keepdims=True)
    # Divided after the product with v: one pass less over the scores.
    return _dot(p.astype(v.dtype), v, 3, 2) / total, top + jnp.log(total)


def _blocked(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, Array]:
    """As `_plain`, without the score matrix."""
    n, m = q.shape[2], k.shape[2]
    block_q, block_k = _block_sizes(n, m)
    mask = _mask_of_padding(mask, k, block_k)
    results = _flash(
        _into_blocks(q, block_q, axis=2),
        _into_blocks(k, block_k, axis=2),
        _into_blocks(v, block_k, axis=2),
        None if mask is None else _into_blocks(mask, block_k, axis=1),
    )
    out, log_total = (_from_blocks(x, n) for x in results)
    return out, log_total


def _blocked_backward(
    q: Array,
    k: Array,
    v: Array,
    out: Array,
    d_out: Array,
    log_total: Array,
    mask: Array | None,
) -> tuple[Array, Array, Array]:
    """Gradients of scaled queries, keys and values [b g . e], given o and l, fp32."""
    n, m = q.shape[2], k.shape[2]
    block_q, block_k = _block_sizes(n, m)
    mask = _mask_of_padding(mask, k, block_k)
    rows = (_into_blocks(x, block_q, axis=2) for x in (q, out, log_total, d_out))
    columns = [_into_blocks(x, block_k, axis=2) for x in (k, v)]
    columns.append(None if mask is None else _into_blocks(mask, block_k, axis=1))
    q, out, log_total, d_out = rows
    saved = (q, *columns, out, log_total)
    cotangents = (d_out.astype(jnp.float32), jnp.zeros_like(log_total))
    d_q, d_k, d_v, _ = _flash_backward(saved, cotangents)
    return _from_blocks(d_q, n), _from_blocks(d_k, m), _from_blocks(d_v, m)


def _block_sizes(*lengths: int) -> list[int]:
    return [min(_BLOCK, -(-length // 8) * 8) for length in lengths]


def _mask_of_padding(mask: Array | None, k: Array, block: int) -> Array | None:
    """A mask where whole blocks of keys need one: with none given, if any is padded."""
    length = k.shape[2]
    return jnp.ones((len(k), length), bool) if mask is None and length % block else mask


def _from_blocks(x: Array, length: int) -> Array:
    """[i b g n e] blocks as [b g n e], without their padding."""
    x = x.transpose(1, 2, 0, 3, 4)
    return x.reshape(*x.shape[:2], -1, x.shape[-1])[:, :, :length]


def _into_blocks(x: Array, block: int, *, axis: int) -> Array:
    """Cuts an axis, padded with zeros (False), into blocks on a new first axis."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (0, -x.shape[axis] % block)
    x = jnp.pad(x, padding)
    x = x.reshape(*x.shape[:axis], -1, block, *x.shape[axis + 1 :])
    return jnp.moveaxis(x, axis, 0)


def _dot(x: Array, y: Array, x_axis: int, y_axis: int) -> Array:
    """fp32 product of [b g . .] and [b g . .] over one axis of each."""
    axes = (((x_axis,), (y_axis,)), ((0, 1), (0, 1)))
    return lax.dot_general(x, y, axes, preferred_element_type=jnp.float32)


def _scores(q: Array, k: Array) -> Array:
    return _dot(q, k, 3, 3)


def _masked(s: Array, mask: Array | None) -> Array:
    """Scores where mask, which broadcasts to them, is True; None is everywhere."""
    return s if mask is None else jnp.where(mask, s, _MASKED)


@jax.custom_vjp
def _flash(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, Array]:
    """o and l of query blocks [i b g n e] over key blocks [j b g m e], mask [j b m]."""
    return _flash_forward(q, k, v, mask)[0]


def _flash_forward(
    q: Array, k: Array, v: Array, mask: Array | None
) -> tuple[tuple[Array, Array], tuple[Array | None, ...]]:
    seen = None if mask is None else mask[:, :, None, None]

    def row(_: None, q_i: Array) -> tuple[None, tuple[Array, Array]]:
        def add(carry: tuple[Array, ...], block: tuple[Array | None, ...]):
            top, total, out = carry
            k_j, v_j, mask_j = block
            s = _masked(_scores(q_i, k_j), mask_j)
            higher = jnp.maximum(top, s.max(-1, keepdims=True))
            p = jnp.exp(s - higher)
            shrink = jnp.exp(top - higher)
            total = total * shrink + p.sum(-1, keepdims=True)
            out = out * shrink + _dot(p.astype(v_j.dtype), v_j, 3, 2)
            return (higher, total, out), None

        column = jnp.zeros((*q_i.shape[:3], 1), jnp.float32)
        start = (column + _MASKED, column, jnp.zeros(q_i.shape, jnp.float32))
        (top, total, out), _ = lax.scan(add, start, (k, v, seen))
        return None, (out / total, top + jnp.log(total))

    _, (out, log_total) = lax.scan(row, None, q)
    out, log_total = checkpoint_name((out, log_total), ATTENTION_OUTPUT)
    return (out, log_total), (q, k, v, mask, out, log_total)


def _flash_backward(
    saved: tuple[Array | None, ...], cotangents: tuple[Array, Array]
) -> tuple[Array, Array, Array, None]:
    q, k, v, mask, out, log_total = saved
    d_out, d_log_total = cotangents
    # What is the same for all keys of a query: do_i o_i - dl_i.
    along = (d_out * out).sum(-1, keepdims=True) - d_log_total
    d_out = d_out.astype(v.dtype)
    # Scores here are [b g m n].
    along, log_total = along.swapaxes(-1, -2), log_total.swapaxes(-1, -2)
    seen = None if mask is None else mask[:, :, None, :, None]

    def row(carry: tuple[Array, Array], block: tuple[Array, ...]):
        q_i, along_i, log_total_i, d_out_i = block

        def add(d_q: Array, block: tuple[Array | None, ...]):
            k_j, v_j, mask_j = block
            p = jnp.exp(_masked(_scores(k_j, q_i), mask_j) - log_total_i)
            d_v = _dot(p.astype(v_j.dtype), d_out_i, 3, 2)
            d_s = (p * (_scores(v_j, d_out_i) - along_i)).astype(k_j.dtype)
            return d_q + _dot(k_j, d_s, 2, 2), (_dot(d_s, q_i, 3, 2), d_v)

        batch, heads, n, width = q_i.shape
        start = jnp.zeros((batch, heads, width, n), jnp.float32)
        d_q, added = lax.scan(add, start, (k, v, seen))
        carry = jax.tree.map(jnp.add, carry, added)
        return carry, d_q.swapaxes(-1, -2).astype(q_i.dtype)

    start = (jnp.zeros(k.shape, jnp.float32), jnp.zeros(v.shape, jnp.float32))
    (d_k, d_v), d_q = lax.scan(row, start, (q, along, log_total, d_out))
    return d_q, d_k.astype(k.dtype), d_v.astype(v.dtype), None


_flash.defvjp(_flash_forward, _flash_backward)
