"""Fixed draws: even in their levels, evaluated once, the loss that it would be without."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.judge.preference import PreferenceStage
from animatrix_jax.judge.reference import ReferenceErrors, draw_levels
from animatrix_jax.objectives.flow_matching import FlowConfig
from animatrix_jax.objectives.preference import preference_loss

pytestmark = pytest.mark.usefixtures("quick_compile")

DRAWS = 3
PREFERENCE = {"reference_draws": DRAWS, "beta": 100.0}


@pytest.fixture(scope="module")
def make_stage(stage_config, tmp_path_factory):
    """make_stage(**sections): the stage in one and the same run's folder."""
    workdir = tmp_path_factory.mktemp("run")

    def make(**sections):
        sections = {"preference": PREFERENCE} | sections
        return PreferenceStage(stage_config("preference", **sections), workdir=workdir)

    return make


@pytest.fixture(scope="module")
def stage(make_stage):
    return make_stage()


@pytest.fixture(scope="module")
def batch(stage):
    batch = dict(next(iter(stage.batches())))
    batch.pop("clip_id")
    return batch


def test_levels_lie_evenly_within_a_pair_and_over_all():
    pairs, draws = 7, 4
    flow = FlowConfig(shift=3.0)
    levels = draw_levels(pairs, draws, flow=flow, seed=5)
    assert levels.shape == (pairs, draws)
    u = levels / (flow.shift - (flow.shift - 1) * levels)
    z = np.log(u / (1 - u))
    place = np.array([[0.5 * math.erfc(-x / math.sqrt(2)) for x in row] for row in z])
    gaps = np.diff(np.sort(place.ravel()))
    np.testing.assert_allclose(gaps, 1 / (pairs * draws), atol=1e-4)
    for row in np.sort(place, axis=1):
        np.testing.assert_allclose(np.diff(row), 1 / draws, atol=1e-4)
    first = levels[:, 0]  # which draw is first says nothing of the pair's number
    assert 0 < np.sum(np.diff(first) > 0) < pairs - 1
    assert np.abs(levels - draw_levels(pairs, draws, flow=flow, seed=6)).max() > 1e-3


def test_a_pair_has_each_of_its_draws_once_in_as_many_epochs(stage):
    table, size = stage.pairs.train, stage._batch_config.size
    count = len(table)
    seen = [
        stage._batch(step, table=table) for step in range(-(-DRAWS * count // size))
    ]
    draws = np.concatenate([b["draw"] for b in seen])[: DRAWS * count]
    assert sorted(draws) == list(range(DRAWS * count))
    rows = np.concatenate([b["clip_id"] for b in seen])[: DRAWS * count]
    np.testing.assert_array_equal(draws // DRAWS, rows)
    assert sorted(rows[:count]) == list(range(count))


def test_pairs_held_out_have_draws_of_their_own(stage):
    first = len(stage.pairs.train)
    batch = stage.held_out()[0]
    np.testing.assert_array_equal(batch["draw"] // DRAWS, first + batch["clip_id"])
    turn = batch["draw"] % DRAWS
    levels = stage.reference.sigma[first + batch["clip_id"], turn]
    np.testing.assert_array_equal(batch["sigma"], levels)


def test_a_step_reads_what_it_says_and_no_reference(stage, batch):
    shapes = stage.step_shapes()
    assert {k: (v.shape, v.dtype) for k, v in shapes.batch.items()} == {
        k: (v.shape, v.dtype) for k, v in batch.items()
    }
    assert set(stage.frozen()) == set(shapes.frozen) == {"text"}
    key = jax.random.key(0)
    policy = jax.eval_shape(stage.init, key)
    loss, _ = jax.eval_shape(stage.loss, policy, shapes.frozen, shapes.batch, key)
    assert loss.shape == ()


def test_the_start_is_ln_2_and_then_the_uncached_loss(stage, batch):
    frozen, params = stage.frozen(), stage.initial()
    cached = jax.jit(stage.loss)
    loss, metrics = cached(params, frozen, batch, jax.random.key(0))
    errors = 2 * (float(metrics["winner_error"]) + float(metrics["loser_error"]))
    # As objectives/preference.py has it.
    bound = 0.25 * PREFERENCE["beta"] * 2.0**-24 * errors + np.finfo(np.float32).eps
    assert abs(float(loss) - math.log(2.0)) <= bound
    assert "drift" not in metrics
    assert {"winner_drift", "loser_drift", "margin"} <= metrics.keys()

    @jax.jit
    def uncached(params, reference, frozen, batch):
        both = stage._conditioning(frozen, batch)
        return preference_loss(
            stage._denoiser(params["generator"], both),
            stage._denoiser(reference, both),
            **stage._drawn(batch),
            config=stage._preference,
        )

    rng = np.random.default_rng(0)
    moved = jax.tree.map(lambda x: x + 0.02 * rng.normal(size=x.shape), params)
    moved = jax.tree.map(lambda x: x.astype(np.float32), moved)
    expected = uncached(moved, params["generator"], frozen, batch)
    loss, metrics = cached(moved, frozen, batch, jax.random.key(1))
    assert abs(float(expected.loss) - math.log(2.0)) > 1e-2
    assert float(loss) == pytest.approx(float(expected.loss), rel=1e-4)
    for name, value in metrics.items():
        known = float(getattr(expected, name))
        assert float(value) == pytest.approx(known, rel=1e-4, abs=1e-5), name


def test_errors_are_kept_and_a_second_start_has_the_same_batches(stage, make_stage):
    path = stage._folder / "reference.npz"
    kept = stage.reference  # evaluated, if no test has asked yet
    written = path.stat().st_mtime_ns
    again = make_stage()
    for name in ("sigma", "winner", "loser"):
        np.testing.assert_array_equal(
            getattr(again.reference, name), getattr(kept, name)
        )
    assert path.stat().st_mtime_ns == written
    one, two = (s._batch(5, table=s.pairs.train) for s in (stage, again))
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    pairs = len(stage.pairs.train) + len(stage.pairs.held_out)
    assert kept.winner.shape == kept.loser.shape == (pairs, DRAWS)
    assert kept.winner.min() > 0 and np.abs(kept.winner - kept.loser).max() > 1e-3


@pytest.mark.parametrize(
    "sections",
    [{"preference": {"reference_draws": 2}}, {"flow": {"shift": 2.0}}],
    ids=["draws", "levels"],
)
def test_errors_of_other_settings_are_refused(stage, make_stage, sections):
    assert stage.reference.made_from
    with pytest.raises(UserError, match="other weights, pairs or settings: remove"):
        make_stage(**sections).batches()


def test_errors_of_other_weights_are_refused(stage, make_stage, monkeypatch):
    assert stage.reference.made_from
    other = make_stage()
    component = other._component("generator")
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + 1e-3, component.params)
    changed = dataclasses.replace(component, params=params)
    pairs = other.pairs  # as they were made
    monkeypatch.setattr(other, "_component", lambda name: changed)
    assert other.pairs is pairs
    with pytest.raises(UserError, match="other weights"):
        _ = other.reference


def test_round_trip(tmp_path):
    made = ReferenceErrors(
        sigma=np.array([[0.1, 0.9]], np.float32),
        winner=np.ones((1, 2), np.float32),
        loser=np.zeros((1, 2), np.float32),
        made_from="x",
    )
    made.save(tmp_path / "deep" / "reference.npz")
    loaded = ReferenceErrors.load(tmp_path / "deep" / "reference.npz")
    assert loaded.made_from == "x"
    np.testing.assert_array_equal(loaded.sigma, made.sigma)
    taken = loaded.take(np.array([0, 0, 0]), np.array([0, 1, 2]))
    np.testing.assert_array_equal(taken["draw"], [0, 1, 0])
    assert taken["draw"].dtype == np.int32
    path = tmp_path / "deep" / "reference.npz"
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
