"""Clips found out once: whole chunks, in any order, on whatever was there."""

import os

import numpy as np
import pytest

from animatrix_jax.data.chunks import Chunks


def _draw(index):
    return {"square": np.array([index, index**2])}, {"name": f"clip {index}"}


class _Counted:
    def __init__(self, fails_at=None):
        self.asked, self._fails_at = [], fails_at

    def __call__(self, index):
        if index == self._fails_at:
            raise RuntimeError("the machine stopped")
        self.asked.append(index)
        return _draw(index)


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_come_as_they_are_asked_for(tmp_path, workers):
    chunks = Chunks(tmp_path / "c", _draw, count=7, size=3, workers=workers)
    assert len(chunks) == 7
    np.testing.assert_array_equal(
        chunks.take(np.array([6, 0, 3]))["square"], [[6, 36], [0, 0], [3, 9]]
    )
    assert [label["name"] for label in chunks.labels] == [f"clip {n}" for n in range(7)]


def test_some_entries_of_an_array(tmp_path):
    chunks = Chunks(tmp_path, _draw, count=4, size=2, workers=0)
    taken = chunks.take(np.array([3, 2]), {"square": np.array([[1, 1], [0, 1]])})
    np.testing.assert_array_equal(taken["square"], [[9, 9], [2, 4]])


def test_what_is_there_is_kept_and_more_can_be_asked_for(tmp_path):
    first, second = _Counted(), _Counted()
    Chunks(tmp_path, first, count=4, size=2, workers=0)
    Chunks(tmp_path, second, count=6, size=2, workers=0)
    assert first.asked == [0, 1, 2, 3] and second.asked == [4, 5]


def test_chunks_of_another_size_are_refused(tmp_path):
    Chunks(tmp_path, _draw, count=4, size=2, workers=0)
    with pytest.raises(ValueError, match="chunks of 2 clips, expected 4"):
        Chunks(tmp_path, _draw, count=4, size=4, workers=0)


def test_few_files_are_open_at_once(tmp_path, monkeypatch):
    """Some systems let a process have 256."""
    chunks = Chunks(tmp_path, _draw, count=120, size=1, workers=0)
    stack, seen = np.stack, []

    def counting(arrays):
        # Of these files alone: others come and go, with what is collected.
        ours = [
            os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
        ]
        seen.append(sum(name.startswith(str(tmp_path)) for name in ours))
        return stack(arrays)

    monkeypatch.setattr(np, "stack", counting)
    chunks.take(range(120))
    assert 0 < seen[0] < 40


def test_a_chunk_is_whole_or_not_there(tmp_path):
    with pytest.raises(RuntimeError, match="stopped"):
        Chunks(tmp_path, _Counted(fails_at=3), count=4, size=2, workers=0)
    assert sorted(n for n in os.listdir(tmp_path) if n[0] != ".") == ["000000"]
    again = _Counted()
    chunks = Chunks(tmp_path, again, count=4, size=2, workers=0)
    assert again.asked == [2, 3] and len(chunks.labels) == 4
    assert sorted(os.listdir(tmp_path)) == ["000000", "000002"]
