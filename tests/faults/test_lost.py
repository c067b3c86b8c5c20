"""A process that is killed, stopped, or hangs is named, and the others end in time."""

import signal
import socket
import time

import pytest
from processes import Run, clips_of

from animatrix_jax.training.faults import EXIT_USER
from animatrix_jax.training.watchdog import EXIT_PEER

HEARTBEAT = 10
# Over the bound: until the threads that watch get their turn on a busy machine.
SLACK = 10
HOST = socket.gethostname()


def start(workdir, **options):
    """Two processes that take their time over each step."""
    options = {"seconds": 0.3, "heartbeat_seconds": HEARTBEAT} | options
    return Run(workdir, 2, **options)


def ends(run, survivor, seconds):
    """The survivor's line, which it ends with in so many seconds."""
    began = time.monotonic()
    assert run.processes[survivor].wait(seconds + SLACK) == EXIT_PEER, run.said(
        survivor
    )
    assert time.monotonic() - began < seconds + SLACK
    line = run.line(survivor)
    run.kill()
    return line


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_is_named_and_the_run_goes_on_exactly(killed, two, tmp_path):
    run = start(tmp_path)
    run.until_step(8)
    run.signal(killed, signal.SIGKILL)
    line = ends(run, 1 - killed, HEARTBEAT)
    assert f"process {killed} on {HOST} is lost" in line and "step" in line
    again = Run(tmp_path, 2)
    assert again.summary()["params_digest"] == two[1]["params_digest"]
    ours, theirs = clips_of(tmp_path), clips_of(two[0])
    assert ours == theirs


def test_a_stopped_process_is_named(tmp_path):
    run = start(tmp_path)
    run.until_step(4)
    run.signal(1, signal.SIGSTOP)
    line = ends(run, 0, HEARTBEAT)
    assert f"process 1 on {HOST} is lost: not heard of since" in line


def test_a_process_that_hangs_in_its_data_is_named_with_its_step(tmp_path):
    run = start(tmp_path, hang=[1, 6], hang_seconds=20)
    codes = run.codes()
    assert codes == [EXIT_PEER, EXIT_PEER]
    for index in (0, 1):
        assert (
            f"process 1 on {HOST} hangs: in its data for step 6 "
            "(loop.hang_seconds is 20)"
        ) in run.line(index)


@pytest.mark.parametrize("fails", [0, 1])
def test_a_users_mistake_on_one_process_is_every_ones(fails, tmp_path):
    """Whoever starts crashed runs again looks at one code of all."""
    run = start(tmp_path, fails=[fails, 4])
    assert run.codes() == [EXIT_USER, EXIT_USER]
    assert run.line(fails).endswith("error: no clip is left")
    other = run.line(1 - fails)
    assert f"process {fails} on {HOST} ended: no clip is left" in other
