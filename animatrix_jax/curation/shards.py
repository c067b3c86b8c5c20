"""Kept clips into the shards of a TFDS dataset, rewriting only those that change.

    shard of a clip = the first k bits of its id,  2^k >= clips / SHARD_CLIPS

A shard holds its clips in the order of their ids, so what it holds follows from the clips
alone, however many calls brought them. Next to the work lies each shard's list of rows; a
shard whose list is as it was stays as it is. One that changes takes the videos that it
held before, or that another shard held, from there, and those that are new from the work
folder: a clip is encoded once.
"""

import collections
import dataclasses
import hashlib
import io
import json
import math
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from array_record.python import array_record_module
from etils import epath

from animatrix_jax.curation.journal import Path, read_lines
from animatrix_jax.curation.tasks import media_path
from animatrix_jax.data import video
from animatrix_jax.data.dataset import features, import_tfds
from animatrix_jax.files import replacing

NAME, SPLIT = "animatrix_clips", "train"
SHARD_CLIPS = 1024
_SUFFIX = "array_record"


def count_shards(clips: int) -> int:
    """How many shards so many clips take."""
    return 2 ** max(0, math.ceil(math.log2(max(clips, 1) / SHARD_CLIPS)))


def shard_of(name: str, shards: int) -> int:
    """The shard of a clip of an id of 16 hexadecimal digits."""
    return int(name, 16) * shards >> 64


def shard_name(shard: int, name: str = NAME) -> str:
    """The file of a shard."""
    return f"{name}-{SPLIT}.{_SUFFIX}-{shard:05d}"


@dataclasses.dataclass
class FillShards:
    """Fills shards: `{"shard", "list", "out"}`.

    Args:
      media: where new videos lie.
      dataset: the dataset as it is, with the shards of the last call.
      lists: the lists of those shards.
      shards: how many of them there are; 0 for none.
      kinds: the measures' names with the kind of each.
    """

    media: str
    dataset: str
    lists: str
    shards: int
    kinds: dict[str, str]

    def setup(self) -> None:
        self._last: tuple[int, dict[str, int], Any] = (-1, {}, None)

    def __call__(self, item: dict[str, Any]) -> None:
        target = epath.Path(item["out"])
        if target.exists():
            return
        schema = features(self.kinds)
        rows = read_lines(item["list"])
        with tempfile.TemporaryDirectory() as folder:
            made = os.path.join(folder, "shard")
            writer = array_record_module.ArrayRecordWriter(made, "group_size:1")
            for row in rows:
                example = _example(row, self._video(row["clip_id"]))
                writer.write(schema.serialize_example(example))
            writer.close()
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as partial:
                if "://" in os.fspath(target):
                    epath.Path(made).copy(partial, overwrite=True)
                else:
                    shutil.copyfile(made, partial)

    def _video(self, name: str) -> bytes:
        path = media_path(self.media, name)
        if path.exists():
            return path.read_bytes()
        shard = shard_of(name, self.shards)
        if shard != self._last[0]:
            rows = enumerate(read_lines(_list(self.lists, shard)))
            places = {row["clip_id"]: place for place, row in rows}
            self._last = (shard, places, _reader(self.dataset, shard))
        _, places, reader = self._last
        place = places[name]
        (record,) = reader.read(place, place + 1)
        return features(self.kinds).deserialize_example_np(record)["video"]


def _reader(dataset: Path, shard: int) -> Any:
    path = epath.Path(dataset) / shard_name(shard)
    if "://" not in os.fspath(path):
        return array_record_module.ArrayRecordReader(os.fspath(path))
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, path.name)
        path.copy(copy)
        # Open, it outlives its name.
        return array_record_module.ArrayRecordReader(copy)


def _list(lists: Path, shard: int) -> epath.Path:
    return epath.Path(lists) / f"{shard:05d}.jsonl"


def write_lists(
    rows: Iterable[dict[str, Any]], folder: Path, shards: int
) -> dict[int, str]:
    """Writes the list of every shard, sorted; returns the sha256 of each."""
    folder = epath.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    with tempfile.TemporaryDirectory() as local:  # a bucket does not append
        _spread(rows, pathlib.Path(local), shards)
        for shard in range(shards):
            path = _list(local, shard)
            # The id is first, so lines sort by it.
            lines = sorted(path.read_text().splitlines()) if path.exists() else []
            text = "".join(line + "\n" for line in lines)
            _list(folder, shard).write_text(text)
            digests[shard] = hashlib.sha256(text.encode()).hexdigest()
    return digests


def _spread(rows: Iterable[dict[str, Any]], folder: pathlib.Path, shards: int) -> None:
    """Appends each row to its shard's list, some thousand at a time."""
    waiting: dict[int, list[str]] = collections.defaultdict(list)

    def flush() -> None:
        for shard, lines in waiting.items():
            with open(_list(folder, shard), "a") as file:
                file.writelines(line + "\n" for line in lines)
        waiting.clear()

    for held, row in enumerate(rows):
        line = json.dumps({"clip_id": row["clip_id"]} | row)
        waiting[shard_of(row["clip_id"], shards)].append(line)
        if held % (4 * SHARD_CLIPS) == 0:
            flush()
    flush()


def _example(row: dict[str, Any], data: bytes) -> dict[str, Any]:
    info = video.probe(io.BytesIO(data))
    told = {
        "video": data,
        "frames": info.frames,
        "height": info.height,
        "width": info.width,
        "source": row["source"].encode("utf-8", "surrogateescape"),
        "confidence": [
            {"field": key, "value": value} for key, value in row["confidence"].items()
        ],
    }
    return row | told


def read_rows(dataset: Path, shard: int) -> Iterator[dict[str, Any]]:
    """The rows of a shard of a dataset, with their videos."""
    schema = import_tfds().builder_from_directory(dataset).info.features
    reader = _reader(dataset, shard)
    for place in range(reader.num_records()):
        (record,) = reader.read(place, place + 1)
        yield schema.deserialize_example_np(record)


def write_info(
    folder: Path,
    *,
    name: str = NAME,
    schema: Any,
    lengths: list[int],
    sizes: list[int],
    metadata: dict[str, Any],
) -> None:
    """Writes dataset_info.json, features.json and metadata.json of shards."""
    tfds = import_tfds()
    core = tfds.core
    identity = core.dataset_info.DatasetIdentity(
        name=name,
        version=core.Version("1.0.0"),
        data_dir=os.fspath(folder),
        module_name=__name__,
    )
    info = core.DatasetInfo(
        builder=identity,
        features=schema,
        description="Clips of anime with their tags, texts and measures.",
        metadata=core.MetadataDict(metadata),
    )
    info.set_file_format("array_record")
    template = core.naming.ShardedFileTemplate(
        dataset_name=name,
        data_dir=epath.Path(folder),
        split=SPLIT,
        filetype_suffix=_SUFFIX,
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
    )
    split = core.SplitInfo(
        name=SPLIT,
        shard_lengths=lengths,
        num_bytes=sum(sizes),
        filename_template=template,
    )
    info.set_splits(core.splits.SplitDict([split]))
    info.write_to_directory(folder)


def kinds_of(found: dict[str, Any]) -> dict[str, str]:
    """The kind of each measure that a feature is made for, by an example of it."""
    kinds = {}
    for name, value in found.items():
        match value:
            case bool():
                kinds[name] = "bool"
            case str():
                kinds[name] = "text"
            case int() | float() | np.floating():
                kinds[name] = "float"
            case list() | tuple():
                text = any(isinstance(item, str) for item in value)
                kinds[name] = "texts" if text else "floats"
            case _:
                raise ValueError(f"measure {name}: no feature for {value!r}")
    return kinds
