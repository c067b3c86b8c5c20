"""Candidates of the preference stage: the policy samples, the judge scores.

    N clips a prompt -> scores, and d(x) of their pixels -> ranked pairs (pairs.py)

Kept in the run's folder: `pairs.npz` (latents, indices, directives), and the closest
pairs for people to decide: `aside.jsonl`, the page `aside.html`, the clips in `aside/`.
"""

import functools
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.measures import measure
from animatrix_jax.data.writing import write_video
from animatrix_jax.errors import UserError
from animatrix_jax.files import write_lines
from animatrix_jax.judge.page import write_page
from animatrix_jax.judge.pairs import (
    CandidateConfig,
    PairLines,
    PairSet,
    RankedPairs,
    rank_pairs,
    split_held_out,
)
from animatrix_jax.judge.prompts import Prompts
from animatrix_jax.judge.scoring import SCALE, Scorer, composite, rejected
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest


def candidate_pairs(
    pipeline: Pipeline,
    scorer: Scorer,
    *,
    folder: pathlib.Path,
    config: CandidateConfig,
    prompts: Prompts,
    seed: int,
) -> PairSet:
    """The pairs in `folder`, made first if they are not there.

    Pairs that another generator, judge or setting made are made anew.

    Args:
      pipeline: the policy.
      scorer: the judge.
      folder: of the run.
      config: how candidates are made and paired.
      prompts: what the clips are asked to be.
      seed: of noise.

    Raises:
      UserError: if no pair survives.
    """
    drawn_from = _drawn_from(pipeline, config=config, prompts=prompts, seed=seed)
    made_from = _made_from(drawn_from, scorer, config)
    path = folder / "pairs.npz"
    if path.exists():
        pairs = PairSet.load(path)
        if pairs.made_from == made_from:
            return pairs
        logging.info("%s is of other weights or settings: made anew", path)
    texts, tags = prompts.texts, prompts.tags
    latents = _sample(
        pipeline,
        texts,
        tags,
        config=config,
        seed=seed,
        candidates=config.candidates,
    )
    flat = latents.reshape(-1, *latents.shape[2:])
    repeated = [clip for clip in tags for _ in range(config.candidates)]
    scores = scorer(flat, repeated, clip=False).reshape(*latents.shape[:2], -1)
    videos = pipeline.decode(flat)
    measures = [measure(video) for video in videos]
    shape = latents.shape[:2]
    deformation = np.array([m.deformation for m in measures]).reshape(shape)
    motion = np.array([m.motion for m in measures]).reshape(shape)
    ranked = rank_pairs(scores, deformation, config=config)
    logging.info("%d candidates: %s", len(flat), ranked)
    if not len(ranked.train):
        raise UserError(
            f"none of {len(flat)} candidates makes a pair ({ranked}); "
            "train the judge longer or sample more prompts"
        )
    train, held_out = split_held_out(
        ranked.train, prompts=len(prompts), share=config.held_out
    )
    pairs = PairSet(
        latents=latents,
        train=train,
        held_out=held_out,
        texts=texts,
        tags=tags,
        scores=scores,
        deformation=deformation,
        motion=motion,
        drawn_from=drawn_from,
        made_from=made_from,
        counts={
            "pairs": len(train),
            "pairs_held_out": len(held_out),
            "pairs_aside": len(ranked.aside),
        },
    )
    _write_aside(folder, ranked, videos, pairs, config, fps=pipeline.preset.fps)
    pairs.save(path)
    return pairs


def _sample(
    pipeline: Pipeline,
    texts: tuple[str, ...],
    tags: tuple[tuple[str, ...], ...],
    *,
    config: CandidateConfig,
    seed: int,
    candidates: int,
) -> np.ndarray:
    """Latents [p n t h w c]; every candidate has noise of its own."""
    request = GenerateRequest(steps=config.steps or None)
    sampler = pipeline.sampler_config(request)
    # Candidate-major: the first candidates of all prompts have noise 0, 1, 2, ...
    rows = np.tile(np.arange(len(texts)), candidates)
    with tqdm(total=len(rows), desc="candidates", unit="clip", mininterval=1.0) as bar:
        latents = pipeline.sample_latents_for(
            [tags[i] for i in rows],
            [texts[i] for i in rows],
            seed=seed,
            config=sampler,
            progress=bar.update,
        )
    latents = latents.reshape(candidates, len(texts), *latents.shape[1:])
    return latents.swapaxes(0, 1)


def before_and_after(
    pipeline: Pipeline,
    scorer: Scorer,
    *,
    pairs: PairSet,
    config: CandidateConfig,
    seed: int,
) -> dict[str, dict[str, float]]:
    """What the stage did: means over one clip a prompt, from the same noise.

    Args:
      pipeline: with the trained generator.
      scorer: the judge that ranked the candidates.
      pairs: whose first candidates are the clips of before.
      config, seed: as the candidates were made with.
    """
    latents = _sample(
        pipeline, pairs.texts, pairs.tags, config=config, seed=seed, candidates=1
    )[:, 0]
    measures = [measure(video) for video in pipeline.decode(latents)]
    scores = scorer(latents, pairs.tags, clip=False)
    return {
        "before": _means(
            pairs.scores[:, 0],
            pairs.deformation[:, 0],
            pairs.motion[:, 0],
            reject_below=config.reject_below,
        ),
        "after": _means(
            scores,
            np.array([m.deformation for m in measures]),
            np.array([m.motion for m in measures]),
            reject_below=config.reject_below,
        ),
    }


def _means(
    scores: np.ndarray,
    deformation: np.ndarray,
    motion: np.ndarray,
    *,
    reject_below: float,
) -> dict[str, float]:
    return {
        "score": round(float(composite(np.clip(scores, *SCALE)).mean()), 4),
        "rejected": round(float(rejected(scores, below=reject_below).mean()), 4),
        "deformation": round(float(deformation.mean()), 6),
        "motion": round(float(motion.mean()), 6),
    }


def _write_aside(
    folder: pathlib.Path,
    ranked: RankedPairs,
    videos: np.ndarray,
    pairs: PairSet,
    config: CandidateConfig,
    *,
    fps: float,
) -> None:
    """The closest pairs, the page on which people decide them, and their clips."""

    @functools.cache
    def written(prompt: int, candidate: int) -> str:
        name = pairs.clip_name(prompt, candidate)
        video = videos[prompt * config.candidates + candidate]
        write_video(folder / name, video, fps)
        return name

    said = PairLines(texts=pairs.texts, tags=pairs.tags, name=written)
    lines = list(said.aside(ranked.aside))
    write_lines(folder / "aside.jsonl", lines)
    write_page(folder / "aside.html", lines, clips=folder)
    logging.info("%s: %d pairs for people", folder / "aside.html", len(lines))


def _drawn_from(
    pipeline: Pipeline, *, config: CandidateConfig, prompts: Prompts, seed: int
) -> str:
    """Names the candidates, whichever judge looks at them."""
    parts: dict[str, Any] = {
        name: fingerprint(dict(pipeline.params[name])) for name in pipeline.params
    }
    parts |= {
        "prompts": prompts.digest,
        "candidates": config.candidates,  # which noise a clip has goes by their number
        "steps": config.steps,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _made_from(drawn_from: str, scorer: Scorer, config: CandidateConfig) -> str:
    """Names the pairs that the judge makes of them; people's answers come later."""
    settings = {k: v for k, v in vars(config).items() if k != "answers"}
    parts = {
        "drawn_from": drawn_from,
        "judge": fingerprint(scorer.params),
        "config": settings,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
