"""Attention over devices: what each computes, and what it sends to the others.

Tokens are split over the mesh axis `sequence`, S devices. Ulysses (arXiv:2309.14509)
trades heads for tokens: u devices exchange so that each has all their tokens and g / u
heads, and back. u is the most that divides both S and the heads of a device. The r = S / u
groups that are left are a ring (arXiv:2310.01889): keys and values go round, and

    o = sum_a w_a o_a,   w_a = exp(l_a - l),   l = log sum_a exp(l_a)

joins what each part a of the keys gives, l_a being the log of its softmax's sum. The
backward pass sends keys, values and their gradients round once more, with the l and o of
the whole. A device's tokens are a run of the clip's; shard i = ring * u + place in group.

Keys that are no tokens of the clip (text, tags) are whole on every device.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
from jax import lax
from jax import numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from animatrix_jax.parallel.mesh import BATCH_AXES

SEQUENCE = "sequence"
# What a kernel keeps for its backward pass, by the name that remat policies know.
ATTENTION_OUTPUT = "attention_output"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Keys:
    """Keys and values [b m g e]; mask [b m] is True where a key may be seen, and None
    means everywhere. `never_empty`: each sample may see one, it is known. A pytree, so
    typed loosely."""

    k: Any
    v: Any
    mask: Any = None
    never_empty: bool = dataclasses.field(default=False, metadata={"static": True})

    @classmethod
    def concatenate(cls, parts: Sequence["Keys"]) -> "Keys":
        """All the parts' keys as one."""
        if len(parts) == 1:
            return parts[0]
        mask = None
        if any(part.mask is not None for part in parts):
            seen = (
                jnp.ones(part.k.shape[:2], bool) if part.mask is None else part.mask
                for part in parts
            )
            mask = jnp.concatenate(list(seen), axis=1)
        return cls(
            k=jnp.concatenate([part.k for part in parts], axis=1),
            v=jnp.concatenate([part.v for part in parts], axis=1),
            mask=mask,
            never_empty=any(part.mask is None or part.never_empty for part in parts),
        )


@runtime_checkable
class Kernel(Protocol):
    """Attention on one device, of queries [b n g e] that are scaled already."""

    def __call__(self, q: Array, parts: Sequence[Keys]) -> Array:
        """o over all the parts' keys together; differentiable."""
        ...


@runtime_checkable
class RingKernel(Kernel, Protocol):
    """A kernel that can attend to a part of the keys. To one that cannot, what would go
    round the ring is gathered."""

    def forward(self, q: Array, keys: Keys) -> tuple[Array, Array]:
        """o and l [b n g]; where all keys are masked, 0 and a very small number."""
        ...

    def backward(
        self, q: Array, keys: Keys, out: Array, log_total: Array, d_out: Array
    ) -> tuple[Array, Array, Array]:
        """Gradients of q, k and v, of a softmax over more keys than these, whose o and l
        are given."""
        ...


def over_devices(
    kernel: Kernel,
    q: Float[Array, "b n g e"],
    parts: Sequence[Keys],
    *,
    tokens_are_keys: bool,
) -> Float[Array, "b n g e"]:
    """`kernel(q, parts)` with each device doing its share, if a mesh is set.

    Args:
      tokens_are_keys: keys are split over `sequence` as queries are (self-attention).
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return kernel(q, parts)
    batch = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    batch_axes = BATCH_AXES if q.shape[0] % batch == 0 else None
    heads = "tensor" if q.shape[2] % mesh.shape["tensor"] == 0 else None
    shards = mesh.shape[SEQUENCE]
    tokens = q.shape[1]
    q = _pad(q, shards)
    if tokens_are_keys:
        parts = [_pad_keys(part, shards) for part in parts]
    held = PartitionSpec(batch_axes, SEQUENCE, heads)
    keys = held if tokens_are_keys else PartitionSpec(batch_axes, None, heads)
    specs = [
        Keys(
            k=keys,
            v=keys,
            mask=None if part.mask is None else PartitionSpec(*keys[:2]),
            never_empty=part.never_empty,
        )
        for part in parts
    ]
    local: Callable[..., Array] = kernel
    if tokens_are_keys and shards > 1:
        local = functools.partial(_exchanged, kernel, shards=shards)
    out = jax.shard_map(
        local,
        in_specs=(held, specs),
        out_specs=held,
        check_vma=False,
    )(q, list(parts))
    return out[:, :tokens]


def sequence_shards() -> int:
    """How many devices share a clip's tokens."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else mesh.shape[SEQUENCE]


def ulysses_degree(heads: int, shards: int) -> int:
    """How many devices of `shards` exchange heads for tokens; the rest is the ring."""
    return math.gcd(heads, shards)


def heads_together(heads: int) -> int:
    """How many neighbouring heads `over_devices` sends to as many devices."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return 1
    tensor = mesh.shape["tensor"]
    heads = heads // tensor if heads % tensor == 0 else heads
    return ulysses_degree(heads, mesh.shape[SEQUENCE])


def _pad(x: Array, multiple: int) -> Array:
    """Zeros (False) behind the tokens, to a length that divides."""
    more = -x.shape[1] % multiple
    if not more:
        return x
    return jnp.pad(x, ((0, 0), (0, more)) + ((0, 0),) * (x.ndim - 2))


def _pad_keys(keys: Keys, multiple: int) -> Keys:
    mask = keys.mask
    if mask is None and keys.k.shape[1] % multiple:
        mask = jnp.ones(keys.k.shape[:2], bool)
    return Keys(
        k=_pad(keys.k, multiple),
        v=_pad(keys.v, multiple),
        mask=None if mask is None else _pad(mask, multiple),
        never_empty=keys.never_empty or keys.mask is None,
    )


def _exchanged(
    kernel: Kernel, q: Array, parts: Sequence[Keys], *, shards: int
) -> Array:
    """A device's queries over all the clip's keys."""
    (keys,) = parts
    degree = ulysses_degree(q.shape[2], shards)
    groups = [list(range(first, first + degree)) for first in range(0, shards, degree)]
    to_heads = functools.partial(_to_heads, groups=groups)
    to_tokens = functools.partial(_to_tokens, groups=groups)
    keys = dataclasses.replace(
        keys, k=to_heads(keys.k), v=to_heads(keys.v), mask=_gather(keys.mask, groups)
    )
    q = to_heads(q)
    if degree == shards:
        return to_tokens(kernel(q, [keys]))
    if isinstance(kernel, RingKernel):
        keys = dataclasses.replace(keys, never_empty=False)  # not of each part
        ring = Ring(kernel=kernel, size=shards // degree, group=degree)
        return to_tokens(ring_attention(ring, q, keys))
    rings = [list(range(first, shards, degree)) for first in range(degree)]
    keys = jax.tree.map(functools.partial(_gather, groups=rings), keys)
    return to_tokens(kernel(q, [keys]))


def _gather(x: Array | None, groups: list[list[int]]) -> Array | None:
    """The tokens of all of a group."""
    if x is None or len(groups[0]) == 1:
        return x
    return lax.all_gather(x, SEQUENCE, axis=1, tiled=True, axis_index_groups=groups)


def _to_heads(x: Array, *, groups: list[list[int]]) -> Array:
    """[b n g e] to [b u*n g/u e]: of the heads u*i, ..., u*i + u - 1 one to each device.

    Heads go round the devices, and not in runs, so that on a TPU, which has each head's
    tokens together, what arrives lies where attention reads it.
    """
    degree = len(groups[0])
    if degree == 1:
        return x
    batch, n, heads, width = x.shape
    x = x.swapaxes(1, 2).reshape(batch, heads // degree, degree, n, width)
    x = lax.all_to_all(x, SEQUENCE, 2, 2, axis_index_groups=groups)
    return x.reshape(batch, heads // degree, degree * n, width).swapaxes(1, 2)


def _to_tokens(x: Array, *, groups: list[list[int]]) -> Array:
    """The inverse of `_to_heads`."""
    degree = len(groups[0])
    if degree == 1:
        return x
    batch, n, heads, width = x.shape
    x = x.swapaxes(1, 2).reshape(batch, heads, degree, n // degree, width)
    x = lax.all_to_all(x, SEQUENCE, 2, 2, axis_index_groups=groups)
    return x.reshape(batch, heads * degree, n // degree, width).swapaxes(1, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ring:
    """`size` groups of `group` devices each, and what each device computes."""

    kernel: RingKernel
    size: int
    group: int

    def onward(self, tree: Any) -> Any:
        """What the group before this one has."""
        devices = self.size * self.group
        moves = [(i, (i + self.group) % devices) for i in range(devices)]
        return jax.tree.map(lambda x: lax.ppermute(x, SEQUENCE, moves), tree)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def ring_attention(
    ring: Ring, q: Float[Array, "b n g e"], keys: Keys
) -> Float[Array, "b n g e"]:
    """Attention of a device's queries over the keys of all devices of its ring."""
    return _ring_forward(ring, q, keys)[0]


def _ring_forward(ring: Ring, q: Array, keys: Keys) -> tuple[Array, tuple[Any, ...]]:
    shape = (*q.shape[:3], 1)
    out = jnp.zeros(q.shape, jnp.float32)
    top = jnp.full(shape, -jnp.inf, jnp.float32)
    total = jnp.zeros(shape, jnp.float32)

    def add(at: tuple[Array, ...], part: Keys) -> tuple[Array, ...]:
        out, top, total = at
        o, l = ring.kernel.forward(q, part)
        l = l[..., None]
        higher = jnp.maximum(top, l)
        shrink, weight = jnp.exp(top - higher), jnp.exp(l - higher)
        return out * shrink + o * weight, higher, total * shrink + weight

    def turn(carry: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], None]:
        part, at = carry
        # The next keys travel while these are attended to.
        return (ring.onward(part), add(at, part)), None

    carry = (keys, (out, top, total))
    (last, at), _ = lax.scan(turn, carry, length=ring.size - 1)
    out, top, total = add(at, last)
    out = (out / total).astype(q.dtype)
    log_total = (top + jnp.log(total))[..., 0]
    out, log_total = checkpoint_name((out, log_total), ATTENTION_OUTPUT)
    return out, (q, keys, out, log_total)


def _ring_backward(
    ring: Ring, saved: tuple[Any, ...], d_out: Array
) -> tuple[Array, Keys]:
    q, keys, out, log_total = saved

    def add(part: Keys, sums: tuple[Array, ...]) -> tuple[Array, ...]:
        parts = ring.kernel.backward(q, part, out, log_total, d_out)
        return tuple(total + more for total, more in zip(sums, parts, strict=True))

    def turn(carry: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], None]:
        part, sums = carry
        d_q, d_k, d_v = add(part, sums)
        # The gradients of keys travel with their keys, and are home after a whole turn.
        d_k, d_v = ring.onward((d_k, d_v))
        return (ring.onward(part), (d_q, d_k, d_v)), None

    sums = tuple(jnp.zeros(x.shape, jnp.float32) for x in (q, keys.k, keys.v))
    (last, sums), _ = lax.scan(turn, (keys, sums), length=ring.size - 1)
    d_q, d_k, d_v = add(last, sums)
    d_k, d_v = ring.onward((d_k, d_v))
    d_k, d_v = d_k.astype(keys.k.dtype), d_v.astype(keys.v.dtype)
    d_keys = dataclasses.replace(keys, k=d_k, v=d_v, mask=None)
    return d_q.astype(q.dtype), d_keys


ring_attention.defvjp(_ring_forward, _ring_backward)
