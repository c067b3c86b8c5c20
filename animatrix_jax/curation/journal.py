"""What is done, kept so that it is not done again: one file of JSON a result.

A result is written under another name and renamed when whole, so a process that is killed
at any moment leaves results that are either there or not. Keys are made from the content
of what was looked at and the digest of the settings: a result is never stale, and two
processes that make the same one write the same bytes.

What failed for no reason that lies in the content is put off: it is read in this call as
a result is, and is not there for the next call, which tries again.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

from etils import epath

from animatrix_jax.files import replacing

Path = str | os.PathLike


class Journal:
    """Results by key.

    Args:
      folder: local, or whatever epath takes.
    """

    def __init__(self, folder: Path):
        self.folder = epath.Path(folder)

    def read(self, key: str) -> Any:
        """The result of a key, or what was put off, or None."""
        for folder in (self.folder, self._put_off):
            with contextlib.suppress(FileNotFoundError):
                return json.loads(_path(folder, key).read_text())
        return None

    def write(self, key: str, value: Any) -> None:
        """Keeps a result."""
        write_whole(_path(self.folder, key), json.dumps(value).encode())

    def put_off(self, key: str, value: Any) -> None:
        """Keeps why there is no result, until `forget`."""
        write_whole(_path(self._put_off, key), json.dumps(value).encode())

    def forget(self) -> None:
        """Removes what was put off."""
        if self._put_off.exists():
            self._put_off.rmtree()

    def has(self, key: str) -> bool:
        """Whether there is a result; what was put off is none."""
        return _path(self.folder, key).exists()

    @property
    def _put_off(self) -> epath.Path:
        return self.folder.parent / f"{self.folder.name}.again"


def _path(folder: epath.Path, key: str) -> epath.Path:
    # A folder of a million files is slow to look into.
    return folder / key[:2] / f"{key}.json"


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """What each line of a file of JSON lines says, one after the other."""
    with epath.Path(path).open("r") as file:
        for line in file:
            yield json.loads(line)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that is there with all its bytes, or not at all."""
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(data)
