"""The collectives of a compiled program: kind, bytes, group, and how long they take.

Bytes are a chip's payload: what an all-gather or all-to-all gives it, what a
reduce-scatter or all-reduce takes from it, what a permute sends. For a group of k chips
and w bytes a second that a chip can send (over its links, or into a switch; chips.py):

    all-gather, reduce-scatter   (k - 1) / k  bytes / w
    all-reduce                 2 (k - 1) / k  bytes / w
    all-to-all         ring: max((k - 1) / k, k / 4) bytes / w     switch: (k - 1) / k
    permute            ring: 2 bytes / w, one link of the two      switch: bytes / w

(Rings: "How to Scale Your Model", jax-ml.github.io/scaling-book, "Sharded matrices".)
A group that reaches beyond the slice or the node goes through the network there.

On a whole torus XLA for TPU writes an all-gather as an all-reduce of parts that each chip
wrote into their place among zeros. The compiler has a reader for that form (its symbol is
`TryParseAllGatherFusion`), so it is taken to send what a gather sends; no chip was asked.

Between TPU slices a collective is a `send` to the network and a `recv` from it. Within one,
on TPU, an all-gather may stand in many fusions: it is started in one, carried through
matrix products, and ended in another. It is counted where it starts.
"""

import dataclasses
import math
import re

import numpy as np

from animatrix_jax.planning import hlo
from animatrix_jax.planning.chips import Links

KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
_PLACED = "dynamic-update-slice"
_STARTED, _CARRIED = "AsyncCollectiveStart", re.compile(r'"flag_start":"(\d+)"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collective:
    """One collective.

    Attributes:
      bytes: the payload of a chip.
      chips: how many take part.
      crosses: whether they lie in several slices or nodes.
      starts: whether it only starts here, and ends at an instruction that follows.
    """

    kind: str
    bytes: int
    chips: int
    crosses: bool
    starts: bool


def find(
    module: hlo.Module, computation: str, instruction: hlo.Instruction, links: Links
) -> Collective | None:
    """The collective that an instruction runs or starts, if any."""
    kind, started = _kind(instruction.op)
    if kind:
        types = module.types[computation]
        if kind == "all-reduce" and all(
            _is_placed(module, types.get(name)) for name in instruction.operands
        ):
            kind = "all-gather"
        return _collective(kind, instruction, types, links, starts=started)
    called = instruction.called
    if instruction.op == "send":
        return _between_slices(instruction)
    if instruction.op == "async-start" and called:
        for inner in module.computations[called]:
            kind, _ = _kind(inner.op)
            if kind:
                types = module.types[called]
                return _collective(kind, inner, types, links, starts=True)
    if instruction.op != "fusion" or not called:
        return None
    body = module.computations.get(called, ())
    for inner in body:
        kind, _ = _kind(inner.op)
        if not kind or _CARRIED.search(inner.attributes):
            continue
        if called.startswith("all-reduce-scatter"):
            kind = "reduce-scatter"
        starts = any(i.target == _STARTED for i in body)
        return _collective(kind, inner, module.types[called], links, starts=starts)
    return None


def ends(module: hlo.Module, instruction: hlo.Instruction) -> bool:
    """Whether an instruction waits for a collective that started before it."""
    if instruction.op == "recv-done":
        return "megascale" in instruction.attributes
    if instruction.op == "fusion" and instruction.called:
        body = module.computations.get(instruction.called, ())
        return any(i.target == "AsyncCollectiveDone" for i in body)
    return instruction.op == "async-done" or (
        instruction.op.endswith("-done")
        and instruction.op.removesuffix("-done") in KINDS
    )


def rendezvous(instruction: hlo.Instruction) -> str:
    """What names both ends of a transfer between slices; empty of others."""
    found = re.search(
        r'_xla_host_transfer_rendezvous="([^"]*)"', instruction.attributes
    )
    return found.group(1) if found else ""


def seconds(collective: Collective, links: Links) -> float:
    """How long it takes with the links to itself."""
    k, payload = collective.chips, collective.bytes
    if k < 2:
        return 0.0
    width = links.width(k, crosses=collective.crosses)
    torus = links.torus and not collective.crosses
    share = (k - 1) / k
    factor = {
        "all-gather": share,
        "reduce-scatter": share,
        "all-reduce": 2 * share,
        "all-to-all": max(share, k / 4) if torus else share,
        "collective-permute": 2.0 if torus else 1.0,
    }[collective.kind]
    return factor * payload / width


def groups(attributes: str) -> np.ndarray | None:
    """The groups [g k] of devices of a collective's attributes; None: all together."""
    listed = re.search(r"replica_groups=\{(\{[\d,{} ]*\})\}", attributes)
    if listed:
        rows = re.findall(r"\{([\d,]*)\}", listed.group(1))
        return np.array([[int(x) for x in row.split(",")] for row in rows])
    iota = re.search(
        r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", attributes
    )
    if iota:
        shape, dims, perm = (
            tuple(int(x) for x in part.split(",")) if part else None
            for part in iota.groups()
        )
        devices = np.arange(math.prod(dims)).reshape(dims)
        if perm:
            devices = devices.transpose(perm)
        return devices.reshape(shape)
    named = re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", attributes)
    if named:
        return _of_mesh(named.group(1), named.group(2))
    return None


def _of_mesh(axes: str, over: str) -> np.ndarray:
    """Groups over some axes of a mesh; an axis may be split, as 'a':(first)size."""
    sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", axes)}
    dims, chosen = [], []
    parts = {
        name: (int(before), int(size))
        for name, before, size in re.findall(r"'(\w+)':\((\d+)\)(\d+)", over)
    }
    whole = set(re.findall(r"'(\w+)'", over)) - parts.keys()
    for name, size in sizes.items():
        if name in parts:
            before, middle = parts[name]
            cut = [before, middle, size // (before * middle)]
            chosen += [len(dims) + 1]
            dims += cut
        else:
            chosen += [len(dims)] if name in whole else []
            dims.append(size)
    rest = [i for i in range(len(dims)) if i not in chosen]
    devices = np.arange(math.prod(dims)).reshape(dims).transpose(rest + chosen)
    return devices.reshape(-1, math.prod(dims[i] for i in chosen))


def _is_placed(module: hlo.Module, operand: hlo.Instruction | None) -> bool:
    """Whether it is a chip's part, written into its place among zeros."""
    if operand is None:
        return False
    if operand.op != "fusion":
        return operand.op == _PLACED
    body = module.computations.get(operand.called, ())
    root = next((inner for inner in body if inner.root), None)
    if root is not None and root.op in ("bitcast", "copy", "transpose"):
        root = module.types[operand.called].get(root.operands[0])
    return root is not None and root.op == _PLACED


def _kind(op: str) -> tuple[str, bool]:
    started = op.endswith("-start")
    kind = op.removesuffix("-start")
    return (kind, started) if kind in KINDS else ("", False)


def _between_slices(instruction: hlo.Instruction) -> Collective | None:
    """A collective between TPU slices: sent to the network, and received when done."""
    kind = re.search(r'_xla_megascale_transfer_type="(\w+)"', instruction.attributes)
    to = re.search(r'_xla_megascale_target="\{([\d,:]+)\}', instruction.attributes)
    name = kind.group(1).lower().replace("_", "-") if kind else ""
    if name not in KINDS:
        return None
    slices = 2
    if to:
        ends = [int(end) for end in re.findall(r"\d+", to.group(1))]
        slices = ends[-1] - ends[0] + 1 if ":" in to.group(1) else len(ends)
    sent = hlo.leaves(hlo.elements(instruction.type)[0])
    return Collective(
        kind=name,
        bytes=sum(leaf.bytes for leaf in sent),
        chips=slices,
        crosses=True,
        starts=True,
    )


def _collective(
    kind: str,
    instruction: hlo.Instruction,
    types: dict[str, hlo.Instruction],
    links: Links,
    *,
    starts: bool,
) -> Collective:
    members = _members(instruction)
    return Collective(
        kind=kind,
        bytes=_payload(kind, instruction, types),
        chips=len(members),
        crosses=len({member // links.chips for member in members}) > 1,
        starts=starts,
    )


def _members(instruction: hlo.Instruction) -> list[int]:
    """The devices of one group; of a permute, the two that are farthest apart."""
    pairs = re.search(r"source_target_pairs=\{(.*?)\}\}", instruction.attributes)
    if pairs:
        found = re.findall(r"\{(\d+),(\d+)", pairs.group(0))
        return list(max(((int(a), int(b)) for a, b in found), key=_distance))
    found = groups(instruction.attributes)
    return [0, 1] if found is None else found[0].tolist()


def _distance(pair: tuple[int, int]) -> int:
    return abs(pair[0] - pair[1])


def _payload(
    kind: str, instruction: hlo.Instruction, types: dict[str, hlo.Instruction]
) -> int:
    started = instruction.op.endswith("-start")
    if kind == "reduce-scatter" and instruction.op != "all-reduce":
        given = [types[name] for name in instruction.operands if name in types]
        return sum(leaf.bytes for operand in given for leaf in operand.leaves)
    result = instruction.type
    if started and kind in ("all-gather", "collective-permute"):
        result = hlo.elements(result)[1]
    return sum(leaf.bytes for leaf in hlo.leaves(result))
