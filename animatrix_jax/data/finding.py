"""Which files of a folder are videos: one rule for whoever reads a folder.

Names that begin with a dot are hidden, as are all files in such a folder: macOS leaves
`._clip.mp4` beside each clip that it copies. An ellipsis hides nothing ("...And Then
01.mp4"). Links to folders are not followed.
"""

import os
import pathlib
from collections.abc import Iterator

from absl import logging

from animatrix_jax.data.video import VIDEO_SUFFIXES
from animatrix_jax.errors import UserError


def find_videos(root: pathlib.Path) -> list[str]:
    """The videos below a folder, by their paths in it, in order.

    Raises:
      UserError: if there is no such folder, or no video in it.
    """
    if not root.is_dir():
        raise UserError(f"no such folder of videos: {root}")
    names = (os.path.relpath(path, root) for path, _ in walk(root))
    found = sorted(pathlib.Path(name).as_posix() for name in names if is_video(name))
    if not found:
        raise UserError(f"no video file in {root}")
    return found


def walk(root: str | os.PathLike) -> Iterator[tuple[str, bool]]:
    """The files below a folder that are not hidden, and the links to folders.

    Yields:
      A path, and whether it is such a link.

    Raises:
      UserError: if a folder cannot be listed: what is in it would be passed by.
    """
    for base, folders, names in os.walk(root, onerror=_cannot_list):
        folders[:] = [name for name in folders if not is_hidden(name)]
        paths = [(os.path.join(base, name), False) for name in names]
        links = [os.path.join(base, name) for name in folders]
        paths += [(path, True) for path in links if os.path.islink(path)]
        yield from (p for p in paths if not is_hidden(os.path.basename(p[0])))


def _cannot_list(error: OSError) -> None:
    if isinstance(error, PermissionError):
        logging.warning("%s: %s; it is passed by", error.filename, error.strerror)
        return
    raise UserError(f"cannot list {error.filename}: {error.strerror}") from error


def is_video(name: str) -> bool:
    """Whether a name ends as a video's does."""
    return name.lower().endswith(VIDEO_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Whether a file or a folder is hidden by its name."""
    return name.startswith(".") and not name.startswith("...")


def is_inside(path: str | os.PathLike, root: str | os.PathLike) -> bool:
    """Whether a path, with all links followed, lies in a folder."""
    try:
        return pathlib.Path(path).resolve().is_relative_to(pathlib.Path(root).resolve())
    except (OSError, RuntimeError):  # a link to itself
        return False
