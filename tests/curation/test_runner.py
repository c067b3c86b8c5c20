"""The same pipeline on other runners: two processes, Dask, a portable job service."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from apache_beam.runners.portability.local_job_service import LocalJobServicer
from small_videos import scene, write

from animatrix_jax.curation import cached
from animatrix_jax.curation.encoders import Encoders
from animatrix_jax.curation.prepare import prepare
from animatrix_jax.curation.runner import Runner
from animatrix_jax.data.dataset import open_rows
from animatrix_jax.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write(folder / "a.mp4", np.concatenate([scene(0, 14), scene(1, 14)]))
    write(folder / "b.mp4", scene(0, 14, 54, 96))
    (folder / "c.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory, settings):
    out = tmp_path_factory.mktemp("local") / "out"
    summary = prepare(folder, out, settings=settings)
    assert summary["totals"]["clip"]["duplicate"] == 1
    return _contents(out)


def _contents(out):
    rows = open_rows(out)
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").open()]
    return [(rows[n]["clip_id"], rows[n]["video"]) for n in range(len(rows))], ledger


def test_a_portable_job_service(folder, tmp_path, settings, expected):
    service = LocalJobServicer(staging_dir=str(tmp_path / "staging"))
    port = service.start_grpc_server(0)
    try:
        runner = Runner(
            name="portable",
            options=(f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK"),
        )
        prepare(folder, tmp_path / "out", settings=settings, runner=runner)
    finally:
        service.stop()
    assert _contents(tmp_path / "out") == expected


def test_dask(folder, tmp_path, settings, expected):
    runner = Runner(name="dask", workers=1)
    out = tmp_path / "out"
    prepare(folder, out, settings=settings, runner=runner)
    assert _contents(out) == expected
    # Its worker loads the encoders anew, and encodes as this process does.
    encoders, found = Encoders("pico"), []
    for where in (runner, Runner()):
        made = cached.cache(out, encoders, shape=(5, 32, 32), runner=where)
        assert (made["clips"], made["encoded_shards"]) == (len(expected[0]), 1)
        rows = open_rows(pathlib.Path(made["folder"]))
        found.append(np.stack([rows[n]["latents"] for n in range(len(rows))]))
        shutil.rmtree(made["folder"])
    np.testing.assert_allclose(*found, atol=0.02)


def test_two_processes(folder, tmp_path, settings, expected):
    prepare(folder, tmp_path / "out", settings=settings, runner=Runner(workers=2))
    assert _contents(tmp_path / "out") == expected


def test_an_unknown_runner_is_the_users_to_mend(folder, tmp_path, settings):
    with pytest.raises(UserError, match="Beam has no such runner"):
        runner = Runner(name="NoSuchRunner")
        prepare(folder, tmp_path / "out", settings=settings, runner=runner)
