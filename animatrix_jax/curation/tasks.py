"""What workers do: cut films, look at clips, caption them, encode them.

A task takes a plain item, keeps what it finds in the journal, and never fails for what a
file holds: a file or clip that cannot be used is kept as its reason (a VideoError). What
fails for another reason (a disk that does not answer, a captioner without memory, a mistake
of ours) is set aside in this call and tried again by the next one. An item whose result is
there already is not done again.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
from absl import logging
from etils import epath

from animatrix_jax.curation.journal import Journal, Path
from animatrix_jax.curation.look import captioned_frames, look
from animatrix_jax.curation.settings import Captioning, Encoding, Looking
from animatrix_jax.curation.shots import Film, cut_film
from animatrix_jax.curation.technical import WHOLE, cut
from animatrix_jax.data import video
from animatrix_jax.data.writing import encode_mp4
from animatrix_jax.files import is_machines_fault, replacing

Item = dict[str, Any]


@dataclasses.dataclass
class CutFilms:
    """Files to their shots: `{"key", "path", "labelled"}`."""

    journal: str
    looking: Looking

    def setup(self) -> None:
        pass

    def __call__(self, item: Item) -> None:
        journal = Journal(self.journal)
        if journal.has(item["key"]):
            return
        with _reason() as failed, _local(item["path"]) as path:
            labelled = [tuple(span) for span in item["labelled"]]
            film = cut_film(path, self.looking, labelled)
            journal.write(item["key"], film.to_json())
        if failed:
            keep = journal.put_off if failed[0].again else journal.write
            keep(item["key"], {"failed": failed[0].why})


@dataclasses.dataclass
class LookAtClips:
    """Some clips of a file to what is known of them: `{"key", "path", "film"}`.

    The film's spans are those clips alone.
    """

    journal: str
    looking: Looking

    def setup(self) -> None:
        pass

    def __call__(self, item: Item) -> None:
        journal = Journal(self.journal)
        if journal.has(item["key"]):
            return
        film, found, again = Film.from_json(item["film"]), [], False
        with _reason() as lost, _local(item["path"]) as path:
            for start, end in film.spans:
                with _reason() as failed:
                    found.append(look(path, film, (start, end), self.looking))
                for failure in failed:
                    found.append({"start": start, "end": end, "failed": failure.why})
                    again = again or failure.again
        for failure in lost:
            found += [
                {"start": start, "end": end, "failed": failure.why}
                for start, end in film.spans[len(found) :]
            ]
            again = again or failure.again
        (journal.put_off if again else journal.write)(item["key"], found)


@dataclasses.dataclass
class CaptionClips:
    """Kept clips of a file to what a labeller says of them:
    `{"path", "clips": [{"id", "start", "end"}]}`."""

    journal: str
    looking: Looking
    captioning: Captioning

    def setup(self) -> None:
        from animatrix_jax.caption.labeller import load_labeller

        self._labeller = load_labeller(self.captioning.captioner)

    def __call__(self, item: Item) -> None:
        journal = Journal(self.journal)

        def caption(path: str, clip: Item) -> None:
            if journal.has(clip["id"]):
                return
            span = clip["start"], clip["end"]
            frames = captioned_frames(path, span, self.looking)
            told = self._labeller.label(frames, self.looking.measure_fps)
            found = {
                "tags": list(told.tags),
                "confidence": {key: float(v) for key, v in told.confidence.items()},
                "summary": told.summary,
                "description": told.description,
            }
            journal.write(clip["id"], found)

        _each_clip(item, caption, journal)


@dataclasses.dataclass
class EncodeClips:
    """Kept clips of a file to H.264:
    `{"path", "clips": [{"id", "start", "end", "fps", "crop"}]}`."""

    media: str
    failures: str
    encoding: Encoding

    def setup(self) -> None:
        pass

    def __call__(self, item: Item) -> None:
        _each_clip(item, self._encode, Journal(self.failures))

    def _encode(self, path: str, clip: Item) -> None:
        target = media_path(self.media, clip["id"])
        if target.exists():
            return
        stream = video.stream_pictures(
            path,
            fps=clip["fps"],
            start=clip["start"],
            end=clip["end"],
            threads=1,
        )
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder) / "clip.mp4"
            count = encode_mp4(
                made,
                self._pictures(stream, tuple(clip["crop"])),
                clip["fps"],
                crf=self.encoding.crf,
                speed=self.encoding.speed,
                key_every=self.encoding.key_every,
                threads=1,
            )
            if count < 2:
                raise video.VideoError(
                    f"{count} frames decode from {clip['start']:g} s on"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            if "://" in os.fspath(target):
                target.write_bytes(made.read_bytes())
                return
            with replacing(target) as partial:
                shutil.copyfile(made, partial)

    def _pictures(
        self, stream: Iterator[video.Picture], crop: tuple[float, ...]
    ) -> Iterator[np.ndarray | av.VideoFrame]:
        """Without bars, no taller than asked for, of one size.

        What is not scaled down keeps its pixels; the encoder makes its size even.
        """
        whole = crop == WHOLE
        first = height = width = 0
        for picture in stream:
            if not first:
                first = picture.size
                height, width = self._size(cut(np.empty((1, *first)), crop).shape[1:])
            frame = None
            if whole and picture.size == first and not (height % 2 or width % 2):
                frame = picture.coded(height=height, width=width)
            if frame is None:
                image = cut(picture.pixels()[None], crop)[0]
                frame = video.fit(image, height=height, width=width)
            yield frame

    def _size(self, size: tuple[int, ...]) -> tuple[int, int]:
        height, width = size
        scale = min(1.0, self.encoding.max_height / height)
        if scale == 1:
            return height, width
        return tuple(max(2, round(side * scale / 2) * 2) for side in size)


def media_path(media: Path, name: str) -> epath.Path:
    """Where an encoded clip lies until it is in a shard."""
    return epath.Path(media) / name[:2] / f"{name}.mp4"


def _each_clip(item: Item, do: Callable[[str, Item], None], journal: Journal) -> None:
    """Does something with each clip of a file; the journal keeps why it could not be."""

    def keep(failures: list[_Failure], clips: list[Item]) -> None:
        for failure in failures:
            for clip in clips:
                put = journal.put_off if failure.again else journal.write
                put(clip["id"], {"failed": failure.why})

    clips, done = item["clips"], 0
    with _reason() as lost, _local(item["path"]) as path:
        for clip in clips:
            with _reason() as failed:
                do(path, clip)
            keep(failed, [clip])
            done += 1
    keep(lost, clips[done:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Failure:
    """Why something could not be done, and whether it may yet be."""

    why: str
    again: bool


@contextlib.contextmanager
def _reason() -> Iterator[list[_Failure]]:
    """Collects why something could not be done, instead of failing."""
    failures: list[_Failure] = []
    try:
        yield failures
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        causes = (error, error.__cause__)
        system = next((e for e in causes if video.is_of_system(e)), None)
        # A decoder may ask for too much memory because a file is damaged.
        if is_machines_fault(system):
            raise
        text = " ".join(str(error).split())[:200]
        if isinstance(error, video.VideoError) and system is None:
            failures.append(_Failure(why=text, again=False))
            return
        logging.warning("%s", traceback.format_exc())
        if not isinstance(error, video.VideoError):
            text = f"failed: {type(error).__name__}: {text}"
        failures.append(_Failure(why=f"{text}; the next call tries again", again=True))


@contextlib.contextmanager
def _local(path: str) -> Iterator[str]:
    """A name that FFmpeg can read: a remote file's copy lasts as long as it is needed."""
    if "://" not in path:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "video" + os.path.splitext(path)[1])
        epath.Path(path).copy(copy)
        yield copy
