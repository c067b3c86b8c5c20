"""Memory of a step on each chip: what the compiler measured, and what it is made of.

    peak = arguments + outputs that alias none of them + temporaries + code

Arguments are known by part (parameters, EMA, moments, frozen towers, batch). Of the
temporaries, gradients are as large as the parameters in fp32, where XLA holds them at
once; the rest is activations and what the compiler gathers and copies.
"""

import dataclasses

from animatrix_jax.planning.chips import GIB
from animatrix_jax.planning.measure import Measured
from animatrix_jax.planning.subject import Subject


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on each chip.

    Attributes:
      peak: the most at once.
      limit: what the chip has for a program.
      items: by part; they add up to the peak.
    """

    peak: float
    limit: float
    items: dict[str, float]

    @property
    def fits(self) -> bool:
        """Whether the peak is within the limit."""
        return self.peak <= self.limit

    @property
    def activations(self) -> float:
        """What grows with the batch."""
        return self.items.get("activations", 0.0)

    def in_gib(self) -> dict[str, float]:
        """The items in GiB."""
        return {name: round(size / GIB, 3) for name, size in self.items.items()}


def itemise(measured: Measured, subject: Subject, *, limit: float) -> Memory:
    """The parts of what was measured; of a program that ran out of memory, what is not in
    the arguments is taken for activations and gradients alike."""
    peak = float(measured.memory["peak"])
    items = {name: float(size) for name, size in subject.arguments.items()}
    given = sum(items.values())
    # Layouts are padded; parameters and their like come back in the same place.
    padding = max(measured.memory.get("arguments", given) - given, 0.0)
    code = float(measured.memory.get("code", 0))
    rest = max(peak - given - padding - code, 0.0)
    gradients = 0.0
    if "optimizer" in items:
        gradients = min(items["parameters"], rest)
    items |= {
        "gradients": gradients,
        "activations": rest - gradients,
        "padding": padding,
        "code": code,
    }
    return Memory(peak=peak, limit=limit, items=items)


def largest_batch(
    small: Memory, large: Memory, *, sizes: tuple[int, int], step: int
) -> int:
    """The most clips that fit, of two measured batches: memory is affine in the batch.

    Args:
      sizes: clips of the two; the second more.
      step: what the batch must be a multiple of.

    Returns:
      0 if not even the first `step` clips fit.
    """
    slope = (large.peak - small.peak) / (sizes[1] - sizes[0])
    if slope <= 0:
        raise ValueError(
            f"expected a larger batch to take more memory, got {small.peak / GIB:.2f} "
            f"and {large.peak / GIB:.2f} GiB at {sizes[0]} and {sizes[1]} clips"
        )
    room = small.limit - (small.peak - slope * sizes[0])
    return max(int(room / slope) // step * step, 0)
