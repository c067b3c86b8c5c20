"""From a config to a run: the registry of stages, and what the loop is given."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from animatrix_jax.caption.preference import CaptionPreferenceStage
from animatrix_jax.caption.stages import CaptionStage
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.curation.measuring import MeasuresStage
from animatrix_jax.data import seeds
from animatrix_jax.errors import UserError
from animatrix_jax.judge.preference import PreferenceStage
from animatrix_jax.judge.stages import JudgeStage
from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.mesh import MeshConfig, check_batch, make_mesh
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.validation import Prompt, ValidationSamples
from animatrix_jax.training import loop
from animatrix_jax.training.config import section
from animatrix_jax.training.faults import Session, session
from animatrix_jax.training.loop import Callback
from animatrix_jax.training.optimizer import OptimizerConfig
from animatrix_jax.training.stage import Stage
from animatrix_jax.training.stages.flow import FlowStage
from animatrix_jax.training.stages.text import TextStage
from animatrix_jax.training.stages.towers import Towers
from animatrix_jax.training.stages.vae import VAEStage
from animatrix_jax.training.weights import Component

_PROMPTS = 8
# What of a clip is read ahead where it can be: noted, so that a run goes on as it began.
_EITHER = {"latents", "video", "text", "text_tokens"}

STAGES: dict[str, Callable[..., Stage]] = {
    "vae": VAEStage,
    "text": TextStage,
    "measures": MeasuresStage,
    "caption_experts": CaptionStage,
    "caption": CaptionStage,
    "caption_preference": CaptionPreferenceStage,
    "ct": FlowStage,
    "sft": FlowStage,
    "qt": FlowStage,
    "judge": JudgeStage,
    "preference": PreferenceStage,
}


def build(config: Any, *, workdir: pathlib.Path) -> Stage:
    """The stage that `config.stage` names.

    Raises:
      UserError: if there is no such stage.
    """
    if config.stage not in STAGES:
        raise UserError(
            f"no stage {config.stage!r}; the stages are {', '.join(STAGES)}"
        )
    return STAGES[config.stage](config, workdir=workdir)


def run(config: Any, *, workdir: pathlib.Path) -> dict[str, Any]:
    """Trains a stage to its end, with the other processes of the run if there are any.

    Returns:
      Its summary.

    Raises:
      Stopped: if SIGTERM or SIGINT came, once the run is saved.
    """
    loop_config = section(loop.LoopConfig, config.loop)
    with (
        _compiled_kept(workdir / ".compiled" if loop_config.compile_cache else None),
        session(
            heartbeat_seconds=loop_config.heartbeat_seconds,
            hang_seconds=loop_config.hang_seconds,
            start_seconds=loop_config.start_seconds,
        ) as running,
    ):
        return _train(config, loop_config, running, workdir=workdir)


def _train(
    config: Any,
    loop_config: loop.LoopConfig,
    running: Session,
    *,
    workdir: pathlib.Path,
) -> dict[str, Any]:
    mesh = make_mesh(section(MeshConfig, config.mesh))
    distributed.share_batches(mesh)
    stage = build(config, workdir=workdir)
    callbacks = []
    run_config = json.loads(config.to_json())
    run_config["digests"] = Towers(config, workdir=workdir).digests()
    run_config["digests"] |= stage.digests()
    run_config["reads"] = sorted(_EITHER & stage.step_shapes().batch.keys())
    if trained := stage.sampled():
        callbacks.append(_samples(trained, config, run_config, workdir=workdir))
    optimizer = section(OptimizerConfig, config.optimizer)
    check_batches(config, mesh)
    # What places activations and shares out attention.
    with jax.set_mesh(mesh):
        return loop.train(
            stage,
            loop_config,
            optimizer=optimizer,
            workdir=workdir,
            mesh=mesh,
            run_config=run_config,
            seed=config.seed,
            profile=config.profile,
            callbacks=callbacks,
            session=running,
        )


def check_batches(config: Any, mesh: Mesh) -> None:
    """That a run's batches divide over the mesh.

    Raises:
      UserError: with the nearest sizes that divide.
    """
    accumulation = config.optimizer.accumulation
    check_batch(config.batch.size, mesh, accumulation=accumulation)
    if config.batch.buckets:
        name = "batch.multiple"
        check_batch(config.batch.multiple, mesh, accumulation=accumulation, name=name)


@contextlib.contextmanager
def _compiled_kept(folder: pathlib.Path | None) -> Iterator[None]:
    """Compiled programs outlive the process, there or where the environment says."""
    given = jax.config.jax_compilation_cache_dir
    if not given and folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    yield
    jax.config.update("jax_compilation_cache_dir", given)


def _samples(
    trained: str, config: Any, run_config: dict[str, Any], *, workdir: pathlib.Path
) -> Callback:
    """Samples of one generator under held-out prompts, always the same ones from the same
    noise.

    The prompts are Cel World's, also of a stage that trains on other clips: what they ask
    for is known, and the same from run to run. Their odds are the config's, so that of a
    stage on Cel World they are those of its clips.
    """
    towers = Towers(config, workdir=workdir)
    parts = {name: towers.component(name) for name in towers.model.networks}
    parts[trained] = Component(
        name=trained, config=run_config, params={}, tokenizer=None, source="here"
    )
    missing = [f"init.{name}" for name, part in parts.items() if part is None]
    if missing:
        raise UserError(
            f"stage {config.stage!r} needs --config.{' and --config.'.join(missing)}"
        )
    pipeline = Pipeline.from_components(parts)
    model = pipeline.preset
    world = CelWorld(
        seed=seeds.SHOWN,
        size=_PROMPTS,
        split="test",
        height=model.height,
        width=model.width,
        odds=config.data.odds,
    )
    given = None
    if towers.refers:
        first = np.stack([world[i].video[0] for i in range(_PROMPTS)])
        given = pipeline.given(first)
    return ValidationSamples(
        pipeline=pipeline,
        prompts=[
            Prompt(
                name=str(i), text=world.narrative(i).summary, tags=world.spec(i).tags
            )
            for i in range(_PROMPTS)
        ],
        folder=workdir / config.stage,
        given=given,
    )
