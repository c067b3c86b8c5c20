"""A captioner's word: below a label's, above the measures', and known by its digest."""

import dataclasses
import json

import numpy as np
from small_videos import scene, write

from animatrix_jax.caption import labeller
from animatrix_jax.curation.prepare import prepare
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
    looking = dataclasses.replace(settings.looking, captioner="fixed")
    settings = dataclasses.replace(settings, looking=looking)
    first = prepare(videos, out, settings=settings)
    assert told.seen == [((24, 48, 85, 3), 24.0)] * 2
    rows = {row["source"]: row for row in open_rows(out)}
    tags = {name: {t.decode() for t in row["tags"]} for name, row in rows.items()}
    assert {"motion.timing=twos", "camera.shot_size=full"} <= tags[b"a.mp4"]
    assert {"motion.timing=threes", "camera.shot_size=full"} <= tags[b"b.mp4"]
    for some in tags.values():
        assert any(tag.startswith("motion.amplitude=") for tag in some)
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
    assert other["new"] == {"clips": 2}
