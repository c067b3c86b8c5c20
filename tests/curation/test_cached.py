"""Latents and text vectors of a dataset: what the encoders give, refused under others."""

import shutil

import numpy as np
import pytest
from small_videos import scene, write

from animatrix_jax.curation import cached
from animatrix_jax.curation import encoders as encoding
from animatrix_jax.curation.prepare import prepare
from animatrix_jax.data import prepared, video
from animatrix_jax.data.batches import Batcher, DataConfig
from animatrix_jax.data.split import file_code
from animatrix_jax.errors import UserError
from animatrix_jax.training.stages.clips import Clips
from animatrix_jax.training.stages.towers import Towers
from configs import pico

LABEL = (
    '{"video": "a.mp4", "start": 0, "end": 2, "summary": "a disc rolls",'
    ' "tags": ["motion.motion_style=run"], "description": "It rolls to the right."}\n'
)


USED = {"fps": 12, "text_length": 64}


@pytest.fixture(scope="module")
def encoders(quick_compile):
    return encoding.Encoders("pico")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write(folder / "a.mp4", scene(0, 24))
    write(folder / "b.mp4", scene(1, 20))
    write(folder / "short.mp4", scene(2, 14))
    (folder / "labels.jsonl").write_text(LABEL)
    return folder


@pytest.fixture(scope="module")
def dataset(videos, tmp_path_factory, settings, encoders):
    out = tmp_path_factory.mktemp("prepared") / "dataset"
    assert prepare(videos, out, settings=settings)["clips"] == 3
    first = cached.cache(out, encoders)
    assert (first["clips"], first["encoded_shards"]) == (2, 1)
    again = cached.cache(out, encoders)
    assert (again["clips"], again["encoded_shards"]) == (2, 0)
    return out


def _source(dataset, **options):
    folder = prepared.cache_folder(dataset, (17, 32, 32))
    return prepared.PreparedLatents(dataset, folder, **{**USED, **options})


def test_latents_are_the_vaes_of_the_middle(dataset, encoders):
    source = _source(dataset)
    assert len(source) == len(source.tables()) == 2
    rng = np.random.default_rng(0)
    records = [source.record(n, rng) for n in range(2)]
    told = next(r for r in records if r["summary"])
    assert "motion.motion_style=run" in told["tags"] and "text_vectors" not in told
    shape = {"frames": 17, "fps": 12, "height": 32, "width": 32}
    clip = dataset.parent / "clip.mp4"
    row = next(r for r in prepared.open_rows(dataset) if r["summary"])
    clip.write_bytes(row["video"])
    start = (row["frames"] / row["fps"] - 16 / 12 - 2 * video.CLOCK_SLACK) / 2
    pixels = video.read_video(clip, start=start, **shape)
    expected = encoders.latents(pixels[None])[0]
    np.testing.assert_array_equal(told["latents"], expected)


def test_text_vectors_are_what_the_tower_makes_of_the_text(dataset, encoders):
    source = _source(dataset, text=encoders.text_mark)
    records = [source.record(n, np.random.default_rng(0)) for n in range(2)]
    vectors = next(r["text_vectors"] for r in records if r["summary"])
    assert set(vectors) == {
        "",
        "a disc rolls",
        "a disc rolls It rolls to the right.",
    }
    for text, found in vectors.items():
        np.testing.assert_array_equal(found, encoders.texts([text])[0])
    config = DataConfig(
        batch_size=4, steps=1, tasks=(("t2v", 1.0),), corruption=None, text_length=64
    )
    batch = Batcher(source, config, tokenizer=encoders._tokenizer)(0)
    assert batch["text"].shape == (4, 64, len(vectors[""][0]))
    assert "text_tokens" not in batch
    for row, clip in zip(batch["text"], batch["clip_id"]):
        record = records[int(clip)]
        whole = record["text_vectors"][prepared.texts_of(record)[1]]
        np.testing.assert_array_equal(row[: len(whole)], whole)
        assert not row[len(whole) :].any()


def test_clips_with_too_many_tags_are_set_aside(dataset):
    source = _source(dataset, max_tags=2)
    assert len(source) == 1 and source.narrative(0)["summary"] == ""
    assert list(source.set_aside.values()) == ["3 tags, at most 2 fit"]
    with pytest.raises(UserError, match="tags or fewer"):
        _source(dataset, max_tags=0)


def test_some_of_the_clips_are_the_same_clips_with_their_files(dataset):
    source = _source(dataset)
    part = source.only([1])
    assert len(part) == len(part.tables()) == 1
    rng = np.random.default_rng(0)
    ours, theirs = part.record(0, rng), source.record(1, rng)
    np.testing.assert_array_equal(ours["latents"], theirs["latents"])
    assert (part.tables().motion == source.tables().motion[1:]).all()
    assert part.file_codes == source.file_codes[1:]
    assert set(source.file_codes.tolist()) == {file_code("a.mp4"), file_code("b.mp4")}


def test_a_dataset_of_before_files_were_noted_is_taken_clip_by_clip(dataset, encoders):
    path = dataset / "columns.npz"
    data = path.read_bytes()
    with np.load(path) as file:
        before = {name: file[name] for name in file.files if name != "source"}
    np.savez(path, **before)
    # Its columns are others, its shards are not: nothing is encoded again.
    assert cached.cache(dataset, encoders)["encoded_shards"] == 0
    assert len(set(_source(dataset).file_codes.tolist())) == 2
    path.write_bytes(data)
    assert cached.cache(dataset, encoders)["encoded_shards"] == 0
    assert len(_source(dataset)) == 2


def test_other_encoders_and_another_dataset_are_refused(dataset, encoders, tmp_path):
    for options, what in (
        ({"vae": "0" * 64}, "VAE"),
        ({"text": "0" * 64}, "text tower"),
    ):
        with pytest.raises(UserError, match=f"come from {what} .*000000000000"):
            _source(dataset, **options)
    with pytest.raises(UserError, match="come from frames/s 12.0, .* 24.0: call"):
        _source(dataset, fps=24)
    columns = dataset / "columns.npz"
    data = columns.read_bytes()
    with np.load(columns) as file:
        changed = {name: file[name] for name in file.files}
    np.savez(columns, **changed | {"seconds": changed["seconds"] + 1})
    with pytest.raises(UserError, match="another state"):
        _source(dataset)
    columns.write_bytes(data)
    with pytest.raises(UserError, match="no finished latents"):
        prepared.PreparedLatents(dataset, tmp_path, **USED)


@pytest.mark.parametrize(
    ("stage", "cached_too", "fields"),
    [
        ("ct", True, {"latents", "text"}),
        # Its corruption rewrites texts: they are encoded in the step.
        ("sft", True, {"latents", "text_tokens", "text_mask"}),
        ("sft", False, {"video", "text_tokens", "text_mask"}),
    ],
)
def test_a_stage_trains_from_what_is_there(
    dataset, tmp_path, stage, cached_too, fields
):
    config = pico.get_config(f"stage={stage},data=dataset")
    config.data.path, config.data.cached = str(dataset), cached_too
    config.batch.size, config.loop.steps = 2, 4
    config.tasks = {"t2i": (0.0,), "t2v": (1.0,), "i2v": (0.0,)}
    clips = Clips(config, workdir=tmp_path, towers=Towers(config, workdir=tmp_path))
    batch = next(iter(clips.batches()))
    assert fields <= set(batch)
    shapes = clips.batch_shapes()
    assert {name: batch[name].shape for name in shapes} == {
        name: shape.shape for name, shape in shapes.items()
    }
    if cached_too:
        config.init.vae = ""
        with pytest.raises(UserError, match="need --config.init.vae"):
            Clips(
                config, workdir=tmp_path, towers=Towers(config, workdir=tmp_path)
            ).batches()


def test_buckets_read_latents_of_their_shapes(dataset, encoders, tmp_path):
    """Where every bucket's are there; a clip too short for one goes into the other."""
    config = pico.get_config("stage=ct,data=dataset")
    config.data.path, config.batch.size, config.loop.steps = str(dataset), 2, 4
    config.batch.multiple = 2
    config.batch.buckets = ((17, 32, 32), (9, 32, 32))
    config.tasks = {"t2i": (0.0,), "t2v": (1.0,), "i2v": (0.0,)}

    def clips():
        return Clips(config, workdir=tmp_path, towers=Towers(config, workdir=tmp_path))

    assert clips().pixels
    found = cached.cache(dataset, encoders, shape=(9, 32, 32))
    assert found["clips"] == 3 and found["folder"].endswith("latents-9x32x32")
    ours = clips()
    assert not ours.pixels
    assert [len(source) for source in ours._sources.shaped] == [2, 3]
    shapes = {shape["latents"].shape[1:] for shape in ours.all_shapes()}
    seen = {batch["latents"].shape[1:] for batch in ours.batches()}
    seen |= {batch["latents"].shape[1:] for batch in ours.held_out()}
    assert seen == shapes == {(5, 4, 4, 16), (3, 4, 4, 16)}


def test_shapes_that_do_not_divide_are_refused(dataset, encoders):
    with pytest.raises(UserError, match="--shapes: 18 x 32 x 32 does not divide"):
        cached.cache(dataset, encoders, shape=(18, 32, 32))


def test_workers_hold_to_the_encoders_that_were_asked_for(encoders):
    encoding.hold(encoders)
    assert encoding.encoders_of("pico", encoders.marks) is encoders
    other = ("0" * 64, *encoders.marks[1:])
    with pytest.raises(UserError, match="pico has other encoders here"):
        encoding.encoders_of("pico", other)


def test_latents_of_another_state_are_refused_in_every_shape(
    videos, dataset, encoders, settings, tmp_path
):
    """A text that was mended changes no column, and no other shape than is encoded."""
    videos = shutil.copytree(videos, tmp_path / "videos")
    out = shutil.copytree(dataset, tmp_path / "dataset")
    cached.cache(out, encoders, shape=(9, 32, 32))
    columns = (out / "columns.npz").read_bytes()
    (videos / "labels.jsonl").write_text(LABEL.replace("disc", "wheel"))
    prepare(videos, out, settings=settings)
    assert (out / "columns.npz").read_bytes() == columns
    assert cached.cache(out, encoders)["encoded_shards"] == 1
    assert len(_source(out)) == 2
    folder = prepared.cache_folder(out, (9, 32, 32))
    with pytest.raises(UserError, match="another state of .* --shapes"):
        prepared.PreparedLatents(out, folder, **USED)
