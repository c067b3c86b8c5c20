"""Buckets: sizes by tokens, draws in their shares, hosts that agree, clips that fit."""

import dataclasses

import numpy as np
import pytest

from animatrix_jax.data.batches import draw_choice
from animatrix_jax.data.buckets import (
    Bucket,
    budget_of,
    make_buckets,
    sort_clips,
    tokens_of,
)
from animatrix_jax.data.folder import FolderSource
from animatrix_jax.data.pipeline import Batcher, DataConfig
from animatrix_jax.errors import UserError

CUT = {"stride": (4, 4, 4), "patch": (1, 2, 2)}
ENTRIES = ((9, 16, 16), (5, 16, 32, 2.0), (1, 16, 16))


def _config(**changes) -> DataConfig:
    buckets = make_buckets(ENTRIES, budget=8 * 12, multiple=4, **CUT)
    tasks = (("t2i", 0.5), ("t2v", 0.3), ("i2v", 0.2))
    values = {"batch_size": 8, "steps": 40, "tasks": tasks, "buckets": buckets}
    return DataConfig(**(values | changes))


def _shaped(source, config):
    """The tiny source in the frames of each bucket."""
    return [dataclasses.replace(source, frames=b.frames) for b in config.buckets]


def test_sizes_keep_the_tokens_of_a_batch():
    budget = budget_of((9, 16, 16), clips=8, **CUT)
    assert budget == 8 * 3 * 2 * 2
    buckets = make_buckets(ENTRIES, budget=budget, multiple=4, **CUT)
    assert [b.size for b in buckets] == [8, 4, 24]
    for bucket in buckets:
        shape = (bucket.frames, bucket.height, bucket.width)
        tokens = bucket.size * tokens_of(shape, **CUT)
        assert bucket.size % 4 == 0
        assert budget - 4 * tokens_of(shape, **CUT) < tokens <= budget
    # One that is larger than the whole budget still has a batch.
    (wide,) = make_buckets([(33, 64, 64)], budget=budget, multiple=4, **CUT)
    assert wide.size == 4


def test_tasks_and_buckets_come_in_their_shares_of_clips():
    config = _config(steps=6000, seed=4)
    clips: dict[tuple[str, int], int] = {}
    for step in range(config.steps):
        choice = draw_choice(config, step)
        size = config.buckets[choice.bucket].size
        key = (choice.task, choice.bucket)
        clips[key] = clips.get(key, 0) + size
    total = sum(clips.values())
    shares = {key: count / total for key, count in clips.items()}
    expected = {
        ("t2i", 2): 0.5,
        ("t2v", 0): 0.1,
        ("t2v", 1): 0.2,
        ("i2v", 0): 0.2 / 3,
        ("i2v", 1): 0.4 / 3,
    }
    assert shares == pytest.approx(expected, abs=0.03)


def test_a_programme_grows_along_the_run():
    entries = ((9, 16, 16, (1.0, 0.0, 0.0)), (9, 32, 32, (0.0, 1.0, 1.0)))
    buckets = make_buckets(entries, budget=8 * 12, multiple=4, **CUT)
    config = _config(steps=6001, seed=1, tasks=(("t2v", 1.0),), buckets=buckets)
    drawn = [draw_choice(config, step).bucket for step in range(config.steps)]
    assert drawn[0] == 0 and set(drawn[3000:]) == {1}
    # A quarter through, as many clips of either: steps are as 1 to size.
    small, large = (bucket.size for bucket in buckets)
    expected = (1 / large) / (1 / small + 1 / large)
    assert np.mean(drawn[1400:1600]) == pytest.approx(expected, abs=0.06)


def test_batches_have_the_shape_of_the_steps_bucket_on_every_host(source, tokenizer):
    config = _config()
    shaped = _shaped(source, config)
    whole = Batcher(None, config, shaped=shaped, tokenizer=tokenizer)
    halves = [
        Batcher(None, config, shaped=shaped, tokenizer=tokenizer, host=h, hosts=2)
        for h in (0, 1)
    ]
    seen = set()
    for step in range(config.steps):
        choice = draw_choice(config, step)
        if choice in seen:
            continue
        seen.add(choice)
        bucket, batch = config.buckets[choice.bucket], whole(step)
        assert batch["video"].shape[:2] == (bucket.size, bucket.frames)
        assert batch["given"][:, 0].all() == (choice.task == "i2v")
        parts = [half(step) for half in halves]
        for name, value in batch.items():
            joined = np.concatenate([part[name] for part in parts])
            np.testing.assert_array_equal(joined, value, err_msg=name)
        np.testing.assert_array_equal(whole.draw(step) + 1000, batch["clip_id"])
    assert len(seen) == 5


def test_without_buckets_the_draw_is_what_it_was():
    config = dataclasses.replace(_config(), buckets=())
    drawn = [draw_choice(config, step) for step in range(6)]
    assert [choice.task for choice in drawn] == DRAWN_BEFORE
    assert {choice.bucket for choice in drawn} == {0}


# As drawn before there were buckets: a run that was begun then goes on with the same.
DRAWN_BEFORE = ["t2i", "t2v", "t2i", "t2i", "t2i", "i2v"]


def test_clips_go_by_aspect_ratio_and_length():
    shapes = [(1, 64, 64), (1, 36, 64), (17, 36, 64), (33, 36, 64), (17, 64, 64)]
    buckets = [Bucket(frames=f, height=h, width=w) for f, h, w in shapes]
    aspects = np.array([16 / 9, 1.25, 1.0, 2.4, 1.2])
    seconds = np.array([3.0, 1.5, 1.5, 1.5, 0.1])
    found = sort_clips(buckets, aspects=aspects, seconds=seconds, fps=16)
    square, wide = [1, 2, 4], [0, 3]
    assert found[0].tolist() == square and found[1].tolist() == wide
    assert found[2].tolist() == [n for n in wide if seconds[n] >= 1.0]
    assert found[3].tolist() == [0]
    assert found[4].tolist() == [n for n in square if seconds[n] >= 1.0]
    # Two sizes of nearly one ratio share their clips.
    near = [Bucket(frames=1, height=36, width=65), *buckets]
    shared = sort_clips(near, aspects=aspects, seconds=seconds, fps=16)
    assert shared[0].tolist() == wide and shared[2].tolist() == wide
    with pytest.raises(UserError, match="no clip goes into bucket 81x36x64"):
        longer = [*buckets, Bucket(frames=81, height=36, width=64)]
        sort_clips(longer, aspects=aspects, seconds=seconds, fps=16)


def test_a_folder_gives_its_clips_in_the_shapes_of_buckets(real_videos):
    folder = next(iter(real_videos.values())).parent
    source = FolderSource(folder, frames=1, fps=8, height=16, width=16)
    shapes = [(5, 16, 32), (1, 16, 16)]
    buckets = [Bucket(frames=f, height=h, width=w) for f, h, w in shapes]
    clips = sort_clips(buckets, aspects=source.aspects, seconds=source.spans, fps=8)
    rng = np.random.default_rng(0)
    for bucket, chosen in zip(buckets, clips):
        frames, height, width = bucket.frames, bucket.height, bucket.width
        view = source.view(chosen.tolist(), frames=frames, height=height, width=width)
        assert len(view) == len(chosen) > 0
        video = view.record(0, rng)["video"]
        assert video.shape == (frames, height, width, 3)
        assert len(view.tables()) == len(chosen)


def test_mistakes_in_buckets_are_told():
    with pytest.raises(UserError, match="10 x 16 x 16 .*nearest below: 9 x 16 x 16"):
        make_buckets([(10, 16, 16)], budget=96, **CUT)
    with pytest.raises(UserError, match="9 x 16 x 20 .*nearest below: 9 x 16 x 16"):
        make_buckets([(9, 16, 20)], budget=96, **CUT)
    with pytest.raises(UserError, match="two of the same shape"):
        make_buckets([(9, 16, 16), (9, 16, 16, 2.0)], budget=96, **CUT)
    with pytest.raises(UserError, match=r"expected \(frames, height, width\)"):
        make_buckets([(9, 16)], budget=96, **CUT)
    with pytest.raises(UserError, match="of several weights one"):
        make_buckets([(9, 16, 16, (0.0, 0.0))], budget=96, **CUT)
    with pytest.raises(
        UserError, match="t2v is above 0 at 50% of the run, where every"
    ):
        late = [(9, 16, 16, (1.0, 0.0, 0.0)), (1, 16, 16)]
        _config(buckets=make_buckets(late, budget=96, multiple=4, **CUT))
    with pytest.raises(UserError, match="tasks.t2i is above 0, and no bucket"):
        _config(buckets=_config().buckets[:2])
    with pytest.raises(UserError, match="bucket 1x16x16 is never drawn"):
        _config(tasks=(("t2v", 1.0),))
