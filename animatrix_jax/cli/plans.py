"""From a config and a target to a plan: what `animatrix plan` and docs/scaling.md share."""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable
from typing import Any

from animatrix_jax.cli import stages
from animatrix_jax.data.buckets import largest as largest_of
from animatrix_jax.errors import UserError
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.parallel.mesh import BATCH_AXES, MeshConfig, make_mesh
from animatrix_jax.planning import advice as advice_lib
from animatrix_jax.planning import inputs as inputs_lib
from animatrix_jax.planning import plan as plan_lib
from animatrix_jax.planning import subject
from animatrix_jax.planning import target as targets
from animatrix_jax.planning.measure import NotCompiled, default_cache
from animatrix_jax.planning.roofline import efficiency
from animatrix_jax.training.config import BatchConfig, section
from animatrix_jax.training.optimizer import OptimizerConfig
from animatrix_jax.training.stages.batch_shapes import buckets_of

# Guidance by text and tags: null, text alone, both.
_BRANCHES = 3


def run(
    config: Any,
    *,
    target: str,
    verb: str = "train",
    inputs: str = "config",
    cache: pathlib.Path | None = None,
    attention: float | None = None,
    matmul: float | None = None,
    largest: bool = True,
    quiet: bool = False,
) -> dict[str, Any]:
    """The plan as a dictionary for JSON.

    Raises:
      UserError: for a target, stage or batch that cannot be.
      ValueError: for a parameter that does not divide over the mesh.
    """
    aim = targets.parse(target)
    assumed = efficiency(aim.chip, attention=attention, matmul=matmul)
    found = program(config, verb=verb, inputs=inputs, devices=targets.devices(aim))
    config, work, build = found.config, found.work, found.build
    cache = cache or default_cache()
    said = "" if quiet else f"compiling for {aim.text}"
    plan = plan_lib.make_plan(
        build, work, aim, found.mesh, cache=cache, assumed=assumed, progress=said
    )
    result = plan.to_dict() | {"preset": config.preset, "stage": config.stage}
    if largest:
        try:
            most = plan_lib.largest_batch(
                build, plan, step=found.clips_step, cache=cache, progress=said
            )
        except NotCompiled as error:  # the plan stands without it
            result["largest_batch_unknown"] = str(error)
        else:
            result["largest_batch"] = found.size_of(most.clips)
            result["largest_batch_verified"] = most.verified
    if not plan.memory.fits:
        changes = advice_lib.advise(
            plan.memory,
            dit=section(ModelPreset, config.model).dit,
            optimizer=section(OptimizerConfig, config.optimizer),
            mesh=plan.mesh,
            clips=work.clips,
            tokens=plan.work.tokens,
            inputs=inputs,
        )
        result["advice"] = [dataclasses.asdict(change) for change in changes]
    return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """The step of a config, ready to be lowered for devices.

    Attributes:
      config: of the run, with no weights named.
      mesh: of the devices.
      work: what the step does.
      build: from a number of clips to the program.
      clips_step: what that number must be a multiple of.
      size_of: from the most clips that fit to the `batch.size` that has them.
    """

    config: Any
    mesh: Any
    work: plan_lib.Work
    build: plan_lib.Build
    clips_step: int
    size_of: Callable[[int], int]


def program(config: Any, *, verb: str, inputs: str, devices: list[Any]) -> Program:
    """The step that `animatrix train` (or, with `verb="sample"`, a sampler) would run.

    Args:
      devices: described or real; the config's mesh is made of them.

    Raises:
      UserError: for a stage or batch that cannot be.
    """
    config = without_weights(config)
    mesh = make_mesh(section(MeshConfig, config.mesh), devices)
    model = section(ModelPreset, config.model)
    batch = section(BatchConfig, config.batch)
    if verb == "sample":
        return Program(
            config=config,
            mesh=mesh,
            work=plan_lib.work_of_sampling(
                model, clips=batch.size, max_tags=batch.max_tags, branches=_BRANCHES
            ),
            build=functools.partial(_sampler, model, mesh),
            clips_step=_ways(mesh),
            size_of=lambda clips: clips,
        )
    optimizer = section(OptimizerConfig, config.optimizer)
    stages.check_batches(config, mesh)
    count = _ways(mesh) * optimizer.accumulation
    shaped, clips = _compiled(model, batch)
    return Program(
        config=config,
        mesh=mesh,
        work=plan_lib.work_of_training(shaped, clips=clips, max_tags=batch.max_tags),
        build=functools.partial(_trainer, config, shaped, optimizer, mesh, inputs),
        clips_step=count,
        size_of=functools.partial(_largest_size, batch, model, count),
    )


def without_weights(config: Any) -> Any:
    """The run's config with no weights named: a plan needs shapes alone."""
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.init.update({name: "" for name in config.init})
    return config


def _compiled(model: ModelPreset, batch: BatchConfig) -> tuple[ModelPreset, int]:
    """The model in the shape of what asks most of a step, and how many clips that has."""
    buckets = buckets_of(batch, model)
    if not buckets:
        return model, batch.size
    one = buckets[largest_of(buckets, stride=model.vae.stride, patch=model.dit.patch)]
    shape = {"frames": one.frames, "height": one.height, "width": one.width}
    return dataclasses.replace(model, **shape), one.size


def _largest_size(batch: BatchConfig, model: ModelPreset, step: int, clips: int) -> int:
    """The largest `batch.size` with no more than so many clips in its largest bucket."""
    if not batch.buckets:
        return clips
    sizes = itertools.count(step, step)
    fits = lambda size: (
        _compiled(model, dataclasses.replace(batch, size=size))[1] <= clips
    )
    return next(size for size in sizes if not fits(size)) - step


def _trainer(
    config: Any,
    model: ModelPreset,
    optimizer: OptimizerConfig,
    mesh: Any,
    inputs: str,
    clips: int,
) -> subject.Subject:
    if config.stage not in ("ct", "sft", "qt"):
        raise UserError(
            f"plan is for the generator's stages (ct, sft, qt), got {config.stage!r}"
        )
    stage = stages.build(config, workdir=pathlib.Path("plan"))
    shapes = inputs_lib.resized(stage.step_shapes(), clips)
    if inputs == "encoded":
        shapes = inputs_lib.encoded(shapes, model)
    return subject.train_step(stage, optimizer, mesh, shapes)


def _sampler(model: ModelPreset, mesh: Any, clips: int) -> subject.Subject:
    return subject.sample_step(model, mesh, clips=clips)


def _ways(mesh: Any) -> int:
    ways = 1
    for axis in BATCH_AXES:
        ways *= mesh.shape[axis]
    return ways
