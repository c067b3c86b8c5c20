"""The clips of people's own files: a folder of videos, or a dataset prepared from one.

    files -> kept for validation (data/split.py) | trained on -> each side into buckets

Where nothing can be kept, validation is on clips that are trained on, and the log says so.
Each stage splits the clips that it reads: one of another tier may keep other files.
A dataset's clips come as latents where `animatrix prepare` encoded them in the model's
shape, or in that of every bucket; videos are read anew each time, a window drawn in each.
"""

import functools
import pathlib
from typing import Any

import jax
import numpy as np
from absl import logging

from animatrix_jax.data.buckets import Shape, sort_clips
from animatrix_jax.data.dataset import DatasetSource
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.folder import FolderSource
from animatrix_jax.data.pipeline import DataConfig
from animatrix_jax.data.prepared import PreparedLatents, cache_folder
from animatrix_jax.data.records import Source
from animatrix_jax.data.split import kept_clips
from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import SourceConfig, section
from animatrix_jax.training.stages.towers import Towers


class OwnClips:
    """Sources of people's clips; see clip_sources.py."""

    images: None = None
    """Images are frames of the clips."""

    def __init__(
        self,
        config: Any,
        *,
        workdir: pathlib.Path,
        towers: Towers,
        batches: DataConfig,
        pixels: bool,
    ):
        self._stage, self._workdir, self._towers = config.stage, workdir, towers
        self._model, self._batches = config.model, batches
        self._data = section(SourceConfig, config.data)
        self.pixels = pixels or not self._data.cached or not self._is_encoded()

    def _is_encoded(self) -> bool:
        """Whether a dataset has latents of the model's shape, or of every bucket's."""
        data = self._data
        if data.source != "dataset" or not data.path:
            return False
        shapes = [bucket.shape for bucket in self._batches.buckets] or [self._own_shape]
        missing = [s for s in shapes if not cache_folder(data.path, s).is_dir()]
        if missing and len(missing) < len(shapes):
            logging.warning(
                "%s has latents of some buckets and not of %s: videos are decoded. "
                "animatrix prepare --checkpoint --shapes encodes them",
                data.path,
                ", ".join("x".join(map(str, shape)) for shape in missing),
            )
        return not missing

    @property
    def _own_shape(self) -> Shape:
        return self._model.frames, self._model.height, self._model.width

    @property
    def text_ahead(self) -> bool:
        """Whether texts come as vectors: nothing may rewrite them on the way."""
        corruption = self._batches.corruption
        rewritten = corruption.synonym > 0 or corruption.conflict > 0
        return not (self.pixels or rewritten or self._batches.say_tags)

    @functools.cached_property
    def source(self) -> Source:
        """The training clips, in the model's own shape."""
        return self._only(np.flatnonzero(~self._kept))

    @functools.cached_property
    def held_out(self) -> Source:
        """The clips to validate with, in the model's own shape."""
        return self._only(self._to_validate(np.arange(len(self._whole))))

    @functools.cached_property
    def shaped(self) -> list[Source]:
        """The training clips of each bucket, in its shape."""
        some = [clips[~self._kept[clips]] for clips in self._places]
        return [self._shaped(place, clips) for place, clips in enumerate(some)]

    @functools.cached_property
    def held_out_shaped(self) -> list[Source]:
        """Those to validate with of each bucket, in its shape."""
        some = list(map(self._to_validate, self._places))
        for bucket, clips in zip(self._batches.buckets, some):
            if self._kept.any() and not self._kept[clips].all():
                logging.warning(
                    "%s: of the clips kept for validation too few go into bucket %s, "
                    "which is validated on clips that are trained on",
                    self._data.path,
                    bucket.name,
                )
        return [self._shaped(place, clips) for place, clips in enumerate(some)]

    @functools.cached_property
    def _kept(self) -> np.ndarray:
        """Which clips [n] are kept for validation: whole files, and none that a bucket
        has no others than."""
        codes, group = self._whole.file_codes, self._batches.group
        kept = kept_clips(codes, most=self._data.held_out)
        for clips in self._places:
            if (~kept[clips]).sum() < group:
                kept &= ~np.isin(codes, codes[clips])
        kept &= kept.sum() >= group
        if kept.any():
            logging.info(
                "%s: %d of %d clips, which are all of %d of %d files, are kept for "
                "validation",
                self._data.path,
                kept.sum(),
                len(kept),
                len(set(codes[kept].tolist())),
                len(set(codes.tolist())),
            )
        else:
            logging.warning(
                "%s: of %d clips from %d files none can be kept for validation, which "
                "is on clips that are trained on",
                self._data.path,
                len(kept),
                len(set(codes.tolist())),
            )
        return kept

    def _to_validate(self, clips: np.ndarray) -> np.ndarray:
        """Of some clips those that are kept, or the others where these are too few."""
        kept = self._kept[clips]
        return clips[kept if kept.sum() >= self._batches.group else ~kept]

    @functools.cached_property
    def _places(self) -> list[np.ndarray]:
        """The clips, kept or not, of each bucket."""
        if not self._batches.buckets:
            return [np.arange(len(self._whole))]
        found = sort_clips(
            self._batches.buckets,
            aspects=self._whole.aspects,
            seconds=self._whole.spans,
            fps=self._model.fps,
        )
        return found if self.pixels else list(map(self._encoded, self._ahead, found))

    @functools.cached_property
    def _ahead(self) -> list[PreparedLatents]:
        """The latents of each bucket's shape."""
        return [self._prepared(bucket.shape) for bucket in self._batches.buckets]

    def _encoded(self, latents: PreparedLatents, clips: np.ndarray) -> np.ndarray:
        """Those of some clips that have latents."""
        there = np.isin(self._whole.index[clips], latents.index)
        if not there.all():
            logging.warning(
                "%s: %d of %d clips have no latents",
                latents,
                (~there).sum(),
                len(clips),
            )
        if not there.any():
            raise UserError(f"none of {len(clips)} clips has latents in {latents}")
        return clips[there]

    def _only(self, clips: np.ndarray) -> Source:
        if len(clips) == len(self._whole):
            return self._whole
        return self._whole.only(clips.tolist())

    def _shaped(self, place: int, clips: np.ndarray) -> Source:
        """Some clips, in the shape of a bucket."""
        bucket = self._batches.buckets[place]
        if not self.pixels:
            return self._ahead[place].of(self._whole.index[clips].tolist())
        shape = {k: getattr(bucket, k) for k in ("frames", "height", "width")}
        return self._whole.view(clips.tolist(), **shape)

    @functools.cached_property
    def _whole(self) -> FolderSource | DatasetSource | PreparedLatents:
        """All clips, in the model's own shape."""
        data = self._data
        if not data.path:
            raise UserError(f"data={data.source} needs --config.data.path=DIR")
        # With buckets the videos say which clips go where, and are not decoded.
        if not self.pixels and not self._batches.buckets:
            return self._prepared(self._own_shape)
        shape = {
            "frames": self._least_frames,
            **{k: self._model[k] for k in ("fps", "height", "width")},
        }
        if data.source == "dataset":
            return DatasetSource(
                data.path,
                tiers=data.tiers,
                max_tags=self._batches.max_tags,
                **shape,
            )
        # Each process notes what it has set aside, the first where people look.
        apart = "" if distributed.is_first() else f"process_{jax.process_index()}"
        return FolderSource(
            data.path,
            labels=data.labels or None,
            workdir=self._workdir / self._stage / apart,
            max_tags=self._batches.max_tags,
            scored="directives" in self._batches.fields,
            **shape,
        )

    @property
    def _least_frames(self) -> int:
        """Frames of the shortest batches: a source leaves out what is shorter."""
        if not self._batches.buckets:
            return self._model.frames
        return min(bucket.frames for bucket in self._batches.buckets)

    def _prepared(self, shape: Shape) -> PreparedLatents:
        """The dataset's clips as they were encoded ahead in a shape, by this run's
        encoders."""
        return PreparedLatents(
            self._data.path,
            cache_folder(self._data.path, shape),
            tiers=self._data.tiers,
            max_tags=self._batches.max_tags,
            fps=self._model.fps,
            text_length=self._model.text_length,
            **self._marks,
        )

    @functools.cached_property
    def _marks(self) -> dict[str, str]:
        """Fingerprints of the encoders whose work is used."""
        marks = {}
        for name, config in (
            ("vae", self._towers.vae_config),
            ("text", self._towers.text_config),
        ):
            component = self._towers.component(name)
            if component is None:
                raise UserError(f"latents of a dataset need --config.init.{name}")
            params = component.params["encoder"] if name == "text" else component.params
            marks[name] = fingerprint(params, config)
        if not self.text_ahead:
            del marks["text"]
        return marks
