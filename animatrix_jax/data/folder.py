"""A folder of real videos, with or without labels, as a source of clips.

Every file is decoded once at the start. What cannot be used is set aside with its
reason (logged, written to set_aside.jsonl, counted) and the run goes on with the rest.
Labels are JSON lines with `video, start, end, tags, confidence, summary, description,
scores`: a labelled file gives one clip a line; a file without labels is cut into spans
of a few seconds that make no claim. A record is a window at a random time in its clip.
"""

import concurrent.futures
import copy
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import threading
from collections.abc import Sequence

import numpy as np
import tqdm
from absl import logging
from jaxtyping import Float, UInt8, UInt64

from animatrix_jax.data import measures, video
from animatrix_jax.data.curriculum import ClipTables, build_tables
from animatrix_jax.data.finding import find_videos, is_inside
from animatrix_jax.data.records import Record
from animatrix_jax.data.split import file_code
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.directive import Directive
from animatrix_jax.knowledge.encoding import MAX_TAGS
from animatrix_jax.knowledge.labels import parse_label
from animatrix_jax.knowledge.tags import style_cluster

LABELS = "labels.jsonl"
# Files longer than this are not decoded whole at the start, only at both ends.
_SCAN_SECONDS = 120.0
_REPLACEMENTS = 16
_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderClip:
    """A span of a file, in seconds, end exclusive, and its width over its height."""

    path: str
    start: float
    end: float
    directive: Directive
    aspect: float
    whole: bool = False  # the span is all of the file
    scores: tuple[float, ...] | None = None  # in the order of knowledge.labels.HEADS


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
    """What a usable file is: how long, and its width over its height."""

    seconds: float
    aspect: float


class FolderSource:
    """Clips from the videos below `folder`.

    Args:
      folder: searched recursively.
      files: only these, by their paths in the folder; None for all that are videos.
      frames, fps, height, width: the shape of a record's video.
      labels: a JSON-lines file; `labels.jsonl` in the folder if there is one.
      workdir: where set_aside.jsonl goes; nothing is written without it.
      span_seconds: how long the spans are that an unlabelled file is cut into.
      max_tags: of a clip; a label with more is set aside.
      scored: only clips with scores, for the judge: what has none is set aside, and
        those that were asked for the same come as neighbours, two by two.

    Raises:
      UserError: if the folder does not exist or holds no usable video.

    Attributes:
      clips: what it draws from.
      labelled: how many of them a label speaks of.
      set_aside: files and lines of labels that cannot be used, with the reason.
      failures: reads that failed although the file had been looked at.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        frames: int,
        fps: video.Real,
        height: int,
        width: int,
        files: Sequence[str] | None = None,
        labels: str | os.PathLike | None = None,
        workdir: str | os.PathLike | None = None,
        span_seconds: video.Real = 10.0,
        max_tags: int = MAX_TAGS,
        scored: bool = False,
    ):
        self.folder = pathlib.Path(folder)
        self._shape = {"frames": frames, "fps": fps, "height": height, "width": width}
        self._needed = video.seconds_needed(frames, fps)
        self._workdir = pathlib.Path(workdir) if workdir is not None else None
        self.set_aside: dict[str, str] = {}
        self.failures = 0
        self._scored, self._max_tags = scored, max_tags
        if not self.folder.is_dir():
            raise UserError(f"no such folder of videos: {self.folder}")
        if self._workdir is not None:
            self._workdir.mkdir(parents=True, exist_ok=True)
            (self._workdir / "set_aside.jsonl").write_text("")
        self._only = files
        paths = find_videos(self.folder) if files is None else list(files)
        usable = self._check_all(paths)
        labelled = self._read_labels(labels, usable)
        self.labelled = sum(map(len, labelled.values()))
        self.clips: list[FolderClip] = []
        for path, file in usable.items():
            if path in labelled:
                self.clips += labelled[path]
            elif scored:
                self._put_aside(path, "no label with scores")
            else:
                self.clips += _cut(path, file, max(span_seconds, self._needed))
        if scored:
            self.clips = _in_twos(self.clips)
        if not self.clips:
            raise UserError(self._nothing(len(paths)))
        logging.info(
            "%s: %d clips from %d of %d files, %d set aside",
            self.folder,
            len(self.clips),
            len(usable),
            len(paths),
            len(self.set_aside),
        )

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def aspects(self) -> Float[np.ndarray, " n"]:
        """Width over height of each clip's file."""
        return np.array([clip.aspect for clip in self.clips])

    @property
    def spans(self) -> Float[np.ndarray, " n"]:
        """Seconds from the first frame to the last that each clip has room for."""
        room = [clip.end - clip.start for clip in self.clips]
        return np.array(room) - 2 * video.CLOCK_SLACK

    @property
    def file_codes(self) -> UInt64[np.ndarray, " n"]:
        """Of each clip's file, for data/split.py."""
        codes = {path: file_code(path) for path in {c.path for c in self.clips}}
        return np.array([codes[clip.path] for clip in self.clips], np.uint64)

    def only(self, clips: Sequence[int]) -> "FolderSource":
        """Some of the clips; what is set aside is noted in common."""
        view = copy.copy(self)
        vars(view).pop("_measures", None)
        view.clips = [self.clips[clip] for clip in clips]
        if self._scored:
            # Without the one that comes again: it may find another neighbour now.
            once = {id(clip): clip for clip in view.clips}
            view.clips = _in_twos(list(once.values()))
        return view

    def view(
        self, clips: Sequence[int], *, frames: int, height: int, width: int
    ) -> "FolderSource":
        """Some of the clips, in another shape."""
        view = self.only(clips)
        view._shape = self._shape | {"frames": frames, "height": height, "width": width}
        view._needed = video.seconds_needed(frames, self._shape["fps"])
        return view

    def record(self, index: int, rng: np.random.Generator) -> Record:
        """A window of clip `index`, or of another clip if its file fails now.

        The replacement comes from `rng`, so that a draw is still a pure function.

        Raises:
          UserError: if a long row of clips failed one after the other.
        """
        for _ in range(_REPLACEMENTS):
            clip = self.clips[index]
            slack = clip.end - clip.start - self._needed
            start = clip.start + rng.random() * slack
            try:
                pixels = self._read(clip, start)
            except video.VideoError as error:
                with _LOCK:
                    self.failures += 1
                self._put_aside(clip.path, f"failed while training: {error}")
                index = int(rng.integers(len(self.clips)))
                continue
            return self.narrative(index) | {"video": pixels} | self._scores(index)
        raise UserError(f"{_REPLACEMENTS} clips in a row did not decode: {self.folder}")

    def middle(self, index: int) -> UInt8[np.ndarray, "t h w 3"]:
        """The window in the middle of clip `index`.

        Raises:
          VideoError: if its file fails now; it is set aside then.
        """
        clip = self.clips[index]
        slack = clip.end - clip.start - self._needed
        try:
            return self._read(clip, clip.start + slack / 2)
        except video.VideoError as error:
            self._put_aside(clip.path, f"failed when read again: {error}")
            raise

    def narrative(self, index: int) -> Record:
        """The labels of clip `index`."""
        directive = self.clips[index].directive
        return {
            "tags": directive.tags,
            "summary": directive.summary,
            "description": directive.description,
            "style_cluster": style_cluster(directive.tags),
            "clip_id": index,
        }

    def _scores(self, index: int) -> Record:
        scores = self.clips[index].scores
        return {} if scores is None else {"scores": np.array(scores, np.float32)}

    def tables(self, *, measured: bool = True) -> ClipTables:
        """Measures each clip once, at its middle, and remembers; images are still."""
        measured = measured and self._shape["frames"] > 1
        found = self._measures if measured else [measures.STILL] * len(self.clips)
        tags = [clip.directive.tags for clip in self.clips]
        return build_tables(
            tags=tags,
            clusters=[style_cluster(t) for t in tags],
            motion=[f.motion for f in found],
            deformation=[f.deformation for f in found],
        )

    @functools.cached_property
    def _measures(self) -> list[measures.Measures]:
        def measure(index: int) -> measures.Measures:
            try:
                return measures.measure(self.middle(index))
            except video.VideoError:
                return measures.STILL

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(
                tqdm.tqdm(
                    pool.map(measure, range(len(self.clips))),
                    total=len(self.clips),
                    desc="measuring clips",
                    disable=len(self.clips) < 100,
                )
            )

    def _read(self, clip: FolderClip, start: float) -> np.ndarray:
        return video.read_video(self.folder / clip.path, start=start, **self._shape)

    def _check_all(self, paths: list[str]) -> dict[str, _File]:
        """The usable files, in the order of the names."""
        files = {}
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            checks = pool.map(self._check, paths)
            bar = tqdm.tqdm(
                zip(paths, checks),
                total=len(paths),
                desc="reading videos",
                disable=len(paths) < 100,
            )
            for path, found in bar:
                if isinstance(found, str):
                    self._put_aside(path, found)
                else:
                    files[path] = found
        return files

    def _check(self, path: str) -> _File | str:
        """A file, or why it cannot be used."""
        full = self.folder / path
        if not is_inside(full, self.folder):
            return "it is a link that leaves the folder"
        try:
            info = video.probe(full)
            if info.seconds > _SCAN_SECONDS:
                one = {"frames": 1, "fps": 1.0, "height": 16, "width": 16}
                video.read_video(full, **one)
                video.read_video(full, start=0.95 * info.seconds, **one)
            else:
                info = video.scan(full)
        except video.VideoError as error:
            return str(error)
        if info.decoded == 1:
            return "too short: one frame"
        if info.seconds <= self._needed:
            return f"too short: {info.seconds:.2f} s, expected {self._needed:.2f} s"
        return _File(seconds=info.seconds, aspect=info.width / info.height)

    def _read_labels(
        self, labels: str | os.PathLike | None, files: dict[str, _File]
    ) -> dict[str, list[FolderClip]]:
        """Labelled clips by file; lines that cannot be used are set aside."""
        path = self.folder / LABELS if labels is None else pathlib.Path(labels)
        if not path.is_file():
            if labels is not None:
                raise UserError(f"no such label file: {path}")
            return {}
        clips: dict[str, list[FolderClip]] = {}
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                clip = self._parse_label(line, files)
            except UserError as error:
                self._put_aside(f"{path.name}:{number}", str(error))
                continue
            if clip is not None:
                clips.setdefault(clip.path, []).append(clip)
        return clips

    def _parse_label(self, line: str, files: dict[str, _File]) -> FolderClip | None:
        """One label; None if its file is set aside already, or not asked for."""
        label = parse_label(line)
        if self._scored and label.scores is None:
            raise UserError("no scores")
        if len(label.tags) > self._max_tags:
            raise UserError(f"{len(label.tags)} tags, at most {self._max_tags} fit")
        full = self.folder / label.video
        if not is_inside(full, self.folder):
            raise UserError(f"{label.video!a} is outside the folder")
        # Both sides resolved, so that "./a.mp4" and "b/../a.mp4" are one file.
        path = full.resolve().relative_to(self.folder.resolve()).as_posix()
        if path not in files:
            left_out = self._only is not None and path not in self._only
            if path in self.set_aside or left_out:
                return None
            raise UserError(f"no such video: {label.video!a}")
        start = label.start or 0.0
        seconds = files[path].seconds
        end = seconds if label.end is None else min(label.end, seconds)
        if end - start <= self._needed:
            seconds = max(0.0, end - start)
            raise UserError(
                f"too short: {seconds:.2f} s, expected {self._needed:.2f} s"
            )
        directive = Directive(
            tags=label.tags, summary=label.summary, description=label.description
        )
        return FolderClip(
            path=path,
            start=start,
            end=end,
            directive=directive,
            aspect=files[path].aspect,
            whole=start == 0.0 and end == files[path].seconds,
            scores=label.scores,
        )

    def _put_aside(self, name: str, reason: str) -> None:
        with _LOCK:
            if name in self.set_aside:
                return
            self.set_aside[name] = reason
            logging.warning("set aside %s: %s", ascii(name), reason)
            if self._workdir is not None:
                line = json.dumps({"path": name, "reason": reason})
                with (self._workdir / "set_aside.jsonl").open("a") as file:
                    file.write(line + "\n")

    def _nothing(self, files: int) -> str:
        name, reason = next(iter(self.set_aside.items()), ("", "no clip is labelled"))
        return f"none of {files} videos in {self.folder} is usable ({name}: {reason})"


def _in_twos(clips: list[FolderClip]) -> list[FolderClip]:
    """Clips of one prompt side by side, those that are left over at the end.

    Of an odd number the last but one comes again, or the last would have no other.
    """
    prompts: dict[tuple, list[FolderClip]] = {}
    for clip in clips:
        asked = (clip.directive.summary, clip.directive.tags)
        prompts.setdefault(asked, []).append(clip)
    even = {asked: len(found) // 2 * 2 for asked, found in prompts.items()}
    ordered = [clip for asked in prompts for clip in prompts[asked][: even[asked]]]
    ordered += [clip for asked in prompts for clip in prompts[asked][even[asked] :]]
    return ordered + ordered[-2:-1] if len(ordered) % 2 else ordered


def _cut(path: str, file: _File, span: float) -> list[FolderClip]:
    nothing = Directive(tags=(), summary="", description="")
    count = max(1, int(file.seconds // span))
    edges = np.linspace(0.0, file.seconds, count + 1).tolist()
    return [
        FolderClip(
            path=path,
            start=start,
            end=end,
            directive=nothing,
            aspect=file.aspect,
            whole=count == 1,
        )
        for start, end in itertools.pairwise(edges)
    ]
