"""Labels a folder of videos: one line a shot, tags with confidences, and prose.

    animatrix caption --videos=DIR --out=labels.jsonl
    animatrix caption --videos=DIR --out=labels.jsonl --checkpoint=vlm:MODEL

Shots are found by PySceneDetect. The same call again labels only what is new or has
changed. Beside labels.jsonl, labels.files.jsonl says what became of every file: how many
shots it has, or why it was set aside. A field that the labeller is not sure of says
`unknown`; --threshold moves that line. docs/caption.md says how far to trust a label.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import flags, logging
from tqdm import tqdm

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing

FLAGS = flags.FLAGS

flags.DEFINE_string("videos", None, "The folder of videos.", allow_override=True)
flags.DEFINE_string("out", None, "The label file.", allow_override=True)
flags.DEFINE_string(
    "checkpoint",
    "nano",
    "The labeller: a shipped model, a run's folder, or vlm:MODEL.",
    allow_override=True,
)
flags.DEFINE_float("threshold", 0.5, "The confidence to claim a field from.", 0.0, 1.0)


def main(argv: list[str]) -> None:
    """Labels what the flags name."""
    app.no_arguments(argv)
    if not FLAGS.videos or not FLAGS.out:
        raise UserError("both --videos=DIR and --out=FILE.jsonl are needed")
    from animatrix_jax.caption.labeller import load_labeller
    from animatrix_jax.data.folder import find_videos

    try:
        import scenedetect  # noqa: F401
    except ImportError as error:
        raise UserError(f"{error}: pip install '.[data]' in a clone") from error
    root, out = pathlib.Path(FLAGS.videos), pathlib.Path(FLAGS.out)
    videos = find_videos(root)
    labeller = load_labeller(FLAGS.checkpoint)
    labeller = dataclasses.replace(labeller, threshold=FLAGS.threshold)
    summary = caption(root, videos, out, labeller=labeller)
    print(
        f"{summary['files']} files: {summary['shots']} shots labelled in {out}"
        f" ({summary['new']} new), {summary['set_aside']} files set aside"
    )
    app.print_json(summary)


def caption(
    root: pathlib.Path, videos: list[str], out: pathlib.Path, *, labeller: Any
) -> dict[str, int]:
    """Labels the files that are not labelled yet; see the module's docstring.

    Raises:
      UserError: if `out` was written by another labeller.
    """
    from animatrix_jax.data.folder import is_inside
    from animatrix_jax.data.video import VideoError

    out.parent.mkdir(parents=True, exist_ok=True)
    record = Record.open(out, mark=f"{labeller.digest[:16]}-{labeller.threshold:g}")
    waiting = [name for name in videos if not record.knows(name, root / name)]
    new = 0
    with tqdm(total=len(waiting), desc="captions", unit="file", mininterval=0.5) as bar:
        for name in waiting:
            try:
                if not is_inside(root / name, root):
                    raise VideoError("it is a link that leaves the folder")
                lines = [
                    labeller.label(frames, fps).line(video=name, start=a, end=b)
                    for frames, fps, a, b in shots(root / name)
                ]
            except VideoError as error:
                logging.warning("set aside %s: %s", ascii(name), error)
                record.add(name, root / name, [], reason=str(error))
            else:
                new += len(lines)
                record.add(name, root / name, lines)
            bar.update()
    found = [record.files[name] for name in videos if name in record.files]
    return {
        "files": len(videos),
        "shots": sum(entry.get("shots", 0) for entry in found),
        "new": new,
        "set_aside": sum("reason" in entry for entry in found),
    }


def shots(path: pathlib.Path) -> Iterator[tuple[np.ndarray, float, float, float]]:
    """Each shot's middle frames, their rate, and its start and end in seconds.

    The frames are those that `animatrix prepare --captioner` shows its labeller.

    Raises:
      VideoError: why the file cannot be used.
    """
    from animatrix_jax.curation.look import captioned_frames
    from animatrix_jax.curation.settings import Looking
    from animatrix_jax.curation.shots import cut_film

    looking = Looking()
    for start, end in cut_film(path, looking).spans:
        frames = captioned_frames(path, (start, end), looking)
        yield frames, looking.measure_fps, round(start, 4), round(end, 4)


@dataclasses.dataclass(kw_only=True)
class Record:
    """The label file, and beside it what became of every file.

    A file's labels are written first and its own line after them, so that labels of a
    file without a line are of a call that was stopped: they are cut away.
    """

    out: pathlib.Path
    path: pathlib.Path
    mark: str
    files: dict[str, dict[str, Any]]

    @classmethod
    def open(cls, out: pathlib.Path, *, mark: str) -> "Record":
        """Reads what there is, and mends what a stopped call has left."""
        path = out.with_suffix(".files.jsonl")
        entries = [entry for _, entry in _lines(path)]
        other = [e for e in entries if e.get("labeller") != mark]
        if other:
            raise UserError(
                f"{out} was written by another labeller, or with another threshold:"
                f" give another --out, or remove it and {path.name}"
            )
        if out.exists() and not path.exists():
            raise UserError(
                f"{out} is there, and no {path.name}: it is not of this verb;"
                " give another --out"
            )
        record = cls(
            out=out, path=path, mark=mark, files={e["video"]: e for e in entries}
        )
        record._keep(lambda label: label.get("video") in record.files)
        return record

    def knows(self, name: str, path: pathlib.Path) -> bool:
        """Whether the file is done, as it is now."""
        return name in self.files and self.files[name]["stat"] == _stat(path)

    def add(
        self, name: str, path: pathlib.Path, lines: list[str], *, reason: str = ""
    ) -> None:
        """Writes a file's labels, or why it has none."""
        if name in self.files:  # the file has changed
            self._keep(lambda label: label.get("video") != name)
        with self.out.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
        entry: dict[str, Any] = {"video": name, "labeller": self.mark}
        entry |= {"reason": reason} if reason else {"shots": len(lines)}
        entry["stat"] = _stat(path)
        self.files[name] = entry
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _keep(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Leaves only the labels that are wanted, as they stand; in one move."""
        if not self.out.exists():
            return
        kept = [line for line, label in _lines(self.out) if wanted(label)]
        text = "".join(f"{line}\n" for line in kept)
        with replacing(self.out) as partial:
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def _lines(path: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a file, and what they say; without one that a stopped call cut off.

    Raises:
      UserError: if another one is no JSON object: a person's slip is not thrown away.
    """
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    *lines, last = text.split("\n")
    for number, line in enumerate([*lines, last], 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            if number > len(lines):  # it has no end
                return
            raise _bad_line(path, number, f"not JSON: {error}") from None
        if not isinstance(entry, dict):
            raise _bad_line(path, number, "not a JSON object")
        yield line, entry


def _bad_line(path: pathlib.Path, number: int, reason: str) -> UserError:
    return UserError(f"{path}:{number}: {reason}; mend the line, or remove it")


def _stat(path: pathlib.Path) -> list[int]:
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns]


if __name__ == "__main__":
    app.run(main)
