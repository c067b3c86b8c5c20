"""A dataset that `animatrix prepare` made, as a source of clips; no TensorFlow is needed.

The folder is a TFDS dataset in ArrayRecord. A row has a clip's video as H.264 with what is
known of it; beside the shards lies `columns.npz`, which has for every clip, in the same
order, what sampling must know: the curriculum's tables, the tier, the long-tail weight, the
length, the aspect and a code of the file it was cut from. A record is a window at a random time in its clip.
"""

import copy
import io
import os
import pathlib
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float, UInt64

from animatrix_jax.data import video
from animatrix_jax.data.curriculum import ClipTables
from animatrix_jax.data.records import Record
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.encoding import MAX_TAGS

COLUMNS = "columns.npz"
TIERS = ("B", "A", "S")
TABLES = ("axes", "clusters", "motion", "deformation")
_REPLACEMENTS = 16
_LOCK = threading.Lock()


class DatasetSource:
    """Clips of a prepared dataset.

    Args:
      folder: what `animatrix prepare` wrote.
      frames, fps, height, width: the shape of a record's video.
      tiers: which of B, A and S; empty for all.
      max_tags: of a clip; one with more is set aside.

    Raises:
      UserError: if it is no dataset, or has no clip that is long enough in the tiers.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        frames: int,
        fps: video.Real,
        height: int,
        width: int,
        tiers: Sequence[str] = (),
        max_tags: int = MAX_TAGS,
    ):
        self.folder = pathlib.Path(folder)
        self._shape = {"frames": frames, "fps": fps, "height": height, "width": width}
        self._needed = video.seconds_needed(frames, fps)
        self.set_aside: dict[str, str] = {}
        self.failures = 0
        columns = read_columns(self.folder)
        wanted = in_tiers(columns, tiers, self.folder)
        long_enough = columns["seconds"] > self._needed
        for clip in np.flatnonzero(wanted & ~long_enough):
            seconds = columns["seconds"][clip]
            self.set_aside[f"clip {clip}"] = (
                f"too short: {seconds:.2f} s, expected {self._needed:.2f} s"
            )
        fits = few_enough(columns, max_tags)
        for clip in np.flatnonzero(wanted & long_enough & ~fits):
            self.set_aside[f"clip {clip}"] = (
                f"{columns['tags'][clip]} tags, at most {max_tags} fit"
            )
        self.index = np.flatnonzero(wanted & long_enough & fits)
        if not len(self.index):
            raise UserError(
                f"{self.folder} has no clip of {self._needed:.2f} s or more"
                + (f" in tier {', '.join(tiers)}" if tiers else "")
            )
        self._columns = {name: column[self.index] for name, column in columns.items()}
        self._rows = open_rows(self.folder)
        logging.info(
            "%s: %d of %d clips, %d set aside",
            self.folder,
            len(self.index),
            len(columns["seconds"]),
            len(self.set_aside),
        )

    def __len__(self) -> int:
        return len(self.index)

    def record(self, index: int, rng: np.random.Generator) -> Record:
        """A window of clip `index`, or of another one if it does not decode.

        Raises:
          UserError: if a long row of clips failed one after the other.
        """
        for _ in range(_REPLACEMENTS):
            row = self._rows[int(self.index[index])]
            slack = row["frames"] / row["fps"] - self._needed
            start = rng.random() * slack
            try:
                pixels = video.read_video(
                    io.BytesIO(row["video"]), start=start, **self._shape
                )
            except video.VideoError as error:
                with _LOCK:
                    self.failures += 1
                    self.set_aside[f"clip {self.index[index]}"] = (
                        f"failed while training: {error}"
                    )
                index = int(rng.integers(len(self.index)))
                continue
            return told(row, index) | {"video": pixels}
        raise UserError(f"{_REPLACEMENTS} clips in a row did not decode: {self.folder}")

    def narrative(self, index: int) -> Record:
        """Tags and texts of clip `index`; its video is read too, not decoded."""
        return told(self._rows[int(self.index[index])], index)

    def tables(self, *, measured: bool = True) -> ClipTables:
        """The dataset's own columns."""
        return ClipTables(**{name: self._columns[name] for name in TABLES})

    @property
    def aspects(self) -> Float[np.ndarray, " n"]:
        """Width over height of each clip."""
        return self._columns["aspect"].astype(np.float64)

    @property
    def spans(self) -> Float[np.ndarray, " n"]:
        """Seconds from the first frame to the last that each clip has room for."""
        return self._columns["seconds"].astype(np.float64) - 2 * video.CLOCK_SLACK

    @property
    def file_codes(self) -> UInt64[np.ndarray, " n"]:
        """Of the file that each clip was cut from, for data/split.py."""
        return self._columns["source"]

    def only(self, clips: Sequence[int]) -> "DatasetSource":
        """Some of the clips; what is set aside is noted in common."""
        view = copy.copy(self)
        some = np.asarray(clips, np.int64)
        view.index = self.index[some]
        view._columns = {name: column[some] for name, column in self._columns.items()}
        return view

    def view(
        self, clips: Sequence[int], *, frames: int, height: int, width: int
    ) -> "DatasetSource":
        """Some of the clips, in another shape."""
        view = self.only(clips)
        view._shape = self._shape | {"frames": frames, "height": height, "width": width}
        view._needed = video.seconds_needed(frames, self._shape["fps"])
        return view


def told(row: dict[str, Any], index: int) -> Record:
    """A row without its pixels, as a record."""
    return {
        "tags": tuple(tag.decode() for tag in row["tags"]),
        "summary": row["summary"].decode(),
        "description": row["description"].decode(),
        "style_cluster": row["style_cluster"].decode(),
        "motion": float(row["motion"]),
        "deformation": float(row["deformation"]),
        "clip_id": index,
    }


def read_columns(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """The columns beside the shards.

    Raises:
      UserError: if the folder is no dataset, or one that is not finished.
    """
    path = folder / COLUMNS
    if not path.is_file() or not (folder / "dataset_info.json").is_file():
        raise UserError(
            f"{folder} is no prepared dataset, or one that was stopped halfway: call "
            "animatrix prepare (again)"
        )
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    # Prepared before files were noted: each clip stands for itself, in the order of ids.
    each = np.arange(len(columns["tier"]), dtype=np.uint64)
    return {"source": each} | columns


def in_tiers(
    columns: dict[str, np.ndarray], tiers: Sequence[str], folder: pathlib.Path
) -> np.ndarray:
    """Which clips [n] are in one of `tiers`, or in any if there are none.

    Raises:
      UserError: for another tier, or if no clip is in these.
    """
    unknown = sorted(set(tiers) - set(TIERS))
    if unknown:
        raise UserError(f"tier {unknown[0]!r} is not one of {', '.join(TIERS)}")
    if not tiers:
        return np.ones(len(columns["tier"]), bool)
    wanted = np.isin(columns["tier"], [TIERS.index(tier) for tier in tiers])
    if not wanted.any():
        counts = np.bincount(columns["tier"], minlength=len(TIERS))
        has = ", ".join(f"{n} in {tier}" for tier, n in zip(TIERS, counts.tolist()))
        raise UserError(f"{folder} has no clip in tier {', '.join(tiers)}: {has}")
    return wanted


def few_enough(columns: dict[str, np.ndarray], max_tags: int) -> np.ndarray:
    """Which clips [n] have `max_tags` tags or fewer."""
    if "tags" not in columns:  # prepared before they were counted
        return np.ones(len(columns["tier"]), bool)
    return columns["tags"] <= max_tags


def open_rows(folder: pathlib.Path) -> Any:
    """The rows by number, as TFDS reads them."""
    builder = import_tfds().builder_from_directory(folder)
    return builder.as_data_source()["train"]


def features(kinds: dict[str, str]) -> Any:
    """The features of a row.

    Args:
      kinds: of each measure: float, bool, text, floats or texts.
    """
    f = import_tfds().features
    text, number = f.Text(), f.Scalar(np.float32)
    by_kind = {
        "float": number,
        "bool": f.Scalar(np.bool_),
        "text": text,
        "floats": f.Sequence(number),
        "texts": f.Sequence(text),
    }
    schema = {
        "clip_id": text,
        "source": text,
        "start": f.Scalar(np.float64),
        "end": f.Scalar(np.float64),
        "video": f.Scalar(np.object_),
        "frames": f.Scalar(np.int32),
        "height": f.Scalar(np.int32),
        "width": f.Scalar(np.int32),
        "fps": f.Scalar(np.float64),
        "tier": text,
        "labelled_by": text,
        "tags": f.Sequence(text),
        "confidence": f.Sequence({"field": text, "value": number}),
        "summary": text,
        "description": text,
        "style_cluster": text,
    }
    schema |= {name: number for name in ("aspect", "blank", "blur", "text", "change")}
    schema |= {name: by_kind[kind] for name, kind in kinds.items()}
    return f.FeaturesDict(schema)


def import_tfds() -> Any:
    """TFDS, which reads and writes the shards.

    Raises:
      UserError: if it is not installed.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(
            "datasets need TFDS: pip install '.[train]' in a clone"
        ) from error
    return tensorflow_datasets
