"""The latent cache: clips encoded once, so that drawing never starves a step.

The cache is a TFDS dataset in ArrayRecord, with `tables.npz` (the curriculum's columns)
beside it. TensorFlow is imported neither to write it nor to read it. Its metadata
carry the fingerprint of the encoder that made it, and another encoder's run is refused.
Folder: written under a temporary name and renamed when whole, so a folder that exists
is complete.
"""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tqdm
from jaxtyping import Float16, UInt8

from animatrix_jax.data import measures
from animatrix_jax.data.curriculum import ClipTables, build_tables
from animatrix_jax.data.drawing import draw_records
from animatrix_jax.data.records import Record, Source
from animatrix_jax.data.turns import batched
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.tags import style_cluster

EncodeFn = Callable[[np.ndarray], Any]
"""uint8 [n t h w 3] to normalised latents [n t' h' w' c], always of the same n."""

_NAME = "animatrix_latents"
_TABLES = "tables.npz"
_METADATA = "metadata.json"  # TFDS's own file name
_SHARD = 2048
_IN_MEMORY_BYTES = 2 << 30
_TEXTS = ("summary", "description", "style_cluster")
_NO_SCORES = np.full(4, np.nan, np.float32)


def read_metadata(folder: str | os.PathLike) -> dict[str, Any] | None:
    """`fingerprint`, `count` and `origin` of a cache, or None where there is none."""
    path = pathlib.Path(folder) / _METADATA
    if not path.is_file():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def write_latents(
    source: Source,
    encode_fn: EncodeFn,
    *,
    folder: str | os.PathLike,
    count: int,
    fingerprint: str,
    batch: int = 32,
    draw_workers: int = 2,
    seed: int = 0,
    origin: str = "",
) -> None:
    """Draws and encodes `count` clips of `source` into a new cache.

    Args:
      source: clips 0, 1, ... are taken, round and round if it has fewer than `count`.
      encode_fn: sees `batch` clips at a time, the last batch filled up with repeats.
      folder: replaced if it exists.
      count: clips to write.
      fingerprint: names the encoder.
      batch: clips an encoder call.
      draw_workers: processes that draw while this one encodes; 0 for none.
      seed: of the windows taken from real videos.
      origin: what the clips are, for a person or a resuming run to compare.

    Raises:
      UserError: if TFDS is not installed.
    """
    tfds = _import_tfds()
    folder = pathlib.Path(folder).absolute()
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    records = draw_records(source, count=count, seed=seed, workers=draw_workers)
    bar = tqdm.tqdm(total=count, desc="encoding clips", unit="clip", mininterval=1.0)
    writer, columns = None, []
    with bar:
        for some in batched(records, batch):
            latents = encode_videos(
                encode_fn,
                np.stack([record["video"] for record in some]),
                batch=batch,
                names=[record["clip_id"] for record in some],
            )
            if writer is None:
                metadata = {
                    "fingerprint": fingerprint,
                    "count": count,
                    "origin": origin,
                }
                writer = _open_writer(tfds, partial, latents.shape[1:], metadata)
            rows = [_row(*parts) for parts in zip(some, latents)]
            writer.add_examples({"train": rows})
            columns += [_columns(row) for row in rows]
            bar.update(len(rows))
    if writer is None:
        raise ValueError(f"expected a count of 1 or more, got {count}")
    writer.close_all()
    _tables(columns).save(partial / _TABLES)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def encode_videos(
    encode_fn: EncodeFn,
    videos: UInt8[np.ndarray, "n t h w 3"],
    *,
    batch: int,
    names: Sequence[Any] = (),
) -> Float16[np.ndarray, "n t2 h2 w2 c"]:
    """Latents of up to `batch` clips, by the program that is compiled for `batch`.

    Raises:
      ValueError: with the clips' `names`, if float16 does not hold the latents.
    """
    latents = np.asarray(encode_fn(videos[np.resize(np.arange(len(videos)), batch)]))
    largest = float(np.abs(latents.astype(np.float32)).max())
    if not largest < float(np.finfo(np.float16).max):
        raise ValueError(
            f"expected latents within float16, got {largest} in {list(names)}"
        )
    return latents[: len(videos)].astype(np.float16)


class LatentSource:
    """The clips of a cache, as a source of records with `latents` [t h w c].

    A small cache is held in memory, as float16; a large one is read clip by clip.

    Args:
      folder: what write_latents() wrote.
      fingerprint: of the encoder in use; empty takes whatever is there.

    Raises:
      UserError: if there is no cache, or another encoder made it.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        fingerprint: str = "",
        memory_bytes: int = _IN_MEMORY_BYTES,
    ):
        self.set_aside: dict[str, str] = {}
        folder = pathlib.Path(folder)
        metadata = read_metadata(folder)
        if metadata is None:
            raise UserError(f"no latent cache in {folder}")
        found = metadata["fingerprint"]
        if fingerprint and found != fingerprint:
            raise UserError(
                f"the latents in {folder} come from encoder {found[:12]}, expected"
                f" {fingerprint[:12]}: remove the folder to encode the clips again"
            )
        self.fingerprint = found
        self._clips = _import_tfds().builder_from_directory(folder).as_data_source()
        self._clips = self._clips["train"]
        self._clip_tables = ClipTables.load(folder / _TABLES)
        self._held: list[Record] = []
        first = _from_row(self._clips[0])["latents"]
        self.shape: tuple[int, ...] = first.shape
        if first.nbytes * len(self) <= memory_bytes:
            self._held = [_from_row(self._clips[n]) for n in range(len(self))]

    def __len__(self) -> int:
        return len(self._clips)

    def record(self, index: int, rng: np.random.Generator) -> Record:
        """Clip `index`; nothing is drawn."""
        if self._held:
            return self._held[index]
        return _from_row(self._clips[index])

    def narrative(self, index: int) -> Record:
        """The same record: it holds no pixels."""
        if self._held:
            return self._held[index]
        return _from_row(self._clips[index])

    def tables(self, *, measured: bool = True) -> ClipTables:
        """The columns beside the data set."""
        return self._clip_tables


def _import_tfds() -> Any:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(
            "latent caches need TFDS: pip install '.[train]' in a clone"
        ) from error
    return tensorflow_datasets


def _open_writer(
    tfds: Any, folder: pathlib.Path, shape: tuple[int, ...], metadata: dict[str, Any]
) -> Any:
    features = tfds.features
    text = features.Text()
    schema = {
        "latents": features.Tensor(shape=shape, dtype=np.float16, encoding="bytes"),
        "tags": features.Sequence(text),
        "motion": features.Scalar(np.float32),
        "deformation": features.Scalar(np.float32),
        "scores": features.Tensor(shape=(4,), dtype=np.float32),
        "clip_id": features.Scalar(np.int64),
    } | {name: text for name in _TEXTS}
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=_NAME,
        version=tfds.core.Version("1.0.0"),
        data_dir=str(folder),
        module_name=__name__,
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        features=features.FeaturesDict(schema),
        description="Clips encoded by a VAE, with their tags, texts and measures.",
        metadata=tfds.core.MetadataDict(metadata),
    )
    writer = tfds.core.SequentialWriter(
        info, max_examples_per_shard=_SHARD, file_format="array_record"
    )
    writer.initialize_splits(["train"])
    return writer


def _row(record: Record, latents: np.ndarray) -> Record:
    if "motion" not in record and len(record["video"]) > 1:
        measured = measures.measure(record["video"])
        record["motion"] = measured.motion
        record["deformation"] = measured.deformation
    scores = record.get("scores")
    cluster = record.get("style_cluster") or style_cluster(record["tags"])
    return {
        "latents": latents,
        "tags": list(record["tags"]),
        "summary": record["summary"],
        "description": record["description"],
        "style_cluster": cluster,
        "motion": float(record.get("motion", 0.0)),
        "deformation": float(record.get("deformation", 0.0)),
        "scores": _NO_SCORES if scores is None else np.asarray(scores, np.float32),
        "clip_id": int(record["clip_id"]),
    }


def _from_row(row: dict[str, Any]) -> Record:
    record: Record = dict(row)
    record |= {name: row[name].decode() for name in _TEXTS}
    record["tags"] = tuple(tag.decode() for tag in row["tags"])
    if np.isnan(row["scores"]).any():
        del record["scores"]
    return record


def _columns(row: Record) -> Record:
    names = ("tags", "style_cluster", "motion", "deformation")
    return {name: row[name] for name in names}


def _tables(columns: list[Record]) -> ClipTables:
    return build_tables(
        tags=[row["tags"] for row in columns],
        clusters=[row["style_cluster"] for row in columns],
        motion=[row["motion"] for row in columns],
        deformation=[row["deformation"] for row in columns],
    )
