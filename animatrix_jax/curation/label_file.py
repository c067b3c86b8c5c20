"""The label file that grows shot by shot, and beside it what became of every video.

    labels.jsonl         a line a shot, as they come; people may correct and add lines
    labels.files.jsonl   a line a video when it is begun, with each shot, and when it is
                         done: how many shots, or why none, and the digest of the labels
                         that were written here; the last line of a video counts

A video that was begun and not done goes on after its last shot. Lines are taken away only
where their video has changed and they stand as they were written here: of what a person
has corrected or added, none is.
"""

import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from absl import logging

from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing

# What a line that was cut off may leave where no string is.
_ENDS = ("true", "false", "null", ".", "-", "e-", "E-", "e+", "E+")
Span = tuple[float | None, float | None]


class LabelFile:
    """Labels as they are written; see the module's docstring.

    Args:
      out: the labels.
      mark: of the labeller and its threshold; labels of two are not mixed.

    Attributes:
      path: what became of every video.
      videos: the last that is known of each.

    Raises:
      UserError: if another labeller has written it, or nobody here; or if a line is no
        JSON object.
    """

    def __init__(self, out: pathlib.Path, *, mark: str):
        self.out, self.path = out, out.with_suffix(".files.jsonl")
        self._mark = mark
        _mend(self.path)
        entries = [entry for _, entry in _lines(self.path)]
        if any(entry.get("labeller") != mark for entry in entries):
            raise UserError(
                f"{out} was written by another labeller, or with another threshold:"
                f" give another --out, or remove it and {self.path.name}"
            )
        if out.exists() and not self.path.exists():
            raise UserError(
                f"{out} is there, and no {self.path.name}: it is not of this verb;"
                " give another --out"
            )
        _mend(out)
        self.videos: dict[str, dict[str, Any]] = {e["video"]: e for e in entries}
        self._shots: dict[str, _Shots] = {}
        for line, label in _lines(out):
            self._shots.setdefault(_video(label), _Shots()).add(line, label)

    def knows(self, video: str, path: pathlib.Path) -> bool:
        """Whether a video is done, as it is now, or a person has labelled it."""
        entry = self.videos.get(video)
        if entry is None:
            return video in self._shots
        return not entry.get("begun") and entry["stat"] == _stat(path)

    def begin(self, video: str, path: pathlib.Path) -> bool:
        """Makes ready for a video's labels.

        Returns:
          Whether any are wanted: not of a video that has changed, but whose labels a
          person has worked on.
        """
        entry, stat, shots = self.videos.get(video), _stat(path), self._shots.get(video)
        if entry is not None and entry["stat"] == stat:
            return True
        written = "" if entry is None else entry.get("lines", "")
        if shots is not None and shots.digest != written:
            logging.warning(
                "%s has changed, and people have worked on its labels, which stay;"
                " remove them and its lines in %s to have it labelled again",
                *(ascii(video), self.path.name),
            )
            done = {"video": video, "stat": stat, "shots": len(shots.spans)}
            self._write(done | {"lines": written})
            return False
        if self._shots.pop(video, None):
            self._leave_out(video)
        self._write({"video": video, "stat": stat, "begun": True})
        return True

    def spans(self, video: str) -> set[Span]:
        """Start and end of the shots of a video that have labels."""
        return set(self._shots.get(video, _Shots()).spans)

    def add(self, line: str) -> None:
        """Writes the label of a shot."""
        label = json.loads(line)
        video = _video(label)
        self._shots.setdefault(video, _Shots()).add(line, label)
        with self.out.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        entry = self.videos[video]
        self._write(entry | {"lines": _chained(entry.get("lines", ""), line)})

    def end(
        self,
        video: str,
        path: pathlib.Path,
        *,
        reason: str = "",
        set_aside: list[dict[str, Any]] | None = None,
    ) -> None:
        """Writes what became of a video.

        Args:
          video: its name.
          path: where it is.
          reason: why it has no labels.
          set_aside: shots that could not be read: start, end, and why.
        """
        shots = self._shots.setdefault(video, _Shots())
        entry: dict[str, Any] = {"video": video, "stat": _stat(path)}
        if written := self.videos.get(video, {}).get("lines"):
            entry |= {"lines": written}
        if reason:
            entry |= {"reason": reason}
        else:
            entry |= {"shots": len(shots.spans)}
        if set_aside:
            entry |= {"set_aside": set_aside}
        self._write(entry)

    def _write(self, entry: dict[str, Any]) -> None:
        entry = entry | {"labeller": self._mark}
        self.videos[entry["video"]] = entry
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _leave_out(self, video: str) -> None:
        """Writes the labels as they stand, but those of a video."""
        kept = [line for line, label in _lines(self.out) if _video(label) != video]
        _rewrite(self.out, kept)


class _Shots:
    """The lines of a video: their spans, and the digest of all of them."""

    def __init__(self):
        self.spans: list[Span] = []
        self.digest = ""

    def add(self, line: str, label: dict[str, Any]) -> None:
        self.spans.append((label.get("start"), label.get("end")))
        self.digest = _chained(self.digest, line)


def _chained(digest: str, line: str) -> str:
    """The digest of some lines and one more."""
    text = f"{digest}{line}".encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).hexdigest()[:16]


def _video(label: dict[str, Any]) -> str:
    name = label.get("video")
    return name if isinstance(name, str) else ""


def _mend(path: pathlib.Path) -> None:
    """Ends the last line, or takes it out where a call that was stopped has cut it off."""
    text = _text(path)
    *_, last = text.split("\n")
    if not last.strip():
        return
    if cut := _is_cut(last):
        logging.warning("%s: a last line that was cut off is left out: %s", path, last)
    kept = list(_lines(path, cut=cut))
    _rewrite(path, [line for line, _ in kept])


def _is_cut(line: str) -> bool:
    """Whether a line is the beginning of a JSON text, and not a slip in one."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        rest = line[error.pos :]
        escape = re.search(r"\\(u[0-9a-fA-F]{0,3})?$", line) is not None
        inside = error.msg.startswith("Unterminated string") or escape
        return inside or any(end.startswith(rest) for end in _ENDS)
    return False


def _rewrite(path: pathlib.Path, lines: list[str]) -> None:
    """Writes all lines of a file in one move."""
    text = "".join(f"{line}\n" for line in lines)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def _text(path: pathlib.Path) -> str:
    if not path.exists():
        return ""
    return path.read_text(encoding="utf-8-sig", errors="surrogateescape")


def _lines(
    path: pathlib.Path, *, cut: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a file, and what they say; without the last if it is `cut` off.

    Raises:
      UserError: if one is no JSON object: a person's slip is not thrown away.
    """
    lines = _text(path).split("\n")
    for number, line in enumerate(lines[: len(lines) - cut], 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise _bad_line(path, number, f"not JSON: {error}") from None
        if not isinstance(entry, dict):
            raise _bad_line(path, number, "not a JSON object")
        yield line, entry


def _bad_line(path: pathlib.Path, number: int, reason: str) -> UserError:
    return UserError(f"{path}:{number}: {reason}; mend the line, or remove it")


def _stat(path: pathlib.Path) -> list[int] | None:
    """What tells a file from what it was; None of one that is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
