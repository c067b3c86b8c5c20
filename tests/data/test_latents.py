"""The latent cache: what comes back, who may read it, and how it is written."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from animatrix_jax.data.curriculum import CurriculumConfig, clip_generator
from animatrix_jax.data.drawing import draw_records
from animatrix_jax.data.folder import FolderSource
from animatrix_jax.data.latents import LatentSource, read_metadata, write_latents
from animatrix_jax.data.pipeline import Batcher, DataConfig, make_batches
from animatrix_jax.errors import UserError

RNG = np.random.default_rng(0)


class Encoder:
    """Every fourth frame, pooled, in [-1, 1]: causal like the VAE, but by hand."""

    def __init__(self):
        self.batches = []

    def __call__(self, video: np.ndarray) -> np.ndarray:
        self.batches.append(len(video))
        return video[:, ::4, ::4, ::4].astype(np.float32) / 127.5 - 1


@pytest.fixture
def cache(tmp_path, source):
    encode = Encoder()
    write_latents(
        source,
        encode,
        folder=tmp_path / "cache",
        count=40,
        fingerprint="f" * 64,
        batch=16,
        draw_workers=0,
        origin="tiny",
    )
    assert encode.batches == [16, 16, 16]
    return tmp_path / "cache"


@pytest.mark.parametrize("memory_bytes", [0, 1 << 30])
def test_what_was_written_comes_back(cache, source, memory_bytes):
    latents = LatentSource(cache, fingerprint="f" * 64, memory_bytes=memory_bytes)
    assert len(latents) == 40 and latents.shape == (3, 2, 2, 3)
    for index in (0, 17, 39):
        found, made = latents.record(index, RNG), source.record(index, RNG)
        expected = Encoder()(made["video"][None])[0].astype(np.float16)
        np.testing.assert_array_equal(found["latents"], expected)
        for name in ("tags", "summary", "description", "clip_id", "style_cluster"):
            assert found[name] == made[name]
        assert found["motion"] == pytest.approx(made["motion"])
        np.testing.assert_array_equal(found["scores"], made["scores"])
    tables, expected = latents.tables(), source.tables()
    for name in ("axes", "clusters", "motion", "deformation"):
        np.testing.assert_array_equal(getattr(tables, name), getattr(expected, name))


def test_it_feeds_the_curriculum_pipeline(cache, tokenizer):
    config = DataConfig(
        batch_size=8,
        steps=5,
        tasks=(("i2v", 1.0),),
        curriculum=CurriculumConfig(mode="curriculum"),
    )
    batches = list(make_batches(LatentSource(cache), config, tokenizer=tokenizer))
    assert batches[0]["latents"].dtype == np.float32
    assert batches[0]["latents"].shape == (8, 3, 2, 2, 3)
    np.testing.assert_array_equal(batches[0]["given"], [[True, False, False]] * 8)


def test_images_of_clips_are_their_first_latents(cache, tokenizer):
    config = DataConfig(batch_size=8, steps=1, tasks=(("t2i", 1.0),))
    latents = LatentSource(cache)
    (batch,) = make_batches(latents, config, tokenizer=tokenizer)
    assert batch["latents"].shape == (8, 1, 2, 2, 3)
    records = [latents.record(index, RNG) for index in range(len(latents))]
    by_id = {record["clip_id"]: record["latents"] for record in records}
    for clip, image in zip(batch["clip_id"], batch["latents"]):
        np.testing.assert_array_equal(image[0], by_id[clip][0])


def test_another_encoder_is_refused(cache, tmp_path):
    with pytest.raises(UserError, match="encoder ffffffffffff, expected aaaaaaaaaaaa"):
        LatentSource(cache, fingerprint="a" * 64)
    assert LatentSource(cache).fingerprint == "f" * 64
    with pytest.raises(UserError, match="no latent cache in"):
        LatentSource(tmp_path / "absent")
    assert read_metadata(tmp_path / "absent") is None
    assert read_metadata(cache)["origin"] == "tiny"


def test_reading_imports_no_tensorflow(cache):
    code = (
        "import sys, numpy as np\n"
        "from animatrix_jax.data.latents import LatentSource\n"
        f"source = LatentSource({str(cache)!r})\n"
        "assert source.record(3, np.random.default_rng()) is not None\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_killed_writer_leaves_no_cache(tmp_path, source):
    def fails_late(video):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(1)
        return Encoder()(video)

    calls = []
    options = {"folder": tmp_path / "cache", "count": 40, "fingerprint": "f"}
    options |= {"batch": 16, "draw_workers": 0}
    with pytest.raises(KeyboardInterrupt):
        write_latents(source, fails_late, **options)
    assert read_metadata(tmp_path / "cache") is None
    write_latents(source, Encoder(), **options)
    assert len(LatentSource(tmp_path / "cache")) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("bad", [np.nan, 1e6])
def test_latents_that_float16_cannot_hold_are_an_error(tmp_path, source, bad):
    with pytest.raises(ValueError, match="within float16"):
        write_latents(
            source,
            lambda video: np.full((len(video), 1, 1, 1, 2), bad),
            folder=tmp_path / "cache",
            count=4,
            fingerprint="f",
            draw_workers=0,
        )


@pytest.fixture(scope="module")
def videos(tmp_path_factory, real_videos):
    folder = tmp_path_factory.mktemp("videos")
    for name in ("carphone_pristine", "carphone_distorted"):
        shutil.copy(real_videos[name], folder)
    return FolderSource(folder, frames=5, fps=12, height=16, width=16)


def test_a_second_round_through_real_videos_shows_other_windows(videos):
    drawn = list(draw_records(videos, count=4, seed=1, workers=0))
    assert [record["clip_id"] for record in drawn] == [0, 1, 0, 1]
    assert not np.array_equal(drawn[0]["video"], drawn[2]["video"])


_SCRIPT = """
import hashlib
from animatrix_jax.data.drawing import draw_records
from animatrix_jax.data.folder import FolderSource

print("once")
source = FolderSource({folder!r}, frames=5, fps=12, height=16, width=16)
for workers in (0, 2):
    digest = hashlib.sha256()
    for record in draw_records(source, count=100, seed=1, workers=workers):
        digest.update(record["video"].tobytes())
    print(digest.hexdigest())
"""


def test_processes_draw_the_same_from_a_script_without_guard(videos, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(folder=str(videos.folder)))
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    once, alone, together = done.stdout.split()
    assert once == "once" and alone == together


def test_real_videos_are_measured_when_cached(videos, tmp_path, tokenizer):
    write_latents(
        videos,
        Encoder(),
        folder=tmp_path / "cache",
        count=6,
        fingerprint="f",
        draw_workers=0,
    )
    source = LatentSource(tmp_path / "cache")
    assert (source.tables().motion > 0).all()
    with pytest.raises(UserError, match="no scores"):
        config = DataConfig(batch_size=2, steps=1, fields=("directives",))
        Batcher(source, config)(0)
    assert "scores" not in source.record(0, clip_generator(seed=0, step=0, slot=0))
