"""People's clips on two sides: no file is on both, and what is too little is not split."""

import json

import numpy as np
import pytest
from tiny_model import stage_config

from animatrix_jax.data.split import file_code
from animatrix_jax.data.writing import write_video
from animatrix_jax.training.stages import own_clips
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers

# Files of one brightness each, by which their clips are known again.
SHORT = {f"{n}.mp4": 10 * n for n in range(22)}
LONG = 230
# What comes first in the order of codes would be kept first.
WIDE = min((f"wide {n}.mp4" for n in range(500)), key=file_code)


def write(path, brightness, frames=8, width=16):
    video = np.full((frames, 16, width, 3), brightness, np.uint8)
    write_video(path, video, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """22 files of a clip each, and one that is cut into two."""
    folder = tmp_path_factory.mktemp("videos")
    for name, brightness in SHORT.items():
        write(folder / name, brightness)
    write(folder / "long.mp4", LONG, frames=12 * 20 + 4)
    return folder


def clips_of(folder, workdir, *, fields=("media",), group=1, **sections):
    data = {"source": "videos", "path": str(folder), "held_out": 4, "workers": 0}
    tasks = {"t2i": (0.0,), "t2v": (1.0,), "i2v": (0.0,)}
    changes = {"data": data, "init": {}, "tasks": tasks} | sections
    config = stage_config(folder, "vae", **changes)
    towers = Towers(config, workdir=workdir)
    return Clips(
        config, workdir=workdir, towers=towers, fields=fields, pixels=True, group=group
    )


def files_of(source):
    return {clip.path for clip in source.clips}


def brightness(batches):
    values = np.concatenate([b["video"].mean((1, 2, 3, 4)) for b in batches])
    return set((np.round(values / 10) * 10).astype(int).tolist())


def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(
        own_clips.logging, "warning", lambda text, *of: said.append(text % of)
    )
    return said


def test_no_file_is_trained_on_and_validated_with(folder, tmp_path):
    clips = clips_of(folder, tmp_path, loop={"steps": 40})
    kept, trained = clips._sources.held_out, clips.source
    assert len(kept) + len(trained) == 24 and len(kept) in (2, 3)
    assert not files_of(kept) & files_of(trained)
    assert files_of(kept) | files_of(trained) == {*SHORT, "long.mp4"}
    seen, validated = brightness(clips.batches()), brightness(clips.held_out())
    assert validated and not seen & validated and len(seen) > 15


def test_a_run_that_goes_on_validates_with_the_same_clips(folder, tmp_path):
    first, again = (clips_of(folder, tmp_path / n).held_out() for n in "ab")
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours["video"], theirs["video"])


def test_of_few_files_none_is_kept_and_the_log_says_so_once(tmp_path, monkeypatch):
    said = warnings(monkeypatch)
    for n in range(3):
        write(tmp_path / "videos" / f"{n}.mp4", 50 * n)
    clips = clips_of(tmp_path / "videos", tmp_path)
    assert len(clips.source) == len(clips._sources.held_out) == 3
    assert [b["video"].shape[0] for b in clips.held_out()] == [4]
    next(iter(clips.batches()))
    assert len(said) == 1 and "of 3 clips from 3 files none can be kept" in said[0]


@pytest.fixture
def with_wide(folder):
    """The same, and one file of another aspect ratio."""
    assert file_code(WIDE) < min(map(file_code, (*SHORT, "long.mp4")))
    write(folder / WIDE, 120, width=32)
    yield folder
    (folder / WIDE).unlink()


def test_a_bucket_keeps_the_only_file_that_it_has(with_wide, tmp_path, monkeypatch):
    said = warnings(monkeypatch)
    batch = {"size": 2, "buckets": ((5, 16, 16), (5, 16, 32)), "multiple": 1}
    clips = clips_of(with_wide, tmp_path, batch=batch)
    square, wide = clips._sources.shaped
    others, alone = clips._sources.held_out_shaped
    assert files_of(wide) == files_of(alone) == {WIDE}
    assert files_of(others) and not files_of(others) & files_of(square)
    assert len(others) + len(square) == 24
    shapes = [b["video"].shape[1:4] for b in clips.held_out()]
    assert shapes == [(5, 16, 16), (5, 16, 32)]
    assert len(said) == 1 and "go into bucket 5x16x32" in said[0]


def test_scored_clips_come_in_twos_on_both_sides(folder, tmp_path):
    lines = [
        {"video": name, "tags": [], "summary": f"of {n // 2}", "scores": [1, 2, 3, 4]}
        for n, name in enumerate(SHORT)
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(map(json.dumps, lines)))
    data = {"source": "videos", "path": str(folder), "labels": str(labels)}
    data |= {"held_out": 4, "workers": 0}
    clips = clips_of(
        folder, tmp_path, data=data, fields=("media", "directives"), group=2
    )
    kept, trained = clips._sources.held_out, clips.source
    assert not files_of(kept) & files_of(trained)
    assert files_of(kept) | files_of(trained) == set(SHORT)
    for side in (kept, trained):
        assert len(side) % 2 == 0
    asked = [clip.directive.summary for clip in trained.clips]
    together = sum(a == b for a, b in zip(asked[::2], asked[1::2]))
    assert together >= 11 - len(files_of(kept))
