"""Looked-at clips of Cel World on disk, drawn once: what AniCaption trains on.

    clip i  --CelWorld--> video --worn--> --look--> folder/000256/{pictures,...}.npy

Half of the training clips are drawn by the world's own odds. The other half each demand
one value, all values in turn, so that the rare ones are seen as well; those of fields that
are read well are demanded half as often. Sizes, lengths and wear vary; without `vary`
clips are whole, square and fresh.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from animatrix_jax.caption.sight import Sight, SightConfig, look
from animatrix_jax.caption.wear import worn
from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.cels.world import VERSION, CelWorld
from animatrix_jax.data.chunks import Chunks
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.taxonomy import load_taxonomy

_RECIPE = 3  # of what `draw` does; another number is another folder
_WIDE = (1.0, 4 / 3, 16 / 9)
# Fields that the form before read best by its benchmark, at a macro F1 of 0.74 or more:
# the one thing that the benchmark has said to the training.
_READ_WELL = (
    *("motion.timing", "camera.shot_size", "vfx.impact", "vfx.lines"),
    *("vfx.elemental", "vfx.energy", "vfx.composite"),
)
_STRIDE, _STREAM = 1 << 20, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class SightsConfig:
    """Which clips.

    Attributes:
      count: how many.
      seed, split: of Cel World.
      height: of the frames, in pixels, before wear.
      odds: how often Cel World draws each value (cels/odds.py).
      held_out: of the world whose characters, colours, bodies and places no training
        clip of the other stages has.
      demand: half of the clips demand a value.
      vary: lengths, aspects and wear are drawn; else clips are whole, square and fresh.
      chunk: clips that are drawn and written at a time.
      sight: what is looked at.
    """

    count: int
    seed: int = 0
    split: str = "train"
    height: int = 128
    odds: str = "broad"
    held_out: bool = False
    demand: bool = True
    vary: bool = True
    chunk: int = 128
    sight: SightConfig = dataclasses.field(default_factory=SightConfig)

    def name(self) -> str:
        """Of the folder: all but `count`, which may grow, and the taxonomy's tags."""
        said = dataclasses.asdict(self) | {
            "count": 0,
            "recipe": _RECIPE,
            "world": VERSION,
            "drawn": {f: list(t) for f, t in WEIGHTS.items()},
        }
        text = json.dumps(said, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"sights-{self.split}-seed{self.seed}-{digest}"


def open_sights(
    folder: str | os.PathLike, config: SightsConfig, *, workers: int = 2
) -> Chunks:
    """Looked-at clips, after those that are missing are drawn.

    Args:
      folder: where the streams' folders are.
      config: which clips.
      workers: processes that draw; 0 draws in this one.
    """
    return Chunks(
        pathlib.Path(folder) / config.name(),
        functools.partial(draw, config),
        count=config.count,
        size=config.chunk,
        workers=workers,
    )


def draw(config: SightsConfig, index: int) -> tuple[Sight, dict[str, Any]]:
    """Clip `index`: its sight, and its label."""
    clip = draw_clip(config, index)
    label = {
        "tags": list(clip["tags"]),
        "summary": clip["summary"],
        "description": clip["description"],
    }
    return look(clip["video"], config.sight), label


def draw_clip(config: SightsConfig, index: int) -> dict[str, Any]:
    """Clip `index` before it is looked at."""
    rng = np.random.default_rng((config.seed, index, _STREAM))
    frames, width = config.sight.frames, config.height
    if config.vary:
        if rng.random() < 0.3:
            frames = int(rng.integers(frames // 2 + 1, frames + 1))
        if rng.random() < 0.3:
            width = round(config.height * _WIDE[int(rng.integers(len(_WIDE)))])
    tags: tuple[str, ...] = ()
    if config.demand and index % 2:
        every = demanded_tags()
        tags = (every[(index // 2) % len(every)],)
    world = functools.partial(
        CelWorld,
        seed=config.seed,
        size=_STRIDE,
        split=config.split,
        odds=config.odds,
        held_out=config.held_out,
        height=config.height,
        width=width,
        frames=frames,
    )
    try:
        clip = world(tags=tags)[index]
    except UserError:  # a value that cannot be had alone
        clip = world()[index]
    video = worn(clip.video, rng) if config.vary else clip.video
    return {
        "video": video,
        "tags": clip.tags,
        "summary": clip.summary,
        "description": clip.description,
    }


@functools.lru_cache(maxsize=1)
def demanded_tags() -> tuple[str, ...]:
    """What training clips demand, in turn: tags of fields that are read well once, all
    others twice."""
    every = drawn_tags()
    hard = tuple(tag for tag in every if tag.partition("=")[0] not in _READ_WELL)
    return (*every, *hard)


@functools.lru_cache(maxsize=1)
def drawn_tags() -> tuple[str, ...]:
    """Every tag that Cel World draws."""
    known = load_taxonomy().values_by_tag
    return tuple(
        tag
        for field, table in WEIGHTS.items()
        for value in table
        if (tag := f"{field}={value}") in known
    )
