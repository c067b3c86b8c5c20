"""Archives and links: nothing lands outside of its folder."""

import errno
import io
import json
import os
import pathlib
import tarfile
import zipfile

import pytest
from small_videos import scene, write

from animatrix_jax.caption.labeller import Caption
from animatrix_jax.curation import archives, inputs
from animatrix_jax.curation.inputs import Digests, find_inputs
from animatrix_jax.curation.labels import read_labels
from animatrix_jax.curation.prepare import prepare
from animatrix_jax.errors import UserError


@pytest.fixture
def clip(tmp_path):
    return write(tmp_path / "clip.mp4", scene(0, 4)).read_bytes()


def _found(folder, tmp_path):
    return {i.name: i for i in find_inputs(folder, unpacked=tmp_path / "unpacked")}


def test_members_that_lead_out_are_refused(tmp_path, clip):
    folder = tmp_path / "videos"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/good.mp4", clip)
        archive.writestr("../evil.mp4", clip)
        archive.writestr("/abs.mp4", clip)
        archive.writestr("in/../../up.mp4", clip)
        archive.writestr("notes.txt", "not looked at")
        archive.writestr("bomb.mp4", b"\0" * 4_000_000)
        link = zipfile.ZipInfo("link.mp4")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with tarfile.open(folder / "b.tar.gz", "w:gz") as archive:
        for name in ("good.mp4", "../evil.mp4", "/abs.mp4"):
            info = tarfile.TarInfo(name)
            info.size = len(clip)
            archive.addfile(info, io.BytesIO(clip))
        for kind, name in ((tarfile.SYMTYPE, "s.mp4"), (tarfile.LNKTYPE, "h.mp4")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("dev.mp4")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    (folder / "broken.zip").write_bytes(b"PK no zip")
    cut = (folder / "b.tar.gz").read_bytes()
    (folder / "cut.tgz").write_bytes(cut[: len(cut) // 2])
    found = _found(folder, tmp_path)
    good = {name for name, item in found.items() if not item.refused}
    assert good == {"a.zip/in/good.mp4", "b.tar.gz/good.mp4"}
    for name in good:
        assert pathlib.Path(found[name].path).read_bytes() == clip
    reasons = {name: item.refused for name, item in found.items() if item.refused}
    for name in ("a.zip/../evil.mp4", "a.zip//abs.mp4", "a.zip/in/../../up.mp4"):
        assert "leads out" in reasons[name]
    for name in ("b.tar.gz/../evil.mp4", "b.tar.gz//abs.mp4"):
        assert "leads out" in reasons[name]
    for name in ("a.zip/link.mp4", "b.tar.gz/s.mp4", "b.tar.gz/h.mp4"):
        assert "link" in reasons[name]
    assert "no plain file" in reasons["b.tar.gz/dev.mp4"]
    assert "hundredfold" in reasons["a.zip/bomb.mp4"]
    assert "damaged" in reasons["broken.zip"]
    assert any("damaged" in r for n, r in reasons.items() if n.startswith("cut.tgz"))
    outside = set(tmp_path.rglob("*.mp4")) - set((tmp_path / "unpacked").rglob("*"))
    assert outside == {tmp_path / "clip.mp4"}


def test_an_encrypted_member_is_refused(tmp_path, clip):
    folder = tmp_path / "videos"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("secret.mp4", clip)
        archive.writestr("open.mp4", clip)
    path = folder / "a.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # of the first entry of the directory
    path.write_bytes(data)
    found = _found(folder, tmp_path)
    assert "encrypted" in found["a.zip/secret.mp4"].refused
    assert not found["a.zip/open.mp4"].refused


def _add(archive, name, data):
    if isinstance(archive, tarfile.TarFile):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    else:
        archive.writestr(name, data)


@pytest.mark.parametrize("suffix", ["zip", "tgz"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_of_one_name_the_last_counts(tmp_path, settings, suffix):
    """And `prepare` has a place for each, at every call."""
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    path = folder / f"a.{suffix}"
    clips = [write(tmp_path / f"{n}.mp4", scene(n)).read_bytes() for n in range(3)]
    opened = {"zip": zipfile.ZipFile, "tgz": tarfile.open}[suffix]
    with opened(path, {"zip": "w", "tgz": "w:gz"}[suffix]) as archive:
        for data in clips:
            _add(archive, "in/x.mp4", data)
        _add(archive, "../y.mp4", clips[0])
        _add(archive, "../y.mp4", clips[1])
    found = _found(folder, tmp_path)
    last = found.pop(f"{path.name}/in/x.mp4")
    assert pathlib.Path(last.path).read_bytes() == clips[2] and not last.refused
    assert {name: item.refused for name, item in found.items()} == {
        f"{path.name}/in/x.mp4 (1)": "a later member of the archive has the same name",
        f"{path.name}/in/x.mp4 (2)": "a later member of the archive has the same name",
        f"{path.name}/../y.mp4 (1)": "a later member of the archive has the same name",
        f"{path.name}/../y.mp4": "its path leads out of the archive",
    }
    for _ in range(2):
        totals = prepare(folder, out, settings=settings)["totals"]["file"]
        assert (totals["kept"], totals["set aside"]) == (1, 4)


def test_members_are_named_as_labels_name_them(tmp_path, clip):
    """`tar cf x.tar .` writes "./a.mp4"; macOS writes "._a.mp4" beside it."""
    folder = tmp_path / "videos"
    folder.mkdir()
    with tarfile.open(folder / "x.tar", "w") as archive:
        for name in ("./a.mp4", "./._a.mp4", "./in/./b.mp4", "__MACOSX/._b.mp4"):
            _add(archive, name, clip)
    assert set(_found(folder, tmp_path)) == {"x.tar/a.mp4", "x.tar/in/b.mp4"}
    (folder / "labels.jsonl").write_text('{"video": "x.tar/./a.mp4", "tags": []}\n')
    names = set(_found(folder, tmp_path))
    assert set(read_labels(folder, names, None).lines) == {"x.tar/a.mp4"}


def test_many_members_together_fill_no_disk(tmp_path, monkeypatch):
    """Where each of them is small enough."""
    monkeypatch.setattr(archives, "_CHUNK", 1 << 12)
    monkeypatch.setattr(archives, "_MAX_GROWTH", 30)
    folder = tmp_path / "videos"
    folder.mkdir()
    with tarfile.open(folder / "a.tgz", "w:gz") as archive:
        for n in range(30):
            _add(archive, f"{n:02d}.mp4", os.urandom(2000) + bytes(120_000))
    found = _found(folder, tmp_path)
    written = sum(p.stat().st_size for p in (tmp_path / "unpacked").rglob("*.mp4"))
    refused = [item.refused for item in found.values() if item.refused]
    assert 0 < written <= 30 * (folder / "a.tgz").stat().st_size
    assert 0 < len(refused) < 30 and all("hundredfold" in why for why in refused)


def test_whatever_might_hold_videos_has_a_place(tmp_path, clip):
    """A link to a folder, an archive of none, and one of a kind that is not read."""
    folder, elsewhere = tmp_path / "videos", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a.mp4").write_bytes(clip)
    (folder / "more").symlink_to(elsewhere, target_is_directory=True)
    (folder / "b.rar").write_bytes(b"Rar!")
    (folder / "d.zip").symlink_to(folder / "gone.zip")
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.writestr("notes.txt", "no video")
    found = {name: item.refused for name, item in _found(folder, tmp_path).items()}
    assert set(found) == {"more", "b.rar", "c.zip", "d.zip"}
    assert "cannot read: No such file" in found["d.zip"]
    assert "link to a folder" in found["more"]
    assert "not read" in found["b.rar"] and "no video" in found["c.zip"]


def test_a_folder_that_cannot_be_listed_ends_the_call(tmp_path, clip, monkeypatch):
    """Else a disk that fails would take its clips out of the dataset."""
    folder = tmp_path / "videos"
    (folder / "s").mkdir(parents=True)
    for path in (folder / "a.mp4", folder / "s" / "b.mp4"):
        path.write_bytes(clip)
    real = os.scandir

    def scandir(path):
        if str(path).endswith("/s"):
            raise OSError(errno.EIO, "Input/output error", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match="cannot list .*/s: Input/output error"):
        _found(folder, tmp_path)


def test_a_replaced_archive_is_unpacked_anew(tmp_path, clip):
    """Also where its members have the names and sizes of the old ones."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, data in enumerate((clip, clip[::-1])):
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            archive.writestr("x.mp4", data)
        os.utime(folder / "a.zip", ns=(number, number))
        found = _found(folder, tmp_path)["a.zip/x.mp4"]
        assert pathlib.Path(found.path).read_bytes() == data
    assert len(list((tmp_path / "unpacked").rglob("*.mp4"))) == 1


def test_links_out_of_the_folder_are_refused(tmp_path, clip):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "link.mp4").symlink_to(tmp_path / "clip.mp4")
    (folder / ".hidden.mp4").write_bytes(clip)
    found = _found(folder, tmp_path)
    assert "out of the folder" in found["link.mp4"].refused and len(found) == 1
    with pytest.raises(UserError, match="no such folder"):
        find_inputs(tmp_path / "absent", unpacked=tmp_path)
    (folder / "link.mp4").unlink()
    with pytest.raises(UserError, match="no video file"):
        find_inputs(folder, unpacked=tmp_path)


def test_digests_of_a_call_that_is_killed_are_kept(tmp_path, monkeypatch):
    """Beside those of before that it had not come to yet."""
    monkeypatch.setattr(inputs, "_SAVE_SECONDS", -1.0)
    paths = [tmp_path / f"{n}.mp4" for n in range(3)]
    for path in paths:
        path.write_bytes(path.name.encode())
    Digests(tmp_path / "d.json").of(paths[0])
    Digests(tmp_path / "d.json").of(paths[1])
    monkeypatch.setattr(inputs, "sha256", lambda path: "anew")
    last = Digests(tmp_path / "d.json")
    assert "anew" not in (last.of(paths[0]), last.of(paths[1]))
    assert last.of(paths[2]) == "anew"


def test_a_digest_is_of_the_bytes_and_is_kept(tmp_path, clip, monkeypatch):
    path = tmp_path / "clip.mp4"
    first = Digests(tmp_path / "d.json")
    value = first.of(path)
    first.save()
    monkeypatch.setattr("animatrix_jax.curation.inputs.sha256", lambda path: "read")
    again = Digests(tmp_path / "d.json")
    assert again.of(path) == value
    path.write_bytes(clip + b"x")
    assert again.of(path) == "read"


def test_label_lines_that_cannot_be_used_say_why(tmp_path):
    (tmp_path / "labels.jsonl").write_bytes(
        b'{"video": "a.mp4", "start": 1, "end": 2, "tags": []}\n'
        b'{"video": "./a.mp4", "start": 1, "end": 2, "tags": []}\n'
        b'{"video": "../b.mp4", "tags": []}\n'
        b'{"video": "/b.mp4", "tags": []}\n'
        b'{"video": "a.mp4", "tags": ["motion.nothing=run"]}\n'
        b'{"video": "a.mp4", "tag": ["motion.timing=twos"]}\n'
        b'{"video": "none.mp4", "tags": []}\n'
        b"\xff not json\n\n"
        b'{"video": "a.mp4", "start": 0, "tags": ["motion.timing=twos"]}\n'
    )
    labels = read_labels(tmp_path, {"a.mp4"}, None)
    assert labels.spans("a.mp4") == [(0.0, None), (1.0, 2.0)]
    assert labels.of("a.mp4", 1.0, 2.0).name == "labels.jsonl:1"
    assert labels.of("a.mp4", 3.0, 4.0).name == "labels.jsonl:10"
    reasons = {int(n.split(":")[1]): why for n, why in labels.set_aside.items()}
    assert set(reasons) == {2, 3, 4, 5, 6, 7, 8}
    assert "the same clip as labels.jsonl:1" in reasons[2]
    assert "outside" in reasons[3] and "outside" in reasons[4]
    assert "motion.nothing" in reasons[5] and "'tag'" in reasons[6]
    with pytest.raises(UserError, match="no such label file"):
        read_labels(tmp_path, (), tmp_path / "absent.jsonl")


def test_a_clip_gets_the_label_that_it_was_cut_for(tmp_path):
    """Not a shorter one in its middle; a piece of a long one gets the long one's."""
    spans = {1: (0, 4), 2: (1.5, 2.5), 3: (3, 6), 4: (10, None), 5: (20, 24)}
    (tmp_path / "labels.jsonl").write_text(
        "".join(
            json.dumps({"video": "a.mp4", "start": start, "end": end, "tags": []})
            + "\n"
            for start, end in spans.values()
        )
    )
    labels = read_labels(tmp_path, {"a.mp4"}, None)

    def told(start, end):
        return int(labels.of("a.mp4", start, end).name.split(":")[1])

    assert [told(*spans[n]) for n in (1, 2, 3, 5)] == [1, 2, 3, 5]
    # The file ends at 40: its last label is cut in two, 10 to 25 and 25 to 40.
    assert [told(10, 25), told(25, 40), told(10, 40)] == [4, 4, 4]
    assert told(20 + 1e-9, 22) == 5
    # Of no label, by its middle.
    assert told(3.5, 7) == 3
    assert labels.of("a.mp4", 6.5, 7.5) is None


NAMES = ["Re:Zero 01.mp4", "...And Then.mp4", "...And/Re: x.mp4", "caf\udce9.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_look_like_paths_and_are_none(tmp_path, clip, name):
    folder = tmp_path / "videos"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(clip)
    with tarfile.open(folder / "a.tar", "w") as archive:
        _add(archive, name, clip)
    found = _found(folder, tmp_path)
    assert set(found) == {name, f"a.tar/{name}"}
    assert not any(item.refused for item in found.values())
    line = Caption(tags=("motion.timing=twos",), confidence={}).line(video=name)
    (folder / "labels.jsonl").write_text(line + "\n", encoding="utf-8")
    labels = read_labels(folder, found, None)
    assert list(labels.lines) == [name] and not labels.set_aside


@pytest.mark.parametrize("name", ["C:/x.mp4", "c:\\x.mp4", "a/../../x.mp4", "\\x.mp4"])
def test_paths_that_lead_out(tmp_path, clip, name):
    folder = tmp_path / "videos"
    folder.mkdir()
    with tarfile.open(folder / "a.tar", "w") as archive:
        _add(archive, name, clip)
    (item,) = _found(folder, tmp_path).values()
    assert "leads out" in item.refused
    (folder / "labels.jsonl").write_text(json.dumps({"video": name, "tags": []}) + "\n")
    labels = read_labels(folder, {name}, None)
    assert not labels.lines and "outside" in labels.set_aside["labels.jsonl:1"]
