"""How long a compiled program would take: its schedule, walked instruction by instruction.

    TPU        estimated_cycles / clock
    elsewhere  max(FLOPs / (peak x matmul), bytes / bandwidth)
    attention  FLOPs / (peak x attention)
    collective bytes over the links, collectives.py; one at a time

Compute runs in the order printed. A collective that is started and ended by two
instructions runs on the links while what stands between them computes, and the end waits
for what is left of it: that rest is `exposed`. One that is a single instruction is exposed
whole. A loop takes its trip count times its body.
"""

import dataclasses
from typing import Any

from animatrix_jax.planning import collectives, hlo, kernels, traffic
from animatrix_jax.planning.chips import Chip, Links

_COPIES = ("copy", "transpose", "reshape")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Efficiency:
    """Fractions of a chip's peak that kernels reach; roofline.py says where from."""

    attention: float
    matmul: float

    def __post_init__(self):
        for name in ("attention", "matmul"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(
                    f"{name} efficiency must be in (0, 1], got {getattr(self, name)}"
                )


@dataclasses.dataclass(kw_only=True)
class Timeline:
    """Seconds and work of one step on each chip; what is added up over the program.

    Attributes:
      total: from start to end.
      compute: outside attention kernels.
      attention: in attention kernels.
      exposed: waiting for collectives; `collective` is how long they run.
      cycles: XLA's estimate outside kernels; `copy_cycles` those that only move.
      attention_flops, matmul_flops: executed; matrix products not on TPU, where they
        are not told apart.
      memory_bytes: to and from the chip's memory, outside kernels.
      host_bytes: to and from the host's.
      collectives: bytes and number by kind; `network_bytes` those beyond the fast links.
      kernels: number of calls by name.
    """

    total: float = 0.0
    compute: float = 0.0
    attention: float = 0.0
    exposed: float = 0.0
    collective: float = 0.0
    cycles: float = 0.0
    copy_cycles: float = 0.0
    attention_flops: float = 0.0
    matmul_flops: float = 0.0
    other_kernel_flops: float = 0.0
    memory_bytes: float = 0.0
    host_bytes: float = 0.0
    network_bytes: float = 0.0
    collectives: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    kernels: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def collective_bytes(self) -> float:
        """Of all kinds together."""
        return sum(kind["bytes"] for kind in self.collectives.values())

    def add(self, other: "Timeline", times: float = 1.0) -> None:
        """Adds what ran `times` times."""
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name == "collectives":
                for kind, values in theirs.items():
                    into = mine.setdefault(kind, {"bytes": 0.0, "count": 0.0})
                    for name, value in values.items():
                        into[name] += times * value
            elif field.name == "kernels":
                for name, value in theirs.items():
                    mine[name] = mine.get(name, 0.0) + times * value
            else:
                setattr(self, field.name, mine + times * theirs)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return dataclasses.asdict(self) | {"collective_bytes": self.collective_bytes}


def walk(
    module: hlo.Module, chip: Chip, efficiency: Efficiency, *, links: Links
) -> Timeline:
    """The timeline of one run of the program."""
    return _Walker(module, chip, efficiency, links).run(module.entry)


class _Walker:
    """Walks computations; what a loop's body takes is worked out once."""

    def __init__(
        self, module: hlo.Module, chip: Chip, efficiency: Efficiency, links: Links
    ):
        self._module, self._chip = module, chip
        self._efficiency, self._links = efficiency, links
        self._seen: dict[str, Timeline] = {}

    def run(self, computation: str) -> Timeline:
        if computation in self._seen:
            return self._seen[computation]
        line, clock, link = Timeline(), 0.0, 0.0
        finishes: dict[str, float] = {}
        last: list[float] = []
        for instruction in self._module.computations.get(computation, ()):
            inner = self._nested(instruction)
            if inner is not None:
                line.add(inner)
                clock += inner.total
                continue
            found = collectives.find(
                self._module, computation, instruction, self._links
            )
            if found is not None:
                taken = collectives.seconds(found, self._links)
                begin = max(clock, link)
                link = begin + taken
                line.collective += taken
                _count(line, found)
                if found.starts:
                    name = collectives.rendezvous(instruction) or instruction.name
                    finishes[name] = link
                    last.append(link)
                else:
                    clock = link
            if collectives.ends(self._module, instruction):
                clock = max(
                    clock, self._finish(computation, instruction, finishes, last)
                )
            if found is None or not instruction.op.startswith(found.kind):
                clock += self._work(computation, instruction, line)
        line.total = max(clock, link)
        line.exposed += line.total - line.compute - line.attention - line.exposed
        self._seen[computation] = line
        return line

    def _nested(self, instruction: hlo.Instruction) -> Timeline | None:
        """What a loop, call or conditional takes, of all its turns."""
        nested = Timeline()
        if instruction.op == "while":
            trips = hlo.trip_count(self._module, instruction) or 1
            nested.add(self.run(instruction.called), trips)
        elif instruction.op == "call":
            nested.add(self.run(instruction.called))
        elif instruction.op == "conditional":
            branches = hlo.conditional_branches(instruction)
            for branch in branches:
                nested.add(self.run(branch), 1 / len(branches))
        else:
            return None
        return nested

    def _work(
        self, computation: str, instruction: hlo.Instruction, line: Timeline
    ) -> float:
        """Adds an instruction's own work to the line, and gives its seconds."""
        chip, module = self._chip, self._module
        kernel = kernels.find(module, computation, instruction)
        if kernel is not None and kernel.kind == "attention":
            taken = kernel.flops / (chip.flops * self._efficiency.attention)
            line.attention += taken
            line.attention_flops += kernel.flops
            line.kernels[kernel.name] = line.kernels.get(kernel.name, 0) + 1
            return taken
        memory = traffic.memory_bytes(module, computation, instruction)
        line.memory_bytes += memory
        line.host_bytes += traffic.host_bytes(instruction)
        flops = 0.0
        if kernel is not None:
            flops = kernel.flops
            if kernel.kind == "matmul":
                line.matmul_flops += flops
            else:
                line.other_kernel_flops += flops
                line.kernels[kernel.name] = line.kernels.get(kernel.name, 0) + 1
        if chip.clock and (kernel is None or kernel.kind != "other"):
            cycles = instruction.cycles
            line.cycles += cycles
            if instruction.op in _COPIES or instruction.name.startswith("copy"):
                line.copy_cycles += cycles
            taken = cycles / chip.clock
        else:
            busy = flops / (chip.flops * self._efficiency.matmul)
            taken = max(busy, memory / chip.hbm_bandwidth)
        line.compute += taken
        return taken

    def _finish(
        self,
        computation: str,
        instruction: hlo.Instruction,
        finishes: dict[str, float],
        last: list[float],
    ) -> float:
        """When what an instruction waits for is done: what it names, or else the first
        that started."""
        name = instruction.operands[0] if instruction.operands else ""
        types = self._module.types[computation]
        for _ in range(64):
            source = types.get(name)
            if source is not None and source.op == "recv":
                name = collectives.rendezvous(source)
            if name in finishes:
                return finishes.pop(name)
            if source is None or not source.operands:
                break
            name = source.operands[0]
        return last.pop(0) if last else 0.0


def _count(line: Timeline, found: collectives.Collective) -> None:
    into = line.collectives.setdefault(found.kind, {"bytes": 0.0, "count": 0.0})
    into["bytes"] += found.bytes
    into["count"] += 1
    if found.crosses:
        line.network_bytes += found.bytes
