"""Scores of clips: the same in any batch, clipped, and refused where it must be."""

import dataclasses

import jax
import numpy as np
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.judge.model import Judge, JudgeConfig
from animatrix_jax.judge.scoring import Scorer, composite, rejected
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.config import DiTConfig, TagEncoderConfig, to_dict
from animatrix_jax.models.functional import init_params
from animatrix_jax.training.lazy import lazy
from animatrix_jax.training.weights import Component

DIT = DiTConfig(
    dim=16, ffn_dim=16, num_heads=2, num_layers=1, text_dim=8, tag_dim=8, tag_rank=2
)
TAG_LISTS = [
    ("camera.camera_motion=pan_left",),
    (),
    ("motion.timing=twos", "camera.camera_motion=fix"),
    ("style.palette=vivid",),
    ("motion.motion_style=run",),
]


@pytest.fixture(scope="module")
def scorer():
    taxonomy = load_taxonomy()
    tags = TagEncoderConfig(
        num_fields=taxonomy.num_fields,
        num_values=taxonomy.num_values,
        dim=8,
        num_layers=1,
        num_heads=2,
    )
    config = JudgeConfig()
    shapes = jax.eval_shape(
        lambda k: init_params(lambda rngs: Judge(config, DIT, tags, rngs=rngs), k),
        jax.random.key(0),
    )
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: rng.normal(0.0, 0.1, leaf.shape).astype(np.float32), shapes
    )
    params["heads"]["bias"] = np.full(4, 3.0, np.float32)
    return Scorer(config=config, dit=DIT, tags=tags, params=params, batch=2)


@pytest.fixture(scope="module")
def latents():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 2, 4, 4, 16)).astype(np.float32)


def test_batches_do_not_matter(scorer, latents):
    whole = dataclasses.replace(scorer, batch=5)(latents, TAG_LISTS)
    parts = scorer(latents, TAG_LISTS)
    assert parts.shape == (5, 4)
    np.testing.assert_allclose(parts, whole, rtol=1e-5)
    assert parts.std() > 0


def test_scores_stay_on_the_scale(scorer, latents):
    scores = scorer(latents * 1e3, TAG_LISTS)
    assert scores.min() >= 1.0 and scores.max() <= 5.0
    heads = scorer.params["heads"] | {"bias": np.full(4, 9.0, np.float32)}
    high = dataclasses.replace(scorer, params=scorer.params | {"heads": heads})
    np.testing.assert_array_equal(high(latents, TAG_LISTS), 5.0)


def test_lists_must_match(scorer, latents):
    with pytest.raises(ValueError, match="expected 5 lists of tags, got 2"):
        scorer(latents, TAG_LISTS[:2])


def test_from_component(scorer, latents):
    config = {
        "judge": to_dict(scorer.config),
        "model": {"dit": to_dict(DIT), "tags": to_dict(scorer.tags)},
    }
    # Read when it is asked for, as a stage's components come.
    params = jax.tree.map(lazy, scorer.params)
    component = Component(
        name="judge", config=config, params=params, tokenizer=None, source="here"
    )
    again = Scorer.from_component(component)
    np.testing.assert_allclose(
        again(latents, TAG_LISTS), scorer(latents, TAG_LISTS), rtol=1e-5
    )
    broken = {"judge": config["judge"], "model": {}}
    with pytest.raises(UserError, match="the judge of here has a config"):
        Scorer.from_component(dataclasses.replace(component, config=broken))


@pytest.mark.parametrize("section", [{}, {"judge": {"depth": 3, "sigma": 0.05}}])
def test_a_judge_whose_trunk_was_told_tags_is_refused(scorer, section):
    # Its weights have the same shapes and would load.
    component = Component(
        name="judge",
        config=section | {"model": {"dit": to_dict(DIT), "tags": to_dict(scorer.tags)}},
        params=scorer.params,
        tokenizer=None,
        source="before",
    )
    with pytest.raises(UserError, match="the judge of before is of an earlier version"):
        Scorer.from_component(component)


def test_composite_and_rejection():
    scores = np.array([[5.0, 5.0, 5.0, 1.9], [2.0, 2.0, 2.0, 2.0]])
    np.testing.assert_allclose(composite(scores), [4.225, 2.0])
    np.testing.assert_array_equal(rejected(scores), [True, False])
