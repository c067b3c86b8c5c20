"""The one sharding table: from a parameter's path to its place on the mesh.

Rules are tried in order; the first whose pattern is found in the path decides. A rule
gives the mesh axes of the trailing dimensions; leading ones (the layers of a scanned
stack) stay whole. Optimizer moments and the EMA have their parameter's path at the end
of their own, so the same rule places them. A leaf that no rule matches is an error: a
parameter is never replicated by oversight.
"""

import re
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Axes = tuple[str | None, ...]

RULES: tuple[tuple[str, Axes], ...] = (
    # Scalars and keys of the train state.
    (r"^(step|key|skipped|skipped_in_row)$|/(count|ns_coeffs)$", ()),
    # The VAE, the probe, the judge's own heads: small, replicated.
    (r"(^|/)(vae|probe)/|(^|/)judge/(heads|pool)", ()),
    # Pixels of a patch: their number divides by little.
    (r"(^|/)image/patch_embed/kernel$", (None, "tensor")),
    # Vectors: norms, biases, type and null vectors, modulation tables.
    (r"/(bias|scale|(head_)?modulation|text_type|tag_type|null|cls)$", ()),
    # The taxonomy's tables and the factors of the tag deltas: small, replicated.
    (r"/tags/(encoder/(field|value)|modulation/expand)$", ()),
    # Embedding tables: rows whole, so that a lookup gathers nothing.
    (r"/(embedding|position|relative_bias)$", (None, "fsdp")),
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
            return PartitionSpec(*(None,) * (ndim - len(axes)), *axes)
    raise ValueError(f"no sharding rule for {path}; add one to {__name__}.RULES")


def tree_shardings(tree: Any, mesh: Mesh) -> Any:
    """A NamedSharding for every leaf of `tree`.

    Raises:
      ValueError: if a leaf has no rule, or a dimension does not divide by its axes.
    """

    def place(path: Any, leaf: Any) -> NamedSharding:
        name = path_name(path)
        spec = partition_spec(name, len(leaf.shape))
        for size, axis in zip(leaf.shape, spec):
            if axis is not None and size % mesh.shape[axis]:
                raise ValueError(
                    f"{name} {leaf.shape}: {size} does not divide by mesh axis "
                    f"{axis!r} of {mesh.shape[axis]}"
                )
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place, tree)


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
