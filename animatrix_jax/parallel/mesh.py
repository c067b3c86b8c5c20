"""The device mesh: axes data, fsdp, sequence, tensor.

`data` replicates parameters and splits the batch; `fsdp` splits both; `sequence` splits
the tokens of a clip, and parameters as `fsdp` does; `tensor` splits heads and hidden
units. A batch is split over (data, fsdp).

Within a slice or a node devices talk over a fast network (ICI, NVLink), between them over
a slow one (DCN). `data` asks least of the network, one sum of gradients a step, so it is
the axis that goes across slices, outermost; the others stay inside.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from animatrix_jax.errors import UserError

AXES = ("data", "fsdp", "sequence", "tensor")
BATCH_AXES = ("data", "fsdp")
# What XLA is told, by platform. A TPU kernel gets 16 MiB of VMEM by default, of the 64 that a
# v5p has and the 128 of v5e and v6e.
COMPILER_OPTIONS = {"tpu": {"xla_tpu_scoped_vmem_limit_kib": "49152"}}
# What the dimensions of an activation are split over, by what they are.
_ACTIVATIONS = {"batch": BATCH_AXES, "sequence": ("sequence",), "tensor": ("tensor",)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """The size of each mesh axis; at most one may be -1: all devices that remain.

    Attributes:
      data: copies of the model, each with batches of its own; over several slices a
        multiple of their number.
      fsdp: devices that split the parameters, and the batch.
      sequence: devices that split the tokens of a clip.
      tensor: devices that split the heads and the feed-forward layers.
    """

    data: int = 1
    fsdp: int = -1
    sequence: int = 1
    tensor: int = 1


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh over `devices` (default: all).

    Raises:
      UserError: if the axes do not multiply to the number of devices, or `data` does not
        divide over the slices.
    """
    devices = list(jax.devices() if devices is None else devices)
    sizes = _axis_sizes(config, len(devices))
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    data = sizes[0]
    if data % slices:
        raise UserError(
            f"mesh.data {data} does not divide over {slices} slices; nearest:"
            f" {_listed(near(data, multiples_of=slices))}"
        )
    if slices > 1:
        grid = mesh_utils.create_hybrid_device_mesh(
            (data // slices, *sizes[1:]), (slices, 1, 1, 1), devices
        )
    else:
        grid = mesh_utils.create_device_mesh(
            sizes, devices, allow_split_physical_axes=True
        )
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _axis_sizes(config: MeshConfig, count: int) -> tuple[int, ...]:
    sizes = [getattr(config, axis) for axis in AXES]
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise UserError(
            f"mesh axes must be positive, at most one -1; got {dict(zip(AXES, sizes))}"
        )
    known = math.prod(size for size in sizes if size != -1)
    if -1 in sizes and count % known == 0:
        sizes[sizes.index(-1)] = count // known
    if math.prod(sizes) != count:
        raise UserError(
            f"mesh {dict(zip(AXES, sizes))} does not fit {count} devices: the fixed axes"
            f" take {known}; nearest that fit: {_listed(near(known, divisors_of=count))}"
        )
    return tuple(sizes)


def check_batch(
    size: int, mesh: Mesh, *, accumulation: int = 1, name: str = "batch.size"
) -> None:
    """That a global batch divides over the mesh, in each micro-batch.

    Raises:
      UserError: with both numbers and the nearest sizes that divide.
    """
    parts = batch_parts(mesh) * accumulation
    if size % parts:
        by = " x ".join(f"{axis} {mesh.shape[axis]}" for axis in BATCH_AXES)
        if accumulation > 1:
            by += f" x accumulation {accumulation}"
        raise UserError(
            f"{name} {size} does not divide by {parts} ({by}); nearest:"
            f" {_listed(near(size, multiples_of=parts))}"
        )


def near(
    size: int, *, divisors_of: int | None = None, multiples_of: int | None = None
) -> tuple[int, ...]:
    """The numbers next to `size`, below and above, that divide one number or are
    multiples of another."""
    if divisors_of is not None:
        fit = [n for n in range(1, divisors_of + 1) if divisors_of % n == 0]
    else:
        below = size // multiples_of * multiples_of
        fit = [n for n in (below, below + multiples_of) if n]
    below = [n for n in fit if n <= size][-1:]
    above = [n for n in fit if n > size][:1]
    return (*below, *above)


def _listed(sizes: Iterable[int]) -> str:
    return ", ".join(map(str, sizes))


def constrain(x: Array, *names: str | None) -> Array:
    """Says where an activation lies, if a mesh is set (`jax.set_mesh`); else x itself.

    Without it XLA, at a layer whose weights are split, may gather activations instead.

    Args:
      names: what each dimension is: "batch", "sequence" (tokens), "tensor" (heads or
        hidden units), or None, which is whole everywhere. A batch that does not divide
        (one clip, sampled by all devices) is whole everywhere too.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return x
    spec = []
    for size, name in zip(x.shape, names, strict=True):
        axes = _ACTIVATIONS[name] if name else ()
        divides = size % math.prod(mesh.shape[axis] for axis in axes) == 0
        spec.append(axes if axes and (divides or name == "sequence") else None)
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))


def batch_parts(mesh: Any = None) -> int:
    """Into how many parts a mesh, or else the one that is set, splits a batch."""
    if mesh is None:
        mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def clips_a_device(batch: int) -> int:
    """Clips of a batch on one device, of the mesh that is set."""
    parts = batch_parts()
    return batch if batch % parts else batch // parts


def platform() -> str:
    """What the program is compiled for: the mesh's devices, if one is set."""
    mesh = jax.sharding.get_abstract_mesh()
    device = None if mesh.empty else mesh.abstract_device
    name = jax.default_backend() if device is None else device.platform
    return "gpu" if name in ("cuda", "rocm") else name


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Splits the leading (batch) axis of every batch array."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())
