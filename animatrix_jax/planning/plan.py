"""One plan: a step compiled for a target, and everything that is said of it.

subject --measure--> memory, text --timeline, flops, roofline--> Plan
a second batch --> memory is affine in the batch --> the largest that fits, verified
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.planning import flops as flops_lib
from animatrix_jax.planning import hlo, memory, roofline, timeline
from animatrix_jax.planning.chips import GIB
from animatrix_jax.planning.measure import Measured, measure
from animatrix_jax.planning.memory import Memory
from animatrix_jax.planning.subject import Subject
from animatrix_jax.planning.target import Target
from animatrix_jax.planning.timeline import Efficiency

Build = Callable[[int], Subject]

# Of compilations to verify the largest batch. Near the limit XLA trades time for memory,
# so what is affine below it rarely errs by more than a step.
_TRIES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What a step does, counted from the model's config.

    Attributes:
      verb: "train" or "sample".
      clips: over all chips.
      tokens: of one clip.
      flops: that the model needs.
      recomputed: that remat adds.
    """

    verb: str
    clips: int
    tokens: int
    flops: float
    recomputed: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A planned step.

    Attributes:
      line: None where the compiler ran out of memory, and with it `predicted`.
      unknown: loops whose trip count is not known; they count once.
    """

    target: Target
    mesh: dict[str, int]
    work: Work
    memory: Memory
    line: timeline.Timeline | None
    predicted: roofline.Prediction | None
    assumed: Efficiency
    measured: Measured
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON: GiB, seconds, TFLOPs."""
        line, predicted = self.line, self.predicted
        return {
            "target": self.target.text,
            "mesh": self.mesh,
            "chips": self.target.count,
            "verb": self.work.verb,
            "batch": self.work.clips,
            "fits": self.memory.fits,
            "peak_gib": round(self.memory.peak / GIB, 3),
            "hbm_gib": round(self.memory.limit / GIB, 2),
            "memory_gib": self.memory.in_gib(),
            "tokens": self.work.tokens,
            "tflops_per_step": self.work.flops / 1e12,
            "recomputed_tflops": self.work.recomputed / 1e12,
            "step_seconds": predicted and predicted.step_seconds,
            "mfu": predicted and predicted.mfu,
            "bound": predicted.bound if predicted else "memory capacity",
            "tokens_per_second": predicted
            and self.work.tokens * self.work.clips / predicted.step_seconds,
            "seconds": line
            and {
                "compute": line.compute,
                "attention": line.attention,
                "exposed": line.exposed,
                "collective": line.collective,
            },
            "gcycles": line and line.cycles / 1e9,
            "copy_gcycles": line and line.copy_cycles / 1e9,
            "memory_gb": line and line.memory_bytes / 1e9,
            "host_gb": line and line.host_bytes / 1e9,
            "collective_gb": line and _collectives(line),
            "kernels": line and line.kernels,
            "attention_efficiency": self.assumed.attention,
            "matmul_efficiency": self.assumed.matmul,
            "by_attention_efficiency": predicted and predicted.by_attention,
            "unknown_loops": list(self.unknown),
            "compile_seconds": self.measured.compile_seconds,
            "cached": self.measured.cached,
        }


def make_plan(
    build: Build,
    work: Work,
    target: Target,
    mesh: Any,
    *,
    cache: pathlib.Path,
    assumed: Efficiency,
    progress: str = "",
) -> Plan:
    """Compiles the step on `work.clips` clips and works out what it means.

    Args:
      build: from a number of clips to the program.
      mesh: of the target's devices.
      progress: said on standard error while compiling; empty: nothing.
    """
    subject = build(work.clips)
    measured = measure(subject, target, cache=cache, progress=progress)
    return plan_of(subject, measured, work, target, mesh, assumed=assumed)


def plan_of(
    subject: Subject,
    measured: Measured,
    work: Work,
    target: Target,
    mesh: Any,
    *,
    assumed: Efficiency,
) -> Plan:
    """What a program that is compiled means on a target."""
    chip = target.chip
    used = memory.itemise(measured, subject, limit=chip.hbm_bytes)
    line, predicted, unknown = None, None, ()
    if measured.compiled:
        module = hlo.parse(measured.text)
        line = timeline.walk(module, chip, assumed, links=target.links)
        unknown = tuple(hlo.unknown_loops(module))
        predicted = roofline.predict(
            line,
            chip=chip,
            chips=target.count,
            model_flops=work.flops,
            assumed=assumed,
        )
    return Plan(
        target=target,
        mesh=dict(mesh.shape),
        work=work,
        memory=used,
        line=line,
        predicted=predicted,
        assumed=assumed,
        measured=measured,
        unknown=unknown,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Largest:
    """The largest batch that fits.

    Attributes:
      clips: 0 if none does.
      verified: whether it was compiled itself, and fitted.
    """

    clips: int
    verified: bool


def largest_batch(
    build: Build,
    plan: Plan,
    *,
    step: int,
    cache: pathlib.Path,
    progress: str = "",
    verify: bool = True,
) -> Largest:
    """The most clips that fit, by one more compilation and one to verify.

    Args:
      step: what a batch must be a multiple of: the shards of the mesh's batch axes.
      verify: compile the answer, and the one below it if it does not fit.
    """
    target, clips = plan.target, plan.work.clips

    def peak_at(size: int) -> Memory:
        subject = build(size)
        said = progress and f"{progress}, batch {size}"
        measured = measure(subject, target, cache=cache, progress=said)
        return memory.itemise(measured, subject, limit=target.chip.hbm_bytes)

    other = 2 * clips if plan.memory.fits else max(clips // 2 // step * step, step)
    if other == clips:  # one shard each does not fit: nothing below it to compile
        return Largest(clips=0, verified=True)
    sizes = sorted((clips, other))
    known = {clips: plan.memory, other: peak_at(other)}
    small, large = (known[size] for size in sizes)
    found = memory.largest_batch(small, large, sizes=(sizes[0], sizes[1]), step=step)
    for _ in range(_TRIES if verify else 0):
        if found <= 0:
            break
        known[found] = known.get(found) or peak_at(found)
        if known[found].fits:
            return Largest(clips=found, verified=True)
        found -= step
    return Largest(clips=max(found, 0), verified=found <= 0)


def work_of_training(model: ModelPreset, *, clips: int, max_tags: int) -> Work:
    """A training step of the generator."""
    once = flops_lib.forward(model, max_tags=max_tags)
    return Work(
        verb="train",
        clips=clips,
        tokens=once.tokens,
        flops=flops_lib.train_step(once, clips),
        recomputed=flops_lib.recomputed(once, clips, model.dit.remat),
    )


def work_of_sampling(
    model: ModelPreset, *, clips: int, max_tags: int, branches: int
) -> Work:
    """One denoising step: a forward pass for each branch of guidance."""
    once = flops_lib.forward(model, max_tags=max_tags)
    return Work(
        verb="sample",
        clips=clips,
        tokens=once.tokens,
        flops=branches * clips * once.total,
        recomputed=0.0,
    )


def _collectives(line: timeline.Timeline) -> dict[str, float]:
    kinds = {kind: v["bytes"] / 1e9 for kind, v in sorted(line.collectives.items())}
    return kinds | {"all": line.collective_bytes / 1e9}
