"""Files that are there whole or not at all, whenever the process is stopped.

    with replacing(path) as partial:
        partial.write_text(...)

What is written lies beside the file under a name of its own, and takes the file's name
when it is done: a reader sees what was there before, or all of what is new. Two processes
that write one file do not meet: the last one stays. A process that is killed meanwhile
leaves `NAME.XXXXXXXX.tmp`, which nobody reads.
"""

import contextlib
import errno
import json
import os
import pathlib
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

# No file's fault: a run ends, and goes on when there is room again.
_MACHINES_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENOMEM)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
AnyPath = TypeVar("AnyPath", bound=os.PathLike)
"""A `pathlib.Path`, or an `epath.Path` on a disk or in a bucket."""


def leads_out(name: str) -> bool:
    """Whether a path is absolute, by any system's rules, or climbs out."""
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "" or ".." in parts or bool(_DRIVE.match(name))


def is_machines_fault(error: BaseException | None) -> bool:
    """Whether a disk or the memory is full, or nothing more may be opened or written."""
    return isinstance(error, OSError) and error.errno in _MACHINES_FAULT


@contextlib.contextmanager
def replacing(path: AnyPath, *, sync: bool = False) -> Iterator[AnyPath]:
    """Gives a path to write to, which replaces `path` when the block is done.

    Where the block fails, `path` stays as it was, and nothing is left beside it.

    Args:
      path: of the file, in a folder that exists.
      sync: wait until the bytes are on the disk, so that the file outlives the machine's
        own end too.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield partial
        if sync:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_lines(path: pathlib.Path, lines: Iterable[dict[str, Any]]) -> None:
    """Writes JSON lines, the file whole or not at all, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with replacing(path) as partial:
        # A file's name need not be UTF-8.
        partial.write_text(text, encoding="utf-8", errors="surrogateescape")


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """The JSON lines of a file that is appended to; none where there is no file.

    A line that a kill cut short is left out.
    """
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines
