"""`animatrix prepare` from end to end, on sound, odd and broken files."""

import collections
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile

import av
import cv2
import numpy as np
import pytest
from small_videos import FPS, scene, write

from animatrix_jax.curation.prepare import prepare
from animatrix_jax.curation.settings import Looking
from animatrix_jax.curation.shots import cut_film
from animatrix_jax.data.dataset import DatasetSource, open_rows, read_columns
from animatrix_jax.data.split import file_code
from animatrix_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
LABELS = [
    {"video": "labelled.mp4", "start": 0.5, "end": 2.0, "summary": "a disc rolls"}
    | {"tags": ["motion.motion_style=run", "motion.timing=held"]}
    | {"confidence": {"motion.motion_style": 0.9}},
    {"video": "labelled.mp4", "start": 2.0, "tags": ["motion.motion_style=walk"]},
    {"video": "labelled.mp4", "start": 99.0, "tags": []},
    {"video": "empty.mp4", "tags": []},
    {"video": "../a.mp4", "tags": []},
    {"video": "labelled.mp4", "tags": ["motion.nothing=x"]},
]


def _rotate(path):
    """Writes a quarter turn into the track header's matrix."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 8
    one, w = 1 << 16, 1 << 30
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 72 * one, 0, w)
    path.write_bytes(data)


def _sound(path):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _combed(video):
    """Pairs of frames woven into one, as a field each."""
    woven = video[::2].copy()
    woven[:, 1::2] = video[1::2, 1::2]
    return woven


def _stripes(frames):
    """Upright stripes that run sideways: rows differ where fields do, nowhere else."""
    rng = np.random.default_rng(5)
    stripes = cv2.resize(rng.integers(0, 255, (1, 32, 3)).astype(np.uint8), (128, 1))
    return np.stack(
        [np.repeat(np.roll(stripes, 3 * t, axis=1), 72, 0) for t in range(frames)]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write(folder / "a.mp4", np.concatenate([scene(0, 18), scene(1, 20)]))
    (folder / "copy.mp4").write_bytes((folder / "a.mp4").read_bytes())
    small = [cv2.resize(f, (96, 54), interpolation=cv2.INTER_AREA) for f in scene(0)]
    write(folder / "deep" / "small.mp4", np.stack(small))
    write(folder / "still.mp4", np.repeat(scene(2, 1), 20, axis=0))
    write(folder / "black.mp4", np.zeros((20, 72, 128, 3), np.uint8))
    write(folder / "tiny.mp4", scene(3, 18, 24, 32))
    write(folder / "short.mp4", scene(4, 6))
    bars = scene(5, 20, 120, 128)
    bars[:, :24] = bars[:, -24:] = 0
    write(folder / "letterbox.mp4", bars)
    # Odd, and sound all the same.
    times = np.cumsum([0, *np.resize([30, 150, 90], 19)]).tolist()
    write(folder / "vfr.mkv", scene(6, 20), times=times)
    write(folder / "tenbit.mkv", scene(7), codec="ffv1", pix_fmt="yuv420p10le")
    _rotate(write(folder / "rotated.mp4", scene(8)))
    woven = _combed(_stripes(60))
    write(folder / "interlaced.mpg", woven, codec="mpeg2video", fps=25)
    write(folder / "odd.mkv", scene(10, 18, 73, 131), codec="ffv1", pix_fmt="yuv444p")
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    os.rename(write(folder / "x.mp4", scene(11)), folder / name)
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(write(folder / "m.mp4", scene(12)), "in/m.mp4")
        archive.writestr("../out.mp4", b"x")
    (folder / "m.mp4").unlink()
    write(folder / "labelled.mp4", scene(13, 48))
    lines = "".join(json.dumps(label) + "\n" for label in LABELS)
    (folder / "labels.jsonl").write_text(lines)
    # Broken.
    data = (folder / "a.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(data[: len(data) // 2])
    write(folder / "stream.ts", scene(14, 60))
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "words.mp4").write_text("no video\n" * 100)
    _sound(folder / "sound.mp4")
    header = write(folder / "header.mkv", scene(15, 30), codec="ffv1").read_bytes()
    (folder / "header.mkv").write_bytes(header[: header.index(b"\x1f\x43\xb6\x75")])
    with av.open(str(folder / "zero.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=12)
        stream.height, stream.width, stream.pix_fmt = 72, 128, "yuv420p"
        output.start_encoding()
    return folder


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory, settings):
    out = tmp_path_factory.mktemp("made") / "dataset"
    return out, prepare(folder, out, settings=settings)


def _ledger(out):
    return [json.loads(line) for line in (out / "ledger.jsonl").open()]


def _contents(out):
    """All that a dataset says, but for where it lies."""
    rows = open_rows(out)
    return [
        {k: np.asarray(v).tolist() for k, v in rows[n].items()}
        for n in range(len(rows))
    ], _ledger(out)


def test_every_input_is_in_one_place(made, folder):
    out, summary = made
    entries = _ledger(out)
    files = [e for e in entries if e["kind"] == "file"]
    videos = {".mp4", ".mkv", ".mpg", ".ts"}
    inputs = sum(p.suffix in videos for p in folder.rglob("*")) + 2  # of the archive
    assert len({e["name"] for e in files}) == len(files) == inputs
    clips = [e for e in entries if e["kind"] == "clip"]
    assert len({e["name"] for e in clips}) == len(clips)
    labels = [e for e in entries if e["kind"] == "label"]
    assert len({e["name"] for e in labels}) == len(labels) == len(LABELS)
    for kind, some in (("file", files), ("clip", clips), ("label", labels)):
        counted = collections.Counter(e["place"] for e in some)
        assert summary["totals"][kind] == {
            place: counted[place]
            for place in ("kept", "filtered", "set aside", "duplicate")
        }
        assert sum(summary["totals"][kind].values()) == len(some)
    assert summary["clips"] == summary["totals"]["clip"]["kept"]
    kept = {e["name"] for e in entries if e["place"] == "kept"}
    for entry in entries:
        if entry["place"] == "duplicate":
            assert entry["of"] in kept
        elif entry["place"] != "kept":
            assert entry["why"] and "\n" not in entry["why"]
            # That would be a mistake of ours.
            assert not entry["why"].startswith("failed:")


def test_where_each_went(made):
    entries = {e["name"]: e for e in _ledger(made[0]) if e["kind"] == "file"}
    for name in (
        *("a.mp4", "letterbox.mp4", "vfr.mkv", "tenbit.mkv", "rotated.mp4"),
        *(
            "interlaced.mpg",
            "odd.mkv",
            "more.zip/in/m.mp4",
            "labelled.mp4",
            "stream.ts",
        ),
        b"caf\xe9.mp4".decode("utf-8", "surrogateescape"),
    ):
        assert entries[name]["place"] == "kept", entries[name]
    assert entries["copy.mp4"] == {
        "kind": "file",
        "name": "copy.mp4",
        "place": "duplicate",
        "of": "a.mp4",
    }
    assert entries["deep/small.mp4"]["place"] == "duplicate"
    assert entries["deep/small.mp4"]["of"] == "a.mp4@0.000-1.500"
    clips = {e["name"]: e for e in _ledger(made[0]) if e["kind"] == "clip"}
    for name, why in (
        ("still.mp4@0.000-1.667", "still: 0%"),
        ("black.mp4@0.000-1.667", "black: 100%"),
        ("tiny.mp4@0.000-1.500", "too small: 24 pixels, expected 48"),
        ("short.mp4@0.000-0.500", "too short: 0.50 s"),
    ):
        assert clips[name]["place"] == "filtered" and why in clips[name]["why"]
    for name, why in (
        ("truncated.mp4", "cannot open|truncated"),
        ("empty.mp4", "cannot open"),
        ("words.mp4", "cannot open"),
        ("sound.mp4", "no video stream"),
        ("header.mkv", "cannot open"),
        ("zero.mkv", "no frame decodes|cannot open"),
        ("more.zip/../out.mp4", "leads out"),
    ):
        assert entries[name]["place"] == "set aside"
        assert any(part in entries[name]["why"] for part in why.split("|"))


def test_rows_hold_upright_progressive_pictures_without_bars(made):
    rows = {}
    for row in open_rows(made[0]):
        rows[row["source"]] = row
    bars = rows[b"letterbox.mp4"]
    assert bars["width"] == 128 and 66 <= bars["height"] <= 72
    assert (rows[b"rotated.mp4"]["height"], rows[b"rotated.mp4"]["width"]) == (128, 72)
    assert b"caf\xe9.mp4" in rows
    path = made[0].parent / "woven.mp4"
    path.write_bytes(rows[b"interlaced.mpg"]["video"])
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    woven = cv2.cvtColor(_combed(_stripes(60))[10], cv2.COLOR_RGB2GRAY)

    def combing(image):
        return np.abs(np.diff(image.astype(int), axis=0)).mean()

    assert combing(frames[10]) < 0.3 * combing(woven)
    assert {row["tier"] for row in rows.values()} <= {b"B", b"A", b"S"}
    assert all(row["motion"] > 0 for row in rows.values())


def test_labels_make_clips_and_tags_join_what_they_say(made):
    rows = [r for r in open_rows(made[0]) if r["source"] == b"labelled.mp4"]
    rows.sort(key=lambda r: r["start"])
    assert [(r["start"], r["end"]) for r in rows] == [(0.5, 2.0), (2.0, 4.0)]
    tags = [tag.decode() for tag in rows[0]["tags"]]
    # The label's word on timing stands, the measures add the camera.
    assert {"motion.motion_style=run", "motion.timing=held"} <= set(tags)
    assert "camera.camera_motion=fix" in tags
    assert rows[0]["summary"] == b"a disc rolls"
    told = dict(
        zip(
            (k.decode() for k in rows[0]["confidence"]["field"]),
            rows[0]["confidence"]["value"],
        )
    )
    assert told == pytest.approx({"motion.motion_style": 0.9, "motion.timing": 1.0})
    assert rows[0]["tier"] == b"A"
    places = {
        int(e["name"].split(":")[1]): e
        for e in _ledger(made[0])
        if e["kind"] == "label"
    }
    assert [places[n]["place"] for n in (1, 2)] == ["kept", "kept"]
    assert "starts after the end" in places[3]["why"]
    assert "empty.mp4: cannot open" in places[4]["why"]
    assert "outside" in places[5]["why"] and "motion.nothing" in places[6]["why"]


def test_training_reads_windows_of_a_tier_without_tensorflow(made):
    code = (
        "import sys, numpy as np\n"
        "from animatrix_jax.data.dataset import DatasetSource\n"
        "s = DatasetSource(sys.argv[1], frames=9, fps=12, height=24, width=40)\n"
        "r = s.record(0, np.random.default_rng(0))\n"
        "print(r['video'].shape, len(s), 'tensorflow' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(made[0])],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split("\n")[0] == f"(9, 24, 40, 3) {made[1]['clips']} False"
    shape = {"frames": 9, "fps": 12, "height": 24, "width": 40}
    source = DatasetSource(made[0], tiers=("A",), **shape)
    assert len(source) == made[1]["tiers"]["A"] > 0
    assert len(source.tables()) == len(source)
    columns = read_columns(made[0])
    sources = [row["source"] for row in open_rows(made[0])]
    named = [source.decode("utf-8", "surrogateescape") for source in sources]
    assert columns["source"].tolist() == [file_code(name) for name in named]
    assert set(source.file_codes.tolist()) <= set(columns["source"].tolist())
    rng = np.random.default_rng(0)
    for place, clip in enumerate(source.index):
        record = source.record(place, rng)
        assert record["motion"] == columns["motion"][clip]
        assert "motion.motion_style=" in " ".join(record["tags"])
    with pytest.raises(UserError, match="no clip in tier S"):
        DatasetSource(made[0], tiers=("S",), **shape)
    with pytest.raises(UserError, match="'C' is not one of B, A, S"):
        DatasetSource(made[0], tiers=("C",), **shape)
    too_long = {**shape, "frames": 30}
    source = DatasetSource(made[0], **too_long)
    assert len(source) + len(source.set_aside) == made[1]["clips"]
    assert all("too short" in why for why in source.set_aside.values())
    source = DatasetSource(made[0], max_tags=2, **shape)
    assert len(source) == (columns["tags"] <= 2).sum() < made[1]["clips"]
    assert set(source.set_aside.values()) == {"3 tags, at most 2 fit"}


def test_long_tail_weights_are_the_formulas(made):
    columns = read_columns(made[0])
    counts = [np.bincount(column)[column] for column in columns["axes"].T]
    expected = (1 / np.prod(counts, axis=0)) ** 0.7
    np.testing.assert_allclose(columns["weight"], expected, rtol=1e-5)


def test_a_second_call_does_only_what_is_new(folder, tmp_path, settings):
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("a.mp4", "vfr.mkv"):
        (videos / name).write_bytes((folder / name).read_bytes())
    first = prepare(videos, out, settings=settings)
    assert first["new"] == {"films": 2, "clips": 2, "encoded": 2, "shards": 1}
    before = _contents(out)
    again = prepare(videos, out, settings=settings)
    assert again["new"] == {} and again["totals"] == first["totals"]
    assert _contents(out) == before
    # One more file, and a better copy of a clip that was kept.
    large = [cv2.resize(f, (256, 144)) for f in scene(6, 20)]
    write(videos / "large.mp4", np.stack(large))
    more = prepare(videos, out, settings=settings)
    assert more["new"] == {"films": 1, "clips": 1, "encoded": 1, "shards": 1}
    assert more["totals"]["clip"] == first["totals"]["clip"] | {"duplicate": 1}
    fresh = tmp_path / "fresh"
    prepare(videos, fresh, settings=settings)
    assert _contents(out) == _contents(fresh)
    # Rules cost no second look.
    strict = settings.__class__(
        looking=settings.looking,
        rules=settings.rules.__class__(min_side=100, a_side=64),
    )
    stricter = prepare(videos, out, settings=strict)
    assert stricter["new"] == {"shards": 1} and stricter["clips"] == 1
    with pytest.raises(UserError, match="none of 3 files gives a clip that is kept"):
        strict = settings.__class__(
            looking=settings.looking, rules=settings.rules.__class__(min_side=999)
        )
        prepare(videos, out, settings=strict)


def test_a_kill_loses_nothing_that_was_done(folder, tmp_path, settings):
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("a.mp4", "vfr.mkv", "tenbit.mkv", "odd.mkv"):
        (videos / name).write_bytes((folder / name).read_bytes())
    code = (
        "import sys; sys.path.insert(0, sys.argv[3])\n"
        "from small_videos import settings_of_thumbnails as settings\n"
        "from animatrix_jax.curation.prepare import prepare\n"
        "prepare(sys.argv[1], sys.argv[2], settings=settings())\n"
    )
    here = str(pathlib.Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(videos), str(out), here],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 300
    while not (looked := list((out / ".work" / "clips").rglob("*.json"))):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list((out / ".work" / "films").rglob("*.json")))
    assert done == 4 and not (out / "dataset_info.json").exists()
    with pytest.raises(UserError, match="stopped halfway"):
        read_columns(out)
    resumed = prepare(videos, out, settings=settings)
    assert "films" not in resumed["new"]
    assert resumed["new"].get("clips", 0) <= 4 - len(looked)
    fresh = tmp_path / "fresh"
    prepare(videos, fresh, settings=settings)
    assert _contents(out) == _contents(fresh)


def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path):
    peaks = []
    for seconds in (10, 80):
        path = tmp_path / f"{seconds}.mp4"
        write(path, np.resize(scene(0, 48, 36, 64), (seconds * FPS, 36, 64, 3)))
        tracemalloc.start()
        film = cut_film(path, Looking())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert film.seconds == pytest.approx(seconds)
    assert peaks[1] < 1.5 * peaks[0] + 100_000
