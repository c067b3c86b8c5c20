"""The benchmark of the sampler's tables, over few clips."""

import numpy as np

from animatrix_jax.data.curriculum import CurriculumConfig, CurriculumSampler
from benchmarks import sampling_weights


def test_figures_over_few_clips():
    clips = 40_000
    tables = sampling_weights.synthetic_tables(clips)
    sampler = CurriculumSampler(tables, CurriculumConfig(mode="curriculum"))
    assert sampler.nbytes <= 12 * clips
    for progress in (0.0, 1.0):
        found = sampling_weights.chi_square(sampler, tables, progress, draws=200_000)
        assert found > 1e-4
    assert all(sampling_weights.same_batch(sampler, hosts=n) for n in (2, 256))


def test_draws_by_another_formula_are_found_out():
    tables = sampling_weights.synthetic_tables(40_000)
    config = CurriculumConfig(mode="curriculum", beta=0.5)
    sampler = CurriculumSampler(tables, config)
    assert sampling_weights.chi_square(sampler, tables, 0.0, draws=200_000) < 1e-4
    power = CurriculumSampler(tables, CurriculumConfig(mode="curriculum", power=0.9))
    assert sampling_weights.chi_square(power, tables, 1.0, draws=200_000) < 1e-4


def test_a_split_of_slots_that_differs_is_found_out():
    tables = sampling_weights.synthetic_tables(1000)
    sampler = CurriculumSampler(tables, CurriculumConfig(mode="curriculum"))
    draw = sampler.draw
    sampler.draw = lambda *, slots, **rest: draw(slots=slots - slots.min(), **rest)
    assert not sampling_weights.same_batch(sampler, hosts=2)
    assert np.all(sampler.weights > 0)
