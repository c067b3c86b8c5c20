"""What is no file's fault, and what is half done."""

import errno

import pytest

from animatrix_jax.curation import tasks
from animatrix_jax.curation.commit import commit, finish
from animatrix_jax.curation.journal import Journal
from animatrix_jax.curation.ledger import Ledger
from animatrix_jax.curation.prepare import prepare
from animatrix_jax.curation.settings import Looking
from animatrix_jax.errors import UserError

ITEM = {"key": "ab-0", "path": "a.mp4", "labelled": []}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left"), None),
        (OSError(errno.EIO, "Input/output error"), "failed: OSError"),
        (ZeroDivisionError("by zero"), "failed: ZeroDivisionError: by zero"),
    ],
)
def test_a_full_disk_is_no_fault_of_a_file(tmp_path, monkeypatch, error, told):
    def fail(*args):
        raise error

    monkeypatch.setattr(tasks, "cut_film", fail)
    task = tasks.CutFilms(str(tmp_path), Looking())
    if told is None:
        with pytest.raises(OSError, match="No space"):
            task(ITEM)
        assert not Journal(tmp_path).has("ab-0")
    else:
        task(ITEM)
        assert Journal(tmp_path).read("ab-0")["failed"].startswith(told)


@pytest.mark.parametrize("stopped_after", range(5))
def test_a_commit_that_was_stopped_is_finished(tmp_path, monkeypatch, stopped_after):
    """Wherever it stops, the next call leaves what an undisturbed one would."""
    work, out = tmp_path / "work", tmp_path / "out"
    for folder in (work, out):
        folder.mkdir()
    for n in range(2):
        (work / f"new{n}").write_text(f"new {n}")
        (out / f"{n}").write_text(f"old {n}")
    (out / "info").write_text("old")
    (work / "new_info").write_text("new")
    (out / "gone").write_text("old")
    moves = [(work / f"new{n}", out / f"{n}") for n in range(2)]
    moves.append((work / "new_info", out / "info"))
    done = [0]
    kind = type(Journal(tmp_path).folder)
    for name in ("replace", "unlink"):
        real = getattr(kind, name)

        def step(self, *args, real=real, **kwargs):
            if "commit.json" not in str(self) and done[0] >= stopped_after:
                raise KeyboardInterrupt
            done[0] += "commit.json" not in str(self)
            return real(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, step)
    with pytest.raises(KeyboardInterrupt):
        commit(work, first_gone=[out / "info"], moves=moves, gone=[out / "gone"])
    if 1 <= stopped_after < 4:
        assert not (out / "info").exists()
    monkeypatch.undo()
    assert finish(work)
    found = {path.name: path.read_text() for path in out.iterdir()}
    assert found == {"0": "new 0", "1": "new 1", "info": "new"}
    assert not list(work.iterdir()) and not finish(work)


def test_a_ledger_takes_nothing_twice_and_nothing_without_reason(tmp_path):
    with (tmp_path / "l").open("w") as file:
        ledger = Ledger(file)
        ledger.put("file", "a", "kept")
        with pytest.raises(ValueError, match="has a place already"):
            ledger.put("file", "a", "set aside", why="x")
        with pytest.raises(ValueError, match="without a reason"):
            ledger.put("file", "b", "filtered")
        with pytest.raises(ValueError, match="duplicate of nothing"):
            ledger.put("file", "b", "duplicate")
        with pytest.raises(ValueError, match="no place 'lost'"):
            ledger.put("file", "b", "lost")


def test_two_calls_do_not_meet(tmp_path):
    import fcntl

    work = tmp_path / "out" / ".work"
    work.mkdir(parents=True)
    with (work / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another call is at work"):
            prepare(tmp_path, tmp_path / "out")
