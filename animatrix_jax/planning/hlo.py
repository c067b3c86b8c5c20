"""Reading the text of a compiled program: computations, shapes, loops, collectives.

    text --parse--> Module: computations of Instructions, in the order that they run
    counts(module):  how often each computation runs in one step, trip counts multiplied

XLA prints a compiled module in its schedule's order. A loop's trip count stands in its
`backend_config` on CPU and GPU; on TPU it is read from the loop's condition, which compares
a counter that starts at 0 with a constant.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator

_BYTES = {
    "pred": 1,
    "token": 0,
    "opaque": 0,
    **dict.fromkeys(("s2", "u2", "s4", "u4", "f4e2m1fn"), 0.5),
    **dict.fromkeys(("s8", "u8"), 1),
    **dict.fromkeys(("s16", "u16", "f16", "bf16"), 2),
    **dict.fromkeys(("s32", "u32", "f32"), 4),
    **dict.fromkeys(("s64", "u64", "f64", "c64"), 8),
    "c128": 16,
}
_LEAF = re.compile(r"([a-z][a-z0-9]*)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_START = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = ")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(r"(?:calls|to_apply|body|async_computation)=%?([\w.\-]+)")
_PARENTHESIS = re.compile(r"[()]")
_COMMENT = re.compile(r"/\*.*?\*/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaf:
    """One array of a type: dtype, dimensions, and the memory space it lies in."""

    dtype: str
    dims: tuple[int, ...]
    space: int

    @property
    def bytes(self) -> int:
        """Its bytes, without padding."""
        return int(self.size * _BYTES.get(self.dtype, 1))

    @property
    def size(self) -> int:
        """Its elements."""
        size = 1
        for dim in self.dims:
            size *= dim
        return size


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
      name: unique in its computation.
      type: its type, as printed.
      op: the opcode, as `all-gather-start`.
      operands: names of its operands.
      attributes: everything behind the operands, as printed.
      root: whether its computation returns it.
    """

    name: str
    type: str
    op: str
    operands: tuple[str, ...]
    attributes: str
    root: bool

    @functools.cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every array of its type."""
        return leaves(self.type)

    @property
    def called(self) -> str | None:
        """The computation that a fusion, call, loop or asynchronous start runs."""
        found = _CALLED.search(self.attributes)
        return found.group(1) if found else None

    @property
    def cycles(self) -> int:
        """XLA's own estimate of its cycles, on TPU; 0 where there is none."""
        found = re.search(r'"estimated_cycles":"(\d+)"', self.attributes)
        return int(found.group(1)) if found else 0

    @property
    def target(self) -> str:
        """What a custom call calls."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found.group(1) if found else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Module:
    """A compiled program.

    Attributes:
      computations: instructions of each, in the order that they run.
      entry: the name of the one that runs first.
    """

    computations: dict[str, tuple[Instruction, ...]]
    entry: str

    @functools.cached_property
    def types(self) -> dict[str, dict[str, Instruction]]:
        """Instructions by computation and name."""
        return {
            name: {instruction.name: instruction for instruction in body}
            for name, body in self.computations.items()
        }


def parse(text: str) -> Module:
    """The module that `compiled.as_text()` printed.

    Raises:
      ValueError: if there is no entry computation in it.
    """
    computations: dict[str, tuple[Instruction, ...]] = {}
    entry, current, body = None, None, []
    for line in _joined(text):
        header = _HEADER.match(line)
        if header:
            current, body = header.group(2), []
            entry = current if header.group(1) else entry
        elif line.rstrip() == "}":
            if current is not None:
                computations[current] = tuple(body)
            current = None
        elif current is not None and _START.match(line):
            body.append(_instruction(line))
    if entry is None:
        raise ValueError("expected a compiled module's text, got none with an ENTRY")
    return Module(computations=computations, entry=entry)


def leaves(type_text: str) -> tuple[Leaf, ...]:
    """Every array of a type, tuples flattened."""
    found = []
    for dtype, dims, layout in _LEAF.findall(type_text):
        space = re.search(r"S\((\d+)\)", layout)
        sizes = tuple(int(d.lstrip("<=")) for d in dims.split(",") if d)
        found.append(
            Leaf(dtype=dtype, dims=sizes, space=int(space.group(1)) if space else 0)
        )
    return tuple(found)


def elements(type_text: str) -> list[str]:
    """The elements of a tuple's type, one level down; of another type itself."""
    text = type_text.strip()
    if not text.startswith("("):
        return [text]
    parts, depth, start = [], 0, 1
    for i, char in enumerate(text):
        if char in "({[":
            depth += 1
        elif char in ")}]":
            depth -= 1
        if (char == "," and depth == 1) or (char == ")" and depth == 0):
            parts.append(text[start:i].strip())
            start = i + 1
    return [part for part in parts if part]


def trip_count(module: Module, loop: Instruction) -> int | None:
    """How often a loop's body runs; None if the text does not say."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
    if known:
        return int(known.group(1))
    condition = re.search(r"condition=%?([\w.\-]+)", loop.attributes)
    body = module.computations.get(condition.group(1), ()) if condition else ()
    by_name = {instruction.name: instruction for instruction in body}
    for test in body:
        if test.op == "fusion" and test.root and test.called:
            # The comparison alone, fused: its constant is an operand of the fusion.
            inner = module.computations[test.called]
            if any(i.op == "compare" and "direction=LT" in i.attributes for i in inner):
                return _constant(by_name, test.operands)
        if test.op == "compare" and "direction=LT" in test.attributes:
            return _constant(by_name, test.operands)
    return None


def counts(module: Module) -> dict[str, float]:
    """How often each computation that is not fused runs in one step.

    A conditional's branches count as one run between them, shared equally. A loop whose
    trip count the text does not say counts once; see `unknown_loops`.
    """
    times: dict[str, float] = {}

    def visit(name: str, factor: float) -> None:
        times[name] = times.get(name, 0.0) + factor
        for instruction in module.computations.get(name, ()):
            if instruction.op == "while":
                visit(
                    instruction.called, factor * (trip_count(module, instruction) or 1)
                )
            elif instruction.op in ("call", "async-start"):
                visit(instruction.called, factor)
            elif instruction.op == "conditional":
                branches = conditional_branches(instruction)
                for branch in branches:
                    visit(branch, factor / len(branches))

    visit(module.entry, 1.0)
    return times


def unknown_loops(module: Module) -> list[str]:
    """Loops that run and whose trip count the text does not say."""
    return [
        instruction.name
        for name in counts(module)
        for instruction in module.computations.get(name, ())
        if instruction.op == "while" and trip_count(module, instruction) is None
    ]


def conditional_branches(instruction: Instruction) -> list[str]:
    """The computations that a conditional chooses among."""
    listed = re.search(r"branch_computations=\{([^}]*)\}", instruction.attributes)
    if listed:
        return _NAME.findall(listed.group(1))
    return re.findall(
        r"(?:true|false)_computation=%?([\w.\-]+)", instruction.attributes
    )


def _joined(text: str) -> Iterator[str]:
    """Lines, with what a kernel's metadata broke over several put together again."""
    held = ""
    for line in text.split("\n"):
        whole = _START.match(line) or _HEADER.match(line) or line.rstrip() == "}"
        if held and (whole or not line):
            yield held
            held = ""
        if _START.match(line):
            held = line
        elif held:
            held += line
        else:
            yield line
    if held:
        yield held


def _instruction(line: str) -> Instruction:
    head, rest = line.split(" = ", 1)
    rest = _COMMENT.sub("", rest)
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    opened = rest.index("(")
    closed = _closing(rest, opened)
    inside = rest[opened + 1 : closed]
    return Instruction(
        name=head.replace("ROOT", "").strip().lstrip("%"),
        type=kind,
        op=rest[:opened],
        operands=tuple(_NAME.findall(inside)) or tuple(filter(None, [inside.strip()])),
        attributes=rest[closed + 1 :],
        root="ROOT" in head,
    )


def _closing(text: str, start: int) -> int:
    """Where the parenthesis that opens at `start` closes."""
    depth = 0
    for found in _PARENTHESIS.finditer(text, start):
        depth += 1 if found.group() == "(" else -1
        if depth == 0:
            return found.start()
    raise ValueError(f"unbalanced parentheses in {text[:80]!r}")


def _constant(by_name: dict[str, Instruction], operands: tuple[str, ...]) -> int | None:
    for name in operands:
        instruction = by_name.get(name)
        while instruction is not None and instruction.op in ("copy", "bitcast"):
            instruction = by_name.get(instruction.operands[0])
        if instruction is not None and instruction.op == "constant":
            value = instruction.operands[0] if instruction.operands else ""
            return int(value) if value.lstrip("-").isdigit() else None
    return None
