"""Every implementation is the same function, in values and gradients."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.models import attention as attention_lib
from animatrix_jax.parallel.attention import Keys

pytestmark = pytest.mark.usefixtures("quick_compile")

KINDS = ("plain", "blocked")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, and lengths that do not divide, at sizes that run at once."""
    monkeypatch.setattr(attention_lib, "_BLOCK", 16)


@functools.partial(jax.jit, static_argnames="implementation")
def attention(q, k, v, *, mask=None, implementation):
    return attention_lib.attention(q, k, v, mask=mask, implementation=implementation)


def draw(shape_q, shape_k, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = (shape_q, shape_k, shape_k, shape_q)
    return [
        jax.random.normal(key, shape, dtype)
        for key, shape in zip(keys, shapes, strict=True)
    ]


def reference(q, k, v, mask):
    """Softmax attention in fp64, sample by sample and head by head."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out = np.zeros(q.shape)
    for b in range(q.shape[0]):
        seen = slice(None) if mask is None else np.asarray(mask[b])
        if mask is not None and not seen.any():
            continue
        for g in range(q.shape[2]):
            s = q[b, :, g] @ k[b, seen, g].T / np.sqrt(q.shape[-1])
            p = np.exp(s - s.max(-1, keepdims=True))
            out[b, :, g] = p / p.sum(-1, keepdims=True) @ v[b, seen, g]
    return out


@pytest.mark.parametrize("implementation", KINDS)
@pytest.mark.parametrize("n,m", [(37, 53), (1, 3)])
def test_equals_fp64_softmax(implementation, n, m):
    q, k, v, _ = draw((2, n, 3, 6), (2, m, 3, 6))
    out = attention(q, k, v, implementation=implementation)
    np.testing.assert_allclose(out, reference(q, k, v, None), atol=2e-6)
    mask = jax.random.uniform(jax.random.key(5), (2, m)) < 0.5
    out = attention(q, k, v, mask=mask, implementation=implementation)
    np.testing.assert_allclose(out, reference(q, k, v, mask), atol=2e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_blocked_gradients_equal_plain(masked):
    q, k, v, d_out = draw((2, 37, 2, 8), (2, 53, 2, 8))
    mask = jax.random.uniform(jax.random.key(5), (2, 53)) < 0.5 if masked else None

    def gradients(implementation):
        def loss(q, k, v):
            out = attention(q, k, v, mask=mask, implementation=implementation)
            return (out * d_out).sum()

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(q, k, v)

    for ours, theirs in zip(gradients("blocked"), gradients("plain"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=3e-6)


@pytest.mark.parametrize("implementation", KINDS)
def test_sample_without_keys_gives_zeros(implementation):
    q, k, v, d_out = draw((3, 20, 2, 4), (3, 21, 2, 4))
    mask = jnp.ones((3, 21), bool).at[1].set(False).at[2, :17].set(False)

    def loss(q, k, v):
        out = attention(q, k, v, mask=mask, implementation=implementation)
        return (out * d_out).sum(), out

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
    gradients, out = gradient(q, k, v)
    assert not out[1].any()
    assert out[0].any()
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert not gradient[1].any()
    assert not gradients[2][2, :17].any(), "a masked key has no say"


@functools.partial(jax.jit, static_argnames="implementation")
def joint(q, k, v, mask, *, implementation):
    """The first 20 keys unmasked as one part, the others masked as another."""
    parts = (
        Keys(k=k[:, :20], v=v[:, :20]),
        Keys(k=k[:, 20:], v=v[:, 20:], mask=mask),
    )
    return attention_lib.joint_attention(q, parts, implementation=implementation)


@pytest.mark.parametrize("implementation", KINDS)
def test_parts_join_to_the_whole(implementation):
    q, k, v, d_out = draw((3, 18, 2, 4), (3, 53, 2, 4))
    mask = jax.random.uniform(jax.random.key(5), (3, 33)) < 0.5
    mask = mask.at[1].set(False)
    whole = jnp.pad(mask, ((0, 0), (20, 0)), constant_values=True)

    def gradient(function, mask):
        def loss(q, k, v):
            out = function(q, k, v, mask)
            return (out * d_out).sum(), out

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(q, k, v)

    ours = gradient(functools.partial(joint, implementation=implementation), mask)
    theirs = gradient(
        lambda q, k, v, mask: attention(q, k, v, mask=mask, implementation="plain"),
        whole,
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=3e-6), ours, theirs)

    alone = attention(q, k[:, :20], v[:, :20], implementation=implementation)
    np.testing.assert_array_equal(ours[1][1], alone[1])


@pytest.mark.parametrize("implementation", KINDS)
def test_large_scores_do_not_overflow(implementation):
    q, k, v, _ = draw((1, 9, 1, 4), (1, 40, 1, 4))
    out = attention(q * 300, k * 300, v, implementation=implementation)
    np.testing.assert_allclose(out, reference(q * 300, k * 300, v, None), atol=1e-5)


@pytest.mark.parametrize("implementation", KINDS)
def test_bfloat16_keeps_its_dtype_and_fp32_softmax(implementation):
    q, k, v, _ = draw((1, 30, 2, 8), (1, 70, 2, 8), jnp.bfloat16)
    out = attention(q, k, v, implementation=implementation)
    assert out.dtype == jnp.bfloat16
    expected = reference(*(x.astype(jnp.float32) for x in (q, k, v)), None)
    assert abs(np.asarray(out, np.float32) - expected).max() < 0.02


def test_blocked_never_holds_the_score_matrix(monkeypatch):
    monkeypatch.setattr(attention_lib, "_BLOCK", 256)
    length = 8192
    spec = jax.ShapeDtypeStruct((1, length, 1, 16), jnp.float32)

    def loss(q, k, v):
        return attention(q, k, v, implementation="auto").sum()

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(spec, spec, spec)
    temporary = compiled.compile().memory_analysis().temp_size_in_bytes
    assert temporary < length * length * 4 / 16
