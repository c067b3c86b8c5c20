"""A folder of videos to labels: shots, then a caption of each, file by file.

    videos --cut_film--> shots --labeller--> labels.jsonl     (label_file.py)

The same call again does only what is new, shot by shot. A file that cannot be read is set
aside with its reason, and so is a shot of one that can; what a disk or the memory was to
blame for is tried again by the next call.
"""

import dataclasses
import pathlib
import traceback
from typing import Any

from absl import logging
from tqdm import tqdm

from animatrix_jax.caption.labeller import Labeller
from animatrix_jax.curation.label_file import LabelFile
from animatrix_jax.curation.look import captioned_frames
from animatrix_jax.curation.settings import Looking
from animatrix_jax.curation.shots import cut_film
from animatrix_jax.data.finding import is_inside
from animatrix_jax.data.video import VideoError, is_of_system
from animatrix_jax.errors import UserError

_BAR = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


@dataclasses.dataclass(kw_only=True)
class Labelled:
    """What a call has come to.

    Attributes:
      files: videos in the folder.
      shots: that have labels, of all calls.
      new: of this one.
      set_aside: files that cannot be used.
      shots_set_aside: of the other files.
      again: files that the next call tries again.
    """

    files: int
    shots: int = 0
    new: int = 0
    set_aside: int = 0
    shots_set_aside: int = 0
    again: int = 0


def label_folder(
    root: pathlib.Path,
    videos: list[str],
    out: pathlib.Path,
    *,
    labeller: Labeller,
) -> Labelled:
    """Labels the shots that have no label yet.

    Args:
      root: the folder.
      videos: their paths in it.
      out: the label file.
      labeller: who looks at them.

    Raises:
      UserError: if `out` was written by another labeller.
    """
    labels = LabelFile(out, mark=f"{labeller.digest[:16]}-{labeller.threshold:g}")
    waiting = [name for name in videos if not labels.knows(name, root / name)]
    found = Labelled(files=len(videos))
    with tqdm(total=len(waiting), desc="captions", bar_format=_BAR) as bar:
        for done, name in enumerate(waiting):
            bar.set_description(f"captions, file {done + 1} of {len(waiting)}")
            try:
                found.new += _label(root, name, labels, labeller, bar)
            except VideoError as error:
                if is_of_system(error.__cause__):
                    _put_off(name, error, found)
                else:
                    logging.warning("set aside %s: %s", ascii(name), error)
                    labels.end(name, root / name, reason=str(error))
            except Exception as error:
                if isinstance(error, OSError | MemoryError | UserError):
                    raise  # no video's fault
                logging.warning("%s", traceback.format_exc())
                _put_off(name, error, found)
            bar.update(done + 1 - bar.n)
    for entry in (labels.videos[name] for name in videos if name in labels.videos):
        found.shots += entry.get("shots", 0)
        found.set_aside += "reason" in entry
        found.shots_set_aside += len(entry.get("set_aside", ()))
    return found


def _put_off(name: str, error: Exception, found: Labelled) -> None:
    told = str(error) or type(error).__name__
    logging.warning("%s: %s; the next call tries again", ascii(name), told)
    found.again += 1


def _label(
    root: pathlib.Path, name: str, labels: LabelFile, labeller: Labeller, bar: Any
) -> int:
    """Labels a file's shots; returns how many."""
    path, looking = root / name, Looking()
    if not is_inside(path, root):
        raise VideoError("it is a link that leaves the folder")
    try:
        path.stat()
    except OSError as error:  # its labels stay: it may come back
        raise VideoError(f"cannot read: {error.strerror}") from error
    if not labels.begin(name, path):
        return 0
    spans = [(round(a, 4), round(b, 4)) for a, b in cut_film(path, looking).spans]
    known = labels.spans(name)
    waiting = [span for span in spans if span not in known]
    new, aside = 0, []
    for start, end in waiting:
        try:
            frames = captioned_frames(path, (start, end), looking)
        except VideoError as error:
            if is_of_system(error.__cause__):
                raise
            logging.warning("set aside %s from %g s: %s", ascii(name), start, error)
            aside.append({"start": start, "end": end, "reason": str(error)})
        else:
            told = labeller.label(frames, looking.measure_fps)
            labels.add(told.line(video=name, start=start, end=end))
            new += 1
        bar.update(1 / len(waiting))
    if aside and len(aside) == len(spans):
        raise VideoError(aside[0]["reason"])
    labels.end(name, path, set_aside=aside)
    return new
