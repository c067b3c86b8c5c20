"""`animatrix plan` on a tiny generator: what it prints, keeps and refuses."""

import dataclasses
import importlib.util
import json
import pathlib

import pytest
from verbs import animatrix

from animatrix_jax.cli import plans
from animatrix_jax.errors import UserError
from animatrix_jax.planning import plan as plan_lib
from animatrix_jax.planning import report, target
from animatrix_jax.planning.measure import NotCompiled

PICO = pathlib.Path(__file__).parents[2] / "configs" / "pico.py"
KEYS = (
    *("fits", "peak_gib", "hbm_gib", "tokens", "tflops_per_step", "step_seconds"),
    *("mfu", "bound", "compile_seconds"),
)
TINY = f"""
import importlib.util

spec = importlib.util.spec_from_file_location("pico", {str(PICO)!r})
pico = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pico)


def get_config(arg=None):
    config = pico.get_config("stage=ct")
    config.update({{"batch": {{"size": 2, "max_tags": 4}}}})
    config.optimizer.kind = "adamw"
    config.model.dit.update(
        {{"dim": 16, "ffn_dim": 32, "num_heads": 2, "num_layers": 1, "text_dim": 8}}
    )
    config.model.dit.update({{"tag_adaln": False, "tag_cross_attention": False}})
    config.model.update({{"frames": 5, "height": 8, "width": 8, "text_length": 4}})
    return config
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the tiny config is, and compiled plans are kept."""
    made = tmp_path_factory.mktemp("plans")
    (made / "tiny.py").write_text(TINY)
    return made


@pytest.fixture
def config(folder):
    spec = importlib.util.spec_from_file_location("tiny", folder / "tiny.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def run(config, folder, **more):
    return plans.run(
        config,
        target="cpu:1",
        cache=folder / "cache",
        inputs="encoded",
        quiet=True,
        **{"largest": False} | more,
    )


def test_a_plan_says_what_it_must_and_is_kept(config, folder, quick_compile):
    first = run(config, folder)
    assert all(first[key] is not None for key in KEYS)
    assert first["fits"] and 0 < first["mfu"] < 1
    # Parts and peak are each rounded.
    parts = sum(first["memory_gib"].values())
    assert parts == pytest.approx(first["peak_gib"], abs=0.005)
    text = report.text(first)
    assert "fits" in text and "MFU" in text
    again = run(config, folder)
    assert again["cached"] and not first["cached"]
    assert again["peak_gib"] == first["peak_gib"]


def test_a_step_that_does_not_fit_comes_with_advice(
    config, folder, quick_compile, monkeypatch
):
    real = target.parse

    def tiny(text):
        parsed = real(text)
        chip = dataclasses.replace(parsed.chip, hbm_bytes=1e5)
        return dataclasses.replace(parsed, chip=chip)

    monkeypatch.setattr(target, "parse", tiny)
    found = run(config, folder)
    assert not found["fits"]
    flags = [change["flag"] for change in found["advice"]]
    assert "--config.model.dit.remat=block" in flags
    assert all(change["saves_gib"] >= 0 for change in found["advice"])
    assert "DOES NOT FIT" in report.text(found)


def test_a_plan_stands_without_the_largest_batch(
    config, folder, quick_compile, monkeypatch
):
    def fails(*args, **options):
        raise NotCompiled("cpu:1's compiler fails: INTERNAL: no tiles")

    monkeypatch.setattr(plan_lib, "largest_batch", fails)
    found = run(config, folder, largest=True)
    assert found["fits"] and "largest_batch" not in found
    assert "largest    not known: cpu:1's compiler fails" in report.text(found)


def test_a_sampling_step(config, folder, quick_compile):
    found = run(config, folder, verb="sample")
    training = run(config, folder)
    assert found["verb"] == "sample"
    # A forward pass for each of three branches, as a step is three passes of one.
    assert found["tflops_per_step"] == pytest.approx(training["tflops_per_step"])
    assert "optimizer" not in found["memory_gib"]


def test_other_stages_are_refused(config, folder):
    config.stage = "vae"
    with pytest.raises(UserError, match="ct, sft, qt.*'vae'"):
        run(config, folder)


def test_a_batch_that_does_not_divide_is_one_line(config, folder):
    config.update({"batch": {"size": 9}, "optimizer": {"accumulation": 2}})
    with pytest.raises(UserError, match="batch.size 9 does not divide by 2"):
        run(config, folder)


def test_of_buckets_the_one_that_asks_most_is_counted(config, folder, quick_compile):
    config.batch.update({"size": 4, "buckets": ((1, 8, 8), (9, 16, 16))})
    found = run(config, folder)
    # Of 9 x 16 x 16 pixels: 3 x 2 x 2 of the VAE's, which are tokens, and one clip.
    assert (found["tokens"], found["batch"]) == (12, 1)


def test_the_largest_batch_of_samples_knows_no_buckets(config, folder, monkeypatch):
    largest = plan_lib.Largest(clips=6, verified=True)
    monkeypatch.setattr(plan_lib, "largest_batch", lambda *_, **__: largest)
    config.batch.update({"size": 4, "buckets": ((1, 8, 8), (9, 16, 16))})
    assert run(config, folder, verb="sample", largest=True)["largest_batch"] == 6


def test_the_largest_batch_of_buckets_is_told_in_clips_of_the_model_s_own_shape(
    config, folder, quick_compile, monkeypatch
):
    """Six clips of 12 tokens are a budget of 36 to 41 of two."""
    largest = plan_lib.Largest(clips=6, verified=True)
    monkeypatch.setattr(plan_lib, "largest_batch", lambda *_, **__: largest)
    config.batch.update({"size": 6, "buckets": ((1, 8, 8), (9, 16, 16))})
    found = run(config, folder, largest=True)
    assert found["batch"] == 1 and found["largest_batch"] == 41


def test_a_wrong_target_is_one_line_and_code_2(folder):
    done = animatrix("plan", f"--config={folder}/tiny.py", "--target=tpu:v5p:4x4")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "4x4x4" in done.stderr


def test_the_last_line_is_json(config, folder, quick_compile):
    """Of the command, which finds the step that this process compiled."""
    before = run(config, folder)
    done = animatrix(
        "plan",
        f"--config={folder}/tiny.py",
        "--target=cpu:1",
        "--inputs=encoded",
        f"--cache={folder}/cache",
        "--json",
        "--nolargest",
    )
    assert done.returncode == 0, done.stderr[-1000:]
    given = json.loads(done.stdout.splitlines()[-1])
    assert set(KEYS) <= given.keys()
    assert given["cached"] and given["peak_gib"] == before["peak_gib"]
