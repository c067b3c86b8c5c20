"""docs/launch.md: its commands are ones that the scripts and gcloud take."""

import re
import shlex
import shutil
import subprocess

import pytest
from shells import ROOT, gcloud_refuses

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
