"""launch/gke: the manifests, read back by a YAML parser, and the commands."""

import shlex

import pytest
import yaml
from shells import fails

IMAGE = "europe-docker.pkg.dev/project/repo/animatrix:tpu"
COMMON = ("--name=mine", f"--image={IMAGE}", "--workdir=gs://bucket/runs/mine")
TRAIN = ("--", "--config=configs/pico.py:stage=ct")
TPU = ("--target=tpu:v5p:4x4x4",)
GPU = ("--target=gpu:h100:16",)


def manifest(shell, *flags, train=TRAIN):
    result = shell.run("gke/submit.sh", *COMMON, *flags, "--dry-run", *train)
    assert result.returncode == 0, result.stderr
    assert "${" not in result.stdout and "#?" not in result.stdout
    return yaml.safe_load(result.stdout)


def parts(jobset):
    """The one replicated job, its pods' spec, and the one container."""
    [replicated] = jobset["spec"]["replicatedJobs"]
    pod = replicated["template"]["spec"]["template"]
    [container] = pod["spec"]["containers"]
    return replicated, pod, container


def environment(container):
    return {entry["name"]: entry.get("value", entry) for entry in container["env"]}


@pytest.mark.parametrize(
    "target, hosts, chips, accelerator",
    [
        ("tpu:v5p:4x4x4", 16, 4, "tpu-v5p-slice"),
        ("tpu:v6e:16x16", 64, 4, "tpu-v6e-slice"),
        ("tpu:v5e:2x4", 1, 8, "tpu-v5-lite-podslice"),
        ("tpu:v6e:1x1", 1, 1, "tpu-v6e-slice"),
        ("tpu:v4:2x2x2", 2, 4, "tpu-v4-podslice"),
    ],
)
def test_slices(shell, target, hosts, chips, accelerator):
    jobset = manifest(shell, f"--target={target}", "--slices=3")
    replicated, pod, container = parts(jobset)
    assert replicated["replicas"] == 3  # one job a slice
    job = replicated["template"]["spec"]
    assert job["completions"] == job["parallelism"] == hosts
    assert job["completionMode"] == "Indexed"
    assert pod["spec"]["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": accelerator,
        "cloud.google.com/gke-tpu-topology": target.split(":")[-1],
    }
    for kind in ("requests", "limits"):
        assert container["resources"][kind] == {"google.com/tpu": chips}
    # Single hosts share a node pool; a slice of several is one.
    exclusive = "alpha.jobset.sigs.k8s.io/exclusive-topology"
    annotations = jobset["metadata"].get("annotations", {})
    assert (annotations.get(exclusive) == "cloud.google.com/gke-nodepool") == (
        hosts > 1
    )
    # jax finds the others by what GKE tells each pod of a slice.
    assert "JAX_COORDINATOR_ADDRESS" not in environment(container)


def test_gpu_nodes_are_told_of_each_other(shell):
    replicated, pod, container = parts(manifest(shell, *GPU))
    assert replicated["replicas"] == 1
    job = replicated["template"]["spec"]
    assert job["completions"] == job["parallelism"] == 2
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    assert pod["spec"]["nodeSelector"] == {
        "cloud.google.com/gke-accelerator": "nvidia-h100-80gb"
    }
    told = environment(container)
    # JobSet's name of pod 0 of job 0: NAME-JOB-0-0.NAME
    address = f"mine-{replicated['name']}-0-0.mine:8476"
    assert told["JAX_COORDINATOR_ADDRESS"] == address
    assert told["JAX_NUM_PROCESSES"] == "2"
    index = told["JAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert index == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]


def test_less_than_a_gpu_node(shell):
    replicated, _, container = parts(manifest(shell, "--target=gpu:a100-80gb:2"))
    assert replicated["template"]["spec"]["completions"] == 1
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}


@pytest.mark.parametrize("target", [TPU, GPU])
def test_command_bucket_and_restarts(shell, target):
    odd = '--config.data.path=a "b" $(c) & \\d'
    jobset = manifest(
        shell, *target, "--max-restarts=7", "--grace=900", train=(*TRAIN, odd)
    )
    replicated, pod, container = parts(jobset)
    # The training itself is process 1, so SIGTERM reaches it. Kubernetes reads $$( as
    # $(, and $(c) as a variable.
    assert container["command"] == [
        *("animatrix", "train", "--workdir=/gcs/bucket/runs/mine", TRAIN[1]),
        odd.replace("$(", "$$("),
    ]
    assert container["image"] == IMAGE
    assert pod["spec"]["terminationGracePeriodSeconds"] == 900
    policy = jobset["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 7
    # exit 2 fails the job by its pod policy, and that fails the set.
    job = replicated["template"]["spec"]
    [rule] = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [2]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    [rule] = policy["rules"]
    assert rule["action"] == "FailJobSet" and rule["name"]
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    assert job["backoffLimit"] == 0 and pod["spec"]["restartPolicy"] == "Never"
    bucket = next(v for v in pod["spec"]["volumes"] if v["name"] == "bucket")
    assert bucket["csi"]["driver"] == "gcsfuse.csi.storage.gke.io"
    attributes = bucket["csi"]["volumeAttributes"]
    assert attributes["bucketName"] == "bucket"
    assert "metadata-cache:ttl-secs:0" in attributes["mountOptions"].split(",")
    assert {"name": "bucket", "mountPath": "/gcs/bucket"} in container["volumeMounts"]
    assert pod["metadata"]["annotations"]["gke-gcsfuse/volumes"] == "true"


@pytest.mark.parametrize("target", [TPU, GPU])
def test_switches(shell, target):
    plain = manifest(shell, *target)
    jobset = manifest(
        shell, *target, "--spot", "--host-network", "--queue=q", "--namespace=n"
    )
    _, pod, _ = parts(jobset)
    assert pod["spec"]["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert "cloud.google.com/gke-spot" in str(pod["spec"]["tolerations"])
    assert pod["spec"]["hostNetwork"] is True
    bucket = next(v for v in pod["spec"]["volumes"] if v["name"] == "bucket")
    assert bucket["csi"]["volumeAttributes"]["hostNetworkPodKSA"] == "true"
    assert jobset["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "q"}
    assert jobset["metadata"]["namespace"] == "n"
    for word in ("gke-spot", "hostNetwork", "kueue"):
        assert word not in str(plain)


def test_submit_applies_what_the_dry_run_prints(shell):
    shell.stand_in("kubectl", "(folder / 'applied').write_text(sys.stdin.read())")
    result = shell.run("gke/submit.sh", *COMMON, *TPU, *TRAIN)
    assert result.returncode == 0, result.stderr
    assert shell.calls == [["kubectl", "apply", "-f", "-"]]
    applied = (shell.folder / "applied").read_text()
    assert yaml.safe_load(applied) == manifest(shell, *TPU)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), ("--name=... is needed",)),
        ((*COMMON, *TRAIN), ("--target=... is needed",)),
        ((*COMMON, *TPU), ("--config=FILE",)),
        ((*COMMON, *GPU, "--slices=2", *TRAIN), ("no slices",)),
        ((*COMMON, "--target=gpu:h100:12", *TRAIN), ("12", "8 to a node")),
        ((*COMMON, "--target=gpu:h900:8", *TRAIN), ("h900", "h100")),
        ((*COMMON, "--target=gpu:h100:some", *TRAIN), ("some",)),
        ((*COMMON, "--target=cpu:8", *TRAIN), ("cpu:8", "gpu:CHIP:COUNT")),
        ((*COMMON, *TPU, "--grace=soon", *TRAIN), ("--grace=soon",)),
        ((*COMMON, *TPU, "--workdir=/local", *TRAIN), ("gs://BUCKET/PATH",)),
        ((*COMMON, *TPU, "--image=a b", *TRAIN), ("--image=a b",)),
    ],
)
def test_mistakes_are_one_line(shell, arguments, words):
    fails(shell.run("gke/submit.sh", "--dry-run", *arguments), *words)


def test_image_is_built_of_what_git_tracks_and_pushed(shell):
    result = shell.run("gke/image.sh", "--image=i", *GPU, "--dry-run")
    build, push = result.stdout.splitlines()
    assert build.startswith("git -C ") and " ls-files -z | tar " in build
    words = shlex.split(build.split("|")[-1])
    assert words[:2] == ["docker", "build"] and words[-1] == "-"
    assert {"--build-arg=EXTRA=gpu", "--tag=i"} <= set(words)
    assert push == "docker push i"


XPK = ("--cluster=c", "--zone=z", "--workdir=gs://my.bucket/runs/mine")


def xpk(shell, *arguments):
    result = shell.run("gke/xpk.sh", *arguments[:1], *XPK, "--dry-run", *arguments[1:])
    assert result.returncode == 0, result.stderr
    [line] = result.stdout.splitlines()
    return shlex.split(line)


def test_xpk_on_tpus(shell):
    words = xpk(shell, "submit", "--name=mine", "--image=i", *TPU, "--slices=2", *TRAIN)
    assert words[:3] == ["xpk", "workload", "create"]
    assert {"--tpu-type=v5p-128", "--num-slices=2", "--workload=mine"} <= set(words)
    assert {"--max-restarts=100", "--termination-grace-period-seconds=600"} <= set(
        words
    )
    command = next(w for w in words if w.startswith("--command="))
    assert shlex.split(command.removeprefix("--command=")) == [
        *("exec", "animatrix", "train", "--workdir=/gcs/my.bucket/runs/mine"),
        TRAIN[1],
    ]


def test_xpk_on_gpus_renames_what_xpk_tells_the_nodes(shell):
    words = xpk(shell, "submit", "--name=mine", "--image=i", *GPU, *TRAIN)
    assert {"--device-type=h100-80gb-8", "--num-nodes=2"} <= set(words)
    command = next(w for w in words if w.startswith("--command="))
    command = command.removeprefix("--command=").replace(
        "exec animatrix", "exec env animatrix"
    )
    shell.stand_in("animatrix")
    shell.stand_in(
        "env", "import os; print({k: v for k, v in os.environ.items() if 'JAX' in k})"
    )
    (shell.folder / "script.sh").write_text(command)
    told = {
        "JAX_COORDINATOR_ADDRESS": "mine-slice-job-0-0.mine",
        "JAX_COORDINATOR_PORT": "6002",
    }
    result = shell.run(
        str(shell.folder / "script.sh"), NNODES="2", NODE_RANK="1", **told
    )
    assert result.returncode == 0, result.stderr
    assert yaml.safe_load(result.stdout) == {
        "JAX_COORDINATOR_ADDRESS": "mine-slice-job-0-0.mine:6002",
        "JAX_COORDINATOR_PORT": "6002",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "1",
    }


def test_xpk_attaches_the_bucket_where_the_runs_look_for_it(shell):
    words = xpk(shell, "attach")
    assert words[:4] == ["xpk", "storage", "attach", "my-bucket"]
    assert {"--bucket=my.bucket", "--mount-point=/gcs/my.bucket"} <= set(words)
    assert {"--type=gcsfuse", "--readonly=false", "--auto-mount=true"} <= set(words)


def test_xpk_mistakes_are_one_line(shell):
    fails(shell.run("gke/xpk.sh", "submit"), "--cluster=... is needed")
    fails(shell.run("gke/xpk.sh", "grow", *XPK, "--dry-run"), "grow")
    fails(
        shell.run(
            *("gke/xpk.sh", "submit", *XPK, "--name=a", "--image=i", *TPU),
            *("--dry-run", *TRAIN, '--config.x="y"'),
        ),
        "double quote",
    )
