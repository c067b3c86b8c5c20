"""The claims' parts that need no training: prompts, trials, statistics, configs."""

import collections
import pathlib

import numpy as np
import pytest

from animatrix_jax.cels.staging import make_stage, measure
from animatrix_jax.knowledge.tags import parse_tags
from benchmarks.claims import arms, judging, page, prompts, reading
from configs import nano, pico

FIELDS = ("style.palette", "camera.camera_motion")


@pytest.fixture(scope="module")
def asked():
    return prompts.demanded(FIELDS, each=2, odds="studio")


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
    groups = judging.trial(each=2, frames=9)
    kinds = [
        sorted(spec.value("motion.deformation") for spec in some)
        for some in (groups.intended, groups.defective, groups.unasked)
    ]
    assert kinds[0] == kinds[1] == kinds[2]
    for spec in groups.unasked:
        assert spec.value("motion.deformation") not in spec.deform.kinds
        assert parse_tags(spec.tags) == spec.tags
    assert all(spec.defects for spec in groups.defective + groups.unasked)
    # What is not asked for is drawn as what is: d(x) tells nothing.
    d = [
        sorted(measure(spec, make_stage(spec)).deformation for spec in some)
        for some in (groups.intended, groups.unasked)
    ]
    np.testing.assert_allclose(d[0], d[1])


def test_auc_counts_pairs():
    found = judging.auc(np.array([3.0, 2.0]), np.array([1.0, 2.0]))
    assert found.value == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert found.low <= found.value <= found.high


def test_a_mean_counts_fields_alike_and_leaves_out_what_no_probe_reads():
    asked = [
        prompts.Asked(text="", tags=(), tag=tag, index=i)
        for i, tag in enumerate(["a.x=1"] * 3 + ["a.x=2"] + ["a.y=1", "a.y=2"])
    ]
    fields = reading.Fields.of(asked, np.array([1.0, 1.0, 1.0, 1.0, 0.5, 0.6]))
    assert fields.chance == {"a.x": 0.5, "a.y": 0.5}
    assert fields.read == ("a.x",)
    values = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    assert fields.mean(values).value == pytest.approx(0.25)
    assert fields.by_field(values) == {"a.x": 0.25, "a.y": 1.0}


@pytest.mark.parametrize("size", [pico, nano], ids=["pico", "nano"])
@pytest.mark.parametrize("name", arms.ARMS)
def test_every_arm_is_a_config(size, name):
    arm = arms.ARMS[name]
    config = size.get_config(f"stage={arm.stage}")
    before = config.to_json()
    config.update_from_flattened_dict(dict(arm.changes))
    assert config.to_json() != before
    words = arms.command(arm, size="pico", work=pathlib.Path("runs"))
    assert not any("{" in word for word in words)


def test_the_page_says_what_is_missing():
    text = page.page({"claims": {}})
    for title in page.TITLES.values():
        assert title in text
