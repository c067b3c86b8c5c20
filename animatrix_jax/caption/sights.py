"""Looked-at clips of Cel World on disk, drawn once: what AniCaption trains on.

    clip i  --CelWorld--> video --worn--> --look--> folder/000256/{pictures,...}.npy

Half of the training clips are drawn by the world's own odds. The other half each demand
one value, all values in turn, so that the rare ones are seen as well: `weight` below says
how much more often a value is met there than by its own odds. Sizes, lengths and wear
vary; clips of `plain=True` are whole, square and fresh, by the world's own odds. Chunks
are written whole or not at all, so a call that was stopped goes on where it was.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import tqdm
from jaxtyping import Int

from animatrix_jax.caption.sight import Sight, SightConfig, look
from animatrix_jax.caption.wear import worn
from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data.drawing import plain_main
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.taxonomy import load_taxonomy

_RECIPE = 2  # of what `draw` does; another number is another folder
_WIDE = (1.0, 4 / 3, 16 / 9)
_STRIDE, _STREAM = 1 << 20, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class SightsConfig:
    """Which clips.

    Attributes:
      count: how many.
      seed, split: of Cel World.
      height: of the frames, in pixels, before wear.
      demand: half of the clips demand a value.
      vary: lengths, aspects and wear are drawn; else clips are whole, square and fresh.
      chunk: clips that are drawn and written at a time.
      sight: what is looked at.
    """

    count: int
    seed: int = 0
    split: str = "train"
    height: int = 128
    demand: bool = True
    vary: bool = True
    chunk: int = 128
    sight: SightConfig = dataclasses.field(default_factory=SightConfig)

    def name(self) -> str:
        """Of the folder: all but `count`, which may grow, and the taxonomy's tags."""
        said = dataclasses.asdict(self) | {
            "count": 0,
            "recipe": _RECIPE,
            "drawn": {f: list(t) for f, t in WEIGHTS.items()},
        }
        text = json.dumps(said, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"sights-{self.split}-seed{self.seed}-{digest}"


class Sights:
    """Random access to looked-at clips, after those that are missing are drawn.

    Args:
      folder: where chunks are.
      config: which clips.
      workers: processes that draw; 0 draws in this one.
    """

    def __init__(
        self, folder: str | os.PathLike, config: SightsConfig, *, workers: int = 2
    ):
        self._folder = pathlib.Path(folder) / config.name()
        self._count, self._size = config.count, config.chunk
        complete(self._folder, config, workers=workers)
        self.labels: list[dict[str, Any]] = []
        for start in range(0, config.count, config.chunk):
            text = (self._folder / f"{start:06d}" / "labels.json").read_text("utf-8")
            self.labels += json.loads(text)
        self.labels = self.labels[: config.count]

    def __len__(self) -> int:
        return self._count

    def take(self, rows: Int[np.ndarray, " n"] | range) -> Sight:
        """The sights of some clips, stacked."""
        taken = [
            {name: array[row % self._size] for name, array in self._chunk(row).items()}
            for row in map(int, rows)
        ]
        return {name: np.stack([t[name] for t in taken]) for name in taken[0]}

    def _chunk(self, row: int) -> Sight:
        return _opened(str(self._folder / f"{row // self._size * self._size:06d}"))


@functools.lru_cache(maxsize=4096)
def _opened(folder: str) -> Sight:
    paths = sorted(pathlib.Path(folder).glob("*.npy"))
    return {path.stem: np.load(path, mmap_mode="r") for path in paths}


def complete(folder: pathlib.Path, config: SightsConfig, *, workers: int) -> None:
    """Draws the chunks that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = [
        start
        for start in range(0, config.count, config.chunk)
        if not (folder / f"{start:06d}").is_dir()
    ]
    if not starts:
        return
    bar = tqdm.tqdm(
        total=len(starts) * config.chunk, desc="looking at clips", mininterval=1.0
    )
    with bar:
        if workers == 0:
            for start in starts:
                _write(folder, config, start)
                bar.update(config.chunk)
            return
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
            with plain_main():
                pending = [pool.submit(_write, folder, config, s) for s in starts]
            for done in concurrent.futures.as_completed(pending):
                done.result()
                bar.update(config.chunk)


def _write(folder: pathlib.Path, config: SightsConfig, start: int) -> None:
    temporary = folder / f".{start:06d}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    rows = [draw(config, index) for index in range(start, start + config.chunk)]
    for name in rows[0]["sight"]:
        stacked = np.stack([row["sight"][name] for row in rows])
        np.save(temporary / f"{name}.npy", stacked)
    labels = json.dumps([row["label"] for row in rows], ensure_ascii=False)
    (temporary / "labels.json").write_text(labels, encoding="utf-8")
    try:
        temporary.rename(folder / f"{start:06d}")
    except OSError:  # another process was first
        shutil.rmtree(temporary, ignore_errors=True)


def draw(config: SightsConfig, index: int) -> dict[str, Any]:
    """Clip `index`: its sight, and its label."""
    clip = draw_clip(config, index)
    label = {
        "tags": list(clip["tags"]),
        "summary": clip["summary"],
        "description": clip["description"],
    }
    return {"sight": look(clip["video"], config.sight), "label": label}


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
        every = drawn_tags()
        tags = (every[(index // 2) % len(every)],)
    shape = {"height": config.height, "width": width, "frames": frames}
    try:
        world = CelWorld(
            seed=config.seed, size=_STRIDE, split=config.split, tags=tags, **shape
        )
        clip = world[index]
    except UserError:  # a value that cannot be had alone
        world = CelWorld(seed=config.seed, size=_STRIDE, split=config.split, **shape)
        clip = world[index]
    video = worn(clip.video, rng) if config.vary else clip.video
    return {
        "video": video,
        "tags": clip.tags,
        "summary": clip.summary,
        "description": clip.description,
    }


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
