"""report.html: one file, nothing outside it, safe with any text, clips that play."""

import base64
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from animatrix_jax.evaluation.dimensions import LABELS, Dimension
from animatrix_jax.evaluation.report import (
    ClipCard,
    FieldRow,
    Report,
    StageCurve,
    animation,
    write_report,
)
from animatrix_jax.statistics import Interval

NASTY = '<script>alert("x")</script> {{css}} & 走る'


def clip(seed, size=16):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (5, size, size, 3), np.uint8)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    metrics = [{"step": s, "loss": 2.0 / s} for s in range(1, 40)]
    metrics += [{"step": s, "validation_loss": 2.0 / s} for s in (1, 20, 39)]
    summary = {
        "name": "ct", "steps": 39, "loss_first": 2.0, "loss_last": 0.05, "seconds": 75.0
    }  # fmt: skip
    path = tmp_path_factory.mktemp("report") / "report.html"
    asked = {"motion.timing=twos": True, "vfx.impact=none": False}
    write_report(
        path,
        Report(
            title=NASTY,
            facts=[NASTY, "b"],
            fps=12,
            dimensions=[
                Dimension(
                    name=name,
                    score=Interval(value=3.2, low=2.9, high=3.5),
                    parts={NASTY: 0.5},
                )
                for name in LABELS
            ],
            clips=[
                ClipCard(sample=clip(0), real=clip(1), prompt=NASTY, asked=asked),
                ClipCard(sample=clip(2, 80), real=clip(3, 80), prompt="", asked=asked),
            ],
            stages=[StageCurve(summary=summary, metrics=metrics)],
            fields=[
                FieldRow(key="all fields", sample=0.5, real=0.9, majority=0.2, count=2),
                FieldRow(
                    key="motion.timing", sample=0.5, real=0.9, majority=0.2, count=2
                ),
            ],
            notes={"A note": NASTY},
            configs={"ct": {"text": NASTY}},
            footer="made in 3 s",
        ),
    )
    return path.read_text(encoding="utf-8")


class Tags(html.parser.HTMLParser):
    """Checks that tags close in order; collects what the page loads."""

    VOID = ("meta", "img", "line", "rect", "circle", "polyline")

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.scripts = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.loads += [v for k, v in attrs if k in ("src", "href", "poster")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_alone(page):
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.scripts == 1  # the page's own; nobody's prompt
    assert tags.loads and all(load.startswith("data:") for load in tags.loads)
    assert "@import" not in page and "http" not in page
    assert page.count("{{css}}") == page.count(" &amp; 走る")


def test_everything_is_on_it(page):
    for text in ("ct", "39 steps in 1 min 15 s", "made in 3 s", "motion", "90%"):
        assert text in page
    for label in LABELS.values():
        assert label in page
    assert page.count('class="clip') - page.count('class="clips') == 2
    assert "1 of 2 tags read back" in page
    assert "prefers-color-scheme: dark" in page and "pixelated" in page


def test_small_clips_are_stored_without_loss():
    sample, real = clip(0), clip(1)
    uri = animation([sample, real], fps=12)
    data = base64.b64decode(re.sub("^data:image/webp;base64,", "", uri))
    image = Image.open(io.BytesIO(data))
    assert image.n_frames == 5 and image.info["loop"] == 0
    for frame in range(5):
        image.seek(frame)
        pixels = np.asarray(image.convert("RGBA"))
        assert pixels.shape == (16, 33, 4)
        np.testing.assert_array_equal(pixels[:, :16, :3], sample[frame])
        np.testing.assert_array_equal(pixels[:, 17:, :3], real[frame])
        assert pixels[:, 16, 3].max() == 0


def test_another_model_is_shown_between_them_in_the_size_of_the_largest(tmp_path):
    asked = {"motion.timing=twos": True}
    card = ClipCard(
        sample=clip(0), real=clip(1), prompt="p", asked=asked, beside=clip(2, 32)
    )
    assert list(card.shown("nano")) == ["sample", "nano", "real"]
    uri = animation(list(card.shown("nano").values()), fps=12)
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    pixels = np.asarray(image.convert("RGBA"))
    assert pixels.shape == (32, 3 * 32 + 2 * 2, 4)
    np.testing.assert_array_equal(pixels[:, 34:66, :3], card.beside[0])
    np.testing.assert_array_equal(pixels[::2, :32:2, :3], card.sample[0])
    path = tmp_path / "report.html"
    write_report(
        path,
        Report(
            title="run", facts=[], fps=12, dimensions=[], clips=[card], stages=[],
            fields=[], notes={}, configs={}, footer="", beside="nano",
        ),
    )  # fmt: skip
    text = path.read_text(encoding="utf-8")
    assert "<span>NANO</span>" in text and "Between them, what nano draws." in text


def test_held_drawings_keep_their_time():
    """An encoder that merges equal frames must still show them for as long."""
    held = clip(0)[[0, 0, 1, 1, 1, 2]]
    uri = animation([held, held], fps=10)
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    total = 0
    for frame in range(image.n_frames):
        image.seek(frame)
        image.load()
        total += image.info["duration"]
    assert total == 600


def test_a_model_without_its_run(tmp_path):
    path = tmp_path / "report.html"
    write_report(
        path,
        Report(
            title="pico", facts=[], fps=12, dimensions=[], clips=[], stages=[],
            fields=[], notes={}, configs={}, footer="",
        ),
    )  # fmt: skip
    assert "without its training run" in path.read_text(encoding="utf-8")
