"""Krippendorff's alpha against published values and a reference; intervals."""

import functools

import krippendorff
import numpy as np
import pytest

from animatrix_jax.statistics import bootstrap, krippendorff_alpha, wilson

NAN = np.nan
# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


@pytest.mark.parametrize(
    "level,expected", [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_published_values(level, expected):
    assert krippendorff_alpha(PUBLISHED, level=level) == pytest.approx(
        expected, abs=5e-4
    )


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_against_reference(level):
    rng = np.random.default_rng(1)
    for raters in (2, 3, 5):
        ratings = rng.integers(1, 6, (raters, 30)).astype(float)
        ratings[rng.random(ratings.shape) < 0.2] = NAN
        expected = krippendorff.alpha(ratings, level_of_measurement=level)
        assert krippendorff_alpha(ratings, level=level) == pytest.approx(
            expected, abs=1e-9
        )


def test_ends_of_the_scale():
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 6, 400).astype(float)
    assert krippendorff_alpha(np.stack([truth] * 3)) == pytest.approx(1.0)
    noise = rng.integers(1, 6, (3, 400)).astype(float)
    assert abs(krippendorff_alpha(noise)) < 0.1


def test_what_cannot_be_computed():
    with pytest.raises(ValueError, match="two ratings"):
        krippendorff_alpha(np.array([[1.0, NAN], [NAN, 2.0]]))
    with pytest.raises(ValueError, match="all ratings are the same"):
        krippendorff_alpha(np.ones((2, 5)))


def mean_of(values, index):
    return float(values[index].mean())


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        interval = bootstrap(
            functools.partial(mean_of, rng.normal(2.0, 1.0, 40)), size=40, draws=200
        )
        covered += interval.low <= 2.0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_an_interval_is_ordered_and_repeatable():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    statistic = functools.partial(mean_of, values)
    interval = bootstrap(statistic, size=4, seed=3)
    assert interval.low <= interval.value == 3.0 <= interval.high
    assert interval == bootstrap(statistic, size=4, seed=3)
    assert list(interval.rounded(1)) == ["value", "low", "high"]


def test_wilson_is_the_score_interval():
    """The bounds are where the share lies 1.96 standard deviations of theirs away."""
    for hits, count in ((0, 5), (3, 7), (50, 60), (9, 9)):
        share = wilson(hits, count)
        assert share.value == hits / count
        assert 0 <= share.low <= share.value <= share.high <= 1
        for bound in (share.low, share.high):
            if 0 < bound < 1:
                deviation = np.sqrt(bound * (1 - bound) / count)
                assert abs(bound - share.value) / deviation == pytest.approx(1.96, 1e-4)
