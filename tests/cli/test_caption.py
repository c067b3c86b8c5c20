"""`animatrix caption`: one line a shot, only what is missing, bad files set aside."""

import dataclasses
import json
import pathlib

import cv2
import numpy as np
import pytest
from absl import flags

from animatrix_jax.caption import labeller
from animatrix_jax.caption.labeller import Caption
from animatrix_jax.cli import taxonomy
from animatrix_jax.curation import labelling, tasks
from animatrix_jax.curation.inputs import find_inputs
from animatrix_jax.curation.labelling import label_folder
from animatrix_jax.curation.labels import read_labels
from animatrix_jax.curation.look import captioned_frames
from animatrix_jax.curation.settings import Captioning, Looking
from animatrix_jax.curation.shots import cut_film
from animatrix_jax.data.finding import find_videos
from animatrix_jax.data.folder import FolderSource
from animatrix_jax.data.video import VideoError
from animatrix_jax.data.writing import write_video
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.labels import parse_label


@dataclasses.dataclass
class Counting:
    """A labeller that tells what it has seen."""

    name: str = "counting"
    digest: str = "0123456789abcdef0123"
    threshold: float = 0.5
    fail_after: int = 10**6
    seen: list = dataclasses.field(default_factory=list)

    def label(self, video, fps):
        if len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        self.seen.append((video.shape, fps))
        return Caption(
            tags=("motion.timing=twos",),
            confidence={"motion.timing": 0.9, "style.line": 0.1},
            summary=f"clip {len(self.seen)}",
        )


def scene(seed, frames, height=48, width=64):
    """A smooth picture, panned over."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    size = (width + frames, height)
    wide = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    return np.stack([wide[:, t : t + width] for t in range(frames)])


@pytest.fixture
def folder(tmp_path):
    """Two shots in one file, one in another, and a file that is none."""
    root = tmp_path / "videos"
    (root / "sub").mkdir(parents=True)
    write_video(root / "a.mp4", np.concatenate([scene(1, 30), scene(2, 30)]), 24)
    write_video(root / "sub" / "b.mp4", scene(3, 30), 24)
    (root / "broken.mp4").write_bytes(b"not a video")
    return root


def run(root, out, labeller):
    found = label_folder(root, find_videos(root), out, labeller=labeller)
    return dataclasses.asdict(found)


def labels(out):
    return [parse_label(line) for line in out.read_text().splitlines()]


def test_a_line_a_shot_and_bad_files_set_aside(folder, tmp_path):
    out, labeller = tmp_path / "labels.jsonl", Counting()
    summary = run(folder, out, labeller)
    counts = {"files": 3, "shots": 3, "new": 3, "set_aside": 1}
    assert summary == counts | {"shots_set_aside": 0, "again": 0}
    found = labels(out)
    assert [x.video for x in found] == ["a.mp4", "a.mp4", "sub/b.mp4"]
    assert found[0].start == 0.0 and found[0].end == pytest.approx(1.25, abs=0.1)
    assert found[0].end == found[1].start and found[1].end == pytest.approx(2.5)
    assert {len(shape) for shape, _ in labeller.seen} == {4}
    assert {fps for _, fps in labeller.seen} == {24.0}
    record = [json.loads(x) for x in (tmp_path / "labels.files.jsonl").open()]
    begun, done = (
        list(dict.fromkeys(e["video"] for e in record if e.get("begun") is x))
        for x in (True, None)
    )
    assert begun == done == ["a.mp4", "broken.mp4", "sub/b.mp4"]
    reasons = {e["video"]: e["reason"] for e in record if "reason" in e}
    assert set(reasons) == {"broken.mp4"} and reasons["broken.mp4"]


def test_a_second_call_does_only_what_is_new(folder, tmp_path):
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    before = out.read_text()
    again = Counting()
    assert run(folder, out, again)["new"] == 0
    assert again.seen == [] and out.read_text() == before
    write_video(folder / "c.mp4", scene(4, 30), 24)
    write_video(folder / "sub" / "b.mp4", scene(5, 40), 24)  # has changed
    later = Counting()
    summary = run(folder, out, later)
    assert len(later.seen) == summary["new"] == 2 and summary["shots"] == 4
    assert sorted(x.video for x in labels(out)) == [
        *("a.mp4", "a.mp4", "c.mp4", "sub/b.mp4")
    ]


@pytest.mark.parametrize("done", [1, 2])
def test_a_call_that_was_stopped_goes_on(folder, tmp_path, done):
    """After its last shot, in the middle of a file too."""
    out = tmp_path / "labels.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(folder, out, Counting(fail_after=done))
    with out.open("a") as file:  # cut off while it wrote a line
        file.write('{"video": "sub/b.mp4", "tags": ["mot')
    rest = Counting()
    assert run(folder, out, rest)["shots"] == 3
    assert len(rest.seen) == 3 - done
    assert [x.video for x in labels(out)] == ["a.mp4", "a.mp4", "sub/b.mp4"]


@pytest.mark.parametrize("slip", ['{"video": "a.mp4", "tags": [}', "[]", "oops"])
def test_a_line_that_a_person_broke_is_not_thrown_away(folder, tmp_path, slip):
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    lines = out.read_text().splitlines()
    broken = "".join(f"{x}\n" for x in (lines[0], slip, lines[2]))
    out.write_text(broken)
    with pytest.raises(UserError, match=r"labels\.jsonl:2: not .*mend the line"):
        run(folder, out, Counting())
    assert out.read_text() == broken


@pytest.mark.parametrize(
    "slip", ['"tags": [],}', '"tags": [} ', "tags: []}", r'"summary": "a\clip"}']
)
def test_a_slip_in_a_last_line_without_an_end_is_no_line_cut_off(
    folder, tmp_path, slip
):
    """An editor may end a file without a newline: its line is named, and stays."""
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    with out.open("a") as file:
        file.write('{"video": "new.mp4", ' + slip)
    text = out.read_text()
    with pytest.raises(UserError, match=r"labels\.jsonl:4: not JSON"):
        run(folder, out, Counting())
    assert out.read_text() == text


@pytest.mark.parametrize("cut", [1, 2, 12, 30, 60])
def test_lines_that_were_cut_off_do_not_stop_later_calls(folder, tmp_path, cut):
    """Neither of the labels, nor of what became of the files."""
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    files = out.with_suffix(".files.jsonl")
    for path in (files, out):
        path.write_bytes(path.read_bytes()[: -cut - 1])
    for _ in range(3):
        run(folder, out, Counting())
    whole = [json.loads(line)["video"] for line in out.read_text().splitlines()]
    assert sorted(whole) == ["a.mp4", "a.mp4", "sub/b.mp4"]
    assert all(json.loads(line) for line in files.read_text().splitlines())


def test_what_breaks_on_one_video_is_not_the_end_of_the_others(
    folder, tmp_path, monkeypatch
):
    real = labelling.cut_film

    def fail(path, *args):
        if path.name == "a.mp4":
            raise AssertionError
        return real(path, *args)

    monkeypatch.setattr(labelling, "cut_film", fail)
    out = tmp_path / "labels.jsonl"
    first = run(folder, out, Counting())
    assert (first["new"], first["set_aside"], first["again"]) == (1, 1, 1)
    monkeypatch.undo()
    assert run(folder, out, Counting())["new"] == 2


def test_a_name_with_a_colon_is_no_protocol(folder, tmp_path, monkeypatch):
    (folder / "a.mp4").rename(folder / "Re:a.mp4")
    monkeypatch.chdir(folder)
    found = run(pathlib.Path("."), tmp_path / "labels.jsonl", Counting())
    assert (found["shots"], found["set_aside"]) == (3, 1)


def test_a_file_that_a_person_has_edited_stays_as_it_is(folder, tmp_path):
    """In their spelling; an editor's BOM, line ends and blank lines do no harm."""
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    lines = out.read_text().splitlines()
    lines[1] = '{"video":  "a.mp4", "start": 1.25,"tags":["motion.timing=ones"]}'
    text = "\ufeff" + "\r\n".join(["", *lines])
    out.write_text(text, encoding="utf-8", newline="")
    assert run(folder, out, Counting())["new"] == 0
    assert out.read_text(encoding="utf-8") == "".join(f"{x}\n" for x in lines)


def test_lines_that_a_person_added_stay(folder, tmp_path):
    """Of a video in an archive, and of one that is then not labelled twice."""
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    added = [
        '{"video": "old.zip/a.mp4", "tags": ["motion.timing=ones"]}',
        '{"video": "c.mp4", "start": 0.2, "tags": ["motion.timing=held"]}',
    ]
    with out.open("a") as file:
        file.write("".join(f"{line}\n" for line in added))
    write_video(folder / "c.mp4", scene(4, 30), 24)
    write_video(folder / "d.mp4", scene(5, 30), 24)
    later = Counting()
    assert run(folder, out, later)["new"] == len(later.seen) == 1
    lines = out.read_text().splitlines()
    assert lines[3:5] == added and [parse_label(lines[5]).video] == ["d.mp4"]


def test_corrections_outlive_a_change_of_their_video(folder, tmp_path):
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    lines = out.read_text().splitlines()
    lines[1] = '{"video": "a.mp4", "start": 1.25, "tags": ["motion.timing=ones"]}'
    out.write_text("".join(f"{line}\n" for line in lines))
    for name in ("a.mp4", "sub/b.mp4"):
        write_video(folder / name, scene(7, 40), 24)
    for wanted in (1, 0):
        again = Counting()
        run(folder, out, again)
        assert len(again.seen) == wanted  # of b, which no one had touched
    found = out.read_text().splitlines()
    assert found[:2] == lines[:2] and len(found) == 3 and found[2] != lines[2]


def test_what_a_person_says_of_a_file_that_was_set_aside_stays(folder, tmp_path):
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    said = '{"video": "broken.mp4", "tags": ["motion.timing=ones"]}'
    with out.open("a") as file:
        file.write(f"{said}\n")
    write_video(folder / "broken.mp4", scene(7, 40), 24)
    again = Counting()
    run(folder, out, again)
    assert again.seen == [] and out.read_text().splitlines()[-1] == said


@pytest.mark.parametrize("whole", [True, False])
def test_a_correction_between_two_calls_stays(folder, tmp_path, whole):
    """In the middle of a film, which changes there or after its last shot."""
    out = tmp_path / "labels.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(folder, out, Counting(fail_after=1))
    corrected = out.read_text().replace("timing=twos", "timing=ones")
    out.write_text(corrected)
    if whole:
        assert run(folder, out, Counting())["shots"] == 3
    write_video(folder / "a.mp4", scene(7, 40), 24)
    for new in (0 if whole else 1, 0):
        again = Counting()
        summary = run(folder, out, again)
        assert len(again.seen) == new and out.read_text().startswith(corrected)
    assert (summary["shots"], summary["set_aside"]) == (3 if whole else 2, 1)


def test_a_link_to_nothing_costs_itself(folder, tmp_path):
    """Within the folder it may come back; what it had stays till then."""
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    (folder / "a.mp4").rename(tmp_path / "a.mp4")
    (folder / "a.mp4").symlink_to("gone.mp4")
    (folder / "0.mp4").symlink_to(tmp_path / "gone.mp4")
    write_video(folder / "z.mp4", scene(4, 30), 24)
    summary = run(folder, out, Counting())
    assert (summary["new"], summary["again"], summary["set_aside"]) == (1, 1, 2)
    assert [x.video for x in labels(out)][:2] == ["a.mp4", "a.mp4"]


def test_a_shot_that_does_not_decode_costs_itself(folder, tmp_path, monkeypatch):
    def frames(path, span, looking):
        if path.name == "a.mp4" and span[0] == 0.0:
            raise VideoError("cannot decode: Invalid data")
        return captioned_frames(path, span, looking)

    monkeypatch.setattr(labelling, "captioned_frames", frames)
    out = tmp_path / "labels.jsonl"
    summary = run(folder, out, Counting())
    assert summary["shots"] == 2 and summary["shots_set_aside"] == 1
    assert [x.video for x in labels(out)] == ["a.mp4", "sub/b.mp4"]
    entries = [json.loads(x) for x in (tmp_path / "labels.files.jsonl").open()]
    (aside,) = next(e["set_aside"] for e in entries if "set_aside" in e)
    assert aside["start"] == 0.0 and "Invalid data" in aside["reason"]


def test_what_a_disk_is_to_blame_for_is_tried_again(folder, tmp_path, monkeypatch):
    def no_disk(path, looking):
        raise VideoError("cannot open: Input/output error") from OSError(5, "no disk")

    out = tmp_path / "labels.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(labelling, "cut_film", no_disk)
        summary = run(folder, out, Counting())
    assert (summary["again"], summary["shots"], summary["set_aside"]) == (3, 0, 0)
    assert run(folder, out, Counting())["shots"] == 3


def test_hidden_files_are_no_videos(folder):
    (folder / ".work").mkdir()
    for name in ("._a.mp4", ".work/x.mp4", "...And Then.mp4"):
        (folder / name).write_bytes(b"")
    names = ["...And Then.mp4", "a.mp4", "broken.mp4", "sub/b.mp4"]
    assert find_videos(folder) == names


def test_a_name_that_is_not_utf8_is_read_back_by_all(folder, tmp_path):
    name = "caf\udce9 é.mp4"
    (folder / "a.mp4").rename(folder / name)
    out = folder / "labels.jsonl"
    run(folder, out, Counting())
    out.read_text(encoding="utf-8")  # it is UTF-8
    found = labels(out)
    assert [x.video for x in found] == [name, name, "sub/b.mp4"]
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    assert taxonomy.main(["taxonomy", "validate", str(out)]) is None
    shape = {"frames": 5, "fps": 12, "height": 24, "width": 32}
    source = FolderSource(folder, **shape)
    assert [c.path for c in source.clips] == [name, name, "sub/b.mp4"]
    names = {item.name for item in find_inputs(folder, unpacked=tmp_path / "m")}
    read = read_labels(folder, names, None)
    assert not read.set_aside and len(read.lines[name]) == 2
    # What is kept of the file at the next call is written in the same way.
    write_video(folder / "sub" / "b.mp4", scene(5, 40), 24)
    run(folder, out, Counting())
    assert {x.video for x in labels(out)} == {name, "sub/b.mp4"}


@dataclasses.dataclass
class Keeping(Counting):
    """A labeller that keeps what it is shown."""

    def label(self, video, fps):
        caption = super().label(video, fps)
        self.seen[-1] = (video, fps)
        return caption


def test_a_labeller_is_shown_what_prepare_shows_it(tmp_path, monkeypatch):
    """At one rate, and without bars."""
    root, there, here = tmp_path / "videos", Keeping(), Keeping()
    images = np.concatenate([scene(1, 20, 96, 128), scene(2, 20, 96, 128)])
    images[:, :16] = images[:, -16:] = 0
    write_video(root / "a.mp4", images, 12)
    run(root, tmp_path / "labels.jsonl", here)
    film = cut_film(root / "a.mp4", Looking())
    monkeypatch.setattr(labeller, "load_labeller", lambda name: there)
    task = tasks.CaptionClips(str(tmp_path / "j"), Looking(), Captioning())
    task.setup()
    clips = [
        {"id": f"{n}", "start": start, "end": end}
        for n, (start, end) in enumerate(film.spans)
    ]
    task({"path": str(root / "a.mp4"), "clips": clips})
    assert len(here.seen) == len(there.seen) == 2
    for (ours, rate), (theirs, other) in zip(here.seen, there.seen):
        assert rate == other == 24.0 and ours.shape[1] < 70
        np.testing.assert_array_equal(ours, theirs)


def test_of_a_shot_of_one_frame_that_frame_is_shown(tmp_path):
    write_video(tmp_path / "a.mp4", scene(1, 4), 24)
    frames = captioned_frames(tmp_path / "a.mp4", (0.0, 1 / 24), Looking())
    assert frames.shape == (1, 48, 64, 3)


def test_labels_of_another_labeller_are_not_mixed(folder, tmp_path):
    out = tmp_path / "labels.jsonl"
    run(folder, out, Counting())
    for other in (Counting(digest="f" * 20), Counting(threshold=0.7)):
        with pytest.raises(UserError, match="another labeller"):
            run(folder, out, other)


def test_a_label_file_of_a_persons_own_is_not_touched(folder, tmp_path):
    out = tmp_path / "labels.jsonl"
    out.write_text('{"video": "a.mp4", "tags": []}\n')
    with pytest.raises(UserError, match="not of this verb"):
        run(folder, out, Counting())
    assert out.read_text() == '{"video": "a.mp4", "tags": []}\n'


def test_a_link_out_of_the_folder_is_set_aside(folder, tmp_path):
    write_video(tmp_path / "secret.mp4", scene(6, 30), 24)
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    assert run(folder, tmp_path / "labels.jsonl", Counting())["set_aside"] == 2


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="no video file"):
        find_videos(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find_videos(tmp_path / "nowhere")
