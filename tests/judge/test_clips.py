"""Clips of files before the judge: what is read, under which tags, and which pairs."""

import dataclasses
import json

import numpy as np
import pytest

from animatrix_jax.data.video import read_video
from animatrix_jax.data.writing import write_video
from animatrix_jax.errors import UserError
from animatrix_jax.judge.clips import ClipJudge, ClipPairs, ScoredClip
from animatrix_jax.judge.pairs import CandidateConfig
from animatrix_jax.judge.scoring import Scorer
from animatrix_jax.knowledge.labels import parse_label
from animatrix_jax.sampling.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("quick_compile")

PAN = ("camera.camera_motion=pan_left",)
SMEAR = ("motion.deformation=smear",)


def drawing(seed, frames=12):
    """A picture that goes by, of another size than the model's."""
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)
    return np.stack([np.roll(still, t, 1) for t in range(frames)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two clips in a.mp4, one in b.mp4, one of which no label speaks, and two bad ones."""
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "a.mp4", drawing(1, 24), 12)
    write_video(root / "b.mp4", drawing(2), 12)
    write_video(root / "c.mp4", drawing(3), 12)
    write_video(root / "short.mp4", drawing(4, 3), 12)
    (root / "broken.mp4").write_bytes(b"not a video")
    labels = [
        {"video": "a.mp4", "end": 1.0, "tags": PAN, "summary": "a cat"},
        {"video": "a.mp4", "start": 1.0, "tags": PAN, "summary": "a cat"},
        {"video": "b.mp4", "tags": SMEAR, "summary": "a cat"},
        {"video": "gone.mp4", "tags": []},
    ]
    text = "".join(json.dumps(label) + "\n" for label in labels)
    (root / "labels.jsonl").write_text(text)
    return root


@pytest.fixture(scope="module")
def judge(model):
    return ClipJudge.load(str(model))


@pytest.fixture(scope="module")
def scored(judge, folder):
    return judge(judge.open(folder), measured=True)


def test_a_clip_is_a_label_or_a_whole_file(judge, folder, scored):
    assert [clip.name for clip in scored] == [
        *("a.mp4#t=0,1", "a.mp4#t=1,2", "b.mp4", "c.mp4")
    ]
    assert [clip.tags for clip in scored] == [PAN, PAN, SMEAR, ()]
    source = judge.open(folder)
    assert set(source.set_aside) == {"broken.mp4", "short.mp4", "labels.jsonl:4"}
    assert source.labelled == 3
    assert all(clip.deformation > 0 for clip in scored)


def test_scores_are_the_judges_of_the_middle_at_the_models_size(model, folder, scored):
    pipeline, scorer = Pipeline.load(str(model)), Scorer.load(str(model))
    shape = {"frames": 5, "fps": 12.0, "height": 16, "width": 16}
    # 1 s of which a window takes 4/12 s and the clocks' slack.
    start = (1.0 - 4 / 12 - 4e-3) / 2
    video = read_video(folder / "b.mp4", start=start, **shape)
    scores = scorer(pipeline.encode_frames(video[None]), [SMEAR], clip=False)
    np.testing.assert_allclose(scored[2].scores, scores[0], rtol=1e-5)
    untold = scorer(pipeline.encode_frames(video[None]), [()], clip=False)
    assert np.abs(scores - untold).max() > 1e-4


def test_tags_for_all_and_one_file_alone(judge, folder, scored):
    source = judge.open(folder / "b.mp4")
    (alone,) = judge(source, tags=PAN)
    assert not source.set_aside  # labels of the other files are no mistake here
    assert alone.video == "b.mp4" and alone.tags == PAN
    assert np.abs(alone.scores - scored[2].scores).max() > 1e-4


def test_a_line_is_a_label_with_scores(scored):
    line = json.loads(json.dumps(scored[0].line()))
    label = parse_label(json.dumps(line))
    assert (label.video, label.start, label.end) == ("a.mp4", 0.0, 1.0)
    assert (label.tags, label.summary) == (PAN, "a cat")
    assert label.scores == tuple(line["scores"].values())
    mean = np.mean(list(line["scores"].values()))
    assert line["composite"] == pytest.approx(mean, abs=2e-3)


def test_user_errors_are_one_line(judge, folder, tmp_path):
    labels = tmp_path / "other.jsonl"
    labels.write_text('{"video": "gone.mp4", "tags": []}\n')
    with pytest.raises(UserError, match=r"no label of .*no such video: 'gone.mp4'"):
        judge.open(folder, labels=labels)
    with pytest.raises(UserError, match="no such file or folder"):
        judge.open(folder / "gone.mp4")
    with pytest.raises(UserError, match="no video file"):
        judge.open(tmp_path)
    with pytest.raises(UserError, match=r"broken.mp4 .*cannot open|none of 1 videos"):
        judge.open(folder / "broken.mp4")
    with pytest.raises(UserError, match="has no judge; it has generator"):
        ClipJudge.load("pico")


def test_a_file_that_goes_away_is_set_aside_and_the_rest_is_judged(judge, tmp_path):
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", drawing(5), 12)
    source = judge.open(tmp_path)
    (tmp_path / "a.mp4").unlink()
    assert [clip.video for clip in judge(source)] == ["b.mp4"]
    assert source.set_aside == {"a.mp4": "failed when read again: no such file"}
    (tmp_path / "b.mp4").unlink()
    with pytest.raises(UserError, match="no clip of .* could be read again"):
        judge(source)


def clip(name, score, *, deformation=1.0, tags=PAN, summary="", worst=None):
    scores = np.full(4, float(score))
    if worst is not None:
        scores[2] = worst
    return ScoredClip(
        video=name,
        start=0.0,
        end=1.0,
        whole=True,
        tags=tags,
        summary=summary,
        scores=scores,
        deformation=deformation,
    )


def test_only_clips_of_one_prompt_make_pairs():
    clips = [
        *(clip("a", 4), clip("b", 3)),
        *(clip("c", 4, tags=SMEAR), clip("d", 2, tags=SMEAR), clip("e", 3, tags=SMEAR)),
        clip("f", 5, summary="another"),
        *(clip("g", 5, tags=()), clip("h", 1, tags=())),  # nothing was asked of them
    ]
    found = ClipPairs.of(clips, config=CandidateConfig(aside=0.0))
    lines = list(found.lines.decided(found.ranked.train))
    assert {(x["winner"], x["loser"]) for x in lines} == {
        *(("a", "b"), ("c", "d"), ("c", "e"), ("e", "d"))
    }
    assert [x["tags"] for x in lines if x["winner"] == "e"] == [list(SMEAR)]
    assert found.alone == 3
    with pytest.raises(UserError, match="no two clips have one prompt"):
        ClipPairs.of(clips[-3:], config=CandidateConfig())


def test_the_guards_and_the_closest_pairs():
    clips = [
        clip("best", 5),
        clip("still", 4.5, deformation=0.1),
        clip("broken", 4.4, worst=1.5),
        clip("plain", 3),
        clip("close", 2.9),
    ]
    found = ClipPairs.of(clips, config=CandidateConfig(aside=0.3))
    assert found.ranked.dropped == {
        "tied": 0,
        "winner_rejected": 2,  # against plain and close
        "winner_stiller": 3,  # against broken, plain and close
    }
    decided = list(found.lines.decided(found.ranked.train))
    aside = list(found.lines.aside(found.ranked.aside))
    assert len(decided) + len(aside) == 5 and len(aside) == round(0.3 * 5)
    assert {tuple(x["clips"]) for x in aside} == {
        *(("plain", "close"), ("best", "still"))
    }
    assert list(found.decided(None)) == decided
    # People turn the first of the judge's pairs round.
    judged = found.ranked.train.take(np.array([0]))
    turned = dataclasses.replace(judged, winner=judged.loser, loser=judged.winner)
    lines = list(found.decided(turned))
    assert lines[:-1] == decided[1:] and lines[-1]["by"] == "people"
    assert lines[-1]["winner"] == decided[0]["loser"]
    assert max(x["gap"] for x in aside) <= min(x["gap"] for x in decided)
    assert all(x["clips"][x["judge_prefers"]] in ("plain", "best") for x in aside)
