"""Bytes of memory that an instruction reads and writes, in place of running it.

What is read of an operand that a fusion only slices is the slice, and what is written by
an update in place is the update: a loop over stacked layers touches one layer a turn.
"""

from animatrix_jax.planning import hlo

_FREE = (
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("while", "call", "conditional", "partition-id", "replica-id", "iota"),
    *(
        "send",
        "recv",
        "opt-barrier",
        "domain",
        "async-start",
        "async-update",
        "async-done",
    ),
)
# TPU's spaces: 0 is the chip's memory, 5 the host's; the others lie on the chip.
HBM, HOST = 0, 5


def memory_bytes(
    module: hlo.Module, computation: str, instruction: hlo.Instruction
) -> int:
    """Bytes to and from the chip's memory."""
    if instruction.op in _FREE or instruction.op.endswith("-done"):
        return 0
    types = module.types[computation]
    if instruction.op == "dynamic-slice":
        return 2 * _in(instruction.leaves, HBM)
    if instruction.op == "dynamic-update-slice":
        update = types.get(instruction.operands[1])
        return 2 * _in(update.leaves, HBM) if update else 0
    if instruction.op == "fusion" and instruction.called in module.computations:
        return _fusion(module, instruction, types)
    read = sum(
        _in(types[name].leaves, HBM) for name in instruction.operands if name in types
    )
    if instruction.op.endswith("-start"):
        return read
    return read + _in(instruction.leaves, HBM)


def host_bytes(instruction: hlo.Instruction) -> int:
    """Bytes between the chip and the host's memory, for activations moved there."""
    if instruction.op != "copy-start":
        return 0
    to, source = hlo.elements(instruction.type)[:2]
    spaces = {leaf.space for part in (to, source) for leaf in hlo.leaves(part)}
    if HOST not in spaces or len(spaces) < 2:
        return 0
    return sum(leaf.bytes for leaf in hlo.leaves(to))


def _fusion(
    module: hlo.Module,
    instruction: hlo.Instruction,
    types: dict[str, hlo.Instruction],
) -> int:
    body = module.computations[instruction.called]
    parameters = {
        inner.name: int(inner.operands[0]) for inner in body if inner.op == "parameter"
    }
    whole: set[int] = set()
    sliced: dict[int, int] = {}
    updated: set[str] = set()
    for inner in body:
        for position, name in enumerate(inner.operands):
            if inner.op == "parameter" or name not in parameters:
                continue
            index = parameters[name]
            if inner.op == "dynamic-slice" and position == 0:
                sliced[index] = sliced.get(index, 0) + _in(inner.leaves, HBM)
            elif inner.op == "dynamic-update-slice" and position == 0:
                updated.add(inner.name)
                sliced.setdefault(index, 0)
            else:
                whole.add(index)
    read = 0
    for index, name in enumerate(instruction.operands):
        if name not in types or _in(types[name].leaves, HBM) == 0:
            continue
        cut = index in sliced and index not in whole
        read += sliced[index] if cut else _in(types[name].leaves, HBM)
    if not updated:
        return read + _in(instruction.leaves, HBM)
    inner_types = module.types[instruction.called]
    written = [inner_types.get(inner_types[name].operands[1]) for name in updated]
    return read + 2 * sum(_in(update.leaves, HBM) for update in written if update)


def _in(leaves: tuple[hlo.Leaf, ...], space: int) -> int:
    return sum(leaf.bytes for leaf in leaves if leaf.space == space)
