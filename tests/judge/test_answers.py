"""Answers read back: votes, refusals, what trains and what measures, agreement."""

import json

import numpy as np
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.judge.answers import read_answers, with_answers
from animatrix_jax.judge.pairs import (
    CandidateConfig,
    PairLines,
    PairSet,
    rank_pairs,
    split_held_out,
)

SCORES = np.repeat(np.arange(2.0, 5.0)[None, :, None], 4, axis=2)  # [1 3 4]
LINES = PairLines(texts=["走る"], tags=[("a.b=c",)], name=lambda p, c: f"{p}-{c}.mp4")


def answer(a, b, prefers, **more):
    clips = [f"0-{a}.mp4", f"0-{b}.mp4"]
    return {"clips": clips, "people_prefer": prefers} | more


def write(path, *answers):
    path.write_text("".join(json.dumps(line) + "\n" for line in answers) + "\n")
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


def test_most_votes_decide(path):
    asked = {"prompt": "走る", "tags": ["a.b=c"]}
    write(
        path,
        answer(0, 1, 0, **asked),
        *(answer(1, 2, 1), answer(2, 1, 0), answer(1, 2, 0), answer(1, 2, None)),
        *(answer(0, 2, 0), answer(0, 2, 1)),  # even
    )
    found = read_answers(path, lines=LINES, scores=SCORES)
    assert list(found.table.rows()) == [(0, 0, 1, -1.0), (0, 2, 1, 1.0)]
    assert (found.answers, found.undecided, found.agreed) == (7, 1, 1)
    assert str(found) == (
        "7 answers of people decide 2 pairs and leave 1 open; the judge agrees on 1 of "
        "2, 50% (95% interval 9% to 91%); people among themselves: Krippendorff's alpha "
        "-0.44"
    )
    assert found.report()["agreement"] == {"value": 0.5, "low": 0.0945, "high": 0.9055}


def test_a_file_may_be_a_clip_of_several_prompts(path):
    """Each answer is of the prompt that it names; without one, of the first."""
    lines = PairLines(
        texts=["", ""],
        tags=[("motion.deformation=smear",), ("motion.deformation=none",)],
        name=lambda prompt, clip: f"{clip}.mp4",
    )
    said = [
        {"clips": ["1.mp4", "0.mp4"], "people_prefer": 0, "tags": [tag]}
        for tag in ("motion.deformation=none", "motion.deformation=smear")
    ]
    del said[1]["tags"]
    scores = np.repeat(SCORES[:, :2], 2, axis=0)
    found = read_answers(write(path, *said), lines=lines, scores=scores)
    assert list(found.table.rows()) == [(0, 1, 0, 1.0), (1, 1, 0, 1.0)]
    said[0]["tags"] = ["motion.deformation=chibi_shift"]
    with pytest.raises(UserError, match="rated under tags.*chibi.*now.*smear"):
        read_answers(write(path, *said), lines=lines, scores=scores)


def test_how_far_people_agree_among_themselves(path):
    """Whichever way round the clips of a pair are named; one vote alone says nothing."""
    agreed = [answer(0, 1, 0), answer(1, 0, 1), answer(2, 1, 1), answer(1, 2, 0)]
    once = [answer(0, 2, 0), answer(0, 2, None)]
    found = read_answers(write(path, *agreed, *once), lines=LINES, scores=SCORES)
    assert found.alpha == pytest.approx(1.0) and found.report()["people_alpha"] == 1.0
    # Of two pairs one is split, and of 8 ratings 4 are for either: D_o 1/2, D_e 4/7.
    split = [answer(0, 1, 0), answer(0, 1, 1), answer(1, 2, 0), answer(1, 2, 0)]
    found = read_answers(write(path, *split), lines=LINES, scores=SCORES)
    assert found.alpha == pytest.approx(1 - 0.5 * 7 / 4)
    found = read_answers(write(path, *once), lines=LINES, scores=SCORES)
    assert found.alpha is None and found.report()["people_alpha"] is None


def test_nobody_could_say(path):
    found = read_answers(write(path, answer(0, 1, None)), lines=LINES, scores=SCORES)
    assert len(found.table) == 0 and found.agreement is None
    assert str(found) == "1 answers of people decide 0 pairs and leave 1 open"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"clips"', "answers.jsonl:2: not JSON"),
        ("[" * 100_000, "answers.jsonl:2: not JSON"),
        ("[1]", "an object with people_prefer"),
        (answer(0, 1, True), "people_prefer: expected 0, 1 or null, got True"),
        (answer(0, 1, 2), "people_prefer: expected 0, 1 or null, got 2"),
        (answer(0, 1, 0, clips=["0-0.mp4"]), "expected the names of two"),
        (answer(1, 1, 0), "expected the names of two"),
        (answer(0, 7, 0), r"no clip '0-7.mp4' among those compared: the answers"),
        (answer(0, 1, 0, clips=["0-0.mp4", "1-0.mp4"]), "have two prompts"),
        (answer(0, 1, 0, tags=[]), r"rated under tags \[\], now \['a.b=c'\]"),
        ({"judge_prefers": 0}, "an object with people_prefer"),
    ],
)
def test_a_line_that_is_no_answer_is_named(path, line, message):
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_text(json.dumps(answer(0, 1, 0)) + "\n" + text)
    lines = PairLines(texts=["走る"] * 2, tags=[("a.b=c",)] * 2, name=LINES.name)
    with pytest.raises(UserError, match=message) as caught:
        read_answers(path, lines=lines, scores=np.concatenate([SCORES] * 2))
    assert f"{path}:2: " in str(caught.value) and "\n" not in str(caught.value)


def test_no_answers_at_all(path):
    with pytest.raises(UserError, match="cannot read answers: .*No such file"):
        read_answers(path, lines=LINES, scores=SCORES)
    path.write_text("\n")
    with pytest.raises(UserError, match="has no answers"):
        read_answers(path, lines=LINES, scores=SCORES)


@pytest.fixture
def pairs():
    """Four prompts of three candidates; the last prompt is held out."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(2, 5, (4, 3, 4))
    ranked = rank_pairs(scores, np.ones((4, 3)), config=CandidateConfig(aside=0.0))
    # One pair a prompt is left to people.
    aside = np.arange(0, 12, 3)
    train, held = split_held_out(
        ranked.train.take(np.delete(np.arange(12), aside)), prompts=4, share=0.25
    )
    return PairSet(
        latents=np.zeros((4, 3, 1, 1, 1, 1), np.float32),
        train=train,
        held_out=held,
        texts=("",) * 4,
        tags=((),) * 4,
        scores=scores,
        deformation=np.ones((4, 3)),
        motion=np.ones((4, 3)),
        drawn_from="f" * 64,
        made_from="x",
        counts={"pairs": 6, "pairs_held_out": 2, "pairs_aside": 4},
    )


def keys(table):
    return {(prompt, winner, loser) for prompt, winner, loser, _ in table.rows()}


def named(pairs, prompt, winner, loser):
    clips = [pairs.clip_name(prompt, clip) for clip in (loser, winner)]
    return {"prompt": "", "tags": [], "clips": clips, "people_prefer": 1}


def test_peoples_pairs_train_and_those_of_held_out_prompts_measure(pairs, path):
    assert set(pairs.held_out.prompt.tolist()) == {3}
    write(path, named(pairs, 0, 1, 0), named(pairs, 3, 1, 0))
    joined = with_answers(pairs, path)
    assert keys(joined.train) == keys(pairs.train) | {(0, 1, 0)}
    assert keys(joined.held_out) == keys(pairs.held_out) | {(3, 1, 0)}
    assert not set(joined.train.prompt) & set(joined.held_out.prompt)
    assert joined.counts["pairs"] == len(joined.train) == 7
    assert joined.counts["pairs_by_people"] == 1
    assert joined.counts["pairs_by_people_held_out"] == 1
    assert joined.counts["pairs_aside"] == 4
    assert joined.made_from != pairs.made_from
    write(path, named(pairs, 0, 0, 1), named(pairs, 3, 1, 0))
    assert with_answers(pairs, path).made_from != joined.made_from


def test_people_overrule_the_judge(pairs, path):
    prompt, winner, loser, gap = next(pairs.train.rows())
    joined = with_answers(pairs, write(path, named(pairs, prompt, loser, winner)))
    before, after = keys(pairs.train), keys(joined.train)
    assert before - after == {(prompt, winner, loser)}
    assert after - before == {(prompt, loser, winner)}
    assert joined.train.gap[-1] == pytest.approx(-gap)
    assert joined.counts["people_agreed"] == 0


def test_answers_on_other_candidates_are_refused(pairs, path):
    write(path, named(pairs, 0, 1, 0))
    other = PairSet(**(vars(pairs) | {"drawn_from": "e" * 64}))
    with pytest.raises(UserError, match="no clip 'aside/ffff.* are of others"):
        with_answers(other, path)
