"""Corruption keeps its rates, never touches a tag but to drop it, and repeats."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge import mentions
from animatrix_jax.knowledge.corruption import (
    MODES,
    CorruptionConfig,
    contradict,
    corrupt,
    substitute_synonyms,
)
from animatrix_jax.knowledge.directive import Directive
from animatrix_jax.knowledge.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
DIRECTIVE = Directive(
    tags=(
        "motion.motion_style=run",
        "motion.timing=twos",
        "motion.deformation=smear",
        "camera.camera_motion=pan_left",
        "vfx.elemental=fire",
        "vfx.elemental=smoke",
    ),
    summary="A girl in a red coat runs past a shrine, animated on twos.",
    description="The camera pans left. She turns with smear frames in the wind.",
)
FULL = f"{DIRECTIVE.summary} {DIRECTIVE.description}"
PLAIN = CorruptionConfig(tag_drop=0.0, synonym=0.0, conflict=0.0)


def only(mode, **changes):
    modes = {name: float(name == mode) for name in MODES}
    return dataclasses.replace(PLAIN, **modes, **changes)


def draws(config, count=400, directive=DIRECTIVE):
    rng = np.random.default_rng(0)
    return [corrupt(directive, config, rng) for _ in range(count)]


def said(text, tag):
    return mentions.find_mentions(text, (tag,), TAXONOMY)


def test_defaults_are_the_papers():
    config = CorruptionConfig()
    assert config.modes == (0.7, 0.1, 0.1, 0.1)
    assert (config.tag_drop, config.synonym, config.conflict) == (0.15, 0.10, 0.05)
    assert config.sparse == 0.0


def test_sparse_clips_keep_every_number_of_tags_alike():
    tags = len(DIRECTIVE.tags)
    counts = [len(drawn.tags) for drawn in draws(only("hybrid", sparse=1.0), 3000)]
    share = np.bincount(counts, minlength=tags + 1) / len(counts)
    np.testing.assert_allclose(share, 1 / (tags + 1), atol=0.03)


def test_same_state_same_result():
    config = CorruptionConfig(synonym=0.5, conflict=0.5)
    assert draws(config) == draws(config)


def test_what_each_mode_tells():
    for mode in MODES:
        for drawn in draws(only(mode), count=40):
            assert drawn.mode == mode and not drawn.conflict
            told = mode in ("hybrid", "tags_only")
            assert drawn.tags == (DIRECTIVE.tags if told else ())
            worded = mode in ("hybrid", "text_only")
            assert drawn.text in ((DIRECTIVE.summary, FULL) if worded else ("",))


def test_rates():
    found = draws(CorruptionConfig(), count=6000)
    for mode, expected in zip(MODES, CorruptionConfig().modes, strict=True):
        rate = np.mean([drawn.mode == mode for drawn in found])
        assert abs(rate - expected) < 0.025
    hybrid = [drawn for drawn in found if drawn.mode == "hybrid"]
    assert abs(np.mean([drawn.conflict for drawn in hybrid]) - 0.05) < 0.015
    calm = [drawn for drawn in hybrid if not drawn.conflict]
    kept = np.mean([len(drawn.tags) / 6 for drawn in calm])
    assert abs(kept - 0.85) < 0.02
    reworded = [drawn.text not in (DIRECTIVE.summary, FULL) for drawn in calm]
    assert abs(np.mean(reworded) - 0.10) < 0.02
    short = [drawn.text == DIRECTIVE.summary for drawn in calm if drawn.text]
    assert 0.4 < np.mean(short) < 0.5  # Half, less those that are reworded.


def test_synonyms_say_the_same():
    rng = np.random.default_rng(1)
    found = set()
    for _ in range(100):
        text = substitute_synonyms(FULL, DIRECTIVE.tags, rng, TAXONOMY)
        found.add(text)
        for tag in DIRECTIVE.tags[:4]:
            assert said(text, tag)
        assert "camera pans left" not in text
        assert "in the wind" in text and "a red coat" in text  # Not of its tags.
    assert len(found) > 1


def test_synonyms_go_on_beyond_one_round():
    rng = np.random.default_rng(1)
    text = FULL
    for _ in range(20):
        text = substitute_synonyms(text, DIRECTIVE.tags, rng, TAXONOMY)
    assert all(said(text, tag) for tag in DIRECTIVE.tags[:4])


def test_conflict_keeps_the_tag_and_wrongs_the_text():
    config = only("hybrid", tag_drop=1.0, conflict=1.0)
    for drawn in draws(config):
        assert drawn.conflict
        (target,) = drawn.tags  # All others were dropped.
        assert target in DIRECTIVE.tags
        assert drawn.text not in (DIRECTIVE.summary, FULL)
        assert not said(drawn.text, target)
        field, _ = TAXONOMY.values_by_tag[target]
        claims = [v for v in field.values if said(drawn.text, v.tag)]
        assert claims and not {v.tag for v in claims} & set(DIRECTIVE.tags)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(TAXONOMY.by_index), st.booleans(), st.integers(0, 2**32 - 1))
def test_every_value_can_be_contradicted(value, spoken, seed):
    field, _ = TAXONOMY.values_by_tag[value.tag]
    text = f"A cat sits. {field.state(value)} Then it goes." if spoken else "A cat sits"
    rng = np.random.default_rng(seed)
    wrong = contradict(text, value.tag, (value.tag,), rng, TAXONOMY)
    assert not said(wrong, value.tag)
    (rival,) = [v for v in field.values if said(wrong, v.tag)]
    expected = field.state(rival)
    if spoken:
        assert wrong == f"A cat sits. {expected} Then it goes."
    else:
        assert wrong == f"A cat sits. {expected}"
        assert not field.multiple or rival.tag in value.excludes or value.name == "none"


def test_an_unsaid_direction_is_contradicted_by_what_excludes_it():
    texts = {
        contradict(
            "She waves.",
            "camera.camera_motion=pan_left",
            ("camera.camera_motion=pan_left",),
            np.random.default_rng(seed),
            TAXONOMY,
        )
        for seed in range(30)
    }
    assert texts == {
        "She waves. The camera pans right.",
        "She waves. The camera stays fixed.",
    }


def test_nothing_to_contradict():
    config = only("hybrid", conflict=1.0)
    for directive in (Directive(summary="A cat."), Directive(tags=DIRECTIVE.tags)):
        assert not any(d.conflict for d in draws(config, 20, directive))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tag_drop": 1.5}, "corruption.tag_drop is 1.5; expected 0 to 1"),
        ({"synonym": float("nan")}, "corruption.synonym"),
        ({"hybrid": 0.5}, "must be 1, got 0.8"),
    ],
)
def test_bad_config(changes, expected):
    with pytest.raises(UserError, match=expected):
        CorruptionConfig(**changes)
