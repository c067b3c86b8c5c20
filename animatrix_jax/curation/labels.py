"""The labels beside the videos: which spans they are about, and what they claim.

`labels.jsonl` in the folder, or the file that is named, has a line a clip as knowledge/
labels.py reads it. A labelled file is cut at its labels' times instead of at its shots. A
line that cannot be used is set aside with its reason; a path that leads out of the folder
is refused.
"""

import dataclasses
import math
from collections.abc import Collection

from etils import epath

from animatrix_jax.curation.journal import Path
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.labels import Label, parse_label, video_path

NAME = "labels.jsonl"
# Of seconds: what cutting a label into even pieces may round.
_SLACK = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A label that is used, and where it stands."""

    name: str
    label: Label

    @property
    def start(self) -> float:
        """Seconds."""
        return self.label.start or 0.0

    @property
    def end(self) -> float:
        """Seconds; infinity for the file's end."""
        return math.inf if self.label.end is None else self.label.end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels by the name of their video, in order of time; lines set aside, and why."""

    lines: dict[str, list[Line]]
    set_aside: dict[str, str]

    def spans(self, name: str) -> list[tuple[float, float | None]]:
        """The spans of a video, as cut_film takes them."""
        return [(line.start, line.label.end) for line in self.lines.get(name, [])]

    def speak_of(self, name: str, start: float, end: float) -> bool:
        """Whether a label claims or tells anything of a clip."""
        line = self.of(name, start, end)
        if line is None:
            return False
        return bool(line.label.tags or line.label.summary or line.label.description)

    def of(self, name: str, start: float, end: float) -> Line | None:
        """The shortest label that all of a clip lies in, else that its middle lies in.

        So of labels within each other, the clip that was cut for one gets its tags.
        """
        middle = (start + end) / 2

        def order(line: Line) -> tuple[bool, float]:
            holds = line.start <= start + _SLACK and end <= line.end + _SLACK
            return (not holds, line.end - line.start)

        about = [x for x in self.lines.get(name, []) if x.start <= middle < x.end]
        return min(about, key=order, default=None)


def read_labels(folder: Path, names: Collection[str], path: Path | None) -> Labels:
    """Reads the labels of the videos `names` below `folder`.

    Raises:
      UserError: if the file that was asked for is not there.
    """
    file = epath.Path(folder) / NAME if path is None else epath.Path(path)
    if not file.is_file():
        if path is not None:
            raise UserError(f"no such label file: {path}")
        return Labels(lines={}, set_aside={})
    known, lines, aside = frozenset(names), {}, {}
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name = f"{file.name}:{number}"
        try:
            label = parse_label(line)
            about = _video(label, known)
            others = lines.setdefault(about, [])
            span = (label.start or 0.0, label.end)
            for other in others:
                if span == (other.start, other.label.end):
                    raise UserError(f"the same clip as {other.name}")
            others.append(Line(name=name, label=label))
        except UserError as error:
            aside[name] = str(error)
    lines = {
        about: sorted(found, key=lambda line: (line.start, line.name))
        for about, found in lines.items()
        if found
    }
    return Labels(lines=lines, set_aside=aside)


def _video(label: Label, known: Collection[str]) -> str:
    path = video_path(label)
    if path not in known:
        raise UserError(f"no such video: {label.video!a}")
    return path
