"""The stages by the one loop, and the labeller that comes of them."""

import dataclasses
import functools
import json
import shutil

import jax
import numpy as np
import pytest

from animatrix_jax.caption import calibration
from animatrix_jax.caption.anicaption import load_anicaption, thinned, windows
from animatrix_jax.caption.labeller import Labeller, load_labeller
from animatrix_jax.caption.mirror import mirrored, mirrored_words
from animatrix_jax.caption.preference import CaptionPreferenceStage
from animatrix_jax.caption.sight import look
from animatrix_jax.caption.stages import CaptionStage
from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.labels import parse_label
from animatrix_jax.training.weights import load_component

from .conftest import tiny_config


@pytest.fixture(scope="module")
def labeller(trained):
    return load_labeller(str(trained))


@pytest.mark.usefixtures("quick_compile")
def test_weights_from_before_get_what_they_lack_and_read_the_same(trained):
    """Patches add nothing at first, and what is there in part is not mended."""
    stage = CaptionStage(tiny_config("caption"), workdir=trained)
    given = load_component(str(trained), "caption", stage="caption").params
    eyes = dict(given["reader"]["eyes"])
    del eyes["patches"]
    old = given | {"reader": given["reader"] | {"eyes": eyes}}
    grown = stage.grown(old)
    assert jax.tree.structure(grown) == jax.tree.structure(given)
    patches = grown["reader"]["eyes"]["patches"]
    assert not any(np.any(leaf) for leaf in patches["out"].values())
    assert np.any(patches["cell"]["kernel"])
    assert stage.grown(given) is given
    writer = {k: v for k, v in given["writer"].items() if k != "value"}
    assert "value" not in stage.grown(given | {"writer": writer})["writer"]


@pytest.mark.usefixtures("quick_compile")
def test_all_together_starts_from_the_experts(trained, monkeypatch):
    whole = load_component(str(trained), "caption", stage="caption")
    experts = dataclasses.replace(whole, params={"reader": whole.params["reader"]})
    stage = CaptionStage(tiny_config("caption"), workdir=trained)
    monkeypatch.setattr(stage, "component", lambda name: experts)
    start = stage.initial()["caption"]
    assert jax.tree.structure(start) == jax.tree.structure(whole.params)
    for a, b in zip(
        jax.tree.leaves(experts.params["reader"]), jax.tree.leaves(start["reader"])
    ):
        np.testing.assert_array_equal(a, b)


def test_the_experts_stage_has_a_reader_alone(trained):
    stage = CaptionStage(tiny_config("caption_experts"), workdir=trained)
    params = jax.eval_shape(stage.init, jax.random.key(0))
    assert set(params["caption"]) == {"reader"}
    shapes = stage.step_shapes().batch
    loss, metrics = jax.eval_shape(
        lambda p, b, k: stage.loss(p, {}, b, k), params, shapes, jax.random.key(0)
    )
    assert loss.shape == () and set(metrics) == {"fields", "accuracy", "shown"}


def test_shapes_are_those_of_batches(trained):
    for name, kind in (
        ("caption_experts", CaptionStage),
        ("caption", CaptionStage),
        ("caption_preference", CaptionPreferenceStage),
    ):
        stage = kind(tiny_config(name), workdir=trained)
        expected = stage.step_shapes().batch
        batch = stage.held_out()[0]
        del batch["clip_id"]
        assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
            k: (v.shape, v.dtype) for k, v in expected.items()
        }


def test_a_step_sees_an_even_picture_of_each_clip_and_all_strikes(trained):
    stage = CaptionStage(tiny_config("caption"), workdir=trained)
    even = stage.model.sight.even
    batch = stage.held_out()[0]
    stored = stage._held_out.take(batch["clip_id"])
    np.testing.assert_array_equal(batch["times"][:, 1:], stored["times"][:, even:])
    np.testing.assert_array_equal(
        batch["pictures"][:, 1:], stored["pictures"][:, even:]
    )
    for time, picture, times, pictures in zip(
        *(batch["times"][:, 0], batch["pictures"][:, 0]),
        *(stored["times"][:, :even], stored["pictures"][:, :even]),
        strict=True,
    ):
        (place,) = np.flatnonzero(times == time)[:1]
        np.testing.assert_array_equal(picture, pictures[place])


@pytest.mark.parametrize("change", [{"form": 1}, {"config": {"dim": 64}}])
def test_an_anicaption_of_another_form_is_refused(trained, tmp_path, change):
    stage = tmp_path / "run/caption"
    shutil.copytree(trained / "caption", stage)
    path = stage / "caption.json"
    record = json.loads(path.read_text())
    record |= {"form": change.get("form", record["form"])}
    record["config"] |= change.get("config", {})
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="of another form than this code reads"):
        load_anicaption(str(stage))


def test_what_a_labeller_needs_is_beside_the_weights(trained):
    record = json.loads((trained / "caption_preference/caption.json").read_text())
    assert set(record["calibration"]["temperature"]) == set(WEIGHTS)
    assert 0 <= record["ece_of_the_fit"] <= 1
    assert (trained / "caption_preference" / "tokenizer.json").exists()


def test_winners_are_truer_than_losers(trained):
    stage = CaptionPreferenceStage(tiny_config("caption_preference"), workdir=trained)
    pairs = stage.pairs
    every = stage.train_sights.labels
    truth = np.zeros((len(pairs), len(stage.model.tags)), bool)
    for row, clip in zip(truth, pairs.rows):
        row[[stage.model.tags.index(t) for t in every[clip]["tags"]]] = True
    first, second = (
        stage.scores(pairs.tags[:, i], pairs.tokens[:, i], truth) for i in range(2)
    )
    assert (first > second).all()


def test_motion_and_effects_alone_decide_who_wins(trained):
    stage = CaptionPreferenceStage(tiny_config("caption_preference"), workdir=trained)
    tags = stage.model.tags
    truth = np.zeros((1, len(tags)), bool)
    for tag in ("motion.timing=twos", "style.palette=vivid", "camera.angle=eye"):
        truth[0, tags.index(tag)] = True
    silent = np.zeros((1, stage.model.text_length), np.int32)

    def score(*changes):
        told = truth.copy()
        for tag in changes:
            told[0, tags.index(tag)] ^= True
        return stage.scores(told, silent, truth)[0]

    assert score("style.palette=vivid", "style.palette=pastel") == score()
    assert score("camera.angle=eye", "camera.angle=low") == score()
    assert score("motion.timing=twos", "motion.timing=ones") < score()


@pytest.mark.parametrize("shape", [(1, 17, 40), (9, 32, 32), (40, 24, 36)])
def test_clips_of_any_length_and_size_get_a_caption(labeller, shape):
    assert isinstance(labeller, Labeller)
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    caption = labeller.label(video, 24.0)
    assert set(caption.confidence) == set(WEIGHTS)
    assert all(0 <= c <= 1 for c in caption.confidence.values())
    label = parse_label(caption.line(video="a.mp4", start=0.0, end=1.0))
    assert label.tags == caption.tags


def test_a_clip_and_its_mirror_image_are_read_alike_but_for_left_and_right(labeller):
    config = labeller.programs.config
    video = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    ours = look(video, config.sight)
    ours, theirs = (
        labeller.programs.read({name: value[None] for name, value in sight.items()})
        for sight in (ours, mirrored(ours, config.sight))
    )
    other = [config.tags.index(mirrored_words(tag)) for tag in config.tags]
    assert other != sorted(other)
    close = functools.partial(np.testing.assert_allclose, atol=1e-4)
    close(ours.logits, theirs.logits[:, np.array(other)])
    close(ours.shown, theirs.shown)
    assert not np.allclose(ours.fields, theirs.fields, atol=1e-3)


def test_what_is_not_sure_is_unknown(trained):
    sure = dataclasses.replace(load_anicaption(str(trained)), threshold=1.01)
    caption = sure.label(np.zeros((3, 16, 16, 3), np.uint8), 12)
    assert caption.tags == () and set(caption.unknown) == set(WEIGHTS)


def test_of_two_values_that_exclude_each_other_the_likelier_is_claimed(trained):
    loaded = load_anicaption(str(trained))
    plain = calibration.uncalibrated(list(WEIGHTS))
    sure = dataclasses.replace(loaded, threshold=0.0, calibration=plain)
    config = sure.programs.config
    logits = np.full((1, len(config.tags)), -6.0, np.float32)
    read = {
        "vfx.impact=none": 1.0,
        "vfx.impact=flash": 4.0,
        "vfx.vfx_level=accent": 9.0,
    }
    for tag, value in read.items():
        logits[0, config.tags.index(tag)] = value
    shown = np.full((1, len(config.fields)), 6.0, np.float32)
    tags = sure.claims(sure.read(logits, shown), 0).tags
    assert "vfx.impact=flash" in tags and "vfx.impact=none" not in tags


def test_weights_name_the_digest(trained, labeller):
    other = load_labeller(str(trained / "caption"))
    assert other.digest != labeller.digest
    assert load_labeller(str(trained)).digest == labeller.digest


def test_windows_cover_a_long_clip_and_thin_a_fast_one():
    video = np.arange(100, dtype=np.uint8)[:, None, None, None]
    video = np.broadcast_to(video, (100, 2, 2, 3))
    found = windows(video, 33)
    assert len(found) == 4 and {len(w) for w in found} == {33}
    assert found[0][0, 0, 0, 0] == 0 and found[-1][-1, 0, 0, 0] == 99
    assert len(windows(thinned(video, 60), 50)[0]) == 40
    assert len(windows(video[:5], 33)[0]) == 5


def test_what_is_exported_labels_as_well(trained, labeller, tmp_path):
    from animatrix_jax.cli.export import export

    sizes = export(trained, folder=tmp_path, components=["caption"])
    shipped = load_labeller(str(tmp_path))
    assert (
        sizes["caption"]
        < 2.1 * sum(leaf.size for leaf in jax.tree.leaves(labeller.programs.params))
        + 20_000
    )
    assert shipped.calibration == labeller.calibration
    assert shipped.programs.together and shipped.tokenizer is not None
    video = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    here, there = labeller.label(video, 24.0), shipped.label(video, 24.0)
    for key, sure in here.confidence.items():
        assert abs(sure - there.confidence[key]) < 0.05  # half precision


def test_another_vocabulary_is_refused(trained):
    config = tiny_config("caption", caption={"vocab_size": 99})
    stage = CaptionStage(config, workdir=trained)
    with pytest.raises(UserError, match="vocab_size is 99"):
        _ = stage.tokenizer


def test_a_checkpoint_without_one_is_refused():
    with pytest.raises(UserError, match="has no caption"):
        load_anicaption("pico")


def test_the_benchmark_prints_what_it_says(trained):
    from benchmarks import anicaption

    labeller = load_anicaption(str(trained))
    clips = anicaption.draw(labeller, 4, frames=9, size=32)
    assert set(clips.sights) == {"clean", "encoded", "scaled", "cropped"}
    found = anicaption.score(labeller, clips, "clean")
    assert {"macro_f1", "majority", "ece", "fields"} <= set(found)
    assert 0 <= found["macro_f1"] <= 1 and 0 <= found["ece"] <= 1
    assert "motion.timing" in found["fields"]
    told = anicaption.prose(labeller, clips, 4)
    assert 0 <= told["own_tags"] <= 1
