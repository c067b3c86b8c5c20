"""The whole evaluation of a checkpoint: sample the suite, score it, write what came out.

OUT/summary.json       stages, samples, evaluation
OUT/samples/000.mp4    one clip a prompt
OUT/report.html        all of it, to look at
"""

import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from jaxtyping import UInt8
from tqdm import tqdm

from animatrix_jax.data.writing import write_video
from animatrix_jax.errors import UserError
from animatrix_jax.evaluation.dimensions import (
    LABELS,
    Dimension,
    Evidence,
    score_dimensions,
)
from animatrix_jax.evaluation.instruments import Probe, collect
from animatrix_jax.evaluation.report import (
    ClipCard,
    FieldRow,
    Report,
    StageCurve,
    write_report,
)
from animatrix_jax.evaluation.suite import Suite, held_out_suite
from animatrix_jax.files import replacing
from animatrix_jax.judge.model import HEADS
from animatrix_jax.judge.scoring import Scorer
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.sampling.conditioning import Given
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.sampling.sampler import SamplerConfig
from animatrix_jax.training.config import SourceConfig
from animatrix_jax.training.weights import STAGE_ORDER, load_component
from animatrix_jax.training.writers import read_metrics

# Prompts that the other model draws too.
_BESIDE = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What to evaluate, on how much.

    Attributes:
      checkpoint: a packaged name or a run's folder.
      prompts: how many prompts of the suite.
      out: folder of the results.
      steps: solver steps; None for the model's default.
      seed: of the samples' noise and of the intervals.
      stage: of a run; empty for the latest.
      probe: the AniCaption that reads tags back: a packaged name or a run's folder.
      beside: another model, whose samples of the first prompts are shown, not scored.
    """

    checkpoint: str
    prompts: int
    out: pathlib.Path
    steps: int | None = None
    seed: int = 0
    stage: str = ""
    probe: str = "nano"
    beside: str = ""


def evaluate(request: EvaluationRequest) -> dict[str, Any]:
    """Evaluates and writes everything; returns what summary.json holds.

    Raises:
      UserError: if the checkpoint lacks a part, or the folder cannot be written.
    """
    start = time.monotonic()
    if request.prompts < 2:
        raise UserError(
            f"intervals need 2 prompts or more, got --prompts={request.prompts}"
        )
    pipeline = Pipeline.load(request.checkpoint, request.stage)
    preset = pipeline.preset
    # Now, and not when the samples have been made.
    probe = Probe.load(request.probe)
    other = Pipeline.load(request.beside) if request.beside else None
    scorer = _scorer(request.checkpoint, request.stage)
    samples_folder = request.out / "samples"
    try:
        samples_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {request.out}: {error.strerror}") from error
    suite = held_out_suite(
        request.prompts,
        frames=preset.frames,
        height=preset.height,
        width=preset.width,
        odds=_odds(request),
    )
    sampler = pipeline.sampler_config(GenerateRequest(steps=request.steps))
    with tqdm(total=request.prompts, desc="sampling", unit="clip") as bar:
        latents = pipeline.sample_latents_for(
            [prompt.tags for prompt in suite.prompts],
            [prompt.text for prompt in suite.prompts],
            seed=request.seed,
            config=sampler,
            given=_first_frames(pipeline, suite.real[:, 0]),
            progress=bar.update,
        )
    videos = pipeline.decode(latents)
    beside = [] if other is None else _drawn_beside(other, suite, request)
    judge, judge_real = None, None
    if scorer is not None:
        tags = [prompt.tags for prompt in suite.prompts]
        judge = scorer(latents, tags)
        judge_real = scorer(encode_clips(pipeline, suite.real), tags)
    evidence = collect(videos, suite, probe=probe, judge=judge, judge_real=judge_real)
    dimensions = score_dimensions(evidence, seed=request.seed)
    rows = field_rows(evidence)
    records = []
    for prompt, video in zip(suite.prompts, videos):
        path = samples_folder / f"{prompt.index:03d}.mp4"
        write_video(path, video, preset.fps)
        records.append(
            {
                "path": str(path.relative_to(request.out)),
                "prompt": prompt.text,
                "tags": list(prompt.tags),
            }
        )
    stages = read_stages(pathlib.Path(request.checkpoint))
    evaluation = {
        "dimensions": {d.name: _dimension_json(d) for d in dimensions},
        "fields": {row.key: _field_json(row) for row in rows},
        "judge_heads": _heads_json(judge, judge_real),
        "prompts": request.prompts,
        "sampler": dataclasses.asdict(sampler),
        "probe": request.probe,
        "preference": _preference_change(pathlib.Path(request.checkpoint)),
        "seconds": round(time.monotonic() - start, 1),
    }
    summary = {
        "checkpoint": request.checkpoint,
        "stages": [dict(stage.summary) for stage in stages],
        "samples": records,
        "evaluation": evaluation,
    }
    with replacing(request.out / "summary.json") as partial:
        text = json.dumps(summary, indent=1, ensure_ascii=False)
        partial.write_text(text, encoding="utf-8")
    write_report(
        request.out / "report.html",
        Report(
            title=request.checkpoint.rstrip("/"),
            facts=_facts(pipeline, request, sampler),
            fps=preset.fps,
            dimensions=dimensions,
            clips=_cards(videos, suite, probe, beside),
            beside=request.beside,
            stages=stages,
            fields=rows,
            notes=_notes(evaluation, scorer is not None),
            configs=_configs(pathlib.Path(request.checkpoint), stages, pipeline),
            footer=f"animatrix evaluate --checkpoint={request.checkpoint} "
            f"--prompts={request.prompts} --seed={request.seed}: "
            f"{evaluation['seconds']:.0f} s.",
        ),
    )
    logging.info("report: %s", request.out / "report.html")
    return summary


def _odds(request: EvaluationRequest) -> str:
    """The odds of the world that the generator saw, which its prompts come from too."""
    generator = load_component(request.checkpoint, "generator", stage=request.stage)
    return generator.config.get("data", {}).get("odds", SourceConfig.odds)


def read_stages(run: pathlib.Path) -> list[StageCurve]:
    """Summaries and curves of a run's finished stages, in the order they run."""
    stages = []
    for name in STAGE_ORDER:
        path = run / name / "summary.json"
        if path.exists():
            summary = json.loads(path.read_text(encoding="utf-8"))
            stages.append(StageCurve(summary=summary, metrics=read_metrics(run / name)))
    return stages


def field_rows(evidence: Evidence) -> list[FieldRow]:
    """Agreement over all fields, then field by field where any clip states it."""
    rows = []

    def add(key: str, columns: Any) -> None:
        sample = evidence.sample.agreement[:, columns]
        count = int((~np.isnan(sample)).reshape(len(sample), -1).any(axis=1).sum())
        if count:
            rows.append(
                FieldRow(
                    key=key,
                    sample=float(np.nanmean(sample)),
                    real=float(np.nanmean(evidence.real.agreement[:, columns])),
                    majority=float(np.nanmean(evidence.majority[:, columns])),
                    count=count,
                )
            )

    add("all fields", slice(None))
    for column, key in enumerate(evidence.fields):
        add(key, column)
    return rows


def _first_frames(
    pipeline: Pipeline, pictures: UInt8[np.ndarray, "n h w 3"]
) -> Given | None:
    """What first frames are to a model that makes clips of pictures; None to others."""
    if pipeline.preset.dit.frame_conditioning != "concat":
        return None
    size = pipeline.max_batch
    parts = [
        jax.tree.map(np.asarray, pipeline.given(pictures[start : start + size]))
        for start in range(0, len(pictures), size)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _scorer(checkpoint: str, stage: str) -> Scorer | None:
    """The judge, if there is one that reads the latents of the generator's VAE."""
    try:
        judge = load_component(checkpoint, "judge")
        generator = load_component(checkpoint, "generator", stage=stage)
        judge.check_tower(generator.tower("vae"))
        return Scorer.from_component(judge)
    except UserError as error:
        logging.warning("no Structural Stability: %s", error)
        return None


def encode_clips(pipeline: Pipeline, videos: np.ndarray) -> np.ndarray:
    """Latents [n t h w c] of clips, one by one."""
    clips = [pipeline.encode_frames(video[None]) for video in videos]
    return np.concatenate(clips)


def _drawn_beside(
    other: Pipeline, suite: Suite, request: EvaluationRequest
) -> Sequence[np.ndarray]:
    """What another model draws of the first prompts, by its own settings."""
    prompts = suite.prompts[:_BESIDE]
    latents = other.sample_latents_for(
        [prompt.tags for prompt in prompts],
        [prompt.text for prompt in prompts],
        seed=request.seed,
        config=other.sampler_config(GenerateRequest(steps=request.steps)),
        given=_first_frames(other, suite.real[: len(prompts), 0]),
    )
    return list(other.decode(latents))


def _cards(
    videos: np.ndarray,
    suite: Suite,
    probe: Probe,
    beside: Sequence[np.ndarray],
) -> list[ClipCard]:
    read = probe(videos).read
    index = {
        tag: value.index for tag, (_, value) in load_taxonomy().values_by_tag.items()
    }
    return [
        ClipCard(
            sample=video,
            real=real,
            prompt=prompt.text,
            asked={tag: bool(flags[index[tag]]) for tag in prompt.tags},
            beside=other,
        )
        for video, real, prompt, flags, other in itertools.zip_longest(
            videos, suite.real, suite.prompts, read, beside
        )
    ]


def _dimension_json(dimension: Dimension) -> dict[str, Any]:
    return {
        "label": LABELS[dimension.name],
        **dimension.score.rounded(),
        "parts": {name: round(value, 4) for name, value in dimension.parts.items()},
    }


def _field_json(row: FieldRow) -> dict[str, Any]:
    values = {"samples": row.sample, "real": row.real, "majority": row.majority}
    return {k: round(v, 4) for k, v in values.items()} | {"clips": row.count}


def _heads_json(
    judge: np.ndarray | None, real: np.ndarray | None
) -> dict[str, dict[str, float]]:
    if judge is None or real is None:
        return {}
    return {
        name: {
            "samples": round(float(judge[:, i].mean()), 4),
            "real": round(float(real[:, i].mean()), 4),
        }
        for i, name in enumerate(HEADS)
    }


def _preference_change(run: pathlib.Path) -> dict[str, Any]:
    path = run / "preference" / "change.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _facts(
    pipeline: Pipeline, request: EvaluationRequest, sampler: SamplerConfig
) -> list[str]:
    preset, guidance = pipeline.preset, sampler.guidance
    count = sum(leaf.size for leaf in jax.tree.leaves(pipeline.params["generator"]))
    return [
        f"{count / 1e6:.1f}M parameters" if count < 1e9 else f"{count / 1e9:.1f}B",
        (
            f"{preset.frames} frames of {preset.height} × {preset.width} "
            f"at {preset.fps} a second"
        ),
        f"{request.prompts} prompts",
        (
            f"{sampler.steps} steps, guidance {guidance.text:g} (text) and "
            f"{guidance.tag:g} (tags), {guidance.order.replace('_', ' ')}"
        ),
    ]


def _notes(evaluation: dict[str, Any], judged: bool) -> dict[str, str]:
    notes = {
        "The probe": f"The AniCaption of {evaluation['probe']}, which reads tags from "
        "pixels, trained on real Cel World clips of other seeds. What it cannot read on "
        "real clips it cannot measure on samples.",
        "Chance": "For tags the most common value of each field among the prompts; for "
        "distances an unrelated real clip.",
    }
    if not judged:
        notes["No judge"] = "Structural Stability needs a judge; this run has none."
    change = evaluation["preference"]
    if change:
        before, after = change["before"], change["after"]
        notes["What preference changed"] = (
            f"On its own prompts, judge score {before['score']:.2f} to "
            f"{after['score']:.2f}, rejected {before['rejected']:.0%} to "
            f"{after['rejected']:.0%}, deformation d(x) {before['deformation']:.4f} to "
            f"{after['deformation']:.4f}, motion m(x) {before['motion']:.4f} to "
            f"{after['motion']:.4f} frame heights a frame."
        )
    return notes


def _configs(
    run: pathlib.Path, stages: list[StageCurve], pipeline: Pipeline
) -> dict[str, Any]:
    from animatrix_jax.training import checkpoint

    configs: dict[str, Any] = {"model": dataclasses.asdict(pipeline.preset)}
    for stage in stages:
        name = stage.summary["name"]
        if checkpoint.latest_step(run / name / "checkpoints") is None:
            continue  # removed, to make room
        config = dict(checkpoint.read_config(run / name / "checkpoints"))
        config.pop("model", None)
        configs[f"stage {name}"] = config
    return configs
