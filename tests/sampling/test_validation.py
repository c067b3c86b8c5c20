"""The loop's validation callback: same noise each time, files and writer served."""

import dataclasses

import numpy as np
import pytest

from animatrix_jax.data.video import probe
from animatrix_jax.sampling.validation import (
    Prompt,
    ValidationSamples,
    side_by_side,
)

PROMPTS = (
    Prompt(name="run", text="a girl runs", tags=("motion.motion_style=run",)),
    Prompt(name="walk", text="", tags=("motion.motion_style=walk",)),
    Prompt(name="plain", text="a boy waves", tags=()),
)


class Writer:
    def __init__(self):
        self.calls = []

    def write_videos(self, step, videos):
        self.calls.append((step, videos))


@pytest.fixture(scope="module")
def run(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    pipeline = dataclasses.replace(pipeline, max_batch=2)
    callback = ValidationSamples(
        pipeline=pipeline, prompts=PROMPTS, folder=folder, seed=7
    )
    writer = Writer()
    for step in (10, 20, 20):  # a run that was stopped there calls again
        callback(step, {"generator": pipeline.params["generator"]}, writer)
    return folder, writer


def test_the_writer_gets_each_clip_under_its_name(run):
    _, writer = run
    assert [step for step, _ in writer.calls] == [10, 20]
    videos = writer.calls[0][1]
    assert list(videos) == ["samples/run", "samples/walk", "samples/plain"]
    for video in videos.values():
        assert video.shape == (1, 5, 16, 16, 3) and video.dtype == np.uint8


def test_equal_parameters_give_equal_samples(run):
    _, writer = run
    first, second = (videos for _, videos in writer.calls)
    for name, video in first.items():
        np.testing.assert_array_equal(video, second[name])


def test_video_and_sheet_are_left_in_the_stages_folder(run):
    folder, _ = run
    names = sorted(path.name for path in (folder / "samples").iterdir())
    assert names == [
        f"step_0000{step}.{suffix}" for step in (10, 20) for suffix in ("mp4", "png")
    ]
    info = probe(folder / "samples" / "step_000010.mp4")
    assert (info.width, info.height, info.fps, info.frames) == (96, 96, 12, 5)


def test_side_by_side_lays_clips_out_row_by_row():
    clips = np.zeros((3, 2, 4, 6, 3), np.uint8)
    clips += np.arange(3, dtype=np.uint8)[:, None, None, None, None]
    grid = side_by_side(clips)
    assert grid.shape == (2, 8, 12, 3)
    assert (grid[:, :4, :6] == 0).all() and (grid[:, :4, 6:] == 1).all()
    assert (grid[:, 4:, :6] == 2).all() and (grid[:, 4:, 6:] == 255).all()
