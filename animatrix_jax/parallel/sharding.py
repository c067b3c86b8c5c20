"""The one sharding table: from a parameter's path to its place on the mesh.

Rules are tried in order; the first whose pattern is found in the path decides. A rule
says how the trailing dimensions are split; leading ones (the layers of a scanned stack)
stay whole. "fsdp" is all axes whose devices would else hold the same parameters but
`data`: fsdp and sequence. Optimizer moments and the EMA have their parameter's path at the end
of their own, so the same rule places them. A leaf that no rule matches is an error: a
parameter is never replicated by oversight.
"""

import functools
import math
import re
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from animatrix_jax.errors import UserError
from animatrix_jax.parallel.mesh import near

Axes = tuple[str | None, ...]

_MESH_AXES = {"fsdp": ("fsdp", "sequence"), "tensor": "tensor"}

RULES: tuple[tuple[str, Axes], ...] = (
    # Scalars and keys of the train state.
    (r"^(step|key|skipped|skipped_in_row)$|/(count|ns_coeffs)$", ()),
    # The VAE, AniCaption, the judge's own heads: small, replicated.
    (r"(^|/)(vae|caption)/|(^|/)judge/(heads|pool)", ()),
    # Pixels of a patch: their number divides by little.
    (r"(^|/)image/patch_embed/kernel$", (None, "tensor")),
    # Few inputs (voxels of a patch, frequencies): more chips than that split the outputs.
    (r"/(patch_embed|time_embed/up)/kernel$", (None, "fsdp")),
    # Vectors: norms, biases, type and null vectors, modulation tables.
    (r"/(bias|scale|(head_)?modulation|text_type|tag_type|null|cls)$", ()),
    # The taxonomy's tables, and a bias of each head: small, replicated.
    (r"/tags/encoder/(field|value)$|/relative_bias$", ()),
    # What makes tag deltas, channels apart: 236M parameters at 14B.
    (r"/tags/modulation/expand$", (None, "fsdp")),
    # Embedding tables: rows whole, so that a lookup gathers nothing.
    (r"/(embedding|position)$", (None, "fsdp")),
    # Projections back to the residual stream: inputs on tensor, outputs on fsdp.
    (r"/(out|down|wo)/kernel$", ("tensor", "fsdp")),
    # Every other matrix: inputs on fsdp, outputs on tensor.
    (r"/kernel$", ("fsdp", "tensor")),
)


def partition_spec(path: str, ndim: int) -> PartitionSpec:
    """The placement of the leaf at `path`.

    Raises:
      ValueError: if no rule matches.
    """
    for pattern, axes in RULES:
        if re.search(pattern, path):
            axes = axes[-ndim:] if ndim else ()
            split = (_MESH_AXES[axis] if axis else None for axis in axes)
            return PartitionSpec(*(None,) * (ndim - len(axes)), *split)
    raise ValueError(f"no sharding rule for {path}; add one to {__name__}.RULES")


def tree_shardings(tree: Any, mesh: Mesh | AbstractMesh) -> Any:
    """A NamedSharding for every leaf of `tree`.

    Raises:
      ValueError: if a leaf has no rule.
      UserError: if a dimension does not divide by its axes.
    """

    def place(path: Any, leaf: Any) -> NamedSharding:
        name = path_name(path)
        spec = partition_spec(name, len(leaf.shape))
        for size, axes in zip(leaf.shape, spec):
            axes = (axes,) if isinstance(axes, str) else axes or ()
            parts = math.prod(mesh.shape[axis] for axis in axes)
            if size % parts:
                fit = ", ".join(map(str, near(parts, divisors_of=size)))
                raise UserError(
                    f"{name} {leaf.shape}: {size} does not divide by {parts}, mesh axis "
                    f"{' x '.join(axes)}; nearest that divide it: {fit}"
                )
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place, tree)


def gathered(
    kernel: Float[Array, "i o"], split: Axes = ("fsdp", "tensor")
) -> Float[Array, "i o"]:
    """A layer's matrix as the layer multiplies by it: whole but for "tensor".

    It is gathered here, in the dtype that it has here, and nowhere else; its gradient is
    summed straight into the shards that the table gives it.

    Args:
      split: the rule that placed it.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return kernel
    return _gathered(kernel, split)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _gathered(kernel: Array, split: Axes) -> Array:
    whole = tuple(axis if axis == "tensor" else None for axis in split)
    return _constrain(kernel, whole)


def _gathered_forward(kernel: Array, split: Axes) -> tuple[Array, None]:
    return _gathered(kernel, split), None


def _gathered_backward(split: Axes, _: None, gradient: Array) -> tuple[Array]:
    return (_constrain(gradient, split),)


def _constrain(x: Array, split: Axes) -> Array:
    """Splits what divides; what does not (a head of 4 scores) is small, and stays whole."""
    mesh = jax.sharding.get_abstract_mesh()
    spec = [
        axis and _MESH_AXES[axis] if size % _parts(mesh, axis) == 0 else None
        for size, axis in zip(x.shape, split, strict=True)
    ]
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))


def _parts(mesh: Any, axis: str | None) -> int:
    """The number of devices that an axis of a rule is over."""
    axes = _MESH_AXES[axis] if axis else ()
    return math.prod(mesh.shape[name] for name in np.atleast_1d(axes))


_gathered.defvjp(_gathered_forward, _gathered_backward)


def path_name(path: Any) -> str:
    """A key path as "a/b/c"."""
    return "/".join(
        str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))
        for key in path
    )


def put(tree: Any, shardings: Any) -> Any:
    """Host arrays onto the mesh, each shard copied from what this host holds.

    Of an array that is read when it is indexed, one shard is read at a time, and once.
    """
    return jax.tree.map(_put, tree, shardings)


def _put(value: Any, place: NamedSharding) -> jax.Array:
    shape = np.shape(value)
    indices = place.addressable_devices_indices_map(shape)
    holders: dict[Any, list[Any]] = {}
    for device, index in indices.items():
        ends = tuple((part.start, part.stop) for part in index)
        holders.setdefault(ends, []).append(device)
    placed = {}
    for devices in holders.values():
        part = np.asarray(value[indices[devices[0]]])
        for device in devices:
            placed[device] = jax.device_put(part, device)
        # Else the next shard would be read while this one is still held.
        jax.block_until_ready([placed[device] for device in devices])
    return jax.make_array_from_single_device_arrays(
        shape, place, [placed[device] for device in indices]
    )
