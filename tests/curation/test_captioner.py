"""A captioner's word: below a label's, above the measures', and known by its digest."""

import dataclasses
import json

import numpy as np
from small_videos import scene, write

from animatrix_jax.caption import labeller
from animatrix_jax.curation.prepare import prepare
from animatrix_jax.curation.settings import Captioning
from animatrix_jax.data.dataset import open_rows


@dataclasses.dataclass
class Fixed:
    """Says the same of every clip, and notes what it saw."""

    digest: str = "one"
    name: str = "fixed"
    threshold: float = 0.5
    seen: list = dataclasses.field(default_factory=list)

    def label(self, video, fps):
        self.seen.append((video.shape, fps))
        tags = ("motion.timing=threes", "camera.shot_size=full")
        return labeller.Caption(
            tags=tags,
            confidence={"motion.timing": 0.7, "camera.shot_size": 0.9},
            summary="told by a machine",
            description="It says so.",
        )


def test_who_is_heard(tmp_path, monkeypatch, settings):
    told = Fixed()
    monkeypatch.setattr(labeller, "load_labeller", lambda name: told)
    videos, out = tmp_path / "videos", tmp_path / "out"
    write(videos / "a.mp4", scene(0))
    write(videos / "b.mp4", scene(1))
    label = {"video": "a.mp4", "tags": ["motion.timing=twos"], "summary": "by hand"}
    (videos / "labels.jsonl").write_text(json.dumps(label) + "\n")
    captioning = Captioning(captioner="fixed")
    settings = dataclasses.replace(settings, captioning=captioning)
    first = prepare(videos, out, settings=settings)
    assert told.seen == [((24, 48, 85, 3), 24.0)] * 2
    rows = {row["source"]: row for row in open_rows(out)}
    tags = {name: {t.decode() for t in row["tags"]} for name, row in rows.items()}
    assert {"motion.timing=twos", "camera.shot_size=full"} <= tags[b"a.mp4"]
    assert {"motion.timing=threes", "camera.shot_size=full"} <= tags[b"b.mp4"]
    for some in tags.values():
        assert any(tag.startswith("camera.camera_motion=") for tag in some)
    assert rows[b"a.mp4"]["summary"] == b"by hand"
    assert rows[b"a.mp4"]["description"] == b"It says so."
    assert rows[b"a.mp4"]["labelled_by"] == b"label+fixed+measures"
    np.testing.assert_allclose(
        sorted(rows[b"b.mp4"]["confidence"]["value"]), [0.7, 0.9], rtol=1e-6
    )
    # Mean confidence of what is claimed: 0.95, and 0.8.
    assert first["tiers"] == {"B": 0, "A": 2, "S": 0}
    again = prepare(videos, out, settings=settings)
    assert again["new"] == {}
    told.digest = "two"
    other = prepare(videos, out, settings=settings)
    assert other["new"] == {"captions": 2}


def test_only_what_is_kept_is_captioned_and_what_could_not_be_is_tried_again(
    tmp_path, monkeypatch, settings
):
    """A minute of clips of one file at a time; filtered clips and copies never."""
    told, most = Fixed(), 1

    def label(video, fps):
        if len(told.seen) == most:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return Fixed.label(told, video, fps)

    monkeypatch.setattr(labeller, "load_labeller", lambda name: told)
    monkeypatch.setattr(told, "label", label)
    videos, out = tmp_path / "videos", tmp_path / "out"
    write(videos / "film.mp4", np.concatenate([scene(0), scene(1)]))
    write(videos / "copy.mp4", scene(0, height=54, width=96))
    write(videos / "still.mp4", np.repeat(scene(2, 1), 20, axis=0))
    captioning = Captioning(captioner="fixed")
    settings = dataclasses.replace(settings, captioning=captioning)
    first = prepare(videos, out, settings=settings)
    assert first["new"]["captions"] == 1 and len(told.seen) == 1
    clips = {"kept": 1, "filtered": 1, "set aside": 1, "duplicate": 1}
    assert first["totals"]["clip"] == clips
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").open()]
    (lost,) = [e for e in ledger if e["kind"] == "clip" and e["place"] == "set aside"]
    assert "RESOURCE_EXHAUSTED" in lost["why"] and "tries again" in lost["why"]
    most = 2
    second = prepare(videos, out, settings=settings)
    assert second["totals"]["clip"] == clips | {"kept": 2, "set aside": 0}
    assert len(told.seen) == 2 and len(open_rows(out)) == 2


def test_a_captioner_that_fails_once_does_not_keep_both_of_two_copies(
    tmp_path, monkeypatch, settings
):
    told, calls = Fixed(), []

    def label(video, fps):
        calls.append(video.shape)
        if len(calls) == 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return Fixed.label(told, video, fps)

    monkeypatch.setattr(labeller, "load_labeller", lambda name: told)
    monkeypatch.setattr(told, "label", label)
    videos, out = tmp_path / "videos", tmp_path / "out"
    write(videos / "large.mp4", scene(0))
    write(videos / "small.mp4", scene(0, height=54, width=96))
    captioning = Captioning(captioner="fixed")
    settings = dataclasses.replace(settings, captioning=captioning)
    places = {"kept": 1, "filtered": 0, "set aside": 1, "duplicate": 0}
    assert prepare(videos, out, settings=settings)["totals"]["clip"] == places
    places |= {"set aside": 0, "duplicate": 1}
    assert prepare(videos, out, settings=settings)["totals"]["clip"] == places
    assert len(calls) == 3 and len(open_rows(out)) == 1
