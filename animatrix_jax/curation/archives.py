"""Videos out of zip and tar archives, none of which may land elsewhere.

A member is refused, with its reason, if its name is absolute or climbs out (`..`), if it
is a link or a device, if it is encrypted, or if it, or all of the archive, grows as no
video does when it is unpacked. Hidden ones are passed by, as in a folder. Of members of
one name the last counts, as where an archive is unpacked; each earlier one is refused.
Members are written under names of our own, so that none is taken from an archive.
"""

import collections
import dataclasses
import hashlib
import lzma
import os
import pathlib
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from etils import epath

from animatrix_jax.curation.journal import Path
from animatrix_jax.data.finding import is_hidden, is_video
from animatrix_jax.files import is_machines_fault, leads_out, replacing

_ZIP = (".zip",)
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_UNREAD = (".7z", ".rar", ".tar.zst", ".tzst", ".tar.lz4", ".tar.lzma")
_CHUNK = 1 << 20
# "Re:Zero 01.mp4" is a name, "C:/01.mp4" is a path.
# Video hardly shrinks; what grows a hundredfold is meant to fill a disk.
_MAX_GROWTH = 100
_GROWS = "it, or all of its archive, grows more than a hundredfold: no video does"
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, NotImplementedError, RuntimeError, ValueError),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A video in an archive; `refused` says why it was not unpacked.

    Without a name it is the archive itself, which could not be read on.
    """

    name: str
    path: str = ""
    refused: str = ""


def is_archive(name: str) -> bool:
    """Whether a name ends as an archive's does."""
    return name.lower().endswith(_ZIP + _TAR)


def is_unread(name: str) -> bool:
    """Whether a name ends as that of an archive which is not read here."""
    return name.lower().endswith(_UNREAD)


def unpack(archive: Path, folder: Path) -> Iterator[Member]:
    """Unpacks the videos of an archive into `folder`, those that are not there yet."""
    folder = pathlib.Path(os.fspath(folder))
    folder.mkdir(parents=True, exist_ok=True)
    reader = _zip if os.fspath(archive).lower().endswith(_ZIP) else _tar
    found: dict[str, Member] = {}
    seen: collections.Counter[str] = collections.Counter()
    try:
        with epath.Path(archive).open("rb") as file:
            for member in reader(file, folder):
                if earlier := found.pop(member.name, None):
                    seen[member.name] += 1
                    yield _replaced(earlier, seen[member.name])
                found[member.name] = member
    except _DAMAGE as error:
        if is_machines_fault(error):
            raise
        found[""] = Member(name="", refused=f"damaged archive: {_short(error)}")
    yield from found.values()


def _replaced(member: Member, number: int) -> Member:
    # No video ends as this name does, so no other member has it.
    return Member(
        name=f"{member.name} ({number})",
        refused="a later member of the archive has the same name",
    )


def _zip(file: IO[bytes], folder: pathlib.Path) -> Iterator[Member]:
    left = _allowed(file)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir() or not _is_wanted(info.filename):
                continue
            name = _normal(info.filename)
            refused = _outside(info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                refused = "it is a link"
            elif info.flag_bits & 1:
                refused = "it is encrypted"
            elif info.file_size > min(left, _MAX_GROWTH * max(info.compress_size, 1)):
                refused = _GROWS
            if refused:
                yield Member(name=name, refused=refused)
                continue
            left -= info.file_size
            yield _kept(name, folder, info.file_size, archive, info)


def _tar(file: IO[bytes], folder: pathlib.Path) -> Iterator[Member]:
    left = _allowed(file)
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for info in archive:
            if info.isdir() or not _is_wanted(info.name):
                continue
            name = _normal(info.name)
            refused = _outside(info.name)
            if info.issym() or info.islnk():
                refused = "it is a link"
            elif not info.isfile():
                refused = "it is no plain file"
            elif info.size > left:
                refused = _GROWS
            if refused:
                yield Member(name=name, refused=refused)
                continue
            left -= info.size
            yield _kept(name, folder, info.size, archive, info)


def _allowed(file: IO[bytes]) -> int:
    """Bytes that the videos of an archive may come to."""
    return _MAX_GROWTH * max(os.fstat(file.fileno()).st_size, _CHUNK)


def _kept(name: str, folder: pathlib.Path, size: int, archive, info) -> Member:
    """Writes a member, unless it lies there whole."""
    # Two of one name are two files.
    at = info.header_offset if isinstance(archive, zipfile.ZipFile) else info.offset
    own = hashlib.sha256(f"{at} ".encode() + os.fsencode(name)).hexdigest()[:16]
    path = folder / f"{own}{os.path.splitext(name)[1].lower()}"
    if path.is_file() and path.stat().st_size == size:
        return Member(name=name, path=str(path))
    try:
        if isinstance(archive, zipfile.ZipFile):
            source = archive.open(info)
        else:
            source = archive.extractfile(info)
        with source, replacing(path) as partial, partial.open("wb") as out:
            while chunk := source.read(_CHUNK):
                if out.tell() + len(chunk) > size:
                    raise ValueError("longer than it says")
                out.write(chunk)
    except _DAMAGE as error:
        if is_machines_fault(error):
            raise
        return Member(name=name, refused=f"damaged in its archive: {_short(error)}")
    return Member(name=name, path=str(path))


def _is_wanted(name: str) -> bool:
    """Whether a member is a video, and none that is hidden."""
    parts = posixpath.normpath(name.replace("\\", "/")).split("/")
    return is_video(name) and not any(map(is_hidden, set(parts) - {".."}))


def _normal(name: str) -> str:
    """A member's name as a label has it: "./a.mp4" is "a.mp4"."""
    return name if leads_out(name) else posixpath.normpath(name)


def _outside(name: str) -> str:
    return "its path leads out of the archive" if leads_out(name) else ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
