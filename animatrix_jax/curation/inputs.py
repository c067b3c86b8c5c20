"""What there is to prepare: the videos below a folder, and those in its archives.

Every file is named by the sha256 of its bytes, kept beside its size and time of change so
that a second call reads only what is new. Members of zip and tar archives are unpacked
below the work folder, anew if the archive has changed; one that would land outside of it is refused (archives.py).
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterable

from etils import epath

from animatrix_jax.curation import archives
from animatrix_jax.curation.journal import Path, write_whole
from animatrix_jax.data.finding import is_hidden, is_inside, is_video, walk
from animatrix_jax.errors import UserError

_CHUNK = 1 << 20
_SAVE_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
    """One video.

    Attributes:
      name: as people know it: its path below the folder, or ARCHIVE/MEMBER.
      path: where it can be read.
      refused: why it is not looked at; empty for most.
    """

    name: str
    path: str
    refused: str = ""


def find_inputs(folder: Path, *, unpacked: Path) -> list[Input]:
    """The videos below `folder` and in its archives, by name.

    Args:
      folder: searched recursively.
      unpacked: where members of archives go.

    Raises:
      UserError: if there is no such folder, or nothing in it.
    """
    root = epath.Path(folder)
    if not root.is_dir():
        raise UserError(f"no such folder of videos: {folder}")
    found = []
    for path, is_link in _files(root):
        name, refused = os.fspath(path.relative_to(root)), ""
        if is_link:
            refused = "it is a link to a folder, and none is followed"
        elif archives.is_archive(name):
            found += _members(name, path, epath.Path(unpacked), root)
            continue
        elif archives.is_unread(name):
            refused = "archives of this kind are not read: unpack it"
        elif not is_video(name):
            continue
        elif not _is_inside(path, root):
            refused = "it is a link out of the folder"
        found.append(Input(name=name, path=os.fspath(path), refused=refused))
    if not found:
        raise UserError(f"no video file in {folder}")
    return sorted(found, key=lambda item: os.fsencode(item.name))


class Digests:
    """The sha256 of files by path, size and time of change.

    Args:
      path: the file that it is kept in from call to call.
    """

    def __init__(self, path: Path):
        self._path = epath.Path(path)
        try:
            self._known = json.loads(self._path.read_text())
        except FileNotFoundError:
            self._known = {}
        self._seen: dict[str, list] = {}
        self._saved = time.monotonic()

    def of(self, path: Path) -> str:
        """The digest of a file that is there.

        Raises:
          OSError: if it cannot be read.
        """
        key = os.fspath(path)
        if "://" in key:
            stat = epath.Path(path).stat()
            mark = [stat.length, stat.mtime]
        else:
            stat = os.stat(path)
            mark = [stat.st_size, stat.st_mtime_ns]
        known = self._known.get(key)
        if known is None or known[:2] != mark:
            known = [*mark, sha256(path)]
            if time.monotonic() - self._saved > _SAVE_SECONDS:
                self._write(self._known | self._seen | {key: known})
        self._seen[key] = known
        return known[2]

    def save(self) -> None:
        """Keeps what was asked for since the start, and nothing else."""
        self._write(self._seen)

    def _write(self, digests: dict[str, list]) -> None:
        write_whole(self._path, json.dumps(digests).encode())
        self._saved = time.monotonic()


def _members(
    name: str, path: epath.Path, unpacked: epath.Path, root: epath.Path
) -> Iterable[Input]:
    refused = "" if _is_inside(path, root) else "it is a link out of the folder"
    if "://" in os.fspath(unpacked):
        refused = "archives are unpacked beside a local dataset only"
    if refused:
        yield Input(name=name, path=os.fspath(path), refused=refused)
        return
    empty = True
    try:
        own = _own_folder(name, path, unpacked)
    except OSError as error:  # a link to nothing
        yield Input(
            name=name, path=os.fspath(path), refused=f"cannot read: {error.strerror}"
        )
        return
    for member in archives.unpack(path, own):
        inner, empty = f"{name}/{member.name}" if member.name else name, False
        yield Input(name=inner, path=member.path, refused=member.refused)
    if empty:
        yield Input(name=name, path=os.fspath(path), refused="no video is in it")


def _own_folder(name: str, path: epath.Path, unpacked: epath.Path) -> epath.Path:
    """Where members of an archive go, as it is now; what it once held is removed."""
    own = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    stat = os.stat(path)
    folder = unpacked / f"{own}-{stat.st_size:x}-{stat.st_mtime_ns:x}"
    if unpacked.exists():
        for other in unpacked.iterdir():
            if other.name.startswith(own) and other.name != folder.name:
                other.rmtree()
    return folder


def _files(root: epath.Path) -> Iterable[tuple[epath.Path, bool]]:
    """The files, and whether each is a link to a folder, which is not followed."""
    if "://" in os.fspath(root):
        return (
            (path, False)
            for path in root.glob("**/*")
            if not any(map(is_hidden, path.relative_to(root).parts)) and path.is_file()
        )
    return ((epath.Path(path), link) for path, link in walk(root))


def _is_inside(path: epath.Path, root: epath.Path) -> bool:
    return "://" in os.fspath(root) or is_inside(path, root)


def sha256(path: Path) -> str:
    """The sha256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with epath.Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
