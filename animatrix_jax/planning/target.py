"""What a plan is for: `tpu:v5p:4x4x4`, `gpu:h100:8`, `cpu:8`, as devices for a mesh.

    tpu:CHIP:TOPOLOGY[:SLICES]    a slice of that shape, or several
    gpu:CHIP:COUNT                GPUs, eight in a node
    cpu:COUNT                     virtual devices of this machine

A TPU or a GPU need not be here: its compiler is in a package (the extra `plan`), and JAX
describes the devices. The CPU's devices are this process's own, so their number must be
set before JAX starts them.
"""

import dataclasses
import importlib.util
import math
import os
import pathlib
import re
from typing import Any

from animatrix_jax.errors import UserError
from animatrix_jax.planning.chips import CHIPS, GIB, Chip, Links, chip, links

# The shapes that are rented: cloud.google.com/tpu/docs, "configurations" of each chip.
_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = (
    *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8"),
    *("8x8x16", "8x16x16", "16x16x16", "16x16x24"),
)
TOPOLOGIES = {"v5e": _FLAT, "v6e": _FLAT, "v5p": _CUBES}
_NODE = 8
_FORMS = (
    "tpu:v5p:4x4x4, tpu:v5e:4x4[:SLICES], tpu:v6e:4x4[:SLICES], gpu:h100:8 or cpu:8"
)
# No metadata server to ask, no workers to name, and no chip that another process could
# hold: else libtpu waits, complains, or refuses.
_NO_TPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5p-8",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_FOLDER = pathlib.Path(__file__).parent / "targets"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Devices of one kind.

    Attributes:
      text: as it was given.
      topology: the slice's shape; of GPUs, nodes and GPUs a node; of CPUs, their number.
      slices: TPU slices joined by the data centre's network.
    """

    text: str
    chip: Chip
    topology: tuple[int, ...]
    slices: int = 1

    @property
    def count(self) -> int:
        """Chips."""
        return math.prod(self.topology) * self.slices

    @property
    def links(self) -> Links:
        """Between its chips."""
        nodes = self.chip.platform == "gpu"
        return links(self.chip, self.topology[1:] if nodes else self.topology)


def parse(text: str) -> Target:
    """The target that `text` names.

    Raises:
      UserError: with what is valid there.
    """
    platform, _, rest = text.partition(":")
    if platform == "cpu" and rest.isdigit() and int(rest) > 0:
        return Target(text=text, chip=_this_cpu(int(rest)), topology=(int(rest),))
    if platform not in ("tpu", "gpu", "cpu"):
        raise UserError(f"--target={text!r} is none of {_FORMS}")
    parts = rest.split(":")
    names = [name for name, chip in CHIPS.items() if chip.platform == platform]
    if platform == "cpu" or len(parts) not in (2, 3):
        raise UserError(f"--target={text!r} is none of {_FORMS}")
    if parts[0] not in names:
        raise UserError(
            f"--target={text!r}: {parts[0]!r} is not one of {', '.join(names)}"
        )
    if platform == "gpu":
        return _gpu(text, chip(parts[0]), parts[1:])
    return _tpu(text, chip(parts[0]), parts[1:])


def devices(target: Target) -> list[Any]:
    """The target's devices, described or virtual.

    Raises:
      UserError: if the package with the compiler is not installed, or JAX has started
        with too few CPU devices.
    """
    import jax

    platform = target.chip.platform
    if platform == "cpu":
        return _cpu_devices(target)
    _only_cpu()
    from jax.experimental import topologies

    if platform == "tpu":
        _require(("libtpu",), target)
        for name, value in _NO_TPU.items():
            os.environ.setdefault(name, value)
        shape = "x".join(map(str, target.topology))
        more = {"num_slices": target.slices} if target.slices > 1 else {}
        described = topologies.get_topology_desc(
            platform="tpu", topology_name=f"{target.chip.name}:{shape}", **more
        )
        return list(described.devices)
    _require(("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12"), target)
    nodes, in_node = target.topology
    described = topologies.get_topology_desc(
        platform="cuda",
        topology_name=target.chip.name,
        topology=f"1x{nodes}x{in_node}",
        target_config=(_FOLDER / f"{target.chip.name}.pbtxt").read_text(),
    )
    del jax
    return list(described.devices)


def versions(target: Target) -> dict[str, str]:
    """Versions of what compiles for the target: part of what a cached plan is for."""
    import importlib.metadata

    names = {"tpu": "libtpu", "gpu": "jax-cuda13-plugin", "cpu": "jaxlib"}
    found = {}
    for name in ("jax", "jaxlib", names[target.chip.platform]):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def _tpu(text: str, kind: Chip, parts: list[str]) -> Target:
    shapes = TOPOLOGIES[kind.name]
    shape, slices = parts[0], parts[1] if len(parts) > 1 else "1"
    if shape not in shapes:
        raise UserError(
            f"--target={text!r}: {shape!r} is not a shape of {kind.name}, which come as "
            f"{', '.join(shapes)}"
        )
    if not slices.isdigit() or int(slices) < 1:
        raise UserError(
            f"--target={text!r}: slices must be a positive number, got {slices!r}"
        )
    return Target(
        text=text,
        chip=kind,
        topology=tuple(int(size) for size in shape.split("x")),
        slices=int(slices),
    )


def _gpu(text: str, kind: Chip, parts: list[str]) -> Target:
    count = int(parts[0]) if parts[0].isdigit() else 0
    if len(parts) > 1 or count < 1 or (count > _NODE and count % _NODE):
        raise UserError(
            f"--target={text!r}: GPUs come as 1 to {_NODE}, or a multiple of {_NODE}"
        )
    topology = (1, count) if count <= _NODE else (count // _NODE, _NODE)
    return Target(text=text, chip=kind, topology=topology)


def _this_cpu(count: int) -> Chip:
    """A share of this machine. Only its memory is known; its speed is a round figure, of
    fp32 products on two cores (about 175 GFLOP/s a core), and predicts little."""
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Chip(
        name="cpu",
        platform="cpu",
        flops=cores * 175e9 / count,
        hbm_bytes=memory / count,
        hbm_bandwidth=20e9 / count,
        ring=10e9 / count,
        torus=False,
        network=1e9,
        wraps=1,
        cores=1,
        clock=0.0,
        attention=0.5,
        matmul=0.7,
        source=f"{memory / GIB:.0f} GiB and {cores} cores, shared by {count} devices",
    )


def _only_cpu() -> None:
    """This process describes other devices, and must take hold of none."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def _cpu_devices(target: Target) -> list[Any]:
    import jax

    _only_cpu()
    forced = re.search(
        r"xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", "")
    )
    if not forced:
        try:
            jax.config.update("jax_num_cpu_devices", target.count)
        except RuntimeError:
            pass  # JAX has started: it must have enough already.
    found = jax.devices("cpu")
    if len(found) < target.count:
        raise UserError(
            f"--target={target.text!r}: JAX has {len(found)} CPU devices in this "
            f"process; set XLA_FLAGS=--xla_force_host_platform_device_count={target.count}"
        )
    return found[: target.count]


def _require(modules: tuple[str, ...], target: Target) -> None:
    for name in modules:
        try:
            if importlib.util.find_spec(name) is not None:
                return
        except ModuleNotFoundError:
            continue
    raise UserError(
        f"--target={target.text!r} needs the compiler of {target.chip.platform.upper()}s,"
        " which is not installed: pip install '.[plan]' in a clone"
    )
