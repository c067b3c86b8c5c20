"""The five dimensions: real clips score high, noise low, and each ill hits its own."""

import dataclasses

import numpy as np
import pytest

from animatrix_jax.evaluation.dimensions import (
    LABELS,
    Evidence,
    Reading,
    closeness,
    frechet_distance,
    majority_agreement,
    score_dimensions,
)

FIELDS = ("style.palette", "motion.timing", "camera.camera_motion", "vfx.impact")
COUNT = 24


def reading(*, right, seed, noise=0.3, still=False):
    """A reading of clips whose truth is drawn by seed 0, and noise by `seed`."""
    truth, rng = np.random.default_rng(0), np.random.default_rng(seed)
    features = truth.normal(size=(COUNT, 8))
    motion, cadence = truth.normal(-4, 1, COUNT), truth.uniform(0, 1, COUNT)
    finish = truth.uniform(0, 1, (COUNT, 3))
    agreement = (rng.random((COUNT, len(FIELDS))) < right).astype(float)
    agreement[0, 0] = np.nan
    noisy = [
        value + scale * noise * rng.normal(size=value.shape)
        for value, scale in (
            (features, 1.0),
            (motion, 1.0),
            (cadence, 0.3),
            (finish, 0.3),
        )
    ]
    return Reading(
        agreement=agreement,
        features=noisy[0],
        motion=np.full(COUNT, -9.0) if still else noisy[1],
        cadence=np.ones(COUNT) if still else noisy[2],
        finish=noisy[3],
    )


def evidence(sample, judge=None):
    blurred = reading(right=0.3, seed=5, noise=3.0)
    return Evidence(
        fields=FIELDS,
        sample=sample,
        real=reading(right=0.9, seed=1, noise=0.0),
        twin=reading(right=0.9, seed=2),
        blurred=blurred,
        majority=np.where(
            np.isnan(sample.agreement), np.nan, (np.arange(COUNT) % 4 == 0)[:, None]
        ),
        judge=judge,
        judge_real=None if judge is None else np.full((COUNT, 4), 4.5),
    )


def scores(sample, **kwargs):
    found = score_dimensions(evidence(sample, **kwargs), draws=60)
    return {d.name: d for d in found}


def test_as_good_as_real_is_near_five_and_noise_near_one():
    good = scores(reading(right=0.9, seed=3))
    bad = scores(reading(right=0.2, seed=4, noise=3.0))
    assert set(good) == set(LABELS) - {"structural_stability"}
    for name in good:
        assert good[name].score.value > 4.0, name
        assert bad[name].score.value < 2.0, name
        for found in (good[name], bad[name]):
            assert 1.0 <= found.score.low <= found.score.value <= 5.0
            assert found.score.value <= found.score.high <= 5.0


def test_stillness_costs_motion_and_nothing_else():
    moving = scores(reading(right=0.8, seed=3))
    still = scores(reading(right=0.8, seed=3, still=True))
    assert (
        still["artistic_motion"].score.value
        < moving["artistic_motion"].score.value - 0.7
    )
    for name in ("style_fidelity", "prompt_understanding", "anime_aesthetic"):
        assert still[name].score.value == pytest.approx(moving[name].score.value)


def test_wrong_style_tags_cost_style_only_by_their_part():
    right = reading(right=0.9, seed=3)
    wrong = right.agreement.copy()
    wrong[1:, 0] = 0.0
    spoiled = dataclasses.replace(right, agreement=wrong)
    before, after = scores(right), scores(spoiled)
    assert after["style_fidelity"].parts["style tags"] == 0.0
    assert (
        after["style_fidelity"].parts["distance"]
        == before["style_fidelity"].parts["distance"]
    )
    assert after["artistic_motion"].score == before["artistic_motion"].score


def test_structural_stability_is_the_judges_mean():
    heads = np.linspace(2, 4, COUNT * 4).reshape(COUNT, 4)
    found = scores(reading(right=0.9, seed=3), judge=heads)["structural_stability"]
    assert found.score.value == pytest.approx(3.0)
    assert found.parts["real clips"] == 4.5
    assert found.parts["worst head"] == pytest.approx(heads.min(axis=1).mean())


def test_closeness():
    assert closeness(0.6, chance=0.2, real=1.0) == pytest.approx(0.5)
    assert closeness(-6.0, chance=-8.0, real=-4.0) == pytest.approx(0.5)
    assert closeness(9.0, chance=0.0, real=1.0) == 1.0
    assert closeness(-9.0, chance=0.0, real=1.0) == 0.0
    # A field that the probe cannot tell from chance gives no free points.
    assert closeness(0.31, chance=0.3, real=0.3, span=0.05) == pytest.approx(0.2)
    # An instrument worse than chance does not turn the scale round.
    assert closeness(0.2, chance=0.4, real=0.3, span=0.05) == 0.0


def test_majority_agreement():
    truth = np.array([[1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 0]], bool)
    member = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)
    found = majority_agreement(truth, member)
    np.testing.assert_allclose(found[:3, 0], [1, 1, 0])
    assert np.isnan(found[3, 0])
    np.testing.assert_allclose(found[:, 1], [1, 1, 0.5, 0])


def test_frechet_distance():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4000, 3))
    assert frechet_distance(a, a) == 0.0
    moved = frechet_distance(a, a * [1, 1, 2] + [3, 0, 0])
    assert moved == pytest.approx(9.0 + 1.0, abs=0.2)


def test_where_blurred_clips_are_nearer_than_the_twins_the_distance_says_nothing():
    """Neither a sample that is hardly nearer nor one that is hardly farther."""
    found = evidence(reading(right=0.9, seed=3))
    near = dataclasses.replace(found, blurred=found.real)
    good, bad = (
        {
            d.name: d
            for d in score_dimensions(dataclasses.replace(near, sample=some), draws=60)
        }["anime_aesthetic"]
        for some in (reading(right=0.9, seed=3), reading(right=0.9, seed=4, noise=3.0))
    )
    assert good.parts["distribution"] == bad.parts["distribution"] == 0.5
