"""docs/launch.md: its commands are ones that the scripts and gcloud take, and its runs fit
the slices that they ask for."""

import dataclasses
import math
import re
import shlex
import shutil
import subprocess
import sys
from unittest import mock

import pytest
from absl import flags
from doc_lines import PROGRAMS, Command, commands
from ml_collections import config_flags
from shells import ROOT, gcloud_refuses

from animatrix_jax.errors import UserError
from animatrix_jax.parallel.mesh import MeshConfig, check_batch, make_mesh
from animatrix_jax.training.config import section

BLOCKS = re.findall(
    r"```sh\n(.*?)```", (ROOT / "docs" / "launch.md").read_text(), flags=re.DOTALL
)
LINES = [line for block in BLOCKS for line in block.splitlines()]
# What the reader fills in.
FILLED = {
    "ZONE": "us-east5-a",
    "REGION": "us-east5",
    "BUCKET": "bucket",
    "PROJECT": "project",
    "NUMBER": "123",
    "CLUSTER": "cluster",
    "REPO": "repo",
    "IMAGE": "image",
}


def filled(line):
    for name, value in FILLED.items():
        line = re.sub(rf"\b{name}\b", value, line)
    return line


OURS = [filled(line) for line in LINES if "launch/" in line.split(" --")[0]]


@pytest.mark.parametrize("line", [line for line in OURS if "setup.sh" not in line])
def test_our_commands_run_dry(shell, line):
    words = shlex.split(line)
    at = next(n for n, word in enumerate(words) if word.startswith("launch/"))
    script, arguments = words[at].removeprefix("launch/"), words[at + 1 :]
    result = shell.run(script, "--dry-run", *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout


@dataclasses.dataclass(frozen=True)
class Chip:
    """What a mesh asks of a device."""

    id: int
    slice_index: int
    platform: str = "none"
    device_kind: str = "none"
    process_index: int = 0


def value_of(words, name, default):
    return next((w.partition("=")[2] for w in words if w.startswith(name)), default)


def chips_of(command):
    """The devices that a launch line asks for."""
    words = command.words[: command.words.index("--")]
    if "launch/slurm.sbatch" in words:  # 8 GPUs a node
        each, slices = 8 * int(value_of(command.before, "--nodes=", "1")), 1
    else:
        kind, _, size = value_of(words, "--target=", "").split(":")
        each = int(size) if kind == "gpu" else math.prod(map(int, size.split("x")))
        slices = int(value_of(words, "--slices=", "1"))
    return [Chip(id=n, slice_index=n // each) for n in range(each * slices)]


def check_fits(command):
    """Raises UserError if a config's mesh or batch does not divide over the chips."""
    argv = [w for w in command.words if w.startswith("--config")]
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", flag_values=values)
    # The parser looks for overrides in the process's own arguments.
    with mock.patch.object(sys, "argv", ["train", *argv]):
        values(["train", *argv])
    config = holder.value
    mesh = make_mesh(section(MeshConfig, config.mesh), chips_of(command))
    accumulation = config.optimizer.accumulation
    check_batch(config.batch.size, mesh, accumulation=accumulation)
    if config.batch.buckets:
        check_batch(config.batch.multiple, mesh, accumulation=accumulation)


RUNS = [
    command
    for page in ("README.md", "docs/launch.md", *PROGRAMS)
    for command in commands(page)
    if "--" in command.words and "launch/" in command.words[0]
]


@pytest.mark.parametrize("command", RUNS, ids=lambda command: command.words[0])
def test_runs_fit_what_they_ask_for(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_fits(command)


def test_runs_that_do_not_fit_are_refused(monkeypatch):
    """Two slices with the mesh of one, and 64 clips over 128 chips."""
    monkeypatch.chdir(ROOT)
    wan = ("--config=configs/wan.py:preset=wan21_1_3b,stage=ct",)
    start = ("launch/gke/submit.sh", "--target=tpu:v6e:8x8", "--slices=2", "--")
    with pytest.raises(UserError, match="mesh.data 1 does not divide over 2 slices"):
        check_fits(Command("here", (*start, *wan)))
    with pytest.raises(UserError, match="batch.size 64 does not divide by 128"):
        check_fits(Command("here", (*start, *wan, "--config.mesh.data=2")))


def test_every_script_is_there():
    scripts = {"tpu_pod.sh", "gke/submit.sh", "gke/xpk.sh", "gke/image.sh"}
    scripts |= {"setup.sh", "slurm.sbatch"}
    for script in scripts:
        assert any(f"launch/{script}" in line for line in OURS), script


def test_the_table_of_slices_is_the_scripts(shell):
    table = (ROOT / "docs" / "launch.md").read_text()
    known = subprocess.run(
        ["bash", "-c", "source launch/lib.sh; tpu_slices"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split() for line in known.splitlines()]
    assert len(rows) == 4
    for name, _, prefix, _, runtime, *topologies in rows:
        [row] = [line for line in table.splitlines() if f"| `tpu:{name}:`" in line]
        assert f"`{prefix}-`" in row and f"`{runtime}`" in row
        assert f"`{topologies[-1]}`" in row or "the same" in row


@pytest.mark.skipif(not shutil.which("gcloud"), reason="no gcloud here")
def test_gcloud_takes_its_commands_and_the_scripts(shell, tmp_path):
    commands = [filled(line) for line in LINES if line.startswith("gcloud ")]
    assert len(commands) > 15
    printed = shell.run(
        *("tpu_pod.sh", "train", "--name=mine", "--zone=z", "--target=tpu:v6e:8x8"),
        *("--workdir=gs://bucket/run", "--capacity=spot", "--slices=2", "--network=n"),
        *("--subnetwork=s", "--service-account=a@b", "--dry-run"),
        *("--", "--config=configs/pico.py"),
    ).stdout
    own = [line for line in printed.splitlines() if line.startswith("gcloud ")]
    assert len(own) == 7
    assert gcloud_refuses([*commands, *own], tmp_path) == {}
