"""What is done, kept so that it is not done again: one file of JSON a result.

A result is written under another name and renamed when whole, so a process that is killed
at any moment leaves results that are either there or not. Keys are made from the content
of what was looked at and the digest of the settings: a result is never stale, and two
processes that make the same one write the same bytes.
"""

import json
import os
import uuid
from typing import Any

from etils import epath

Path = str | os.PathLike


class Journal:
    """Results by key.

    Args:
      folder: local, or whatever epath takes.
    """

    def __init__(self, folder: Path):
        self.folder = epath.Path(folder)

    def read(self, key: str) -> Any:
        """The result of a key, or None."""
        try:
            return json.loads(self._path(key).read_text())
        except FileNotFoundError:
            return None

    def write(self, key: str, value: Any) -> None:
        """Keeps a result."""
        write_whole(self._path(key), json.dumps(value).encode())

    def has(self, key: str) -> bool:
        """Whether there is a result."""
        return self._path(key).exists()

    def _path(self, key: str) -> epath.Path:
        # A folder of a million files is slow to look into.
        return self.folder / key[:2] / f"{key}.json"


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that is there with all its bytes, or not at all."""
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    partial.write_bytes(data)
    partial.replace(path)
