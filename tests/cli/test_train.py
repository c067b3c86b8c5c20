"""`animatrix train` as a user runs it: processes that are killed and started again."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# The true stage, with a model that compiles quickly.
RUN = (
    f"--config={ROOT}/configs/pico.py:stage=ct,smoke=True",
    "--config.model.dit.num_layers=1",
    "--config.loop.steps=9",
    "--config.loop.checkpoint_every=2",
    "--config.loop.log_every=1",
    "--config.data.clips=32",
    "--json",
)


def start(workdir, *flags):
    command = [sys.executable, "-m", "animatrix_jax.cli.main", "train"]
    return subprocess.Popen(
        [*command, *RUN, f"--workdir={workdir}", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Most of so short a run is compiling.
        env=dict(os.environ, JAX_DISABLE_MOST_OPTIMIZATIONS="1"),
    )


def finish(process):
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr[-2000:]
    return json.loads(stdout.strip().splitlines()[-1])


def kill_after(process, metrics, step):
    """kill -9 of the process and its children once the log has reached `step`."""
    until = time.monotonic() + 600
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()[1][-2000:]
        if metrics.exists() and f'"step": {step},' in metrics.read_text():
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_two_kills_change_nothing(tmp_path):
    undisturbed = finish(start(tmp_path / "a"))
    assert undisturbed["steps"] == 9
    metrics = tmp_path / "b" / "ct" / "metrics.jsonl"
    kill_after(start(tmp_path / "b"), metrics, 3)
    kill_after(start(tmp_path / "b"), metrics, 6)
    resumed = finish(start(tmp_path / "b"))
    for name in ("params_digest", "loss_first", "loss_last"):
        assert resumed[name] == undisturbed[name]
    # And once more: all is done, and nothing is trained.
    assert finish(start(tmp_path / "b"))["params_digest"] == resumed["params_digest"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config.loop.stepz=3"], "stepz"),
        (["--config.optimizer.kind=lion"], "'lion' is not 'adamw' or 'muon'"),
        (["--config.init.vae=nowhere"], "nowhere"),
        (["--config.data.source=laserdisc"], "laserdisc"),
    ],
)
def test_a_wrong_field_is_one_line(tmp_path, flags, message):
    process = start(tmp_path, *flags)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 2
    error = [line for line in stderr.splitlines() if line.strip()]
    assert message in error[-1] and "Traceback" not in stderr
