"""Latents and text vectors of a prepared dataset, as a source of clips.

`animatrix prepare --checkpoint=...` makes them (curation/cached.py). A record has `latents`
[t h w c] in place of its video, and `text_vectors`: what the text tower made of each text
that training may ask for (none, the summary, the summary and the description), by that
text. The cache names its encoders and the state of the dataset; others are refused.
"""

import copy
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt64

from animatrix_jax.data.buckets import Shape
from animatrix_jax.data.curriculum import ClipTables
from animatrix_jax.data.dataset import (
    COLUMNS,
    TABLES,
    few_enough,
    import_tfds,
    in_tiers,
    open_rows,
    read_columns,
    told,
)
from animatrix_jax.data.records import Record
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.encoding import MAX_TAGS

NAME, INDEX = "animatrix_encoded", "index.npz"
_METADATA = "metadata.json"  # TFDS's own file name


class PreparedLatents:
    """Encoded clips.

    Args:
      dataset: the folder of the dataset.
      folder: of the cache.
      tiers: which of B, A and S; empty for all.
      max_tags: of a clip; one with more is set aside.
      vae: fingerprint of the VAE in use; empty takes whatever is there.
      text: fingerprint of the text tower in use; empty leaves the text vectors out, for
        training that rewrites texts.
      fps: of the clips in use.
      text_length: tokens of a text in use.

    Attributes:
      index: the place in the dataset of each clip.

    Raises:
      UserError: if there is no cache, or it was made by another encoder or of another
        state of the dataset.
    """

    def __init__(
        self,
        dataset: str | os.PathLike,
        folder: str | os.PathLike,
        *,
        tiers: Sequence[str] = (),
        max_tags: int = MAX_TAGS,
        vae: str = "",
        text: str = "",
        fps: float,
        text_length: int,
    ):
        dataset, folder = pathlib.Path(dataset), pathlib.Path(folder)
        self._folder = folder
        self.set_aside: dict[str, str] = {}
        columns = read_columns(dataset)
        metadata = _metadata(folder)
        _check(folder, "latents", "VAE", metadata["vae"], vae)
        _check(folder, "text vectors", "text tower", metadata["text"], text)
        self._with_text = bool(text)
        # A cache of a version that did not say its rate has none.
        _check(folder, "latents", "frames/s", str(metadata.get("fps")), str(float(fps)))
        if text:
            found = str(metadata["text_length"])
            _check(folder, "text vectors", "text_length", found, str(text_length))
        if not is_of(folder, dataset):
            raise UserError(
                f"{folder} is of another state of {dataset}: call animatrix prepare"
                " with --checkpoint again (and --shapes, if it is of another shape)"
            )
        with np.load(folder / INDEX, allow_pickle=False) as file:
            index, self._empty = file["index"], file["empty"]
        wanted, fits = in_tiers(columns, tiers, dataset), few_enough(columns, max_tags)
        for clip in index[wanted[index] & ~fits[index]]:
            self.set_aside[f"clip {clip}"] = (
                f"{columns['tags'][clip]} tags, at most {max_tags} fit"
            )
        wanted = (wanted & fits)[index]
        self._places = np.flatnonzero(wanted)
        if not len(self._places):
            of = f" of tier {', '.join(tiers)}" if tiers else ""
            raise UserError(
                f"no clip{of} with {max_tags} tags or fewer has latents: {folder}"
            )
        self.index = index[self._places]
        names = ("source", *TABLES)
        self._columns = {name: columns[name][self.index] for name in names}
        self._rows = open_rows(folder)

    def __len__(self) -> int:
        return len(self._places)

    def record(self, index: int, rng: np.random.Generator) -> Record:
        """Clip `index`; nothing is drawn."""
        row = self._rows[int(self._places[index])]
        record = told(row, index) | {"latents": row["latents"]}
        if not self._with_text:
            return record
        short, whole = texts_of(record)
        width = self._empty.shape[-1]
        vectors = {
            text: np.frombuffer(row[name], np.float16).reshape(-1, width)
            for name, text in (("whole_text", whole), ("short_text", short))
        }
        record["text_vectors"] = vectors | {"": self._empty}
        return record

    def narrative(self, index: int) -> Record:
        """The same record: it holds no pixels."""
        return self.record(index, np.random.default_rng(0))

    def tables(self, *, measured: bool = True) -> ClipTables:
        """The dataset's own columns."""
        return ClipTables(**{name: self._columns[name] for name in TABLES})

    @property
    def file_codes(self) -> UInt64[np.ndarray, " n"]:
        """Of the file that each clip was cut from, for data/split.py."""
        return self._columns["source"]

    def __str__(self) -> str:
        return str(self._folder)

    def of(self, rows: Sequence[int]) -> "PreparedLatents":
        """Some clips, by their places in the dataset, of those that are in `index`."""
        return self.only(np.searchsorted(self.index, rows).tolist())

    def only(self, clips: Sequence[int]) -> "PreparedLatents":
        """Some of the clips."""
        view = copy.copy(self)
        some = np.asarray(clips, np.int64)
        view._places, view.index = self._places[some], self.index[some]
        view._columns = {name: column[some] for name, column in self._columns.items()}
        return view


def cache_folder(dataset: str | os.PathLike, shape: Shape) -> pathlib.Path:
    """Where latents of clips of a shape lie."""
    return pathlib.Path(dataset) / f"latents-{'x'.join(map(str, shape))}"


def texts_of(record: Record) -> tuple[str, str]:
    """The two texts that an uncorrupted clip is told by: short, and whole."""
    parts = (record["summary"], record["description"])
    return parts[0], " ".join(filter(None, parts))


def features(shape: Sequence[int]) -> Any:
    """Of a cache's rows: latents of `shape`, and text vectors as the bytes of float16."""
    f = import_tfds().features
    text, number = f.Text(), f.Scalar(np.float32)
    vectors = f.Scalar(np.object_)
    return f.FeaturesDict(
        {
            "latents": f.Tensor(shape=shape, dtype=np.float16, encoding="bytes"),
            "short_text": vectors,
            "whole_text": vectors,
            "tags": f.Sequence(text),
            "motion": number,
            "deformation": number,
        }
        | {name: text for name in ("summary", "description", "style_cluster")}
    )


def state_mark(dataset: str | os.PathLike) -> str:
    """Names the state of a dataset: which clips it has in which order, and what each of its
    shards holds."""
    dataset = pathlib.Path(dataset)
    data = (dataset / COLUMNS).read_bytes()
    path = dataset / _METADATA
    if path.is_file():  # a dataset of before says nothing of its shards
        said = json.loads(path.read_text(encoding="utf-8"))
        data += said.get("state", "").encode()
    return hashlib.sha256(data).hexdigest()


def is_of(folder: str | os.PathLike, dataset: str | os.PathLike) -> bool:
    """Whether a cache is of the state that a dataset is in now."""
    return _metadata(pathlib.Path(folder)).get("state") == state_mark(dataset)


def _metadata(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / _METADATA
    if not path.is_file() or not (folder / "dataset_info.json").is_file():
        raise UserError(f"no finished latents in {folder}")
    return json.loads(path.read_text(encoding="utf-8"))


def _check(
    folder: pathlib.Path, what: str, encoder: str, found: str, expected: str
) -> None:
    if expected and found != expected:
        raise UserError(
            f"the {what} in {folder} come from {encoder} {found[:12]}, and this run has"
            f" {expected[:12]}: call animatrix prepare with its --checkpoint, or train"
            " with --config.data.cached=False"
        )
