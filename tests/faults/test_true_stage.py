"""`animatrix train` by two processes: the true stage, its cache and samples made once."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from processes import free_port

ROOT = pathlib.Path(__file__).parents[2]
RUN = (
    f"--config={ROOT}/configs/pico.py:stage=ct,smoke=True",
    "--config.model.dit.num_layers=1",
    "--config.loop.steps=2",
    "--config.data.clips=16",
    "--config.data.images=16",
    "--json",
)


def train(workdir, count):
    """The summary of a run by so many processes."""
    port, processes = free_port(), []
    for index in range(count):
        # Most of so short a run is compiling.
        quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        environment = dict(os.environ, JAX_PLATFORMS="cpu", **quick)
        if count > 1:
            environment |= {
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
                "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(index),
            }
        command = [sys.executable, "-m", "animatrix_jax.cli.main", "train", *RUN]
        processes.append(
            subprocess.Popen(
                [*command, f"--workdir={workdir}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
        )
    try:
        said = [process.communicate(timeout=600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert not any(process.returncode for process in processes), said[-1][-3000:]
    assert [bool(text.strip().endswith("}")) for text in said] == [True, False][:count]
    return json.loads(said[0].strip().splitlines()[-1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory, compilation_cache):
    """The workdirs and the summaries of runs by one process and by two."""
    workdirs = [tmp_path_factory.mktemp(name) for name in ("one", "both")]
    return workdirs, [train(w, count) for w, count in zip(workdirs, (1, 2))]


def test_two_processes_train_as_one(runs):
    _, (one, both) = runs
    for name in ("loss_first", "loss_last"):
        assert both[name] == pytest.approx(one[name], rel=1e-4)


def test_their_folder_is_the_folder_of_one(runs):
    """But for the parts of each process in a checkpoint, and names that time gives."""

    def names(workdir):
        paths = (p.relative_to(workdir).as_posix() for p in workdir.rglob("*"))
        places = ("ct/checkpoints/", "ct/tensorboard/", ".compiled/")
        return {path for path in paths if not path.startswith(places)}

    (one, both), _ = runs
    assert names(one) == names(both)
    assert any(name.startswith("cache/") for name in names(both))
    assert any(name.endswith(".mp4") for name in names(both))
