"""`animatrix evaluate` as a user runs it: a process, its files, its errors."""

import dataclasses
import inspect
import json
import types

import numpy as np
import pytest
from verbs import animatrix

from animatrix_jax.sampling.conditioning import Given
from animatrix_jax.training.weights import load_component


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model with a judge."""
    from tiny_model import write_judge, write_model

    return write_judge(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def evaluated(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "new"
    done = animatrix(
        "evaluate",
        f"--checkpoint={model}",
        "--prompts=3",
        "--steps=1",
        f"--beside={model}",
        f"--out={out}",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    return done, out


def test_summary(evaluated):
    done, out = evaluated
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert json.loads(done.stdout.splitlines()[-1]) == summary
    assert summary["stages"] == []
    dimensions = summary["evaluation"]["dimensions"]
    assert list(dimensions) == [
        "style_fidelity",
        "prompt_understanding",
        "artistic_motion",
        "structural_stability",
        "anime_aesthetic",
    ]
    for scores in dimensions.values():
        assert 1 <= scores["low"] <= scores["value"] <= scores["high"] <= 5
    fields = summary["evaluation"]["fields"]
    assert {"all fields", "motion.timing", "camera.camera_motion"} <= fields.keys()
    assert all(0 <= row["samples"] <= 1 for row in fields.values())
    assert set(summary["evaluation"]["judge_heads"]) == {
        "face_topology",
        "limb_structure",
        "line_continuity",
        "motion_coherence",
    }


def test_samples_and_report(evaluated):
    _, out = evaluated
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert len(summary["samples"]) == 3
    for sample in summary["samples"]:
        assert (out / sample["path"]).stat().st_size > 0
        assert sample["prompt"] and len(sample["tags"]) > 15
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 3
    assert "Prompt Understanding" in page and "{{" not in page
    assert page.count("<span>SAMPLE</span><span>") == page.count('"who"') == 3
    assert "Between them, what" in page
    assert not list(out.glob("*.tmp"))


def test_a_probe_that_is_not_there_is_told_before_anything_is_sampled(
    tmp_path, monkeypatch
):
    from tiny_model import write_model

    from animatrix_jax.errors import UserError
    from animatrix_jax.evaluation import run

    def sample(*args, **kwargs):
        raise AssertionError("sampled before the probe was looked at")

    monkeypatch.setattr(run.Pipeline, "sample_latents_for", sample)
    request = run.EvaluationRequest(
        checkpoint=str(write_model(tmp_path)),
        prompts=2,
        out=tmp_path / "out",
        probe="pico",
    )
    with pytest.raises(UserError, match="caption"):
        run.evaluate(request)
    assert not request.out.exists()


@pytest.mark.parametrize(
    "flags,message",
    [
        ((), "--checkpoint=DIR"),
        (("--checkpoint=no/such",), "no checkpoint 'no/such'"),
        (("--checkpoint=x", "--prompts=1"), "prompts"),
        (("--checkpoint=x", "extra"), "unexpected argument 'extra'"),
    ],
)
def test_one_line_and_code_2(flags, message):
    done = animatrix("evaluate", *flags)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_judge_of_another_vae_does_not_score(model, monkeypatch, caplog):
    from animatrix_jax.evaluation import run

    def load(ref, name, **options):
        found = load_component(ref, name, **options)
        if name == "judge":
            config = found.config | {"digests": {"vae": "x"}}
            found = dataclasses.replace(found, config=config)
        return found

    assert run._scorer(str(model), "") is not None
    monkeypatch.setattr(run, "load_component", load)
    assert run._scorer(str(model), "") is None
    assert "trained with another 'vae'" in caplog.text


def test_stages_without_checkpoints_leave_a_report(model, tmp_path):
    """They may have been removed to make room; the last is enough to sample."""
    from animatrix_jax.evaluation.run import StageCurve, _configs
    from animatrix_jax.sampling.pipeline import Pipeline

    stage = StageCurve(summary={"name": "ct"}, metrics=[])
    found = _configs(tmp_path, [stage], Pipeline.load(str(model)))
    assert set(found) == {"model"}


def test_a_model_of_pictures_is_given_the_first_frames_in_turns():
    """As many at once as it samples; others are given none."""
    from animatrix_jax.evaluation.run import _first_frames

    seen = []

    def given(pictures):
        seen.append(len(pictures))
        return Given(reference=pictures.astype(np.float32)[:, None])

    dit = types.SimpleNamespace(frame_conditioning="concat")
    preset = types.SimpleNamespace(dit=dit)
    pipeline = types.SimpleNamespace(max_batch=2, preset=preset, given=given)
    frames = np.arange(5 * 12, dtype=np.uint8).reshape(5, 2, 2, 3)
    first_frames = inspect.unwrap(_first_frames)  # it would take no stand-in
    found = first_frames(pipeline, frames)
    assert seen == [2, 2, 1]
    np.testing.assert_array_equal(found.reference[:, 0], frames)
    dit.frame_conditioning = "none"
    assert first_frames(pipeline, frames) is None
