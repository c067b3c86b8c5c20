"""FLOPs of what XLA does not see into: attention kernels, and library matrix products.

    attention forward    2 products of n x m x e a head     4 b g n m e
    backward, one kernel 5 (scores again, dp, dv, dk, dq)   10 b g n m e
    backward, two        4 for dk and dv, 3 for dq
    matrix product       2 b m n k

Splash kernels are recognised by the names that JAX gives them, cuDNN's by their targets.
"""

import dataclasses
import math
import re

from animatrix_jax.planning import hlo

_PALLAS = "tpu_custom_call"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel call.

    Attributes:
      kind: "attention", "matmul" or "other".
      name: what it is called, without its number.
      flops: of one call; 0 for what is not recognised.
    """

    kind: str
    name: str
    flops: float


def find(
    module: hlo.Module, computation: str, instruction: hlo.Instruction
) -> Kernel | None:
    """The kernel that an instruction calls, or a matrix product outside fusions."""
    types = module.types[computation]
    if instruction.op == "dot":
        return Kernel(kind="matmul", name="dot", flops=_dot(instruction, types))
    if instruction.op == "fusion" and instruction.called:
        body = module.computations.get(instruction.called, ())
        inner = module.types.get(instruction.called, {})
        flops = sum(_dot(i, inner) for i in body if i.op == "dot")
        return Kernel(kind="matmul", name="fusion", flops=flops) if flops else None
    if instruction.op != "custom-call":
        return None
    target, name = instruction.target, instruction.name.split(".")[0]
    if target == _PALLAS:
        products = _splash_products(instruction)
        kind = "attention" if products else "other"
        arrays = _big(instruction, types)
        flops = _attention(arrays, products) if products else _estimated(instruction)
        return Kernel(kind=kind, name=name, flops=flops)
    if "fmha" in target:
        products = 5 if "Backward" in target else 2
        arrays = _big(instruction, types)
        return Kernel(kind="attention", name=target, flops=_fmha(arrays, products))
    if "gemm" in target or "matmul" in target:
        return Kernel(kind="matmul", name=target, flops=_dot(instruction, types))
    return None


def _splash_products(instruction: hlo.Instruction) -> int:
    """Matrix products a pair of query and key in a splash kernel; 0 if it is none."""
    text = instruction.name + instruction.attributes[:4000]
    if not re.search(r"splash|flash|attention", text):
        return 0
    if re.search(r"_dkv|dkv_|bwd_dkv", instruction.name):
        # One that makes dq as well does the work of both.
        arrays = [leaf for leaf in instruction.leaves if len(leaf.dims) >= 3]
        return 5 if len(arrays) > 2 else 4
    if re.search(r"_dq", instruction.name):
        return 3
    return 2 if "fwd" in text else 0


def _big(
    instruction: hlo.Instruction, types: dict[str, hlo.Instruction]
) -> list[hlo.Leaf]:
    """The floating operands with heads: rank 3 and more."""
    given = [types[name] for name in instruction.operands if name in types]
    return [
        leaf
        for operand in given
        for leaf in operand.leaves[:1]
        if len(leaf.dims) >= 3 and leaf.dtype in ("bf16", "f16", "f32")
    ]


def _attention(arrays: list[hlo.Leaf], products: int) -> float:
    """Of q [... g n e] and k [... g m e]."""
    q, k = arrays[0].dims, arrays[1].dims
    return products * 2.0 * math.prod(q) * k[-2]


def _fmha(arrays: list[hlo.Leaf], products: int) -> float:
    """Of q and k as cuDNN takes them, [b n g e]."""
    q, k = arrays[0].dims, arrays[1].dims
    return products * 2.0 * math.prod(q) * k[1]


def _estimated(instruction: hlo.Instruction) -> float:
    """What the kernel's author says it costs, if anything."""
    found = re.search(r'"flops":"?(\d+)', instruction.attributes)
    return float(found.group(1)) if found else 0.0


def _dot(instruction: hlo.Instruction, types: dict[str, hlo.Instruction]) -> float:
    """2 b m n k from three sizes: (b m k)(b k n)(b m n) = b (b m n k)^2."""
    given = [types[name] for name in instruction.operands[:2] if name in types]
    if len(given) < 2:
        return 0.0
    left, right = (operand.leaves[0] for operand in given)
    out = instruction.leaves[0]
    batch = re.search(
        r"lhs_batch_dim(?:s=\{|ensions\":\[)([\d,\"]*)", instruction.attributes
    )
    dims = re.findall(r"\d+", batch.group(1)) if batch else []
    count = math.prod(left.dims[int(d)] for d in dims)
    return 2.0 * math.sqrt(left.size * right.size * out.size / count)
