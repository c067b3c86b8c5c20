"""`animatrix judge` as a user runs it: a process, its files, its errors."""

import json

import numpy as np
import pytest
from verbs import animatrix

from animatrix_jax.data.writing import write_video

# What the process has imported by its end, after the verb's own lines.
WATCHED = (
    "import sys; from animatrix_jax.cli.main import main\n"
    "try: main()\n"
    "finally: print([m for m in ('tensorflow', 'torch') if m in sys.modules])"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tiny_model import write_judge, write_model

    return write_judge(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three clips of one prompt, and a file that is none."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for name in "abc":
        still = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
        drawn = np.stack([np.roll(still, t, 1) for t in range(8)])
        write_video(folder / f"{name}.mp4", drawn, 12)
    (folder / "broken.mp4").write_bytes(b"not a video")
    labels = [
        {"video": f"{name}.mp4", "tags": ["motion.timing=twos"], "summary": "a cat"}
        for name in "abc"
    ]
    text = "".join(json.dumps(label) + "\n" for label in labels)
    (folder / "labels.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="module")
def judged(model, videos, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "new"
    answers = out.parent / "answers.jsonl"
    said = {"prompt": "a cat", "clips": ["a.mp4", "b.mp4"], "people_prefer": 1}
    answers.write_text(json.dumps(said) + "\n")
    done = animatrix(
        "judge",
        f"--checkpoint={model}",
        f"--videos={videos}",
        f"--out={out}/scores.jsonl",
        f"--pairs={out}/pairs.jsonl",
        f"--answers={answers}",
        "--json",
        code=WATCHED,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), out


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_table_scores_and_report(judged):
    printed, out = judged
    assert printed[0].split() == [
        *("face_topology", "limb_structure", "line_continuity", "motion_coherence"),
        "composite",
    ]
    scores = lines(out / "scores.jsonl")
    assert [line["video"] for line in scores] == ["a.mp4", "b.mp4", "c.mp4"]
    for row, line in zip(printed[1:], scores):
        assert row.split()[0] == line["video"]
        assert float(row.split()[5]) == pytest.approx(line["composite"], abs=6e-3)
    report = json.loads(printed[-2])
    assert report["clips"] == 3 and report["set_aside"] == 1
    (aside,) = lines(out / "scores.set_aside.jsonl")
    assert aside["path"] == "broken.mp4" and "cannot open" in aside["reason"]


def test_pairs_are_counted_and_written(judged):
    printed, out = judged
    pairs = json.loads(printed[-2])["pairs"]
    decided, aside = lines(out / "pairs.jsonl"), lines(out / "pairs.aside.jsonl")
    by_people = decided.pop()
    assert (by_people["by"], by_people["winner"]) == ("people", "b.mp4")
    # It may have been one of the judge's pairs, which is people's then.
    overruled = pairs["decided"] - len(decided)
    assert overruled in (0, 1)
    decided += [by_people] * overruled
    assert (pairs["decided"], pairs["aside"]) == (len(decided), len(aside))
    assert len(decided) + len(aside) + sum(pairs["dropped"].values()) == 3
    assert pairs["prompts"] == 1 and pairs["alone"] == 0
    for line in decided:
        assert line["prompt"] == "a cat" and line["winner"] != line["loser"]
    assert any("closer ones for people; dropped" in line for line in printed)
    people = pairs["people"]
    assert (people["answers"], people["decided"], people["undecided"]) == (1, 1, 0)
    assert people["judge_agrees"] == (by_people["gap"] > 0)
    assert any("the judge agrees on" in line for line in printed)
    assert (out / "pairs.aside.html").stat().st_size > 0


def test_no_tensorflow_and_no_torch(judged):
    assert judged[0][-1] == "[]"


def test_without_tags_it_says_so(model, videos, tmp_path):
    done = animatrix(
        "judge",
        f"--checkpoint={model}",
        f"--videos={videos / 'a.mp4'}",
        "--tags=style.palette=unknown",
        f"--out={tmp_path / 'scores.jsonl'}",
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 clips have no tags: judged as asked for none" in done.stdout
    assert not (tmp_path / "scores.set_aside.jsonl").exists()


@pytest.mark.parametrize(
    "flags,message",
    [
        ((), "--checkpoint=DIR"),
        (("--checkpoint=x",), "--videos=DIR"),
        (("--checkpoint=no/such", "--videos=x"), "no checkpoint 'no/such'"),
        (("--checkpoint=pico", "--videos=x"), "has no judge; it has generator"),
        (("--checkpoint=x", "--videos=x", "--tags=motion.timing=twoes"), "twos"),
        (("--checkpoint=x", "--videos=x", "--tags=a", "--labels=b"), "not both"),
        (("--checkpoint=x", "--videos=x", "--out=/"), "it is a folder"),
        (("--checkpoint=x", "--videos=x", "--answers=a"), "--pairs=FILE too"),
        (
            ("--checkpoint=x", "--videos=x", "--out=y.jsonl", "--pairs=./y.jsonl"),
            "--out and --pairs are one file",
        ),
        (
            ("--checkpoint=x", "--videos=v", "--out=v/labels.jsonl"),
            "--out and --labels are one file",
        ),
        (
            ("--checkpoint=x", "--videos=x", "--pairs=p.x", "--answers=p.aside.jsonl"),
            "--pairs' aside and --answers are one file",
        ),
    ],
)
def test_one_line_and_code_2(flags, message):
    done = animatrix("judge", *flags)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
