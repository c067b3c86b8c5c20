"""A file is there whole or not at all, and what failed leaves nothing beside it."""

import json
import os

import numpy as np
import pytest
from etils import epath

from animatrix_jax.files import read_lines, replacing, write_lines


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("before", ["old", None])
def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, error, before):
    path = tmp_path / "a.json"
    if before:
        path.write_text(before)
    with pytest.raises(error), replacing(path) as partial:
        partial.write_text("half of the n")
        raise error("full")
    found = {other.name: other.read_text() for other in tmp_path.iterdir()}
    assert found == ({"a.json": "old"} if before else {})


def test_a_block_that_wrote_nothing_is_an_error(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


@pytest.mark.parametrize("kind", [type(epath.Path("/")), None])
def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path, kind):
    path = (kind or type(tmp_path))(tmp_path / "a.json")
    path.write_text("old")
    with replacing(path, sync=True) as partial:
        assert isinstance(partial, type(path))
        partial.write_text("new")
        assert path.read_text() == "old"
        # No pattern of a suffix finds what is not done.
        assert not list(tmp_path.glob("*.json"))[1:]
    assert [other.name for other in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "new"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.npz"
    with replacing(path) as first, replacing(path) as second:
        for number, partial in enumerate([first, second]):
            with partial.open("wb") as file:
                np.savez(file, x=number)
    with np.load(path) as file:
        assert file["x"] == 0  # whose block ended last
    assert os.listdir(tmp_path) == ["a.npz"]


def test_lines_are_json_and_keep_names_that_are_no_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    path = tmp_path / "new" / "lines.jsonl"
    write_lines(path, [{"video": "走る.mp4"}, {"video": name}])
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    assert [json.loads(line)["video"] for line in text.splitlines()] == [
        "走る.mp4",
        name,
    ]


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert read_lines(path) == []
    path.write_text('{"step": 1}\n{"st\n\n{"step": 2}\n{"ste')
    assert read_lines(path) == [{"step": 1}, {"step": 2}]
