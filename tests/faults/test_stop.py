"""SIGTERM and SIGINT: all save at one step, and the same command goes on, on fewer too."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from processes import Run, clips_of

from animatrix_jax.training import checkpoint
from animatrix_jax.training.faults import EXIT_STOPPED


def stopped_at(run, workdir):
    """The step at which all processes say that they have stopped and saved."""
    codes = run.codes()
    assert set(codes) == {EXIT_STOPPED}, (codes, run.said(0)[-3000:])
    said = [
        re.findall(r"stopped at step (\d+)", run.said(i)) for i in range(len(codes))
    ]
    assert len({tuple(steps) for steps in said}) == 1, said
    (step,) = map(int, said[0])
    assert checkpoint.latest_step(workdir / "toy" / "checkpoints") == step
    return step


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_process(number, alone, tmp_path):
    run = Run(tmp_path, seconds=0.2, checkpoint_every=100)
    run.until_step(4)
    run.signal(0, number)
    assert 4 <= stopped_at(run, tmp_path) < 24
    assert (
        Run(tmp_path, checkpoint_every=100).summary()["params_digest"]
        == (alone[1]["params_digest"])
    )


def test_four_then_two_then_one(alone, tmp_path, same_parameters):
    """Whichever is asked, all stop; and each time fewer go on with the same batches."""
    steps = []
    for count, number in ((4, signal.SIGTERM), (2, signal.SIGINT)):
        run = Run(tmp_path, count, seconds=0.3, checkpoint_every=100)
        run.until_step(4 if count == 4 else 12)
        run.signal(count - 1, number)
        steps.append(stopped_at(run, tmp_path))
    assert 4 <= steps[0] < steps[1] < 24
    last = Run(tmp_path, checkpoint_every=100).summary()
    assert last["steps"] == 24 and last["goodput"]["attempts"] == 3
    ours, theirs = clips_of(tmp_path), clips_of(alone[0])
    for step in range(1, 25):
        count = 4 if step <= steps[0] else 2 if step <= steps[1] else 1
        assert ours[f"{count}.jsonl", step] == theirs["1.jsonl", step]
    same_parameters(tmp_path, alone[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_clips_are_drawn(number, tmp_path):
    """There is nothing to save: it ends there, and keeps the chunks that are whole."""
    folder = tmp_path / "clips"
    code = "import sys, slow_drawing; sys.exit(slow_drawing.main(sys.argv[1]))"
    run = subprocess.Popen(
        [sys.executable, "-c", code, folder],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(_whole(folder)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    # Ctrl-C goes to all processes of a terminal, others to the first one alone.
    (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)
    said = run.communicate(timeout=30)[0]
    assert run.returncode == EXIT_STOPPED
    assert said == "stopped while clips were drawn: those that are, are kept\n"
    whole = _whole(folder)
    assert 2 <= len(whole) < 1000 and sorted(folder.iterdir()) == whole
    assert all((chunk / "labels.json").is_file() for chunk in whole)


def _whole(folder):
    return sorted(folder.glob("[0-9]*"))
