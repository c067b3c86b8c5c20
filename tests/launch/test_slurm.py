"""slurm.sbatch: the srun line, what each process learns, and the way back to the queue."""

import json
import shlex

import pytest
from shells import ROOT, fails

WORKDIR = "--workdir=/shared/mine"
TRAIN = ("--", "--config=configs/pico.py:stage=ct")
# A job of 2 nodes, as Slurm describes it to the batch script.
JOB = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_NODELIST": "gpu[007-008]",
    "SLURM_NTASKS_PER_NODE": "1",
    "SLURM_GPUS_ON_NODE": "8",
    "SLURM_SUBMIT_DIR": str(ROOT),
}

# Runs the command once a task, as srun does, with the task's number.
SRUN = """
import os, subprocess
at = next(n for n, word in enumerate(argv) if not word.startswith("--"))
tasks = int(next(w for w in argv if w.startswith("--ntasks=")).split("=")[1])
for task in range(tasks):
    env = os.environ | {"SLURM_PROCID": str(task)}
    subprocess.run(argv[at:], env=env, check=True)
if (folder / "seconds").exists():
    import time
    time.sleep(float((folder / "seconds").read_text()))
sys.exit(int((folder / "code").read_text()))
"""
PYTHON = """
import os
names = [name for name in os.environ if name.startswith("JAX_")]
with (folder / "tasks.jsonl").open("a") as file:
    file.write(json.dumps({name: os.environ[name] for name in names}) + chr(10))
"""


@pytest.fixture
def cluster(shell):
    shell.stand_in("srun", SRUN)
    shell.stand_in("scontrol", "print('gpu007\\ngpu008')")
    shell.stand_in("python", PYTHON)
    return shell


def submit(cluster, code, *flags, **variables):
    """What sbatch would run; the container's python is the stand-in."""
    (cluster.folder / "code").write_text(str(code))
    return cluster.run(
        *("slurm.sbatch", WORKDIR, "--container=image.sqsh", *flags, *TRAIN),
        **(JOB | variables),
    )


def told(cluster):
    lines = (cluster.folder / "tasks.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def requeued(cluster):
    return ["scontrol", "requeue", "4711"] in cluster.calls


def test_dry_run_by_bash_prints_the_srun_line(cluster):
    result = cluster.run("slurm.sbatch", "--dry-run", WORKDIR, *TRAIN)
    assert result.returncode == 0, result.stderr
    [line] = result.stdout.splitlines()
    words = shlex.split(line)
    assert words[0] == "srun"
    assert {"--nodes=1", "--ntasks=8", "--ntasks-per-node=8"} <= set(words)
    assert words[-3:] == ["train", WORKDIR, TRAIN[1]]
    assert cluster.calls == []


def test_one_process_a_gpu(cluster):
    assert submit(cluster, 0, SLURM_NTASKS_PER_NODE="8").returncode == 0
    processes = told(cluster)
    assert [p["JAX_PROCESS_ID"] for p in processes] == [str(n) for n in range(16)]
    assert {p["JAX_NUM_PROCESSES"] for p in processes} == {"16"}
    [address] = {p["JAX_COORDINATOR_ADDRESS"] for p in processes}
    assert address == f"gpu007:{12000 + 711}"
    # jax itself takes the GPU of the process's number on its node.
    assert not any("JAX_LOCAL_DEVICE_IDS" in p for p in processes)
    assert not requeued(cluster)


def test_one_process_a_node_sees_all_its_gpus(cluster):
    assert submit(cluster, 0).returncode == 0
    processes = told(cluster)
    assert [p["JAX_PROCESS_ID"] for p in processes] == ["0", "1"]
    assert {p["JAX_LOCAL_DEVICE_IDS"] for p in processes} == {"0,1,2,3,4,5,6,7"}


def test_container_has_the_workdir_and_the_checkout(cluster):
    submit(cluster, 0, "--mounts=/data:/data")
    [srun] = [call for call in cluster.calls if call[0] == "srun"]
    assert "--container-image=image.sqsh" in srun
    [mounts] = [w for w in srun if w.startswith("--container-mounts=")]
    assert mounts.split("=")[1].split(",") == [
        *("/shared/mine:/shared/mine", f"{ROOT}:{ROOT}", "/data:/data")
    ]


@pytest.mark.parametrize("code", [1, 76, 134])
def test_a_crash_goes_back_into_the_queue(cluster, code):
    (cluster.folder / "seconds").write_text("1.1")
    assert submit(cluster, code, "--min-run=1").returncode == 0
    assert requeued(cluster)


@pytest.mark.parametrize("code", [1, 76, 134])
def test_a_crash_right_after_the_start_does_not(cluster, code):
    assert submit(cluster, code).returncode == code
    assert not requeued(cluster)


def test_what_was_saved_and_ended_goes_back_at_once(cluster):
    assert submit(cluster, 75).returncode == 0
    assert requeued(cluster)


def test_a_mistake_of_the_user_does_not(cluster):
    assert submit(cluster, 2).returncode == 2
    assert not requeued(cluster)


def test_nor_does_one_that_was_restarted_too_often(cluster):
    result = submit(cluster, 1, "--max-restarts=3", SLURM_RESTART_COUNT="3")
    assert result.returncode == 1
    assert not requeued(cluster)


def test_nor_one_that_was_cancelled(cluster):
    cancel = "\nos.kill(os.getppid(), 15)\nsys.exit(143)\n"
    cluster.stand_in("srun", "import os" + cancel)
    assert submit(cluster, 143).returncode == 143
    assert not requeued(cluster)


def test_sbatch_reads_the_directives():
    lines = (ROOT / "launch" / "slurm.sbatch").read_text().splitlines()
    directives = [line.split(maxsplit=1)[1] for line in lines if "#SBATCH --" in line]
    # sbatch stops at the first line that is neither empty nor a comment.
    first = next(n for n, line in enumerate(lines) if line and line[0] != "#")
    assert all("#SBATCH" not in line for line in lines[first:])
    assert {"--requeue", "--signal=TERM@120", "--open-mode=append"} <= set(directives)


@pytest.mark.parametrize(
    "arguments, variables, words",
    [
        ((*TRAIN,), {}, ("--workdir=... is needed",)),
        (("--workdir=runs/x", *TRAIN), {}, ("full path",)),
        ((WORKDIR,), {}, ("--config=FILE",)),
        ((WORKDIR, *TRAIN), {}, ("sbatch", "--dry-run")),
        ((WORKDIR, *TRAIN), JOB | {"SLURM_NTASKS_PER_NODE": "3"}, ("=3", "8")),
        ((WORKDIR, *TRAIN), {"SLURM_SUBMIT_DIR": "/"}, ("checkout",)),
    ],
)
def test_mistakes_are_one_line(cluster, arguments, variables, words):
    fails(cluster.run("slurm.sbatch", *arguments, **variables), *words)
    assert not [call for call in cluster.calls if call[0] == "srun"]
