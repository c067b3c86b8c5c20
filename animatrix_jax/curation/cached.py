"""A dataset's clips through a VAE and a text tower, once, for training to start from.

    dataset shard -> a window of each clip -> latents     float16 [t h w c]
                  -> its texts             -> vectors     float16 [n d], without padding

Beam gives the shards to the workers. One cache a shape, `latents-FRAMESxHEIGHTxWIDTH` in
the dataset's folder: a TFDS dataset of its own, whose shards stand for the dataset's. It
is named by the fingerprints of both encoders; training with others refuses it. A shard is
encoded anew if it changed, or if an encoder did. A clip too short for the shape has no
latents.

The window is the clip's middle: training from a cache sees the same frames each time.
"""

import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from absl import logging
from array_record.python import array_record_module
from etils import epath

from animatrix_jax.curation import shards
from animatrix_jax.curation.commit import commit, finish
from animatrix_jax.curation.encoders import BATCH, Encoders, encoders_of, hold
from animatrix_jax.curation.journal import write_whole
from animatrix_jax.curation.lock import alone
from animatrix_jax.curation.runner import Runner, write_lines
from animatrix_jax.curation.settings import digest
from animatrix_jax.data import prepared, video
from animatrix_jax.data.buckets import Shape
from animatrix_jax.data.dataset import import_tfds, read_columns, told
from animatrix_jax.data.turns import batched
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing

_COPIED = ("summary", "description", "style_cluster", "motion", "deformation")


def cache(
    dataset: str | os.PathLike,
    encoders: Encoders,
    *,
    shape: Shape | None = None,
    runner: Runner | None = None,
) -> dict[str, Any]:
    """Encodes a dataset in one shape, or what is new in it.

    Args:
      dataset: its folder, which every worker sees under this name.
      encoders: of a checkpoint, which every worker sees under its name.
      shape: frames, height and width; those of the checkpoint's generator if None.
      runner: where. On an accelerator `local` is one process.

    Returns:
      The folder, how many clips have latents, and how many shards were encoded now.

    Raises:
      UserError: if it is no dataset, none of its clips is long enough, the shape does not
        divide into tokens, or another call is at work in it.
    """
    folder = pathlib.Path(dataset).absolute()
    read_columns(folder)
    shape = encoders.shape if shape is None else shape
    schema = prepared.features(encoders.latent_shape(shape))
    runner = runner or Runner()
    if runner.name == "local" and jax.default_backend() != "cpu":
        runner = dataclasses.replace(runner, workers=1)
    with alone(epath.Path(folder / ".work")):
        return _cache(folder, encoders, shape, schema, runner)


def _cache(
    folder: pathlib.Path, encoders: Encoders, shape: Shape, schema: Any, runner: Runner
) -> dict[str, Any]:
    state = json.loads((folder / ".work" / "state.json").read_text())
    out = prepared.cache_folder(folder, shape)
    work = folder / ".work" / out.name
    work.mkdir(parents=True, exist_ok=True)
    finish(work)
    known = json.loads((out / "shards.json").read_text()) if out.is_dir() else {}
    marks = {n: digest(mark, *encoders.marks) for n, mark in state["marks"].items()}
    todo = [n for n, mark in marks.items() if known.get(n, {}).get("mark") != mark]
    task = EncodeShards(
        dataset=str(folder),
        work=str(work),
        checkpoint=encoders.checkpoint,
        marks=encoders.marks,
        shape=shape,
    )
    lines = work / "shards.todo"
    hold(encoders)
    if write_lines(lines, ({"shard": int(n), "mark": marks[n]} for n in todo)):
        with runner.ready() as running:
            running.map(task, lines, title=f"encoding shards, {out.name}", few=1)
    lines.unlink()
    made, entries = {}, dict(known)
    for n in todo:
        target, note = _files(work, marks[n])
        entries[n], made[int(n)] = json.loads(note.read_text()), target
    gone = [int(n) for n in entries if n not in marks]
    entries = {n: entries[n] for n in sorted(marks, key=int)}
    count = sum(len(entry["clips"]) for entry in entries.values())
    if not count:
        raise UserError(f"no clip of {folder} is long enough for {out.name}")
    # Columns may change and shards stay: the cache names the state that it is of.
    if made or gone or not prepared.is_of(out, folder):
        _finish(folder, out, work, encoders, schema, entries, made, gone)
    return {"folder": str(out), "clips": count, "encoded_shards": len(made)}


@dataclasses.dataclass(kw_only=True)
class EncodeShards:
    """Shards of a dataset to latents and vectors: `{"shard", "mark"}`."""

    dataset: str
    work: str
    checkpoint: str
    marks: tuple
    shape: Shape

    def setup(self) -> None:
        self._encoders = encoders_of(self.checkpoint, self.marks)

    def __call__(self, item: dict[str, Any]) -> None:
        target, note = _files(pathlib.Path(self.work), item["mark"])
        if target.exists() and note.exists():
            return
        with replacing(target) as partial:
            clips = self._fill(item["shard"], partial)
        found = {"mark": item["mark"], "clips": clips}
        write_whole(note, json.dumps(found).encode())

    def _fill(self, shard: int, target: pathlib.Path) -> list[int]:
        """Encodes a shard; returns the places in it of the clips that have latents."""
        encoders, kept = self._encoders, []
        schema = prepared.features(encoders.latent_shape(self.shape))
        writer = array_record_module.ArrayRecordWriter(str(target), "group_size:1")
        for some in batched(self._windows(shard), BATCH):
            latents = encoders.latents(np.stack([pixels for *_, pixels in some]))
            wanted = [t for _, record, _ in some for t in prepared.texts_of(record)]
            vectors = iter(encoders.texts(wanted))
            for (place, record, _), coded in zip(some, latents):
                row = {name: record[name] for name in _COPIED} | {
                    "tags": list(record["tags"]),
                    "latents": coded,
                    "short_text": next(vectors).tobytes(),
                    "whole_text": next(vectors).tobytes(),
                }
                writer.write(schema.serialize_example(row))
                kept.append(place)
        writer.close()
        return kept

    def _windows(self, shard: int) -> Iterator[tuple[int, dict[str, Any], np.ndarray]]:
        """The place in the shard, the record and the pixels of clips that are long
        enough."""
        (frames, height, width), fps = self.shape, self._encoders.fps
        needed = video.seconds_needed(frames, fps)
        for place, row in enumerate(shards.read_rows(self.dataset, shard)):
            slack = row["frames"] / row["fps"] - needed
            if slack < 0:
                continue
            try:
                pixels = video.read_video(
                    io.BytesIO(row["video"]),
                    frames=frames,
                    height=height,
                    width=width,
                    fps=fps,
                    start=slack / 2,
                )
            except video.VideoError as error:
                where = (shards.shard_name(shard), place)
                logging.warning("%s, clip %d has no latents: %s", *where, error)
                continue
            yield place, told(row, place), pixels


def _files(work: pathlib.Path, mark: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Of an encoded shard: where it lies until it is in its place, and what it holds."""
    return work / f"{mark}.shard", work / f"{mark}.note"


def _finish(
    dataset: pathlib.Path,
    out: pathlib.Path,
    work: pathlib.Path,
    encoders: Encoders,
    schema: Any,
    entries: dict[str, Any],
    made: dict[int, pathlib.Path],
    gone: list[int],
) -> None:
    """Puts the shards, and what says what they are, into their place at once."""
    new = work / "new"
    new.mkdir(exist_ok=True)

    def shard(n: int) -> pathlib.Path:
        return out / shards.shard_name(n, prepared.NAME)

    sizes = [made.get(int(n), shard(int(n))).stat().st_size for n in entries]
    shards.write_info(
        new,
        name=prepared.NAME,
        schema=schema,
        lengths=[len(entry["clips"]) for entry in entries.values()],
        sizes=sizes,
        metadata={
            "vae": encoders.vae_mark,
            "text": encoders.text_mark,
            "text_length": encoders.text_length,
            "fps": float(encoders.fps),
            "state": prepared.state_mark(dataset),
        },
    )
    (new / "shards.json").write_text(json.dumps(entries))
    builder = import_tfds().builder_from_directory(dataset)
    lengths = builder.info.splits[shards.SPLIT].shard_lengths
    firsts = np.cumsum([0, *lengths])
    index = [
        firsts[int(n)] + place
        for n, entry in entries.items()
        for place in entry["clips"]
    ]
    with (new / prepared.INDEX).open("wb") as file:
        np.savez(file, index=np.array(index, np.int64), empty=encoders.texts([""])[0])
    moves = [(path, shard(n)) for n, path in made.items()]
    moves += [(path, out / path.name) for path in sorted(new.iterdir())]
    commit(
        work,
        first_gone=[out / "dataset_info.json"],
        moves=moves,
        # Of a call that was killed there are files that it did not end.
        gone=[*(shard(n) for n in gone), *work.glob("*.note"), *work.glob("*.tmp")],
    )
