"""Every second of a run is accounted for, over its restarts."""

import pytest

from animatrix_jax.training import goodput
from animatrix_jax.training.goodput import Ledger, summarise

LINES = [
    {"attempt": 1, "resumed": 0, "began": 1000.0},
    {"attempt": 1, "time_to_first_step": 12.0},
    {"attempt": 1, "step": 10, "time": 1020.0, "seconds": {"start": 10, "step": 10}},
    {"attempt": 1, "step": 10, "time": 1022.0, "seconds": {"save": 2}},
    {"attempt": 1, "step": 20, "time": 1032.0, "seconds": {"step": 9, "data": 1}},
    # Killed after the save of step 10; a minute until the next attempt.
    {"attempt": 2, "resumed": 10, "began": 1092.0},
    {"attempt": 2, "step": 20, "time": 1110.0, "seconds": {"restore": 8, "step": 10}},
]


def test_seconds_by_cause_over_two_attempts():
    report = summarise(LINES)
    assert report["wall_seconds"] == 110.0
    assert report["productive_seconds"] == 20.0
    assert report["goodput"] == pytest.approx(20 / 110, abs=1e-4)
    expected = {
        "start": 10,
        "save": 2,
        "rework": 9,
        "data": 1,
        "restore": 8,
        "down": 60,
    }
    assert report["lost_seconds"] == expected
    assert report["attempts"] == 2 and report["time_to_first_step"] == [12.0]
    total = report["productive_seconds"] + sum(report["lost_seconds"].values())
    assert total == pytest.approx(report["wall_seconds"])


class Time:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 500.0

    def time(self):
        return self.now


def test_a_ledger_gives_each_second_to_one_cause(tmp_path, monkeypatch):
    clock = Time()
    monkeypatch.setattr(goodput, "time", clock)
    ledger = Ledger(tmp_path, began=490.0)
    ledger.resumes(0)
    ledger.switch("step")
    clock.now += 3
    with ledger.on("data"):
        clock.now += 1
        with ledger.on("compile"):
            clock.now += 5
        clock.now += 1
    clock.now += 2
    ledger.mark(1)
    report = ledger.report()
    assert report["productive_seconds"] == 5.0
    assert report["lost_seconds"] == {
        "start": 10.0,
        "data": 2.0,
        "compile": 5.0,
        "down": 0.0,
    }
    # And another attempt reads what this one wrote, a cut line included.
    path = tmp_path / "goodput.jsonl"
    path.write_text(path.read_text() + '{"attempt": 1, "st')
    clock.now += 30
    again = Ledger(tmp_path, began=clock.now)
    again.resumes(1)
    again.switch("step")
    clock.now += 7
    again.mark(2)
    assert Ledger(tmp_path, began=0.0).report() == again.report()
    assert again.report()["productive_seconds"] == 12.0
    assert again.report()["lost_seconds"]["down"] == 30.0


def test_a_process_knows_when_it_began():
    assert 0 < goodput.time.time() - goodput.process_start() < 3600
