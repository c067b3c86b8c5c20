"""Where everything went: each in one place, with a reason."""

import json

import pytest

from animatrix_jax.curation.ledger import Ledger, whole_file, whole_label

KEPT = {"name": "a.mp4@0-1", "place": "kept"}
STILL = {"name": "a.mp4@1-2", "place": "filtered", "why": "still"}
COPY = {"name": "a.mp4@2-3", "place": "duplicate", "of": "b.mp4@0-1"}


def test_nothing_is_in_two_places_or_gone_without_a_reason(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with path.open("w") as file:
        ledger = Ledger(file)
        ledger.put("file", "a", "filtered", why="blank")
        for wrong in (
            ("file", "a", "kept"),
            ("file", "b", "set aside"),
            ("clip", "c", "duplicate"),
            ("film", "d", "kept"),
        ):
            with pytest.raises(ValueError):
                ledger.put(*wrong)
    assert json.loads(path.read_text()) == {
        "kind": "file",
        "name": "a",
        "place": "filtered",
        "why": "blank",
    }
    assert ledger.totals["file"]["filtered"] == 1


@pytest.mark.parametrize(
    ("fates", "place"),
    [
        (["kept", "filtered"], "kept"),
        (["duplicate", "duplicate"], "duplicate"),
        (["set aside"], "set aside"),
        (["duplicate", "filtered"], "filtered"),
        ([], "filtered"),
    ],
)
def test_a_file_goes_where_its_clips_went(fates, place):
    assert whole_file(fates)["place"] == place


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ([STILL, KEPT, KEPT], {"place": "kept", "clips": 2}),
        ([STILL, COPY], {"place": "filtered", "why": "a.mp4@1-2: still"}),
        ([COPY], {"place": "duplicate", "of": "b.mp4@0-1"}),
        ([], {"place": "filtered", "why": "its clips are those of another label"}),
    ],
)
def test_a_label_goes_where_its_clips_went(clips, expected):
    assert whole_label(clips) == expected
