"""Cel World as a source: records, narrative, other processes, held in memory."""

import numpy as np
import pytest

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data.curriculum import CurriculumConfig
from animatrix_jax.data.drawing import draw_records
from animatrix_jax.data.held import HeldSource
from animatrix_jax.data.pipeline import Batcher, DataConfig
from animatrix_jax.data.records import Source
from animatrix_jax.data.sources import CelSource
from animatrix_jax.errors import UserError

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def cels():
    return CelSource(CelWorld(seed=3, size=36, frames=5, defects="paired"))


@pytest.fixture(scope="module")
def drawn(cels):
    return list(draw_records(cels, count=36, workers=2))


def test_a_record_is_the_worlds_clip(cels):
    assert isinstance(cels, Source)
    record, clip = cels.record(5, RNG), cels.world[5]
    np.testing.assert_array_equal(record["video"], clip.video)
    assert record["video"].shape == (5, 32, 32, 3)
    assert record["tags"] == clip.tags and record["clip_id"] == 5
    told = cels.narrative(5)
    assert {name: record[name] for name in told} == told


def test_processes_draw_what_one_process_draws(cels, drawn):
    assert [record["clip_id"] for record in drawn] == list(range(36))
    for index in (31, 32):
        again = cels.record(index, RNG)
        np.testing.assert_array_equal(drawn[index]["video"], again["video"])


def test_held_clips_have_measures_for_a_curriculum(cels, drawn, tokenizer):
    config = DataConfig(
        batch_size=4, steps=3, curriculum=CurriculumConfig(mode="curriculum")
    )
    with pytest.raises(UserError, match="needs measured clips"):
        Batcher(cels, config, tokenizer=tokenizer)
    held = HeldSource(cels, count=6, workers=0)
    batch = Batcher(held, config, tokenizer=tokenizer)(1)
    for row, clip_id in enumerate(batch["clip_id"]):
        expected = drawn[clip_id]["video"][: batch["video"].shape[1]]
        np.testing.assert_array_equal(batch["video"][row], expected)


def test_pairs_are_one_clip_with_two_defects():
    cels = CelSource(CelWorld(seed=3, size=36, frames=5, defects="paired"))
    config = DataConfig(batch_size=8, steps=1, group=2, fields=("media", "directives"))
    batch = Batcher(cels, config)(0)
    np.testing.assert_array_equal(batch["tag_values"][::2], batch["tag_values"][1::2])
    assert (batch["scores"][::2] != batch["scores"][1::2]).any()
