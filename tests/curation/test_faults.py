"""What is no file's fault, and what is half done."""

import errno
import json
import zipfile

import av
import pytest
from small_videos import scene, write

from animatrix_jax.caption import labeller
from animatrix_jax.curation import archives, tasks
from animatrix_jax.curation.commit import commit, finish
from animatrix_jax.curation.journal import Journal
from animatrix_jax.curation.ledger import Ledger
from animatrix_jax.curation.prepare import prepare
from animatrix_jax.curation.settings import Captioning, Encoding, Looking
from animatrix_jax.data.video import VideoError
from animatrix_jax.errors import UserError

FILM = {"fps": 12.0, "seconds": 1.0, "spans": [[0.0, 1.0]]}
ITEM = {"key": "ab-0", "path": "a.mp4", "labelled": []}
ITEM |= {"film": FILM}
CLIP = {"id": "ab-0", "start": 0.0, "end": 1.0, "fps": 12.0, "crop": [0, 1, 0, 1]}
ITEM |= {"clips": [CLIP]}


def _raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize("name", ["CutFilms", "LookAtClips"])
def test_a_full_disk_ends_the_run(tmp_path, monkeypatch, name):
    for call in ("cut_film", "look"):
        monkeypatch.setattr(tasks, call, _raising(OSError(errno.ENOSPC, "No space")))
    task = getattr(tasks, name)(str(tmp_path / "j"), Looking())
    task.setup()
    with pytest.raises(OSError, match="No space"):
        task(ITEM)
    assert Journal(tmp_path / "j").read("ab-0") is None


def _from_system(error):
    wrapped = VideoError("cannot open: Stale file handle")
    wrapped.__cause__ = error
    return wrapped


PASSING = [
    OSError(errno.EIO, "Input/output error"),
    _from_system(OSError(errno.ESTALE, "Stale file handle")),
    _from_system(av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")),
    RuntimeError("RESOURCE_EXHAUSTED: out of memory"),
    ZeroDivisionError("by zero"),
]


@pytest.mark.parametrize("error", [VideoError("no frame decodes"), *PASSING])
@pytest.mark.parametrize(
    "name", ["CutFilms", "LookAtClips", "CaptionClips", "EncodeClips"]
)
def test_only_what_a_file_holds_is_kept_as_its_fault(
    tmp_path, monkeypatch, name, error
):
    """Anything else is told in this call, and tried again by the next one."""
    for call in ("cut_film", "look", "captioned_frames"):
        monkeypatch.setattr(tasks, call, _raising(error))
    monkeypatch.setattr(labeller, "load_labeller", lambda name: None)
    monkeypatch.setattr(tasks.video, "stream_pictures", _raising(error))
    journal = Journal(tmp_path / "j")
    options = {
        "CutFilms": (str(tmp_path / "j"), Looking()),
        "LookAtClips": (str(tmp_path / "j"), Looking()),
        "CaptionClips": (str(tmp_path / "j"), Looking(), Captioning()),
        "EncodeClips": (str(tmp_path / "media"), str(tmp_path / "j"), Encoding()),
    }
    task = getattr(tasks, name)(*options[name])
    task.setup()
    task(ITEM)
    found = journal.read("ab-0")
    for entry in found if name == "LookAtClips" else [found]:
        assert str(error).split(":")[0] in entry["failed"]
        assert ("tries again" in entry["failed"]) == (error in PASSING)
    assert journal.has("ab-0") == (error not in PASSING)
    journal.forget()
    assert (journal.read("ab-0") is None) == (error in PASSING)


def test_a_copy_that_cannot_be_fetched_does_not_end_a_run(tmp_path, monkeypatch):
    kind = type(tasks.epath.Path("gs://bucket/a.mp4"))
    monkeypatch.setattr(kind, "copy", _raising(OSError("unreachable")))
    task = tasks.LookAtClips(str(tmp_path / "j"), Looking())
    task.setup()
    task(ITEM | {"path": "gs://bucket/a.mp4"})
    (entry,) = Journal(tmp_path / "j").read("ab-0")
    assert (entry["start"], entry["end"]) == (0.0, 1.0)
    assert "unreachable; the next call tries again" in entry["failed"]


def test_the_next_call_tries_again(tmp_path, monkeypatch, settings):
    """And makes what an undisturbed one would have made."""
    videos = tmp_path / "videos"
    for n in range(2):
        write(videos / f"{n}.mp4", scene(n))
    wrong = {"cut_film": "films", "look": "clips", "_encode": "encoded"}
    for call, step in wrong.items():
        out = tmp_path / call
        place = tasks.EncodeClips if call == "_encode" else tasks
        real = getattr(place, call)

        def fail(*args, real=real):
            if any(str(arg).endswith("1.mp4") for arg in args[:2]):
                raise OSError(errno.EIO, "Input/output error")
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(place, call, fail)
            totals = prepare(videos, out, settings=settings)["totals"]["file"]
        assert (totals["kept"], totals["set aside"]) == (1, 1), call
        again = prepare(videos, out, settings=settings)
        assert again["totals"]["file"]["kept"] == 2
        assert again["new"][step] == 1


def test_the_copy_of_a_clip_that_fails_takes_its_place(tmp_path, monkeypatch, settings):
    """Until the better one can be used."""
    videos, out = tmp_path / "videos", tmp_path / "out"
    write(videos / "large.mp4", scene(0))
    write(videos / "small.mp4", scene(0, height=54, width=96))
    real = tasks.encode_mp4

    def fail(path, images, *args, **kwargs):
        images = list(images)
        if images[0].height == 72:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, images, *args, **kwargs)

    def places():
        entries = map(json.loads, (out / "ledger.jsonl").open())
        return {e["name"]: e["place"] for e in entries if e["kind"] == "file"}

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "encode_mp4", fail)
        prepare(videos, out, settings=settings)
    assert places() == {"large.mp4": "set aside", "small.mp4": "kept"}
    prepare(videos, out, settings=settings)
    assert places() == {"large.mp4": "kept", "small.mp4": "duplicate"}


def test_a_full_disk_is_no_damage_of_an_archive(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.mp4", b"x" * 100)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(archives, "replacing", _raising(full))
    with pytest.raises(OSError, match="No space"):
        list(archives.unpack(tmp_path / "a.zip", tmp_path / "members"))


@pytest.mark.parametrize("stopped_after", range(6))
def test_a_commit_that_was_stopped_is_finished(tmp_path, monkeypatch, stopped_after):
    """Wherever it stops, the next call leaves what an undisturbed one would."""
    work, out = tmp_path / "work", tmp_path / "out"
    for folder in (work, out):
        folder.mkdir()
    for n in range(2):
        (work / f"new{n}").write_text(f"new {n}")
        (out / f"{n}").write_text(f"old {n}")
    (out / "info").write_text("old")
    (work / "new_info").write_text("new")
    (work / "more").write_text("new")
    (out / "gone").write_text("old")
    moves = [(work / f"new{n}", out / f"{n}") for n in range(2)]
    moves += [(work / "new_info", out / "info"), (work / "more", out / "more")]
    done = [0]
    kind = type(Journal(tmp_path).folder)
    for name in ("replace", "unlink"):
        real = getattr(kind, name)

        def step(self, *args, real=real, **kwargs):
            if "commit.json" not in str(self) and done[0] >= stopped_after:
                raise KeyboardInterrupt
            done[0] += "commit.json" not in str(self)
            return real(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, step)
    with pytest.raises(KeyboardInterrupt):
        commit(work, first_gone=[out / "info"], moves=moves, gone=[out / "gone"])
    if 1 <= stopped_after < 5:
        assert not (out / "info").exists()
    monkeypatch.undo()
    assert finish(work)
    found = {path.name: path.read_text() for path in out.iterdir()}
    assert found == {"0": "new 0", "1": "new 1", "info": "new", "more": "new"}
    assert not list(work.iterdir()) and not finish(work)


def test_a_ledger_takes_nothing_twice_and_nothing_without_reason(tmp_path):
    with (tmp_path / "l").open("w") as file:
        ledger = Ledger(file)
        ledger.put("file", "a", "kept")
        with pytest.raises(ValueError, match="has a place already"):
            ledger.put("file", "a", "set aside", why="x")
        with pytest.raises(ValueError, match="without a reason"):
            ledger.put("file", "b", "filtered")
        with pytest.raises(ValueError, match="duplicate of nothing"):
            ledger.put("file", "b", "duplicate")
        with pytest.raises(ValueError, match="no place 'lost'"):
            ledger.put("file", "b", "lost")


def test_two_calls_do_not_meet(tmp_path):
    import fcntl

    work = tmp_path / "out" / ".work"
    work.mkdir(parents=True)
    with (work / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another call is at work"):
            prepare(tmp_path, tmp_path / "out")
