"""What 8 devices saved restores on 1, 2 and 4, each in a process that has no more."""

import pathlib
import shutil
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "restore_anywhere.py"


def run(*args):
    """The script's lines; what went wrong in it is raised here."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, args)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Runs whose one checkpoint was saved on 8 devices, by the name of their mesh."""
    folder = tmp_path_factory.mktemp("saved")
    run("save", folder)
    return folder


@pytest.fixture(scope="module")
def ema_alone(saved, tmp_path_factory):
    """The same, with nothing left of their arrays but the EMA's."""
    folder = tmp_path_factory.mktemp("ema") / "saved"
    shutil.copytree(saved, folder)
    for item in ("optimizer", "params", "counters"):
        places = list(folder.glob(f"*/ct/checkpoints/*/{item}"))
        assert len(places) == 3
        for place in places:
            shutil.rmtree(place)
    return folder


@pytest.mark.parametrize("devices,lines", [(1, 3), (2, 6), (4, 6)])
def test_for_training(devices, lines, saved):
    """The bits of the whole state, and the step after."""
    assert len(run("train", saved, devices)) == lines


@pytest.mark.parametrize("devices,lines", [(1, 3), (2, 6), (4, 6)])
def test_for_inference_nothing_but_the_ema_is_read(devices, lines, ema_alone):
    """In fp32 and in bf16."""
    assert len(run("infer", ema_alone, devices)) == lines
