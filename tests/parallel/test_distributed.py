"""Which processes there are, as the environment says; with real ones in tests/faults."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh

NAMES = (distributed.ADDRESS, distributed.COUNT, distributed.ID)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((None, "2", "0"), f"{distributed.ADDRESS} is not set"),
        (("localhost:1", "2", None), f"{distributed.ID} is not set"),
        (("localhost:1", None, "1"), f"{distributed.COUNT} is not set"),
        (("localhost:1", "2", "2"), "expected 0 <= .*got 2 and 2"),
        (("localhost:1", "two", "0"), "expected a number in .*'two'"),
        (
            ("localhost:1", None, None),
            "JAX_NUM_PROCESSES=1 trains on this machine alone",
        ),
    ],
)
def test_contradictions_name_the_variable(values, message, monkeypatch):
    for name, value in zip(NAMES, values):
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message) as error:
        distributed.initialize()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("count", [None, "1"])
def test_alone_everything_is_what_it_is(count, monkeypatch, tmp_path):
    if count:
        monkeypatch.setenv(distributed.COUNT, count)
    distributed.initialize()
    assert not jax.distributed.is_initialized() and distributed.is_first()
    distributed.share_batches(make_mesh(MeshConfig(), jax.devices()[:1]))
    assert distributed.batch_share() == (0, 1)
    assert distributed.gather({"a": 1}) == [{"a": 1}]
    assert distributed.agreed(lambda: 3) == distributed.in_turn(lambda: 3) == 3
    assert distributed.fetch({"a": np.ones(2)})["a"].sum() == 2
    distributed.check_shared(tmp_path)


# Four processes of two devices each; a mesh whose batch is split in two over them.
SCRIPT = """
import sys
import jax
import numpy as np
from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training.placement import place_batch
import json, pathlib
distributed.initialize(start_seconds=120)
mesh = make_mesh(MeshConfig(data=2, fsdp=1, sequence=2, tensor=2))
distributed.share_batches(mesh)
index, count = distributed.batch_share()
rows = np.arange(4 * index, 4 * index + 4)
placed = place_batch({"rows": rows}, mesh)["rows"]
whole = np.asarray(distributed.fetch(placed)).tolist()
joined = distributed.concatenate(rows).tolist()
def fails():
    raise ValueError("no luck")
try:
    distributed.in_turn(fails)
except RuntimeError as error:
    told = str(error)
except ValueError as error:
    told = "first"
folder = pathlib.Path(sys.argv[1]) / str(jax.process_index() // 2)
folder.mkdir(exist_ok=True)
try:
    distributed.check_shared(folder)
    shared = True
except UserError as error:
    shared = str(error)
line = [distributed.gather(jax.process_index()), [index, count], whole, joined, told]
print(json.dumps([*line, shared]))
distributed.shutdown()
"""


def test_four_processes_share_a_batch_in_two(tmp_path, free_port):
    environment = dict(
        os.environ,
        JAX_PLATFORMS="cpu",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
        JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{free_port}",
        JAX_NUM_PROCESSES="4",
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, tmp_path],
            stdout=subprocess.PIPE,
            env=environment | {"JAX_PROCESS_ID": str(index)},
            text=True,
        )
        for index in range(4)
    ]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert not any(process.returncode for process in processes)
    lines = [json.loads(text.strip().splitlines()[-1]) for text in said]
    for index, (all_of_them, share, whole, joined, told, shared) in enumerate(lines):
        assert all_of_them == [0, 1, 2, 3]
        assert share == [index // 2, 2]
        assert whole == joined == list(range(8))
        assert told == ("process 0 failed: no luck" if index else "first")
        assert "is not there on" in shared


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
