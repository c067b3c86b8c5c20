"""From a file to its shots: what the header says, then where the picture cuts.

    probe -> frames at the file's average rate, 144 high -> PySceneDetect -> spans

A cut is where a frame differs from the one before by `cut_ratio` times what its
neighbours differ by, and by `cut_change` of 255 in mean hue, saturation and lightness
(PySceneDetect's AdaptiveDetector): a fast pan or an impact frame moves its neighbours too,
a cut does not. Shots longer than `max_seconds` are cut evenly. Frames are streamed: memory
does not grow with the length of a file.
"""

import dataclasses
import itertools
import math
import os
from collections.abc import Sequence
from typing import Any

from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from animatrix_jax.curation.settings import Looking
from animatrix_jax.data import video

_HEIGHT = 144
_MIN_FPS, _MAX_FPS = 1.0, 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
    """A file that decodes, and its spans.

    Attributes:
      fps: the even rate at which it is read: its average, 1 to 60.
      seconds: what was really there.
      spans: start and end of each clip in seconds, the end exclusive.
    """

    fps: float
    seconds: float
    spans: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Film":
        """What to_json gave."""
        spans = tuple((start, end) for start, end in entry["spans"])
        return cls(**entry | {"spans": spans})


def cut_film(
    path: str | os.PathLike,
    looking: Looking,
    labelled: Sequence[tuple[float, float | None]] = (),
) -> Film:
    """Decodes a file once and finds its shots.

    Args:
      path: the file.
      looking: how.
      labelled: spans that labels are about, which then take the place of shots; an end
        of None is the file's.

    Raises:
      VideoError: why the file cannot be used.
    """
    info = video.probe(path)
    if not 1 <= min(info.width, info.height):
        raise video.VideoError(f"no picture: {info.width} x {info.height}")
    fps = min(max(info.fps, _MIN_FPS), _MAX_FPS)
    detector = AdaptiveDetector(
        adaptive_threshold=looking.cut_ratio,
        min_content_val=looking.cut_change,
        min_scene_len=max(1, round(0.25 * fps)),
    )
    cuts, count, size = [], 0, None
    for image in video.stream_video(
        path, fps=fps, height=_HEIGHT, threads=1, whole=True
    ):
        if not labelled:
            # A recording may go on in another size; the detector may not.
            size = size or {"height": image.shape[0], "width": image.shape[1]}
            image = video.fit(image, **size)
            time = FrameTimecode(count, fps)
            found = detector.process_frame(time, image[..., ::-1].copy())
            cuts += [cut.frame_num for cut in found]
        count += 1
    seconds = count / fps
    _check_whole(count, info, fps)
    if labelled:
        spans = [
            (start, seconds if end is None else min(end, seconds))
            for start, end in labelled
        ]
    else:
        edges = sorted({0, *cuts, count})
        spans = [(a / fps, b / fps) for a, b in itertools.pairwise(edges)]
    pieces = [
        piece
        for start, end in spans
        if end > start
        for piece in _pieces(start, end, looking.max_seconds)
    ]
    return Film(
        fps=fps,
        seconds=seconds,
        spans=tuple(dict.fromkeys(pieces)),
    )


def _check_whole(count: int, info: video.VideoInfo, fps: float) -> None:
    """Raises VideoError for a file that shows less than nine tenths of what it claims."""
    if count <= 1:
        raise video.VideoError("too short: one frame")
    claimed = info.seconds or (info.frames / info.fps if info.frames else 0.0)
    if count / fps < 0.9 * claimed - 1.0 / fps:
        raise video.VideoError(
            f"truncated: {count / fps:.2f} of {claimed:.2f} seconds decode"
        )


def _pieces(start: float, end: float, longest: float) -> list[tuple[float, float]]:
    count = max(1, math.ceil((end - start) / longest - 1e-6))
    length = (end - start) / count
    edges = [start + n * length for n in range(count)] + [end]
    return list(itertools.pairwise(edges))
