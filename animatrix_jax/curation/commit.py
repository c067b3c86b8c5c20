"""A folder that goes from one state to the next at once, whenever it is stopped.

The next state's files lie whole in a folder of their own; then a list of what moves where
is written, then it is done. A call that finds the list does what is left of it first. While
files move, the dataset has no `dataset_info.json`, so nobody reads it half changed.
"""

import json
import os
from collections.abc import Sequence

from etils import epath

from animatrix_jax.curation.journal import Path, write_whole

_LIST = "commit.json"


def commit(
    work: Path,
    *,
    first_gone: Sequence[Path],
    moves: Sequence[tuple[Path, Path]],
    gone: Sequence[Path],
) -> None:
    """Removes, moves, removes: all of it, now or at the next `finish`.

    Args:
      work: where the list lies.
      first_gone: removed first, if it is there, and moved to last.
      moves: from, to, otherwise in this order.
      gone: removed last.
    """
    moves = sorted(moves, key=lambda move: move[1] in first_gone)
    plan = {
        "first_gone": [os.fspath(path) for path in first_gone],
        "moves": [[os.fspath(a), os.fspath(b)] for a, b in moves],
        "gone": [os.fspath(path) for path in gone],
    }
    write_whole(epath.Path(work) / _LIST, json.dumps(plan).encode())
    finish(work)


def finish(work: Path) -> bool:
    """Does what is left of a commit; returns whether there was one."""
    path = epath.Path(work) / _LIST
    if not path.exists():
        return False
    plan = json.loads(path.read_text())
    # Once a move is done its source is gone, and what it replaced is the new file. Those of
    # `first_gone` come last: as long as any source is there, theirs is.
    if any(epath.Path(a).exists() for a, _ in plan["moves"]):
        for name in plan["first_gone"]:
            epath.Path(name).unlink(missing_ok=True)
    for source, target in plan["moves"]:
        if epath.Path(source).exists():
            epath.Path(target).parent.mkdir(parents=True, exist_ok=True)
            epath.Path(source).replace(target)
    for name in plan["gone"]:
        epath.Path(name).unlink(missing_ok=True)
    path.unlink()
    return True
