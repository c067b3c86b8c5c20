"""tpu_pod.sh: what it would run, and what it runs when slices come and go."""

import shlex
import subprocess

import pytest
from shells import ROOT, fails

SLICE = ("--name=mine", "--zone=us-east5-a", "--target=tpu:v5p:4x4x4")
RUN = ("--workdir=gs://bucket/runs/mine",)
TRAIN = ("--", "--config=configs/pico.py:stage=ct")

GCLOUD = """
verb = argv[3] if len(argv) > 3 else ""
if verb == "describe":
    state = answer("states")
    if state.startswith("ERROR"):
        sys.exit(state)
    print(state)
elif verb == "ssh" and argv[-1].endswith("tpu_worker.sh state"):
    print(answer("workers").replace(";", chr(10)))
elif verb == "create" and (folder / "refuses").exists():
    sys.exit("ERROR: no quota")
"""
ABSENT = "ERROR: (gcloud.compute.tpus.queued-resources.describe) NOT_FOUND: no such"
# 16 hosts of 4 chips.
RUNNING, DONE, BAD, CRASHED, STOPPED = (
    ";".join(f"worker host{i} {state}" for i in range(16))
    for state in ("running", "exited 0", "exited 2", "exited 134", "stopped 75")
)


def dry(shell, *arguments):
    result = shell.run("tpu_pod.sh", *arguments, "--dry-run", *TRAIN)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line[0] != "#"]
    return [shlex.split(line) for line in lines]


def verbs(shell):
    """The verbs of queued-resources that were called; ssh by what it asked of workers."""
    found = []
    for call in shell.calls:
        if call[0] == "tar":
            continue
        verb = call[4]
        if verb == "ssh":
            verb = call[-1].split("tpu_worker.sh ")[1].split()[0]
        found.append(verb)
    return [verb for verb in found if verb not in ("describe", "state", "scp")]


@pytest.fixture
def cloud(shell):
    shell.stand_in("gcloud", GCLOUD)
    # Packing the checkout takes a second, and is looked at in one test alone.
    shell.stand_in("tar", "sys.stdin.read()")
    return shell


def train(cloud, *flags):
    return cloud.run("tpu_pod.sh", "train", *SLICE, *RUN, *flags, *TRAIN)


def test_dry_run_prints_every_command_and_runs_none(cloud):
    create, describe, tar, scp, install, start, state, delete = dry(
        cloud, "train", *SLICE, *RUN, "--capacity=spot", "--project=p"
    )
    assert cloud.calls == []
    resource = ["gcloud", "compute", "tpus", "queued-resources"]
    for command in (create, describe, scp, install, start, state, delete):
        assert command[:4] == resource
        assert "mine" in command[5] and "--zone=us-east5-a" in command
        assert "--project=p" in command
    assert create[4] == "create" and "--spot" in create
    assert "--accelerator-type=v5p-128" in create  # 64 chips, of two cores each
    assert "--runtime-version=v2-alpha-tpuv5" in create
    assert "--node-id=mine" in create
    assert "--scopes=https://www.googleapis.com/auth/cloud-platform" in create
    assert tar[:4] == ["git", "-C", str(ROOT), "ls-files"]
    for command in (scp, install, start, state):
        assert "--node=all" in command and "--worker=all" in command
    asked = start[-1].removeprefix("--command=")
    assert shlex.split(asked) == [
        *("bash", "animatrix/launch/tpu_worker.sh", "start"),
        *("--workdir=gs://bucket/runs/mine", *TRAIN),
    ]
    assert delete[4] == "delete" and {"--force", "--quiet"} <= set(delete)


def test_flags_of_train_arrive_as_they_were_given(cloud):
    odd = '--config.data.path=it\'s "a" $HOME & more'
    result = cloud.run("tpu_pod.sh", "start", *SLICE, *RUN, "--dry-run", *TRAIN, odd)
    [start] = [shlex.split(line) for line in result.stdout.splitlines()]
    assert shlex.split(start[-1].removeprefix("--command="))[-1] == odd


def test_several_slices_are_one_request(cloud):
    [create, _] = dry_create(cloud, "--slices=4", "--target=tpu:v6e:16x16")
    assert "--accelerator-type=v6e-256" in create
    assert "--runtime-version=v2-alpha-tpuv6e" in create
    assert {"--node-count=4", "--node-prefix=mine"} <= set(create)
    assert not [word for word in create if word.startswith("--node-id")]


def dry_create(cloud, *flags):
    result = cloud.run("tpu_pod.sh", "create", *SLICE, *flags, "--dry-run")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line[0] != "#"]
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize(
    "target, kind, runtime",
    [
        ("tpu:v5e:4x4", "v5litepod-16", "v2-alpha-tpuv5-lite"),
        ("tpu:v5e:2x4", "v5litepod-8", "v2-alpha-tpuv5-lite"),
        ("tpu:v6e:8x8", "v6e-64", "v2-alpha-tpuv6e"),
        ("tpu:v5p:2x2x1", "v5p-8", "v2-alpha-tpuv5"),
        ("tpu:v4:4x4x4", "v4-128", "tpu-ubuntu2204-base"),
    ],
)
def test_targets_of_plan_are_types_of_slices(cloud, target, kind, runtime):
    [create, _] = dry_create(cloud, f"--target={target}")
    assert f"--accelerator-type={kind}" in create
    assert f"--runtime-version={runtime}" in create


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), ("a verb is needed",)),
        (("grow", *SLICE), ("no verb 'grow'", "delete")),
        (("delete", "--zone=z"), ("--name=... is needed",)),
        (("delete", "--name=Mine", "--zone=z"), ("--name=Mine",)),
        (("create", "--name=a", "--zone=z"), ("--target=... is needed",)),
        (("create", *SLICE, "--target=tpu:v5p:3x3x3"), ("3x3x3", "4x4x4")),
        (("create", *SLICE, "--target=tpu:v9:4x4"), ("v9", "v5e v6e v5p v4")),
        (("create", *SLICE, "--target=gpu:h100:8"), ("a TPU is expected",)),
        (("create", *SLICE, "--slices=0"), ("--slices=0", "1 or more")),
        (("create", *SLICE, "--capacity=cheap"), ("cheap", "spot")),
        (("train", *SLICE, *TRAIN), ("--workdir=... is needed",)),
        (("train", *SLICE, "--workdir=runs/x", *TRAIN), ("gs://BUCKET/PATH",)),
        (("train", *SLICE, *RUN), ("--config=FILE",)),
        (("train", *SLICE, *RUN, *TRAIN, "--workdir=x"), ("before --",)),
        (("delete", *SLICE, *TRAIN), ("no flags of train",)),
        (("delete", *SLICE, "more"), ("more",)),
    ],
)
def test_mistakes_are_one_line(cloud, arguments, words):
    fails(cloud.run("tpu_pod.sh", *arguments), *words)
    assert cloud.calls == []


def test_create_install_start_watch_delete(cloud):
    (cloud.folder / "bin" / "tar").unlink()
    cloud.answers("states", ABSENT, "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE")
    cloud.answers("workers", "", RUNNING, RUNNING, DONE)
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert verbs(cloud) == ["create", "install", "start", "delete"]
    assert "WAITING_FOR_RESOURCES" in result.stderr
    copied = next(call for call in cloud.calls if call[4] == "scp")[5]
    names = subprocess.run(
        ["tar", "-tzf", copied], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {"setup.py", "launch/tpu_worker.sh", "configs/wan.py"} <= set(names)


def test_preempted_is_deleted_created_again_and_started_again(cloud):
    before = [ABSENT, *["ACTIVE"] * 4]
    cloud.answers("states", *before, "SUSPENDING", "SUSPENDED", "CREATING", "ACTIVE")
    cloud.answers("workers", "", RUNNING, RUNNING, "", RUNNING, DONE)
    result = train(cloud, "--capacity=spot")
    assert result.returncode == 0, result.stderr
    once = ["create", "install", "start", "delete"]
    assert verbs(cloud) == once + once
    creates = [call for call in cloud.calls if "create" in call]
    assert creates[0] == creates[1] and "--spot" in creates[0]
    starts = [call[-1] for call in cloud.calls if " start " in call[-1]]
    assert starts[0] == starts[1]


def test_a_crash_starts_again_on_the_same_slice(cloud):
    cloud.answers("states", ABSENT, "ACTIVE")
    cloud.answers("workers", "", CRASHED, "", RUNNING, DONE)
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    again = ["install", "start"]
    assert verbs(cloud) == ["create", *again, *again, "delete"]


def test_gives_up_and_deletes(cloud):
    cloud.answers("states", ABSENT, "ACTIVE")
    cloud.answers("workers", CRASHED)
    result = train(cloud, "--max-restarts=1")
    assert result.returncode == 1
    assert verbs(cloud) == ["create", *["install", "start"] * 2, "delete"]
    assert "gs://bucket/runs/mine/logs" in result.stderr


def test_gives_up_what_crashes_at_once_three_times(cloud):
    cloud.answers("states", ABSENT, "ACTIVE")
    cloud.answers("workers", CRASHED)
    result = train(cloud)
    assert result.returncode == 1
    assert verbs(cloud) == ["create", *["install", "start"] * 3, "delete"]
    assert "three times" in result.stderr


def test_a_mistake_of_the_user_is_not_tried_again(cloud):
    cloud.answers("states", ABSENT, "ACTIVE")
    cloud.answers("workers", "", BAD)
    result = train(cloud)
    assert result.returncode == 2
    assert verbs(cloud) == ["create", "install", "start", "logs", "delete"]


def test_a_refused_slice_is_not_asked_for_again(cloud):
    cloud.answers("states", ABSENT)
    cloud.answers("refuses", "yes")
    result = train(cloud)
    assert result.returncode == 2
    assert verbs(cloud) == ["create"]
    assert "no quota" in result.stderr


def test_the_same_command_watches_what_runs(cloud):
    cloud.answers("states", "ACTIVE")
    cloud.answers("workers", RUNNING, RUNNING, DONE)
    result = train(cloud, "--keep")
    assert result.returncode == 0, result.stderr
    assert verbs(cloud) == []
    assert "costs money" in result.stderr


def test_stopped_ends_the_watch_and_deletes(cloud):
    cloud.answers("states", "ACTIVE")
    cloud.answers("workers", RUNNING, STOPPED)
    assert train(cloud).returncode == 0
    assert verbs(cloud) == ["delete"]


def test_gcloud_out_of_reach_is_not_a_lost_slice(cloud):
    cloud.answers("states", "ACTIVE", *["ERROR: network"] * 30, "ACTIVE")
    cloud.answers("workers", RUNNING, RUNNING, DONE)
    assert train(cloud).returncode == 0
    assert verbs(cloud) == ["delete"]


def test_silent_workers_are_given_up(cloud):
    cloud.answers("states", *["ACTIVE"] * 13, ABSENT, "ACTIVE")
    cloud.answers("workers", RUNNING, *[""] * 11, RUNNING, DONE)
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert verbs(cloud)[:2] == ["delete", "create"]


@pytest.mark.parametrize("verb", ["status", "logs", "stop", "delete", "install"])
def test_single_verbs(cloud, verb):
    cloud.answers("states", "ACTIVE")
    cloud.answers("workers", RUNNING)
    result = cloud.run("tpu_pod.sh", verb, "--name=mine", "--zone=z")
    assert result.returncode == 0, result.stderr
    expected = {"status": []}.get(verb, [verb])
    assert verbs(cloud) == expected


def test_logs_of_one_worker_of_one_slice(cloud):
    place = ("--name=mine", "--zone=z")
    cloud.run("tpu_pod.sh", "logs", *place, "--node=1", "--worker=3", "--follow")
    [call] = cloud.calls
    assert {"--node=1", "--worker=3"} <= set(call)
    assert call[-1].endswith("tpu_worker.sh logs --follow")
