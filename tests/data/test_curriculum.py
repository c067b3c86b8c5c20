"""The sampler against its formula: weights, buckets, frequencies, host splits."""

import numpy as np
import pytest

from animatrix_jax.data.curriculum import (
    ClipTables,
    CurriculumConfig,
    CurriculumSampler,
    build_sampler,
    build_tables,
    clip_generator,
    long_tail_weights,
    quantile_buckets,
    slot_uniforms,
)
from animatrix_jax.errors import UserError


def _tables(count: int = 300) -> ClipTables:
    rng = np.random.default_rng(3)
    return ClipTables(
        axes=rng.integers(0, 5, (count, 4)).astype(np.int32),
        clusters=np.minimum(rng.geometric(0.3, count), 9).astype(np.int32),
        motion=rng.random(count).astype(np.float32),
        deformation=(rng.random(count) ** 3).astype(np.float32),
    )


def _chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    """Pearson's statistic as standard deviations of its own distribution."""
    kept = expected > 0
    assert observed[~kept].sum() == 0
    statistic = ((observed - expected)[kept] ** 2 / expected[kept]).sum()
    freedom = kept.sum() - 1
    return (statistic - freedom) / np.sqrt(2 * freedom)


def test_long_tail_weights_follow_the_equation():
    tables = build_tables(
        tags=[
            ("style.video_style=2d_western", "motion.motion_style=run"),
            ("style.video_style=2d_western", "motion.motion_style=walk"),
            ("style.video_style=2d_western",),
            ("style.video_style=3d_cg",),
        ],
        clusters=["a", "a", "b", "c"],
        motion=[0.0] * 4,
        deformation=[0.0] * 4,
    )
    # style 3, 3, 3, 1; motion 1, 1, 2, 2 (no claim is a value too); camera, VFX 4.
    products = np.array([3 * 1, 3 * 1, 3 * 2, 1 * 2]) * 16
    np.testing.assert_allclose(long_tail_weights(tables), products**-0.7, rtol=1e-12)


def test_buckets_are_quantiles_and_ties_stay_together():
    values = np.random.default_rng(0).permutation(100)
    buckets = quantile_buckets(values, 4)
    np.testing.assert_array_equal(buckets, values // 25)
    tied = quantile_buckets(np.array([0.0] * 60 + list(range(1, 41))), 4)
    assert set(tied[:60]) == {1} and tied[-1] == 3


def test_rare_style_clusters_count_as_difficult():
    clusters = np.repeat([2, 0, 1], [70, 20, 10]).astype(np.int32)
    flat = np.zeros(100, np.float32)
    tables = ClipTables(
        axes=np.zeros((100, 4), np.int32),
        clusters=clusters,
        motion=flat,
        deformation=flat,
    )
    sampler = CurriculumSampler(tables, CurriculumConfig(mode="curriculum"))
    difficulty = sampler.difficulty[sampler.buckets]
    assert difficulty[0] < difficulty[80] <= difficulty[99]


@pytest.mark.parametrize("mode", ["plain", "uniform", "curriculum", "hardest_first"])
@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_frequencies_match_the_formula(mode, progress):
    tables = _tables()
    config = CurriculumConfig(mode=mode)
    sampler = CurriculumSampler(tables, config)

    # The formula, written out clip by clip and bucket by bucket.
    weights = long_tail_weights(tables) if mode != "plain" else np.ones(len(tables))
    counts = np.bincount(tables.clusters)
    rarity = np.argsort(np.argsort(-counts, kind="stable"))[tables.clusters]
    cells = [
        quantile_buckets(v, 4) for v in (rarity, tables.motion, tables.deformation)
    ]
    difficulty = sum(cells) / 9
    if mode == "hardest_first":
        difficulty = 1 - difficulty
    factor = 1 / (1 + np.exp(-8 * (progress - difficulty + 0.25)))
    if mode in ("plain", "uniform"):
        factor = np.ones(len(tables))
    expected = factor * weights / (factor * weights).sum()
    np.testing.assert_allclose(sampler.probabilities(progress), expected, rtol=1e-9)

    draws = 60_000
    drawn = sampler.draw(seed=1, step=7, slots=np.arange(draws), progress=progress)
    observed = np.bincount(drawn, minlength=len(tables))
    assert _chi_square(observed, expected * draws) < 4


def test_the_curriculum_moves_from_easy_to_hard():
    sampler = CurriculumSampler(_tables(), CurriculumConfig(mode="curriculum"))
    means = [
        sampler.bucket_probabilities(progress) @ sampler.difficulty
        for progress in (0.0, 0.5, 1.0)
    ]
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize("hosts", [2, 3, 7, 16])
def test_any_host_split_gives_the_same_global_draw(hosts):
    sampler = CurriculumSampler(_tables(), CurriculumConfig(mode="curriculum"))
    draw = {"seed": 5, "step": 11, "progress": 0.3}
    whole = sampler.draw(slots=np.arange(64), **draw)
    parts = [
        sampler.draw(slots=s, **draw) for s in np.array_split(np.arange(64), hosts)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    strided = np.empty_like(whole)
    for host in range(hosts):
        strided[host::hosts] = sampler.draw(slots=np.arange(host, 64, hosts), **draw)
    np.testing.assert_array_equal(strided, whole)


def test_draws_differ_by_seed_step_and_slot():
    slots = np.arange(8)
    names = [(0, 0), (0, 1), (1, 0), (-1, 0)]
    drawn = np.stack([slot_uniforms(seed=a, step=b, slots=slots) for a, b in names])
    assert len(np.unique(drawn)) == drawn.size
    streams = [
        clip_generator(seed=0, step=step, slot=slot).random(4)
        for step in range(3)
        for slot in range(3)
    ]
    assert len(np.unique(streams)) == 36


def test_plain_sampling_is_uniform_and_needs_no_tables():
    drawn = build_sampler(CurriculumConfig(), count=50, tables=None).draw(
        seed=0, step=0, slots=np.arange(20_000), progress=0.0
    )
    observed = np.bincount(drawn, minlength=50)
    assert _chi_square(observed, np.full(50, 400.0)) < 4


def test_a_mode_without_measures_is_refused():
    with pytest.raises(UserError, match="needs measured clips"):
        build_sampler(CurriculumConfig(mode="uniform"), count=5, tables=None)


def test_tables_survive_the_disk(tmp_path):
    tables = _tables()
    tables.save(tmp_path / "t.npz")
    loaded = ClipTables.load(tmp_path / "t.npz")
    for name in ("axes", "clusters", "motion", "deformation"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(tables, name))
