"""Several processes train what one does: the same batches, the same parameters."""

import json

import pytest
from processes import clips_of

from animatrix_jax.training.writers import read_metrics

LOGGED = [0, 4, 8, 12, 16, 20, 24]


@pytest.mark.parametrize(("name", "count"), [("two", 2), ("four", 4)])
def test_the_same_batches_and_parameters(name, count, alone, same_parameters, request):
    workdir, summary = request.getfixturevalue(name)
    ours, theirs = clips_of(workdir), clips_of(alone[0])
    for step in range(1, 25):
        assert ours[f"{count}.jsonl", step] == theirs["1.jsonl", step]
    same_parameters(workdir, alone[0])
    for key in ("loss_first", "loss_last"):
        assert summary[key] == pytest.approx(alone[1][key], rel=1e-4)


def test_what_is_written_is_written_once(two):
    workdir, summary = two
    folder = workdir / "toy"
    assert [line["step"] for line in read_metrics(folder)] == LOGGED
    assert len(list((folder / "tensorboard").iterdir())) == 1
    assert len((workdir / "sampled").read_text().splitlines()) == 2
    assert json.loads((folder / "summary.json").read_text()) == summary
    began = [
        line
        for line in (folder / "goodput.jsonl").read_text().splitlines()
        if "began" in line
    ]
    assert len(began) == 1


def test_what_is_made_of_all_hosts_parameters_is_what_one_makes(two, alone):
    for name in ("sampled", "toy/finished"):
        ours, theirs = ((w / name).read_text().split() for w in (two[0], alone[0]))
        assert [float(x) for x in ours] == pytest.approx(
            [float(x) for x in theirs], 1e-4
        )


def test_each_process_digests_its_share(two):
    parts = sorted((two[0] / "toy" / "checkpoints" / "24").glob("manifest-*"))
    assert [part.name for part in parts] == [
        "manifest-0-of-2.json",
        "manifest-1-of-2.json",
    ]
    first, second = (json.loads(part.read_text()) for part in parts)
    assert first and second and not first.keys() & second.keys()
