"""The stages `judge` and `preference` on a tiny model: what they start from and see."""

import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data import seeds
from animatrix_jax.data.sources import CelSource
from animatrix_jax.data.writing import write_video
from animatrix_jax.errors import UserError
from animatrix_jax.judge.heads import DirectedClips, fit_heads, pair_loss
from animatrix_jax.judge.model import JudgeConfig
from animatrix_jax.judge.pairs import PairSet
from animatrix_jax.judge.preference import PreferenceStage
from animatrix_jax.judge.prompts import source_prompts
from animatrix_jax.judge.stages import JudgeStage
from animatrix_jax.models.functional import bind
from animatrix_jax.objectives.reward import RewardConfig
from animatrix_jax.training.weights import load_component


@pytest.fixture(scope="module")
def judge_stage(stage_config, model, tmp_path_factory):
    init = {"vae": str(model), "text": str(model), "generator": str(model)}
    config = stage_config(
        "judge",
        init=init,
        data={"clips": 12, "held_out": 4, "workers": 0, "defects": "paired"},
    )
    return JudgeStage(config, workdir=tmp_path_factory.mktemp("judge"))


PLAIN = {"clips": 12, "held_out": 4, "workers": 0, "odds": "plain"}


@pytest.fixture(scope="module")
def preference_stage(stage_config, tmp_path_factory):
    return PreferenceStage(
        stage_config("preference", data=PLAIN),
        workdir=tmp_path_factory.mktemp("preference"),
    )


def test_judge_starts_from_the_generator(judge_stage, model):
    start = judge_stage.initial()["judge"]
    generator = load_component(str(model), "generator").params
    np.testing.assert_array_equal(
        start["trunk"]["dit"]["patch_embed"]["kernel"],
        generator["dit"]["patch_embed"]["kernel"],
    )
    shapes = jax.eval_shape(judge_stage.init, jax.random.key(0))["judge"]
    assert jax.tree.map(jnp.shape, start) == jax.tree.map(lambda s: s.shape, shapes)


def test_a_seed_is_of_the_judges_own_parts(judge_stage, stage_config, model, tmp_path):
    init = {"vae": str(model), "generator": str(model)}
    other = JudgeStage(stage_config("judge", init=init, seed=1), workdir=tmp_path)
    one, two = (stage.initial()["judge"] for stage in (judge_stage, other))
    assert np.any(one["pool"]["query"] != two["pool"]["query"])
    same = jax.tree.map(np.array_equal, one["trunk"], two["trunk"])
    assert all(jax.tree.leaves(same))


def test_half_a_pair_is_one_line(stage_config, tmp_path):
    config = stage_config("judge", batch={"size": 12}, optimizer={"accumulation": 4})
    with pytest.raises(UserError, match="12 in optimizer.accumulation 4 .* 3 clips"):
        JudgeStage(config, workdir=tmp_path)


def test_judge_batches_are_pairs_of_one_drawing(judge_stage, latent_shape):
    batch = next(iter(judge_stage.batches()))
    assert batch["latents"].shape == (4, *latent_shape)
    ids = batch["clip_id"]
    assert np.array_equal(ids[0::2] + 1, ids[1::2]) and not (ids[0::2] % 2).any()
    # A pair is asked for the same; its clips differ in their defects.
    for name in ("tag_fields", "tag_values", "tag_mask", "weights"):
        np.testing.assert_array_equal(batch[name][0::2], batch[name][1::2])
    assert batch["tag_mask"].sum(axis=-1).min() > 15  # told all that was asked for
    assert batch["scores"].min() >= 1 and batch["scores"].max() <= 5


@pytest.fixture(scope="module")
def scored_videos(tmp_path_factory):
    """Two clips of one prompt that people scored, and one without scores."""
    folder = tmp_path_factory.mktemp("videos")
    labels = []
    for n, name in enumerate("abc"):
        drawn = np.random.default_rng(n).integers(0, 255, (8, 16, 16, 3))
        write_video(folder / f"{name}.mp4", drawn.astype(np.uint8), 12)
        labels.append({"video": f"{name}.mp4", "tags": ["motion.timing=twos"]})
    labels[0]["scores"], labels[1]["scores"] = [5, 4, 3, 2], [1, 4, 3, 5]
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    return folder


def test_judge_learns_from_peoples_scores(scored_videos, stage_config, model, tmp_path):
    init = {"vae": str(model), "generator": str(model)}
    data = {"source": "videos", "path": str(scored_videos), "held_out": 2, "workers": 0}
    stage = JudgeStage(stage_config("judge", init=init, data=data), workdir=tmp_path)
    batch = dict(next(iter(stage.batches())))
    scores = np.array([[5, 4, 3, 2], [1, 4, 3, 5]], np.float32)
    np.testing.assert_array_equal(batch["scores"][:, 0], scores[batch.pop("clip_id")])
    shapes = stage.step_shapes()
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        k: (v.shape, v.dtype) for k, v in shapes.batch.items()
    }
    assert stage.counts() == {"set_aside": 2}  # c.mp4 and its line
    policy, key = jax.eval_shape(stage.init, jax.random.key(0)), jax.random.key(0)
    loss, _ = jax.eval_shape(stage.loss, policy, shapes.frozen, shapes.batch, key)
    assert loss.shape == ()


def test_a_dataset_has_no_scores_for_a_judge(stage_config, tmp_path):
    data = {"source": "dataset", "path": "x"}
    with pytest.raises(UserError, match="dataset has no scores: train the judge with"):
        JudgeStage(stage_config("judge", data=data), workdir=tmp_path)


def test_judge_learns(judge_stage):
    batch = judge_stage.held_out()[0]
    clip_ids = batch.pop("clip_id")
    assert len(clip_ids) == 4

    @jax.jit
    def step(params):
        (loss, metrics), grads = jax.value_and_grad(judge_stage.loss, has_aux=True)(
            params, {}, batch, jax.random.key(0)
        )
        return jax.tree.map(lambda p, g: p - 0.02 * g, params, grads), loss, metrics

    params = judge_stage.initial()
    losses = []
    for _ in range(8):
        params, loss, metrics = step(params)
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    assert {"huber", "pairs", "pair_accuracy", "error_face_topology"} <= metrics.keys()


def test_heads_learn_alone_before_the_trunk(judge_stage):
    """The loss falls with the trunk untouched; the clips are seen once each."""
    start = jax.tree.map(jnp.asarray, judge_stage.initial()["judge"])
    clips = DirectedClips.of(
        judge_stage.build,
        start,
        judge_stage._clips.once(),
        latents=lambda batch: jnp.asarray(batch["latents"]),
    )
    assert len(clips) == 12 and clips.tokens.dtype == np.float16
    reward = RewardConfig()
    options = {"config": JudgeConfig(heads_steps=60), "reward": reward, "seed": 0}

    @jax.jit
    def loss(params):
        judge = bind(judge_stage.build, params)
        scores = judge.score(jnp.float32(clips.tokens), jnp.asarray(clips.told))
        return pair_loss(scores, clips.scores, clips.weights, config=reward).loss

    fitted = fit_heads(judge_stage.build, start, clips, **options)
    assert loss(fitted) < 0.8 * loss(start)
    for name in ("trunk", "null"):
        same = jax.tree.map(np.array_equal, fitted[name], start[name])
        assert all(jax.tree.leaves(same)), name
    again = fit_heads(judge_stage.build, start, clips, **options)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, fitted, again)))


def test_preference_starts_at_ln_2_with_the_policy_as_reference(preference_stage):
    frozen = preference_stage.frozen()
    params = preference_stage.initial()
    same = jax.tree.map(np.array_equal, params["generator"], frozen["reference"])
    assert all(jax.tree.leaves(same))
    batch = next(iter(preference_stage.batches()))
    batch.pop("clip_id")
    loss, metrics = jax.jit(preference_stage.loss)(
        params, frozen, batch, jax.random.key(3)
    )
    assert float(loss) == pytest.approx(math.log(2.0), abs=1e-6)
    assert float(metrics["drift"]) < 1e-9
    assert {"accuracy", "winner_error", "loser_error", "margin"} <= metrics.keys()


def test_gradients_reach_the_policy_and_nothing_that_is_frozen(preference_stage):
    frozen, params = preference_stage.frozen(), preference_stage.initial()
    batch = jax.tree.map(jnp.asarray, next(iter(preference_stage.batches())))
    batch.pop("clip_id")

    def loss(params, frozen):
        return preference_stage.loss(params, frozen, batch, jax.random.key(3))[0]

    policy, rest = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, frozen)
    assert rest.keys() == {"text", "reference"}
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(rest))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(policy))


def test_pairs_are_kept_and_used_again(preference_stage, stage_config, latent_shape):
    folder = preference_stage._folder
    pairs = preference_stage.pairs
    path = folder / "pairs.npz"
    written = path.stat().st_mtime_ns
    again = PreferenceStage(
        stage_config("preference", data=PLAIN), workdir=folder.parents[1]
    )
    np.testing.assert_array_equal(again.pairs.latents, pairs.latents)
    assert path.stat().st_mtime_ns == written
    assert pairs.latents.shape == (3, 4, *latent_shape)
    first = PairSet.load(path).latents[:, 0]
    assert np.abs(first - pairs.latents[:, 1]).max() > 0.1  # noise of their own


def test_prompts_are_of_the_world_that_the_generator_saw(preference_stage):
    pairs = preference_stage.pairs
    of = {"seed": seeds.CANDIDATES, "size": 3, "frames": 5}
    plain, broad = CelWorld(odds="plain", **of), CelWorld(odds="broad", **of)
    assert list(pairs.tags) == [plain.spec(i).tags for i in range(3)]
    assert list(pairs.texts) == [plain.narrative(i).summary for i in range(3)]
    assert list(pairs.tags) != [broad.spec(i).tags for i in range(3)]


def test_prompts_of_real_clips_are_what_their_labels_say():
    source = CelSource(CelWorld(seed=5, size=6, frames=5))
    found = source_prompts(source, 4, seed=1)
    said = {source.narrative(i)["summary"]: i for i in range(6)}
    assert len(found) == 4 and len(set(found.texts)) == 4
    for text, tags in zip(found.texts, found.tags):
        assert tags == tuple(source.narrative(said[text])["tags"])
    assert len(source_prompts(source, 40, seed=1)) == 6
    with pytest.raises(UserError, match="of 1 clips 1 say anything"):
        source_prompts(CelSource(CelWorld(size=1)), 4, seed=0)


def test_batches_hold_winner_and_loser_under_one_prompt(preference_stage):
    pairs = preference_stage.pairs
    batch = preference_stage.held_out()[0]
    rows = pairs.held_out.take(batch["clip_id"])
    np.testing.assert_array_equal(
        batch["winner"], pairs.latents[rows.prompt, rows.winner]
    )
    np.testing.assert_array_equal(
        batch["loser"], pairs.latents[rows.prompt, rows.loser]
    )
    assert not batch["given"].any()
    trained = {tuple(p) for p in (pairs.train.prompt,)}
    assert not set(rows.prompt) & set().union(*trained)


def test_an_epoch_sees_every_pair_once(preference_stage):
    pairs, size = preference_stage.pairs, 4
    count = len(pairs.train)
    seen = np.concatenate(
        [
            preference_stage._batch(step, table=pairs.train)["clip_id"]
            for step in range(-(-count // size))
        ]
    )
    assert sorted(seen[:count]) == list(range(count))


def test_closest_pairs_are_left_to_people(preference_stage):
    folder = preference_stage._folder
    pairs = preference_stage.pairs
    lines = [
        json.loads(line) for line in (folder / "aside.jsonl").read_text().splitlines()
    ]
    assert len(lines) == pairs.counts["pairs_aside"] > 0
    for line in lines:
        assert len(line["clips"]) == 2
        for clip in line["clips"]:
            assert (folder / clip).stat().st_size > 0
    assert (folder / "aside.html").stat().st_size > 0
    closest = min(pairs.train.gap.min(), pairs.held_out.gap.min())
    assert max(line["gap"] for line in lines) <= closest + 1e-4


def test_what_people_decide_trains(preference_stage, stage_config):
    folder, pairs = preference_stage._folder, preference_stage.pairs
    lines = [json.loads(text) for text in (folder / "aside.jsonl").open()]
    for line in lines:
        line["people_prefer"] = 1 - line.pop("judge_prefers")
    lines[-1]["people_prefer"] = None
    answers = folder / "answers.jsonl"
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    candidates = {"prompts": 3, "answers": str(answers)}
    config = stage_config("preference", data=PLAIN, candidates=candidates)
    stage = PreferenceStage(config, workdir=folder.parents[1])
    written = (folder / "pairs.npz").stat().st_mtime_ns
    counts, people = stage.counts(), len(lines) - 1
    assert (folder / "pairs.npz").stat().st_mtime_ns == written
    assert counts["pairs_by_people"] + counts["pairs_by_people_held_out"] == people > 0
    assert (counts["people_undecided"], counts["people_agreed"]) == (1, 0)
    assert counts["pairs"] == pairs.counts["pairs"] + counts["pairs_by_people"]
    assert not set(stage.pairs.train.prompt) & set(stage.pairs.held_out.prompt)
    assert stage.pairs.train.gap[-1] < 0  # people's come last, and differ
    batch = stage._batch(0, table=stage.pairs.train.take(np.array([-1])))
    assert batch["winner"].shape == (4, *pairs.latents.shape[2:])
    digest = stage.digests()
    answers.write_text(answers.read_text() + "\n")
    assert digest.keys() == {"answers"} and stage.digests() != digest
    assert preference_stage.digests() == {}
    answers.unlink()
    with pytest.raises(UserError, match="candidates.answers: cannot read .*No such"):
        stage.digests()


def test_finish_reports_what_changed(preference_stage, tmp_path):
    """With the weights unchanged, before and after are the same clips."""
    preference_stage.finish(preference_stage.initial(), tmp_path)
    change = json.loads((tmp_path / "change.json").read_text())
    for name in ("score", "rejected", "deformation", "motion"):
        assert change["after"][name] == pytest.approx(change["before"][name], abs=2e-3)


@pytest.mark.parametrize("of", ["judge", "generator"])
def test_another_vae_is_one_line(of, stage_config, model, tmp_path):
    """A judge, or a generator, with a VAE that it was not trained with."""
    other = tmp_path / "other"
    shutil.copytree(model, other)
    config = json.loads((other / "config.json").read_text())
    config["digests"] = {"vae": "another"}
    (other / "config.json").write_text(json.dumps(config))
    init = {name: str(model) for name in ("vae", "text", "generator", "judge")}
    init |= {of: str(other)}
    stage = PreferenceStage(stage_config("preference", init=init), workdir=tmp_path)
    with pytest.raises(UserError, match=f"'{of}' of .* was trained with another 'vae'"):
        stage.pairs  # noqa: B018


def test_a_missing_judge_is_one_line(stage_config, model, tmp_path):
    init = {name: str(model) for name in ("vae", "text", "generator")}
    stage = PreferenceStage(stage_config("preference", init=init), workdir=tmp_path)
    with pytest.raises(UserError, match=r"needs --config.init.judge"):
        stage.pairs  # noqa: B018
