"""A folder of real and broken videos: what is used, what is set aside and why."""

import json
import re
import shutil

import numpy as np
import pytest

from animatrix_jax.data.curriculum import CurriculumConfig, clip_generator
from animatrix_jax.data.folder import FolderSource
from animatrix_jax.data.pipeline import Batcher, DataConfig
from animatrix_jax.data.writing import write_video
from animatrix_jax.errors import UserError

SHAPE = {"frames": 9, "fps": 12.0, "height": 24, "width": 40}


def _clip(path, frames=40, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 255, (32, 48, 3)).astype(np.uint8)
    write_video(path, np.stack([np.roll(still, t, 1) for t in range(frames)]), 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, real_videos):
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(real_videos["bigbuckbunny"], folder / "bunny.mp4")
    (folder / "deep" / "er").mkdir(parents=True)
    shutil.copy(real_videos["bikes"], folder / "deep" / "er" / "Bikes.MP4")
    data = real_videos["bigbuckbunny"].read_bytes()
    (folder / "truncated.mp4").write_bytes(data[: len(data) // 2])
    (folder / "text.mp4").write_text("no video")
    _clip(folder / "one.mp4", frames=1)
    (folder / "readme.txt").write_text("not looked at")
    return folder


@pytest.fixture(scope="module")
def usable(folder):
    return FolderSource(folder, **SHAPE)


def _rng(step):
    return clip_generator(seed=0, step=step, slot=0)


def test_a_window_may_start_anywhere_it_fits(tmp_path):
    """A clip of hardly more than a window never fails for want of a frame."""
    _clip(tmp_path / "a.mp4", frames=SHAPE["frames"])
    source = FolderSource(tmp_path, **SHAPE)
    for step in range(200):
        source.record(0, _rng(step))
    assert not source.set_aside and not source.failures


def test_bad_files_are_set_aside_and_the_rest_is_used(folder, tmp_path):
    source = FolderSource(folder, workdir=tmp_path / "run", **SHAPE)
    assert set(source.set_aside) == {"truncated.mp4", "text.mp4", "one.mp4"}
    assert "one frame" in source.set_aside["one.mp4"]
    assert "cannot open" in source.set_aside["text.mp4"]
    assert [clip.path for clip in source.clips] == ["bunny.mp4", "deep/er/Bikes.MP4"]
    lines = (tmp_path / "run" / "set_aside.jsonl").read_text().splitlines()
    found = {(r := json.loads(line))["path"]: r["reason"] for line in lines}
    assert found == source.set_aside
    record = source.record(1, _rng(0))
    assert record["video"].shape == (9, 24, 40, 3)
    assert record["clip_id"] == 1 and record["tags"] == ()


def test_windows_are_random_and_repeatable(usable):
    windows = [usable.record(0, _rng(step))["video"] for step in range(3)]
    again = usable.record(0, _rng(2))["video"]
    np.testing.assert_array_equal(windows[2], again)
    assert len({window.tobytes() for window in windows}) == 3


def test_both_sources_go_through_the_one_pipeline(usable, tokenizer):
    config = DataConfig(batch_size=4, steps=2, tasks=(("t2v", 1.0),))
    batch = Batcher(usable, config, tokenizer=tokenizer)(0)
    assert batch["video"].shape == (4, 9, 24, 40, 3)
    assert not batch["tag_mask"].any() and not batch["text_mask"].any()


def test_a_long_file_is_cut_into_spans(tmp_path):
    _clip(tmp_path / "long.mp4", frames=100)
    source = FolderSource(tmp_path, span_seconds=2.0, **SHAPE)
    spans = [(clip.start, clip.end) for clip in source.clips]
    assert len(spans) == 4
    assert spans[0][0] == 0 and spans[-1][1] == pytest.approx(100 / 12)
    for index in range(4):
        source.record(index, _rng(index))
    assert not source.set_aside
    # Never into spans that are shorter than a window.
    window = SHAPE | {"frames": 49}
    (one, two) = FolderSource(tmp_path, span_seconds=2.0, **window).clips
    assert min(one.end - one.start, two.end - two.start) > 48 / 12


@pytest.fixture
def labelled(tmp_path):
    for name in ("a", "b", "c"):
        _clip(tmp_path / f"{name}.mp4", seed=ord(name))
    (tmp_path / "broken.mp4").write_text("no video")
    lines = [
        {
            "video": "a.mp4",
            "start": 0.5,
            "end": 2.0,
            "tags": ["motion.motion_style=run", "style.rendering=unknown"],
            "confidence": {"motion.motion_style": 0.9},
            "summary": "a girl runs",
            "description": "She runs past.",
        },
        {"video": "./a.mp4", "start": 2.0, "tags": [], "summary": "she stops"},
        {"video": "b.mp4", "tags": ["motion.motion_style=bad_style"]},
        {"video": "../outside.mp4", "tags": []},
        {"video": "absent.mp4", "tags": []},
        {"video": "c.mp4", "start": 1.0, "end": 1.2, "tags": []},
        {"video": "c.mp4", "start": "soon", "tags": []},
        {"video": "broken.mp4", "tags": []},
        ["no object"],
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\nnot json\n"
    (tmp_path / "labels.jsonl").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ({"summary": "a \ud800"}, "summary: no text"),
        ({"start": 10**400}, "start: expected seconds"),
        ({"video": "a\0.mp4"}, "no file can have the name"),
        ({"video": "\ud800.mp4"}, "no file can have the name"),
        ({"video": f"{'a' * 5000}.mp4"}, "no such video"),
        ({"video": "loop/x.mp4"}, "outside|no such video"),
        ({"tags": ["motion.timing=twos", "vfx.impact=flash"]}, "2 tags, at most 1 fit"),
    ],
)
def test_no_line_of_labels_stops_a_source(tmp_path, label, reason):
    _clip(tmp_path / "a.mp4", frames=12)
    (tmp_path / "loop").symlink_to("loop")
    lines = [{"video": "a.mp4", "tags": []} | label, {"video": "a.mp4", "tags": []}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "labels.jsonl").write_text(text)
    source = FolderSource(tmp_path, max_tags=1, **SHAPE)
    assert source.labelled == 1 and set(source.set_aside) == {"labels.jsonl:1"}
    assert re.search(reason, source.set_aside["labels.jsonl:1"])


def test_labels_make_clips_and_bad_lines_are_set_aside(labelled):
    source = FolderSource(labelled, **SHAPE)
    spans = [(c.path, c.start, round(c.end, 3)) for c in source.clips]
    assert spans == [
        ("a.mp4", 0.5, 2.0),
        ("a.mp4", 2.0, 3.333),
        ("b.mp4", 0.0, 3.333),
        ("c.mp4", 0.0, 3.333),
    ]
    first = source.record(0, _rng(0))
    assert first["tags"] == ("motion.motion_style=run",)
    assert first["summary"] == "a girl runs"
    reasons = source.set_aside
    assert set(reasons) == {
        "broken.mp4",
        *(f"labels.jsonl:{n}" for n in (3, 4, 5, 6, 7, 9, 11)),
    }
    assert "outside the folder" in reasons["labels.jsonl:4"]
    assert "no such video" in reasons["labels.jsonl:5"]
    assert "too short" in reasons["labels.jsonl:6"]


@pytest.fixture
def scored(tmp_path):
    """Clips of two prompts, by turns, a to e, and others without scores."""
    for n, name in enumerate("abcdefg"):
        _clip(tmp_path / f"{name}.mp4", seed=n)
    lines = [
        {"video": f"{name}.mp4", "tags": [], "summary": said, "scores": [1, 2, 3, n]}
        for n, (name, said) in enumerate(zip("abcde", ("run", "sit") * 3), 1)
    ]
    text = "\n".join(map(json.dumps, [*lines, {"video": "f.mp4", "tags": []}]))
    (tmp_path / "labels.jsonl").write_text(text)
    return tmp_path


def test_scores_come_with_the_record(scored):
    source = FolderSource(scored, **SHAPE)
    record = source.record(1, _rng(0))
    assert record["scores"].dtype == np.float32
    np.testing.assert_array_equal(record["scores"], [1, 2, 3, 2])
    assert [clip.path[0] for clip in source.clips] == list("abcdefg")
    assert "scores" not in source.record(5, _rng(0))


def test_for_a_judge_clips_of_one_prompt_are_neighbours(scored):
    source = FolderSource(scored, scored=True, **SHAPE)
    # Of "run" e is left over, and the last but one comes again beside it.
    assert [clip.path[0] for clip in source.clips] == list("acbded")
    assert source.set_aside == {
        "labels.jsonl:6": "no scores",
        "f.mp4": "no label with scores",
        "g.mp4": "no label with scores",
    }
    config = DataConfig(
        batch_size=6, steps=1, fields=("media", "directives"), group=2, corruption=None
    )
    batch = Batcher(source, config)(0)
    twos = batch["clip_id"].reshape(-1, 2)
    assert not (twos[:, 0] % 2).any() and (twos[:, 0] + 1 == twos[:, 1]).all()
    known = np.array([clip.scores for clip in source.clips], np.float32)
    np.testing.assert_array_equal(batch["scores"][:, 0], known[batch["clip_id"]])
    view = source.view([1, 2, 3], frames=5, height=16, width=16)
    assert [clip.path[0] for clip in view.clips] == list("bdcd")


def test_without_any_score_a_judge_has_nothing_to_learn_from(tmp_path):
    _clip(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"none of 1 videos .*no label with scores"):
        FolderSource(tmp_path, scored=True, **SHAPE)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    _clip(inside / "a.mp4")
    _clip(outside / "b.mp4")
    (inside / "link.mp4").symlink_to(outside / "b.mp4")
    source = FolderSource(inside, **SHAPE)
    assert "leaves the folder" in source.set_aside["link.mp4"]
    assert len(source) == 1


def test_a_file_that_fails_later_is_replaced_and_counted(tmp_path):
    _clip(tmp_path / "a.mp4")
    _clip(tmp_path / "b.mp4", seed=1)
    source = FolderSource(tmp_path, workdir=tmp_path / "run", **SHAPE)
    (tmp_path / "a.mp4").write_text("overwritten")
    # Some generators draw the broken clip again first; each ends at the good one.
    records = [source.record(0, _rng(step)) for step in range(5)]
    assert {r["clip_id"] for r in records} == {1}
    assert source.failures >= 5
    assert "failed while training" in source.set_aside["a.mp4"]
    repeated = source.record(0, _rng(3))["video"]
    np.testing.assert_array_equal(repeated, records[3]["video"])
    (tmp_path / "b.mp4").write_text("overwritten")
    with pytest.raises(UserError, match="in a row did not decode"):
        source.record(0, _rng(0))


def test_measures_of_real_clips_feed_a_curriculum(usable):
    tables = usable.tables()
    assert len(tables) == 2 and (tables.motion > 0).all()
    config = DataConfig(
        batch_size=4,
        steps=2,
        curriculum=CurriculumConfig(mode="curriculum"),
        fields=("media",),
    )
    assert Batcher(usable, config)(1)["clip_id"].shape == (4,)


def test_nothing_usable_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        FolderSource(tmp_path / "absent", **SHAPE)
    with pytest.raises(UserError, match="no video file"):
        FolderSource(tmp_path, **SHAPE)
    (tmp_path / "x.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"none of 1 videos.*x.mp4: cannot open"):
        FolderSource(tmp_path, **SHAPE)
    with pytest.raises(UserError, match="no such label file"):
        _clip(tmp_path / "a.mp4")
        FolderSource(tmp_path, labels=tmp_path / "l.jsonl", **SHAPE)
