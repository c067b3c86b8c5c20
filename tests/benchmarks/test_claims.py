"""The claims' parts that need no training: prompts, trials, statistics, configs."""

import collections
import dataclasses
import functools
import importlib
import pathlib
import xml.etree.ElementTree

import numpy as np
import pytest

from animatrix_jax.cels.staging import make_stage, measure
from animatrix_jax.data import seeds
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.tags import parse_tags
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.presets import preset
from animatrix_jax.sampling.guidance import GuidanceConfig
from animatrix_jax.sampling.sampler import SamplerConfig
from benchmarks.claims import (
    arms,
    bench,
    bending,
    judging,
    page,
    paths,
    plot,
    prompts,
    reading,
    samples,
)
from configs import nano, pico

FIELDS = ("style.palette", "camera.camera_motion")


@pytest.fixture(scope="module")
def asked():
    return prompts.demanded(FIELDS, each=2, odds=arms.ODDS)


def test_every_value_is_demanded_alike(asked):
    counts = collections.Counter(one.tag for one in asked)
    assert set(counts) == set(prompts.demandable(FIELDS))
    assert set(counts.values()) == {2}
    assert all(one.tag in one.tags for one in asked)
    assert len({one.text for one in asked}) > 0.9 * len(asked)


def test_a_contradiction_claims_a_value_that_the_clip_has_not(asked):
    found = prompts.contradicted(asked)
    assert len(found) > 0.9 * len(asked)
    for one in found:
        assert one.rival not in one.tags
        assert one.rival.split("=")[0] == one.field
        assert one.rival in prompts.demandable((one.field,))
    assert {one.text for one in found}.isdisjoint(one.text for one in asked)


def test_the_three_groups_of_a_trial_ask_alike():
    model = dataclasses.replace(preset("pico"), frames=9)
    groups = judging.trial(each=3, model=model)
    kinds = [
        sorted(spec.value("motion.deformation") for spec in some)
        for some in (groups.intended, groups.defective, groups.unasked)
    ]
    assert kinds[0] == kinds[1] == kinds[2]
    # Of two kinds each is drawn under the other's tags as often as the other.
    misasked = collections.Counter(
        (good.value("motion.deformation"), bad.value("motion.deformation"))
        for good, bad in zip(groups.intended, groups.unasked, strict=True)
    )
    assert set(misasked.values()) == {1} and len(misasked) == 12
    for spec in groups.unasked:
        assert spec.value("motion.deformation") not in spec.deform.kinds
        assert parse_tags(spec.tags) == spec.tags
    assert all(spec.defects for spec in groups.defective + groups.unasked)
    # What is not asked for is drawn as what is: d(x) tells nothing.
    d = [
        [measure(spec, make_stage(spec)).deformation for spec in some]
        for some in (groups.intended, groups.unasked)
    ]
    np.testing.assert_allclose(d[0], d[1])
    drawings = {(spec.index, spec.deform.kinds) for spec in groups.intended}
    assert len(drawings) == len(groups.intended)


def test_auc_counts_the_pairs_that_are_matched():
    good, bad = np.array([3.0, 2.0]), np.array([1.0, 2.0])
    above = ((good[:, None] > bad) + 0.5 * (good[:, None] == bad))[None]
    every = np.ones((1, 2, 2))
    found = judging.auc(above, every)
    assert found.value == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert found.low <= found.value <= found.high
    every[0, 1, 1] = 0.0
    assert judging.auc(above, every).value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="got none"):
        judging.auc(above, 0.0 * every)


def test_who_only_likes_some_kinds_is_right_of_half():
    rng = np.random.default_rng(0)
    good, bad = rng.choice(list("abc"), (2, 60), p=(0.6, 0.3, 0.1))
    counted = rng.random((60, 60)) < 0.2 + 0.6 * (good == "a")[:, None]
    weight = judging.even(counted, good, bad)
    assert weight.sum() == pytest.approx(1.0) and not weight[~counted].any()
    score = {"a": 3.0, "b": 2.0, "c": 1.0}
    liked = [np.array([score[kind] for kind in some]) for some in (good, bad)]
    above = (liked[0][:, None] > liked[1]) + 0.5 * (liked[0][:, None] == liked[1])
    assert judging.auc(above[None], weight[None]).value == pytest.approx(0.5)
    plain = counted / counted.sum()
    assert judging.auc(above[None], plain[None]).value > 0.55
    # A kind that is never met the other way round says nothing.
    assert not judging.even(np.ones((1, 1), bool), ["a"], ["b"]).any()


ASKED = [
    prompts.Asked(text="", tags=(), tag=tag, index=i)
    for i, tag in enumerate(["a.x=1", "a.x=1", "a.x=2", "a.x=2", "a.y=1", "a.y=2"])
]


def test_a_mean_counts_fields_alike_and_leaves_out_what_no_probe_reads():
    real = np.array([1.0, 1.0, 1.0, 1.0, 0.5, 0.6])
    fields = reading.Fields.of(ASKED, real=real, gate={"a.x": 0.9, "a.y": 0.6})
    assert fields.chance == {"a.x": 0.5, "a.y": 0.5}
    assert fields.read == ("a.x",)
    values = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    assert fields.mean(values).value == pytest.approx(0.25)
    assert fields.mean(values, only=values > 0).value == pytest.approx(1.0)
    assert fields.by_field(values) == {"a.x": 0.25, "a.y": 1.0}
    with pytest.raises(UserError, match="can measure nothing"):
        reading.Fields.of(ASKED, real=real, gate={"a.x": 0.6, "a.y": 0.6})


def test_the_tag_wins_where_it_is_read_and_its_rival_is_not():
    taxonomy = load_taxonomy()
    tag, rival = "camera.camera_motion=pan_left", "camera.camera_motion=roll"
    asked = [prompts.Asked(text="", tags=(tag,), tag=tag, rival=rival, index=0)] * 4
    read = np.zeros((4, taxonomy.num_values), bool)
    index = {name: taxonomy.values_by_tag[name][1].index for name in (tag, rival)}
    read[[0, 2], index[tag]] = True
    read[[1, 2], index[rival]] = True
    won = reading.wins(np.zeros((4, 1, 8, 8, 3), np.uint8), asked, probe=_Reads(read))
    np.testing.assert_array_equal(won, [1.0, 0.0, np.nan, np.nan])


@dataclasses.dataclass
class _Reads:
    """A probe that answers the same whatever it sees."""

    read: np.ndarray

    def __call__(self, videos):
        return self


def test_samples_are_kept_by_all_that_they_depend_on(tmp_path):
    marks = []
    for mark, scale, seed in (
        ("a", 3.0, 0),
        ("b", 3.0, 0),
        ("a", 2.0, 0),
        ("a", 3.0, 1),
    ):
        sampler = samples.Sampler(pipeline=None, mark=mark, folder=tmp_path, steps=2)
        config = SamplerConfig(steps=2, shift=3.0, guidance=GuidanceConfig(text=scale))
        marks.append(sampler._name(ASKED, config, seed))
    assert len(set(marks)) == 4


RIGHT = {"both": 0.9, "cross_attention": 0.7, "adaln": 0.6, "words": 0.4}


class _Bench(bench.Bench):
    """No arm is trained: an arm is as right as its rank says."""

    @functools.cached_property
    def asked(self):
        return prompts.demanded(FIELDS, each=4, odds=arms.ODDS)

    @functools.cached_property
    def fields(self):
        gate = dict.fromkeys(FIELDS, 1.0)
        return reading.Fields.of(
            self.asked, real=np.full(len(self.asked), 0.95), gate=gate
        )

    def accuracy(self, arm, guidance):
        rng = np.random.default_rng(0)
        return (rng.random(len(self.asked)) < RIGHT[arm]).astype(float)

    def told(self, arm, asked):
        return np.arange(len(asked)) % 5 > 0


def test_dual_path_is_reached_where_both_paths_are_ahead_of_each():
    runs = arms.Runs(size="pico", work=pathlib.Path("w"), programme=pathlib.Path("p"))
    found = paths.dual_path(_Bench(runs=runs, each=4))
    assert found["reached"] and found["figure"] > 10
    assert found["read_whole"] == pytest.approx(0.8, abs=0.02)
    text = page.page({"claims": {"dual_path": found | SAID}})
    assert "both paths" in text and "not measured" not in text.split("## ")[1].lower()


SAID = {"size": "pico", "command": "python -m benchmarks.claims", "seconds": 1}
ONE = {"value": 0.8, "low": 0.7, "high": 0.9}
# A claim's part of results.json, as the claims' functions give it.
OTHERS = {
    "not_diluted": {
        "arms": {"both, 3 and 3": ONE, "words, 3": ONE},
        "decided": {"both, 3 and 3": 0.7, "words, 3": 0.6},
        "ahead": ONE,
        "left_out": 0.1,
    },
    "dual_guidance": {
        "grid": {
            f"{text} {tag}": {"accuracy": ONE, "sharpness": 0.9}
            for text in (1, 3)
            for tag in (1, 2, 4)
        },
        "sweet_spot": "3 2",
        "sweet_accuracy": ONE,
    },
    "curriculum": {
        "arms": {
            arm: {"accuracy": ONE, "collapsed": ONE, "log_d_ratio": ONE}
            for arm in ("near_physical", *bending.MODES)
        },
        "ahead": dict.fromkeys(bending.MODES[1:], ONE),
        "fewer_collapsed": dict.fromkeys(bending.MODES[1:], ONE),
        "real": 0.9,
    },
    "judge": {
        "arms": dict.fromkeys((*judging.JUDGES, "d"), ONE),
        "against": {
            arm: {"defective": 0.9, "unasked": 0.8} for arm in (*judging.JUDGES, "d")
        },
        "aware_less_blind": ONE,
        "matched": 0.5,
        "d": {"intended": 0.01},
    },
    "preference": {
        "defective": {"before": ONE, "after": ONE},
        "accuracy": {"before": ONE, "after": ONE},
        "left": ONE,
        "threshold": 2.1,
        "false_alarms": 0.05,
        "examiner_auc": ONE,
        "d_kept": ONE,
    },
    "not_still": {"motion": {"before": ONE, "after": ONE}, "real": 0.1, "kept": ONE},
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_claim_has_a_section(name):
    common = {"figure": 1.0, "unit": "%", "target": "2", "reached": False, "prompts": 3}
    text = page.page({"claims": {name: OTHERS[name] | common | SAID}})
    section = text.split("## ")[1]
    assert section.startswith(page.TITLES[name]) and "**not reached**" in section
    assert section.count("|") > 6 and "ried" in section


def test_the_guidances_are_drawn():
    svg = plot.plot(OTHERS["dual_guidance"])
    assert svg.count("<polyline") == 4 and svg.count("<circle") == 12
    xml.etree.ElementTree.fromstring(svg)


@pytest.mark.parametrize("size", [pico, nano], ids=["pico", "nano"])
@pytest.mark.parametrize("name", arms.ARMS)
def test_every_arm_is_a_config(size, name):
    arm = arms.ARMS[name]
    module = importlib.import_module(f"configs.{arm.config}") if arm.config else size
    config = module.get_config(f"stage={arm.stage}")
    config.update_from_flattened_dict(dict(arm.changes))
    runs = arms.Runs(size="pico", work=pathlib.Path("w"), programme=pathlib.Path("p"))
    assert not any("{" in word for word in runs.command(arm))


@pytest.mark.parametrize(
    ("names", "may_differ"),
    [
        (paths.PATHS, {"model.dit.tag_adaln", "model.dit.tag_cross_attention"}),
        (bending.MODES, {"curriculum.mode"}),
        (
            ("judge_tag_blind", "judge_pixel_blind"),
            {"judge.tag_blind", "judge.pixel_blind"},
        ),
    ],
)
def test_arms_that_are_compared_differ_in_one_thing(names, may_differ):
    changes = [dict(arms.ARMS[name].changes) for name in names]
    keys = set().union(*changes)
    differ = {k for k in keys if len({c.get(k) for c in changes}) > 1}
    # Without a tag path the tags are in the text, which needs room.
    assert differ - {"model.text_length"} == may_differ


def test_a_stage_that_the_programme_lacks_is_named(tmp_path):
    runs = arms.Runs(size="nano", work=tmp_path, programme=tmp_path / "programme")
    with pytest.raises(UserError, match="no finished stage 'qt'"):
        runs.train("judge_tag_blind")


def test_the_page_says_what_is_missing():
    text = page.page({"claims": {}})
    for title in page.TITLES.values():
        assert title in text


def test_the_gate_is_read_on_other_clips(tmp_path):
    runs = arms.Runs(size="pico", work=tmp_path, programme=tmp_path)
    one = bench.Bench(runs=runs, each=1)
    asked, others = (
        prompts.demanded(("style.palette",), each=1, odds="series", seed=seed)[:1]
        for seed in (seeds.CLAIMS, seeds.GATE)
    )
    gate = one.drawn(others, seed=seeds.GATE)
    assert gate.shape == (1, 17, 32, 32, 3)
    assert np.abs(gate.astype(int) - one.drawn(asked)).mean() > 1


def test_noises_of_one_prompt_are_no_prompts():
    values = np.array([0.0, 1.0, np.nan, 1.0, 0.0, 1.0])
    one, twice = reading.mean(values), reading.mean(np.stack([values, values]))
    assert one == twice and one.value == pytest.approx(0.6)


def test_a_drawing_does_not_meet_itself_twice_over():
    """Where only the two clips of one drawing are told apart, resamples agree."""
    size = 40
    above = np.full((1, size, size), 0.5)
    above[0][np.diag_indices(size)] = 1.0
    found = judging.auc(above, np.ones((1, size, size)))
    assert found.value == pytest.approx(0.5 + 0.5 / size)
    assert abs(found.low - found.value) + abs(found.high - found.value) < 0.002
