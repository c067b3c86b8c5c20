"""tpu_worker.sh: a training in the background, its state, its logs and its end."""

import os
import time

import pytest
from shells import fails

PYTHON = """
import os, signal, time
print("training", *argv, flush=True)
print("cache", os.environ["JAX_COMPILATION_CACHE_DIR"], flush=True)
def end(*_):
    print("saved", flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, end)
(folder / "ready").touch()
while not (folder / "end").exists():
    time.sleep(0.02)
sys.exit(int((folder / "end").read_text()))
"""
TRAIN = ("--", "--config=configs/pico.py:stage=ct", "--config.x=a b")


@pytest.fixture
def worker(shell):
    """A worker whose training is a stand-in; ended with the test."""
    (shell.folder / "bin" / "sleep").unlink()
    shell.stand_in("python", PYTHON)
    shell.stand_in("mountpoint", "sys.exit(1)")
    shell.stand_in("gcsfuse")
    yield shell
    (shell.folder / "end").write_text("0")
    until(lambda: not says(shell, "state").endswith("running"))


def call(worker, *arguments):
    python = str(worker.folder / "bin" / "python")
    mounts = str(worker.folder / "gcs")
    return worker.run(
        *("tpu_worker.sh", *arguments),
        ANIMATRIX_TRAIN_PYTHON=python,
        ANIMATRIX_MOUNTS=mounts,
    )


def says(worker, verb):
    return call(worker, verb).stdout.strip()


def start(worker, workdir):
    result = call(worker, "start", f"--workdir={workdir}", *TRAIN)
    assert result.returncode == 0, result.stderr
    until((worker.folder / "ready").exists)
    return result


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def ended(worker):
    until((worker.folder / ".animatrix" / "code").exists)


def test_idle_running_exited(worker, tmp_path):
    host = os.uname().nodename
    assert says(worker, "state") == f"worker {host} idle"
    start(worker, tmp_path / "run")
    assert says(worker, "state") == f"worker {host} running"
    (worker.folder / "end").write_text("3")
    ended(worker)
    assert says(worker, "state") == f"worker {host} exited 3"


def test_the_training_gets_the_flags_and_leaves_its_log_in_the_workdir(
    worker, tmp_path
):
    start(worker, tmp_path / "run")
    (worker.folder / "end").write_text("0")
    ended(worker)
    [python] = [call for call in worker.calls if call[0] == "python"]
    assert python[1:] == [
        *("-m", "animatrix_jax.cli.main", "train"),
        *(f"--workdir={tmp_path / 'run'}", *TRAIN[1:]),
    ]
    [log] = (tmp_path / "run" / "logs").iterdir()
    assert "training" in log.read_text()
    assert f"cache {tmp_path / 'run' / '.compiled'}" in log.read_text()
    assert log.read_text() in says(worker, "logs") + "\n"


def test_a_second_start_leaves_the_first_alone(worker, tmp_path):
    start(worker, tmp_path / "run")
    assert "already" in start(worker, tmp_path / "run").stderr
    assert len([call for call in worker.calls if call[0] == "python"]) == 1


def test_stop_is_a_polite_end_and_start_goes_on(worker, tmp_path):
    start(worker, tmp_path / "run")
    assert call(worker, "stop").returncode == 0
    ended(worker)
    assert says(worker, "state").endswith("stopped 75")
    assert says(worker, "logs").endswith("saved")
    (worker.folder / "ready").unlink()
    start(worker, tmp_path / "run")
    assert says(worker, "state").endswith("running")


def test_a_bucket_is_mounted_without_a_cache_of_its_metadata(worker):
    start(worker, "gs://bucket/runs/mine")
    [mount] = [call for call in worker.calls if call[0] == "gcsfuse"]
    folder = worker.folder / "gcs" / "bucket"
    assert mount[-2:] == ["bucket", str(folder)]
    assert "--metadata-cache-ttl-secs=0" in mount
    assert folder.is_dir()
    [python] = [call for call in worker.calls if call[0] == "python"]
    assert f"--workdir={folder / 'runs' / 'mine'}" in python


def test_a_dead_process_is_not_taken_for_a_training(worker):
    files = worker.folder / ".animatrix"
    files.mkdir()
    (files / "pid").write_text(str(os.getpid()))  # alive, but not a training
    assert says(worker, "state").endswith("idle")


def test_install_asks_for_what_lacks(worker):
    worker.stand_in("dpkg", "sys.exit(argv[1] != 'libgl1')")
    for name in ("uv", "sudo", "python3"):
        worker.stand_in(name)
    result = call(worker, "install", "--dry-run")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1].endswith("launch/setup.sh train,tpu")
    [packages] = [line for line in lines if " install -y " in line]
    assert "libegl1 libfontconfig1" in packages and "libgl1" not in packages
    assert "uv python install --quiet 3.12" in lines
    assert not [call for call in worker.calls if call[0] != "dpkg"]


def test_mistakes_are_one_line(worker):
    fails(call(worker), "install, start")
    fails(call(worker, "start", *TRAIN), "--workdir=... is needed")
    fails(call(worker, "start", "--workdir=/x"), "--config=FILE")
