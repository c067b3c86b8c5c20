"""Pairs: who may win, what is set aside, and storage without pickle."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.errors import UserError
from animatrix_jax.files import write_lines
from animatrix_jax.judge.pairs import (
    CandidateConfig,
    PairLines,
    PairSet,
    rank_pairs,
    split_held_out,
)
from animatrix_jax.judge.scoring import composite

CONFIG = CandidateConfig(aside=0.0)


def uniform(*totals):
    """Scores [1 n 4] of candidates whose heads are all alike."""
    return np.repeat(np.array(totals, np.float64)[None, :, None], 4, axis=2)


def test_all_pairs_by_composite_score():
    ranked = rank_pairs(uniform(3.0, 5.0, 4.0, 2.5), np.ones((1, 4)), config=CONFIG)
    found = set(zip(ranked.train.winner.tolist(), ranked.train.loser.tolist()))
    assert found == {(1, 0), (1, 2), (1, 3), (2, 0), (2, 3), (0, 3)}
    assert np.all(ranked.train.gap > 0)


def test_rejected_may_lose_but_never_win():
    scores = uniform(4.0, 3.0, 2.5)
    scores[0, 0, 2] = 1.9  # the best by composite, with one head under 2
    ranked = rank_pairs(scores, np.ones((1, 3)), config=CONFIG)
    assert 0 not in ranked.train.winner
    assert ranked.dropped["winner_rejected"] == 2
    scores[0, 0] = [1.9, 2.1, 2.1, 2.1]  # now the worst
    ranked = rank_pairs(scores, np.ones((1, 3)), config=CONFIG)
    assert list(ranked.train.loser).count(0) == 2


def test_still_video_does_not_win():
    deformation = np.array([[0.79, 1.0, 0.81]])
    ranked = rank_pairs(uniform(5.0, 3.0, 4.0), deformation, config=CONFIG)
    found = set(zip(ranked.train.winner.tolist(), ranked.train.loser.tolist()))
    assert found == {(0, 2), (2, 1)}
    assert ranked.dropped["winner_stiller"] == 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 0.9))
def test_ranking_properties(seed, aside):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(1, 5, (6, 4, 4)).round(1)
    deformation = rng.uniform(0.5, 1.5, (6, 4))
    config = CandidateConfig(aside=aside)
    ranked = rank_pairs(scores, deformation, config=config)
    kept = len(ranked.train) + len(ranked.aside)
    assert kept + sum(ranked.dropped.values()) == 6 * 6
    assert len(ranked.aside) == round(aside * kept)
    if len(ranked.train) and len(ranked.aside):
        assert ranked.train.gap.min() >= ranked.aside.gap.max()
    for table in (ranked.train, ranked.aside):
        p, w, loser = table.prompt, table.winner, table.loser
        assert np.all(composite(scores[p, w]) > composite(scores[p, loser]))
        assert np.all(scores[p, w].min(axis=1) >= 2.0)
        assert np.all(deformation[p, w] >= 0.8 * deformation[p, loser])


def test_one_candidate_is_refused():
    with pytest.raises(
        ValueError, match="candidates.candidates is 1; expected 2 or more"
    ):
        CandidateConfig(candidates=1)


def test_held_out_pairs_share_no_prompt():
    rng = np.random.default_rng(0)
    table = rank_pairs(
        rng.uniform(2, 5, (10, 4, 4)), np.ones((10, 4)), config=CONFIG
    ).train
    train, held = split_held_out(table, prompts=10, share=0.2)
    assert len(train) + len(held) == len(table)
    assert not set(train.prompt) & set(held.prompt)
    assert len(set(held.prompt)) == 2
    train, held = split_held_out(table, prompts=10, share=0.0)
    assert len(train) and len(held)
    single = table.take(np.flatnonzero(table.prompt == table.prompt[0]))
    train, held = split_held_out(single, prompts=10, share=0.2)
    assert len(train) == len(single) - 1 and len(held) == 1
    with pytest.raises(UserError, match="one pair is too few"):
        split_held_out(held, prompts=10, share=0.2)


def test_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    scores = rng.uniform(2, 5, (3, 4, 4))
    table = rank_pairs(scores, np.ones((3, 4)), config=CONFIG).train
    train, held = split_held_out(table, prompts=3, share=0.3)
    pairs = PairSet(
        latents=rng.normal(size=(3, 4, 2, 2, 2, 5)).astype(np.float32),
        train=train,
        held_out=held,
        texts=("a", "日本", ""),
        tags=(("a.b=c",), (), ("a.b=c", "d.e=f")),
        scores=scores,
        deformation=np.ones((3, 4)),
        motion=np.ones((3, 4)),
        drawn_from="y",
        made_from="x",
        counts={"pairs": len(train)},
    )
    path = tmp_path / "folder" / "pairs.npz"
    pairs.save(path)
    loaded = PairSet.load(path)
    for name in ("texts", "tags", "drawn_from", "made_from", "counts"):
        assert getattr(loaded, name) == getattr(pairs, name)
    np.testing.assert_array_equal(loaded.latents, pairs.latents)
    np.testing.assert_array_equal(loaded.held_out.winner, held.winner)
    assert [p.name for p in path.parent.iterdir()] == ["pairs.npz"]
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_prompts_may_have_different_numbers_of_candidates():
    whole = uniform(3.0, 5.0, 4.0)
    ranked = rank_pairs(
        [whole[0], whole[0, :2], whole[0, :1]],
        [np.ones(3), np.ones(2), np.ones(1)],
        config=CONFIG,
    )
    found = sorted((p, w, loser) for p, w, loser, _ in ranked.train.rows())
    assert found == [(0, 1, 0), (0, 1, 2), (0, 2, 0), (1, 1, 0)]
    assert str(ranked).startswith("4 pairs, 0 closer ones for people; dropped 0 tied")


def test_lines_of_pairs(tmp_path):
    table = rank_pairs(uniform(3.0, 5.0), np.ones((1, 2)), config=CONFIG).train
    said = PairLines(
        texts=["走る"], tags=[("a.b=c",)], name=lambda p, c: f"{p}-{c}.mp4"
    )
    path = tmp_path / "x" / "pairs.jsonl"
    write_lines(path, [*said.decided(table), *said.aside(table)])
    decided, aside = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    asked = {"prompt": "走る", "tags": ["a.b=c"], "gap": 2.0}
    assert decided == asked | {"winner": "0-1.mp4", "loser": "0-0.mp4"}
    assert aside == asked | {"clips": ["0-0.mp4", "0-1.mp4"], "judge_prefers": 1}
    assert [p.name for p in path.parent.iterdir()] == ["pairs.jsonl"]
