"""The loop's promises, on a stage that trains in milliseconds."""

import json

import numpy as np
import pytest
from runs import Interrupted, Killed, run
from toy_stage import TRUTH, LeastSquares

from animatrix_jax.errors import UserError
from animatrix_jax.training import checkpoint
from animatrix_jax.training.writers import read_metrics


def test_learns_and_sums_up(undisturbed):
    workdir, summary = undisturbed
    assert summary["steps"] == 60
    assert summary["loss_last"] < 0.05 * summary["loss_first"]
    assert summary["set_aside"] == 3
    assert (workdir / "toy" / "finished").exists()
    assert json.loads((workdir / "toy" / "summary.json").read_text()) == summary
    ema = checkpoint.read_params(workdir / "toy" / "checkpoints", "vae")
    np.testing.assert_allclose(ema["kernel"], TRUTH, atol=0.2)


def test_metrics_are_complete(undisturbed):
    lines = read_metrics(undisturbed[0] / "toy")
    assert [line["step"] for line in lines] == [0, *range(5, 61, 5)]
    assert {"loss", "gradient_norm", "skipped", "worst"} <= lines[1].keys()


@pytest.mark.parametrize("at", [3, 10, 37])
def test_a_killed_run_resumes_exactly(undisturbed, tmp_path, at):
    with pytest.raises(Killed):
        run(tmp_path, Interrupted(60, at))
    resumed = run(tmp_path)
    assert resumed["params_digest"] == undisturbed[1]["params_digest"]
    assert resumed["loss_first"] == undisturbed[1]["loss_first"]
    assert resumed["loss_last"] == undisturbed[1]["loss_last"]
    lines = read_metrics(tmp_path / "toy")
    assert [line["step"] for line in lines] == [0, *range(5, 61, 5)]


def test_a_run_without_an_average_resumes_and_ships_its_parameters(tmp_path):
    whole = run(tmp_path / "whole", ema_decay=0.0)
    with pytest.raises(Killed):
        run(tmp_path / "cut", Interrupted(60, 37), ema_decay=0.0)
    resumed = run(tmp_path / "cut", ema_decay=0.0)
    assert resumed["params_digest"] == whole["params_digest"]
    folder = tmp_path / "whole" / "toy" / "checkpoints"
    assert checkpoint.component_names(folder) == ("vae",)
    shipped, params = (
        checkpoint.read_params(folder, "vae", **item)["kernel"]
        for item in ({}, {"item": "params"})
    )
    np.testing.assert_array_equal(shipped, params)


def test_another_call_says_it_is_done(undisturbed):
    workdir, summary = undisturbed
    before = sorted((workdir / "toy").rglob("*"))
    assert run(workdir) == summary
    assert sorted((workdir / "toy").rglob("*")) == before


def test_a_profile_is_a_trace_of_a_few_steps(undisturbed, tmp_path):
    summary = run(tmp_path, profile=True)
    assert summary["params_digest"] == undisturbed[1]["params_digest"]
    (trace,) = (tmp_path / "toy" / "profile").rglob("*.xplane.pb")
    assert b"train_step" in trace.read_bytes()


def test_a_bad_batch_is_skipped_and_counted(tmp_path):
    summary = run(tmp_path, LeastSquares(60, poison=range(20, 23)))
    assert summary["skipped"] == 3
    assert summary["loss_last"] < 0.05 * summary["loss_first"]


def test_many_bad_batches_in_a_row_stop_the_run_with_their_clips(tmp_path):
    with pytest.raises(UserError, match=r"last 4 steps.*step 14.*\[\[80, 81") as error:
        run(tmp_path, LeastSquares(60, poison=range(10, 30)), max_nonfinite=4)
    assert "\n" not in str(error.value)
    assert checkpoint.latest_step(tmp_path / "toy" / "checkpoints") == 10


def test_another_config_is_refused_half_way_and_at_the_end(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, Interrupted(60, 37))
    changed = r"learning_rate was 0\.1, now 0\.2"
    with pytest.raises(UserError, match=changed):
        run(tmp_path, learning_rate=0.2)
    run(tmp_path, log_every=7)  # how often it speaks may change
    with pytest.raises(UserError, match=changed):
        run(tmp_path, learning_rate=0.2)


def test_more_steps_go_on_and_fewer_are_refused(tmp_path):
    assert run(tmp_path, steps=20)["steps"] == 20
    assert run(tmp_path, LeastSquares(40), steps=40)["steps"] == 40
    (tmp_path / "toy" / "summary.json").unlink()
    with pytest.raises(UserError, match="at step 40, beyond 20"):
        run(tmp_path, steps=20)


def test_validation_keeps_its_own_rhythm(tmp_path):
    run(tmp_path, log_every=20, validate_every=15)
    lines = read_metrics(tmp_path / "toy")
    assert [line["step"] for line in lines] == [0, 15, 20, 30, 40, 45, 60]
    measured = [line["step"] for line in lines if "validation_loss" in line]
    assert measured == [0, 15, 30, 45, 60]


def test_a_run_killed_while_it_samples_at_the_end_samples_again(tmp_path):
    called = []

    def die(step, params, writer):
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path, callbacks=[die])
    summary = run(tmp_path, callbacks=[lambda step, *_: called.append(step)])
    assert called == [60] and summary["steps"] == 60


def test_more_steps_that_were_not_finished_are_not_done(tmp_path):
    """The summary of fewer steps does not speak for them."""
    run(tmp_path, steps=20)

    class Unfinished(LeastSquares):
        def finish(self, params, folder):
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, Unfinished(40), steps=40)
    (tmp_path / "toy" / "finished").unlink()
    assert run(tmp_path, LeastSquares(40), steps=40)["steps"] == 40
    assert (tmp_path / "toy" / "finished").exists()


def test_a_run_killed_while_it_samples_on_the_way_samples_again(tmp_path):
    called = []

    def die(step, params, writer):
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path, callbacks=[die], sample_every=20)
    run(tmp_path, callbacks=[lambda step, *_: called.append(step)], sample_every=20)
    assert called == [20, 40, 60]


def test_samples_of_steps_that_are_trained_again_are_made_again(tmp_path):
    """Those of a run that was killed before its first checkpoint may be another's."""
    samples = tmp_path / "toy" / "samples"
    samples.mkdir(parents=True)
    for step in (5, 20):
        (samples / f"step_{step:06d}.png").touch()
    with pytest.raises(Killed):
        run(tmp_path, Interrupted(60, 12))
    assert not list(samples.iterdir())
    for step in (5, 20):
        (samples / f"step_{step:06d}.png").touch()
    run(tmp_path)
    assert [path.name for path in samples.iterdir()] == ["step_000005.png"]
