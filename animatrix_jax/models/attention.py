"""Scaled dot-product attention: the one entry point, whatever computes it.

    o_i = sum_j p_ij v_j,   p_ij = exp(s_ij - l_i),   s_ij = q_i k_j / sqrt(e),
    l_i = log sum_j exp(s_ij)

"plain" holds the whole score matrix. "blocked" never does: it walks over blocks of keys
for each block of queries with a running maximum and sum (Milakov and Gimelshein,
arXiv:1805.02867; Dao et al., arXiv:2205.14135), keeps only o and l for the backward
pass, and there computes each block of p again:

    dv_j = sum_i p_ij do_i,   ds_ij = p_ij (do_i v_j - do_i o_i)

"cudnn" is the fused kernel of NVIDIA GPUs, for fp16 and bf16. Scores and softmax are fp32
in all of them.
"""

import math

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float

from animatrix_jax.models.config import AttentionImplementation

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
    implementation: AttentionImplementation = "auto",
) -> Float[Array, "b n g e"]:
    """Attention of every query over the keys that `mask` leaves.

    Args:
      mask: True where a key may be seen. A sample with no such key gives zeros.
      implementation: "auto" takes "plain" or "blocked" by the number of scores.
    """
    if implementation == "auto":
        scores = q.shape[1] * k.shape[1]
        implementation = "plain" if scores <= _PLAIN_SCORES else "blocked"
    compute = {"plain": _plain, "blocked": _blocked, "cudnn": _cudnn}[implementation]
    if mask is None:
        return compute(q, k, v, None)
    # A softmax over nothing is 0/0. A sample without keys is computed with all of its
    # keys and then set to zero, so that neither values nor gradients see a NaN.
    some = mask.any(axis=-1)
    out = compute(q, k, v, mask | ~some[:, None])
    return jnp.where(some[:, None, None, None], out, 0)


def _plain(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    s = _scores(q / math.sqrt(q.shape[-1]), k)
    if mask is not None:
        s = s + jnp.where(mask, 0, _MASKED)[:, None, None]
    # Normalised after the product with v: one pass less over the scores.
    p = jnp.exp(s - lax.stop_gradient(s.max(-1, keepdims=True)))
    out = _dot(p.astype(v.dtype), v, 3, 2) / p.sum(-1, keepdims=True)
    return out.astype(v.dtype).swapaxes(1, 2)


def _cudnn(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    if mask is not None:
        mask = mask[:, None, None]
    return jax.nn.dot_product_attention(q, k, v, mask=mask, implementation="cudnn")


def _blocked(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    batch, n, m = q.shape[0], q.shape[1], k.shape[1]
    if mask is None:
        mask = jnp.ones((batch, m), bool)
    block_q, block_k = (min(_BLOCK, -(-length // 8) * 8) for length in (n, m))
    q = _into_blocks(q / math.sqrt(q.shape[-1]), block_q).swapaxes(2, 3)
    k, v = (_into_blocks(x, block_k).swapaxes(2, 3) for x in (k, v))
    out = _flash(q, k, v, _into_blocks(mask, block_k))
    blocks, batch, heads, rows, channels = out.shape
    out = out.transpose(1, 0, 3, 2, 4).reshape(batch, blocks * rows, heads, channels)
    return out[:, :n]


def _into_blocks(x: Array, block: int) -> Array:
    """[b n ...] to [blocks b block ...], padded with zeros (False)."""
    length = x.shape[1]
    padding = [(0, 0)] * x.ndim
    padding[1] = (0, -length % block)
    x = jnp.pad(x, padding)
    return x.reshape(x.shape[0], -1, block, *x.shape[2:]).swapaxes(0, 1)


def _dot(x: Array, y: Array, x_axis: int, y_axis: int) -> Array:
    """fp32 product of [b g . .] and [b g . .] over one axis of each."""
    axes = (((x_axis,), (y_axis,)), ((0, 1), (0, 1)))
    return lax.dot_general(x, y, axes, preferred_element_type=jnp.float32)


def _scores(q: Array, k: Array) -> Array:
    return _dot(q, k, 3, 3)


def _masked_scores(q: Array, k: Array, mask: Array) -> Array:
    return jnp.where(mask[:, None, None], _scores(q, k), _MASKED)


@jax.custom_vjp
def _flash(q: Array, k: Array, v: Array, mask: Array) -> Array:
    """Attention of query blocks [i b g n e] over key blocks [j b g m e], mask [j b m]."""
    return _flash_forward(q, k, v, mask)[0]


def _flash_forward(
    q: Array, k: Array, v: Array, mask: Array
) -> tuple[Array, tuple[Array, ...]]:
    def row(_: None, q_i: Array) -> tuple[None, tuple[Array, Array]]:
        def add(carry: tuple[Array, ...], block: tuple[Array, ...]):
            top, total, out = carry
            k_j, v_j, mask_j = block
            s = _masked_scores(q_i, k_j, mask_j)
            higher = jnp.maximum(top, s.max(-1, keepdims=True))
            p = jnp.exp(s - higher)
            shrink = jnp.exp(top - higher)
            total = total * shrink + p.sum(-1, keepdims=True)
            out = out * shrink + _dot(p.astype(v_j.dtype), v_j, 3, 2)
            return (higher, total, out), None

        column = jnp.zeros((*q_i.shape[:3], 1), jnp.float32)
        start = (column + _MASKED, column, jnp.zeros(q_i.shape, jnp.float32))
        (top, total, out), _ = lax.scan(add, start, (k, v, mask))
        return None, ((out / total).astype(q_i.dtype), top + jnp.log(total))

    _, (out, log_total) = lax.scan(row, None, q)
    return out, (q, k, v, mask, out, log_total)


def _flash_backward(
    saved: tuple[Array, ...], d_out: Array
) -> tuple[Array, Array, Array, None]:
    q, k, v, mask, out, log_total = saved

    def row(carry: tuple[Array, Array], block: tuple[Array, ...]):
        q_i, out_i, log_total_i, d_out_i = block
        along = (d_out_i.astype(jnp.float32) * out_i).sum(-1, keepdims=True)

        def add(d_q: Array, block: tuple[Array, ...]):
            k_j, v_j, mask_j = block
            p = jnp.exp(_masked_scores(q_i, k_j, mask_j) - log_total_i)
            d_v = _dot(p.astype(v_j.dtype), d_out_i, 2, 2)
            d_s = (p * (_dot(d_out_i, v_j, 3, 3) - along)).astype(k_j.dtype)
            return d_q + _dot(d_s, k_j, 3, 2), (_dot(d_s, q_i, 2, 2), d_v)

        start = jnp.zeros(q_i.shape, jnp.float32)
        d_q, added = lax.scan(add, start, (k, v, mask))
        return jax.tree.map(jnp.add, carry, added), d_q.astype(q_i.dtype)

    start = (jnp.zeros(k.shape, jnp.float32), jnp.zeros(v.shape, jnp.float32))
    (d_k, d_v), d_q = lax.scan(row, start, (q, out, log_total, d_out))
    return d_q, d_k.astype(k.dtype), d_v.astype(v.dtype), None


_flash.defvjp(_flash_forward, _flash_backward)
