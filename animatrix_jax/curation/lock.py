"""One call at a time in a dataset's work folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from etils import epath

from animatrix_jax.errors import UserError


@contextlib.contextmanager
def alone(work: epath.Path) -> Iterator[None]:
    """Keeps a second call out of the same work, where the file system can tell."""
    with _written(work.parent):
        work.mkdir(parents=True, exist_ok=True)
    if "://" in os.fspath(work):
        yield
        return
    with _written(work.parent):
        (work / "lock").touch()
    with open(work / "lock", "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another call is at work in {work.parent}") from error
        yield


@contextlib.contextmanager
def _written(out: epath.Path) -> Iterator[None]:
    """A dataset's folder that cannot be written is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
