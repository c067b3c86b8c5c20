"""The flags of `animatrix prepare`, and what it prints."""

import json

import pytest
from absl import flags

from animatrix_jax.cli import prepare as verb
from animatrix_jax.errors import UserError


def test_settings_are_read_by_name():
    settings = verb.parse_settings(["min_side=128", "a_motion=0.1:2", "captioner=x"])
    assert settings.rules.min_side == 128 and settings.rules.a_motion == (0.1, 2.0)
    assert settings.captioning.captioner == "x" and settings.encoding.crf == 18


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("min_sid=3", "no setting 'min_sid'; nearest: min_side"),
        ("min_side=small", "--set=min_side: expected int, got 'small'"),
        ("max_seconds=0.5", "min_seconds < max_seconds"),
        ("max_text=3", "max_text is 3; expected 0 to 1"),
        ("samples=0", "samples is 0; expected 1 or more"),
        ("a_motion=2:1", "expected a_motion=LOW:HIGH"),
        ("speed=vryfast", "expected speed of ultrafast, .*'vryfast'"),
    ],
)
def test_a_wrong_setting_is_one_line(item, message):
    with pytest.raises(UserError, match=message):
        verb.parse_settings([item])


def test_the_same_totals_are_printed_and_given_as_json(tmp_path, monkeypatch, capsys):
    totals = {"kept": 1, "filtered": 2, "set aside": 3, "duplicate": 4}
    summary = {
        "totals": {"file": totals, "clip": totals},
        "tiers": {"B": 1, "A": 0, "S": 0},
        "clips": 1,
        "out": "there",
    }
    monkeypatch.setattr(
        "animatrix_jax.curation.prepare.prepare", lambda *a, **k: summary
    )
    # Another verb of this process may give --checkpoint another default.
    given = {"videos": "v", "out": "o", "json": True, "checkpoint": ""}
    for name, value in given.items():
        monkeypatch.setattr(flags.FLAGS[name], "value", value)
    verb.main(["prepare"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == "10 files: 1 kept, 2 filtered, 3 set aside, 4 duplicate"
    assert lines[2] == "1 clips (1 B, 0 A, 0 S) in there"
    assert json.loads(lines[-1]) == summary


def test_both_folders_are_needed(monkeypatch):
    monkeypatch.setattr(flags.FLAGS["videos"], "value", None)
    with pytest.raises(UserError, match="--videos=DIR and --out=DATASET"):
        verb.main(["prepare"])


@pytest.mark.parametrize("words", [["more"], ["--a=1", "more"], ["--a", "1", "more"]])
def test_a_word_that_is_no_flag_of_the_runner_is_refused(words):
    with pytest.raises(UserError, match="unexpected argument 'more'"):
        verb.check_options(words)
    flags_of_beam = ["--project=P", "--region", "R", "--streaming"]
    assert verb.check_options(flags_of_beam) == tuple(flags_of_beam)


def test_a_checkpoint_that_cannot_encode_is_told_before_the_work(monkeypatch):
    def never(*args, **options):
        raise AssertionError("prepared")

    monkeypatch.setattr("animatrix_jax.curation.prepare.prepare", never)
    given = {"videos": "v", "out": "o", "checkpoint": "no_such_model"}
    for name, value in given.items():
        monkeypatch.setattr(flags.FLAGS[name], "value", value)
    with pytest.raises(UserError, match="no_such_model"):
        verb.main(["prepare"])
    monkeypatch.setattr(flags.FLAGS["out"], "value", "gs://bucket/out")
    with pytest.raises(UserError, match="local datasets"):
        verb.main(["prepare"])
