"""A damaged checkpoint is set aside, the one before is used, and the end is the same."""

import logging
import os
import shutil

import pytest
from runs import Interrupted, Killed, run

from animatrix_jax.errors import UserError
from animatrix_jax.training import checkpoint, manifest


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed at step 37: checkpoints of steps 20 and 30."""
    workdir = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        run(workdir, Interrupted(60, 37))
    return workdir


@pytest.fixture
def workdir(killed, tmp_path):
    shutil.copytree(killed, tmp_path / "run")
    return tmp_path / "run"


def largest(folder):
    """The largest file of a checkpoint's item."""
    return max(
        (p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


DAMAGES = {"flipped": flip, "truncated": truncate, "missing": os.unlink}


# Small files are digested when the run opens, larger ones when it restores.
@pytest.mark.parametrize(
    ("how", "item", "small"),
    [
        *(("flipped", "config", 1 << 20), ("missing", "config", 1 << 20)),
        *(("truncated", "optimizer", 0), ("flipped", "optimizer", 0)),
    ],
)
def test_the_checkpoint_before_is_used(
    how, item, small, workdir, undisturbed, caplog, monkeypatch
):
    monkeypatch.setattr(manifest, "_SMALL_BYTES", small)
    path = largest(workdir / "toy" / "checkpoints" / "30" / item)
    DAMAGES[how](path)
    with caplog.at_level(logging.WARNING, logger="absl"):
        summary = run(workdir)
    assert summary["params_digest"] == undisturbed[1]["params_digest"]
    assert (workdir / "toy" / "damaged" / "30").is_dir()
    (warning,) = [
        r.getMessage() for r in caplog.records if "set aside" in r.getMessage()
    ]
    assert str(path) in warning and "\n" not in warning


def test_a_save_cut_short_before_its_manifest_is_not_used(workdir, undisturbed):
    next((workdir / "toy" / "checkpoints" / "30").glob("manifest-*")).unlink()
    assert checkpoint.latest_step(workdir / "toy" / "checkpoints") == 20
    assert run(workdir)["params_digest"] == undisturbed[1]["params_digest"]


def test_none_left_is_one_line_and_stays_so(workdir):
    for step in (20, 30):
        flip(largest(workdir / "toy" / "checkpoints" / str(step) / "params"))
    for _ in range(2):
        with pytest.raises(UserError, match="no checkpoint in .* is whole") as error:
            run(workdir)
        assert "\n" not in str(error.value)
    assert len(list((workdir / "toy" / "damaged").iterdir())) == 2


@pytest.mark.parametrize("how", DAMAGES)
def test_inference_refuses_a_damaged_file_and_names_it(how, workdir):
    folder = workdir / "toy" / "checkpoints"
    path = largest(folder / "30" / "ema")
    DAMAGES[how](path)
    with pytest.raises(UserError, match="damaged checkpoint") as error:
        checkpoint.read_params(folder, "vae")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    checkpoint.read_config(folder)  # which is whole


def test_inference_minds_only_what_it_reads(workdir):
    folder = workdir / "toy" / "checkpoints"
    flip(largest(folder / "30" / "optimizer"))
    checkpoint.read_params(folder, "vae")


def test_a_run_without_any_manifest_is_taken_as_it_is(workdir, undisturbed):
    for path in (workdir / "toy" / "checkpoints").glob("*/manifest-*"):
        path.unlink()
    assert checkpoint.latest_step(workdir / "toy" / "checkpoints") == 30
    checkpoint.read_params(workdir / "toy" / "checkpoints", "vae")
    assert run(workdir)["params_digest"] == undisturbed[1]["params_digest"]
