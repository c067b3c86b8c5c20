"""From a program's timeline to a step time, what bounds it, and MFU.

    step = compute + attention + exposed collectives          (timeline.py)
    MFU  = model FLOPs / (step x chips x peak)                (flops.py: no recompute)

The one number that no compiler gives is how fast the attention kernel runs. It is an
assumption, given with each chip and changed by a flag:

    TPU  0.45 of peak, forward and backward together: fitted to the published step of
         maxdiffusion's Wan 2.1 14B on v5p, which this model then gives (`calibration`).
    GPU  0.55 of peak. FlashAttention-3 (arXiv:2407.08608, figure 5) has cuDNN on H100 at
         595 of 989 TFLOP/s forward, head width 128, 16k tokens; backward is slower.

Where the compiler gives no cycles (GPU, CPU), matrix products are taken to reach 0.7 of
peak and everything else the memory's bandwidth.
"""

import dataclasses
from typing import Any

from animatrix_jax.planning import collectives
from animatrix_jax.planning.chips import Chip, chip, links
from animatrix_jax.planning.collectives import Collective
from animatrix_jax.planning.timeline import Efficiency, Timeline

_SENSITIVITY = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """How fast a step would run.

    Attributes:
      step_seconds: from one step to the next.
      mfu: of the model's FLOPs alone.
      bound: what takes most of the step: "attention", "compute", "memory",
        "interconnect" or "network".
      by_attention: seconds and MFU at other efficiencies of the attention kernel.
    """

    step_seconds: float
    mfu: float
    bound: str
    by_attention: dict[str, dict[str, float]]


def efficiency(
    chip: Chip, *, attention: float | None = None, matmul: float | None = None
) -> Efficiency:
    """The chip's own assumptions, or others."""
    return Efficiency(
        attention=chip.attention if attention is None else attention,
        matmul=chip.matmul if matmul is None else matmul,
    )


def predict(
    line: Timeline, *, chip: Chip, chips: int, model_flops: float, assumed: Efficiency
) -> Prediction:
    """What a timeline means for a step."""
    peak = chip.flops * chips

    def at(attention: float) -> float:
        return line.total + line.attention * (assumed.attention / attention - 1)

    table = {
        f"{level:g}": {
            "step_seconds": at(level),
            "mfu": model_flops / (at(level) * peak) if at(level) else 0.0,
        }
        for level in _SENSITIVITY
        if line.attention
    }
    return Prediction(
        step_seconds=line.total,
        mfu=model_flops / (line.total * peak) if line.total else 0.0,
        bound=bound(line, chip),
        by_attention=table,
    )


def bound(line: Timeline, chip: Chip) -> str:
    """What takes the largest part of the step."""
    parts = {
        "attention": line.attention,
        "compute": line.compute,
        "interconnect": line.exposed,
    }
    largest = max(parts, key=parts.__getitem__)
    if largest == "compute":
        reading = line.memory_bytes / chip.hbm_bandwidth
        return "memory" if reading > 0.9 * line.compute else "compute"
    if largest == "interconnect" and line.network_bytes:
        beyond = line.network_bytes / chip.network
        return "network" if beyond > 0.5 * line.collective else "interconnect"
    return largest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """A published training step of another implementation, and what XLA says of it.

    maxdiffusion, Wan 2.1 14B, 720p x 81 frames (75,600 tokens), batch 1, 4 v5p chips on
    the sequence axis, blocks recomputed: cycles and bytes are of its step compiled for
    that slice, a chip and step; 36.0 s and 29.6% of peak are published with it.
    """

    chip: str = "v5p"
    chips: int = 4
    tokens: int = 75_600
    layers: int = 40
    dim: int = 5120
    cycles: float = 14.1e9
    gathered: float = 201e9
    reduced: float = 62e9
    published_seconds: float = 36.0


def calibration(peer: Peer, *, attention: float | None = None) -> dict[str, Any]:
    """What this model gives for the peer's step, beside what was published.

    Its attention runs forward twice (blocks are recomputed) and backward once, 2 and 5
    products each; its collectives wait for nothing, and nothing hides them.
    """
    kind = chip(peer.chip)
    assumed = efficiency(kind, attention=attention)
    product = 2.0 * peer.tokens**2 * peer.dim * peer.layers / peer.chips
    flops = (2 + 2 + 5) * product

    def taken(name: str, size: float) -> float:
        one = Collective(
            kind=name, bytes=int(size), chips=peer.chips, crosses=False, starts=False
        )
        return collectives.seconds(one, links(kind, (2, 2, 1)))

    parts = {
        "compute": peer.cycles / kind.clock,
        "attention": flops / (kind.flops * assumed.attention),
        "exposed": taken("all-gather", peer.gathered)
        + taken("all-reduce", peer.reduced),
    }
    seconds = sum(parts.values())
    return parts | {
        "step_seconds": seconds,
        "published_seconds": peer.published_seconds,
        "ratio": seconds / peer.published_seconds,
    }
