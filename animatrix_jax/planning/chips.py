"""What the makers say of each chip, and the links between chips.

Bandwidths are in bytes a second and in one direction. A TPU's links are those of its
torus; `ring` is what a collective along one torus dimension can send from each chip, over
the two links of that dimension. A GPU's is what it can send into the NVLink switch.
"""

import dataclasses

from animatrix_jax.errors import UserError

GIB = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """One chip, as a device of a mesh.

    Attributes:
      platform: "tpu", "gpu" or "cpu".
      flops: peak dense bf16 FLOP/s.
      hbm_bytes: memory that a program may use.
      hbm_bandwidth: of that memory.
      ring: see above.
      torus: whether links go to neighbours (TPU) or into a switch (GPU).
      network: of the network beyond the slice (DCN) or the node (InfiniBand), a chip.
      wraps: from what size a dimension of the torus is closed to a ring; smaller ones are
        lines, over which a collective has one link of the two.
      cores: tensor cores that share the chip's work as one device.
      clock: cycles a second of XLA's `estimated_cycles`; 0 where there are none.
      attention: fraction of peak that the attention kernel reaches; see roofline.py.
      matmul: the same of matrix products, where the compiler gives no cycles.
      source: where the figures are from.
    """

    name: str
    platform: str
    flops: float
    hbm_bytes: float
    hbm_bandwidth: float
    ring: float
    torus: bool
    network: float
    wraps: int
    cores: int
    clock: float
    attention: float
    matmul: float
    source: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Links:
    """What a collective can send from each chip, in bytes a second.

    Attributes:
      part: within a slice or node, along one dimension of the torus.
      whole: among all chips of a slice, over all its dimensions at once.
      network: beyond it.
      chips: of a slice or a node.
      torus: whether links go to neighbours.
    """

    part: float
    whole: float
    network: float
    chips: int
    torus: bool

    def width(self, chips: int, *, crosses: bool) -> float:
        """Of a group of so many chips."""
        if crosses:
            return self.network
        return self.whole if chips == self.chips else self.part


def links(chip: Chip, shape: tuple[int, ...]) -> Links:
    """The links of a slice of that shape, or of a node of that many GPUs."""
    sizes = [size for size in shape if size > 1]
    count = 1
    for size in shape:
        count *= size
    if not chip.torus:
        return Links(
            part=chip.ring,
            whole=chip.ring,
            network=chip.network,
            chips=count,
            torus=False,
        )
    widths = [chip.ring if size >= chip.wraps else chip.ring / 2 for size in sizes]
    return Links(
        part=min(widths, default=chip.ring),
        whole=sum(widths) or chip.ring,
        network=chip.network,
        chips=count,
        torus=True,
    )


_TPU_DOCS = "cloud.google.com/tpu/docs"
CHIPS = {
    chip.name: chip
    for chip in (
        # HBM: of the chip's 16 GB, the compiler gives a program 15.75 GiB.
        Chip(
            name="v5e",
            platform="tpu",
            flops=197e12,
            hbm_bytes=15.75 * GIB,
            hbm_bandwidth=819e9,
            ring=2 * 50e9,
            torus=True,
            network=3.125e9,
            wraps=16,
            cores=1,
            clock=1.5e9,
            attention=0.45,
            matmul=1.0,
            source=f"{_TPU_DOCS}/v5e: 400 GB/s of ICI over 4 links, both directions; "
            "DCN 25 Gbit/s a chip",
        ),
        Chip(
            name="v5p",
            platform="tpu",
            flops=459e12,
            hbm_bytes=95.74 * GIB,
            hbm_bandwidth=2765e9,
            ring=2 * 100e9,
            torus=True,
            network=6.25e9,
            wraps=4,
            cores=2,
            clock=1.75e9,
            attention=0.45,
            matmul=1.0,
            source=f"{_TPU_DOCS}/v5p: 1,200 GB/s of ICI over 6 links, both directions; "
            "DCN 50 Gbit/s a chip",
        ),
        Chip(
            name="v6e",
            platform="tpu",
            flops=918e12,
            hbm_bytes=31.25 * GIB,
            hbm_bandwidth=1638e9,
            ring=2 * 100e9,
            torus=True,
            network=12.5e9,
            wraps=16,
            cores=1,
            clock=1.75e9,
            attention=0.45,
            matmul=1.0,
            source=f"{_TPU_DOCS}/v6e: 800 GB/s of ICI over 4 links, both directions; "
            "DCN 100 Gbit/s a chip",
        ),
        # SXM5. Memory as the driver reports it, less what the context takes.
        Chip(
            name="h100",
            platform="gpu",
            flops=989.4e12,
            hbm_bytes=79.1 * GIB,
            hbm_bandwidth=3352e9,
            ring=450e9,
            torus=False,
            network=50e9,
            wraps=1,
            cores=132,
            clock=0.0,
            attention=0.55,
            matmul=0.7,
            source="NVIDIA H100 datasheet: 900 GB/s of NVLink, both directions; "
            "400 Gbit/s of InfiniBand a GPU",
        ),
    )
}


def chip(name: str) -> Chip:
    """The chip of that name.

    Raises:
      UserError: if there is none, with those there are.
    """
    if name not in CHIPS:
        raise UserError(f"no chip {name!r}; the chips are {', '.join(CHIPS)}")
    return CHIPS[name]
