"""report.html: one file that shows a run, clips that play included.

Everything is inside the page (clips as data, charts as SVG, style as text), so it can be
sent, kept, and opened with no network. The page's frame is `report.html` and
`report.css` beside this module; this module fills it.
"""

import base64
import dataclasses
import html
import io
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from animatrix_jax.evaluation import charts
from animatrix_jax.evaluation.dimensions import LABELS, Dimension
from animatrix_jax.files import replacing

_FOLDER = pathlib.Path(__file__).parent
# Up to this many pixels a side clips are pixel art: lossless, and scaled up crisply.
_CRISP = 64
_MEANING = {
    "style_fidelity": "Style tags read back by the probe, and the distance in its "
    "feature space to the real clip of the prompt, between that of another real clip of "
    "the same tags and that of an unrelated one.",
    "prompt_understanding": "Tags of every field read back by the probe.",
    "artistic_motion": "Motion and camera tags read back, the energy of the motion, and "
    "the cadence: how many frames repeat the drawing before them.",
    "structural_stability": "The judge's four heads: face topology, limb structure, line "
    "continuity, motion coherence. This one is not relative.",
    "anime_aesthetic": "Distance of the samples' distribution of features from the real "
    "one's, and the share of flat areas and of lines; chance here is the real clips with "
    "their drawing blurred away.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipCard:
    """A sample beside the real clip of its prompt.

    Attributes:
      asked: tags of the prompt, each with whether the probe reads it in the sample.
      beside: what another model makes of the prompt, in its own size.
    """

    sample: UInt8[np.ndarray, "t h w 3"]
    real: UInt8[np.ndarray, "t h w 3"]
    beside: UInt8[np.ndarray, "t H W 3"] | None = None
    prompt: str
    asked: Mapping[str, bool]

    def shown(self, other: str) -> dict[str, UInt8[np.ndarray, "t h w 3"]]:
        """Its clips by what they are called, `other` being the other model."""
        clips = {"sample": self.sample, other: self.beside, "real": self.real}
        return {name: clip for name, clip in clips.items() if clip is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageCurve:
    """A stage's summary and the lines of its metrics.jsonl."""

    summary: Mapping[str, Any]
    metrics: Sequence[Mapping[str, float | int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldRow:
    """Agreement on one field: samples, real clips, and the most common value."""

    key: str
    sample: float
    real: float
    majority: float
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows.

    Attributes:
      beside: the name of the model that some clips have a second sample of.
    """

    title: str
    facts: Sequence[str]
    fps: float | int
    dimensions: Sequence[Dimension]
    clips: Sequence[ClipCard]
    stages: Sequence[StageCurve]
    fields: Sequence[FieldRow]
    notes: Mapping[str, str]
    configs: Mapping[str, Any]
    footer: str
    beside: str = ""


def write_report(path: pathlib.Path, report: Report) -> None:
    """Writes the page."""
    page = (_FOLDER / "report.html").read_text(encoding="utf-8")
    count = len(report.clips)
    parts = {
        "css": (_FOLDER / "report.css").read_text(encoding="utf-8"),
        "title": _text(report.title),
        "facts": " · ".join(map(_text, report.facts)),
        "score_lead": "From 1, what chance gives, to 5, what another real clip of the "
        "same tags gives; Structural Stability is on the judge's own scale. The band is "
        "a 95% interval over prompts.",
        "scores": "".join(map(_score_card, report.dimensions))
        or '<p class="empty">nothing was scored</p>',
        "clip_lead": f"{count} held-out prompts: clips that no stage has "
        "seen. Left the sample, right a real Cel World clip of the same tags. A tag that "
        "the probe does not read in the sample is struck through."
        + (report.beside and f" Between them, what {_text(report.beside)} draws."),
        "clips": "".join(_clip_card(clip, report) for clip in report.clips),
        "stage_lead": "Loss by step: thin as logged, bold smoothed; dots are the loss on "
        "held-out clips with fixed noise, from the averaged weights.",
        "shares": _shares(report.stages),
        "stages": "".join(map(_stage_card, report.stages))
        or '<p class="empty">this model came without its training run</p>',
        "fields": _field_table(report.fields),
        "notes": _notes(report),
        "configs": "".join(
            f"<details><summary>{_text(name)}</summary>"
            f"<pre>{_text(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
            "</details>"
            for name, value in report.configs.items()
        ),
        "footer": _text(report.footer),
    }
    # One pass, so that no value is taken for a part of the page's frame.
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page)
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")


def animation(clips: Sequence[UInt8[np.ndarray, "t _ _ 3"]], *, fps: float) -> str:
    """Clips side by side as one looping WebP data URI, so that they keep step.

    Each takes the size of the largest. Small clips are stored without loss: chroma
    subsampling would smear 32 pixels.
    """
    height, width = np.max([clip.shape[1:3] for clip in clips], axis=0).tolist()
    gap = max(width // 16, 1)
    frames = []
    for images in zip(*clips):
        canvas = Image.new("RGBA", (len(clips) * (width + gap) - gap, height))
        for n, image in enumerate(images):
            picture = Image.fromarray(image).resize((width, height), Image.NEAREST)
            canvas.paste(picture, (n * (width + gap), 0))
        frames.append(canvas)
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / fps),
        loop=0,
        lossless=max(height, width) <= _CRISP,
        quality=88,
        method=4,
    )
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _score_card(dimension: Dimension) -> str:
    score = dimension.score
    parts = "".join(
        f"<li>{_text(name)}<b>{value:.2f}</b></li>"
        for name, value in dimension.parts.items()
    )
    return (
        f'<div class="card"><h3>{LABELS[dimension.name]}</h3>'
        f'<p class="number">{score.value:.2f}<small> / 5</small></p>'
        f'<p class="range">{score.low:.2f} – {score.high:.2f}</p>'
        f'{charts.score_gauge(score)}<ul class="parts">{parts}</ul></div>'
    )


def _clip_card(clip: ClipCard, report: Report) -> str:
    clips = clip.shown(report.beside)
    names = "".join(f"<span>{_text(name).upper()}</span>" for name in clips)
    height, width = clip.sample.shape[1:3]
    smooth = "" if max(height, width) <= _CRISP else " smooth"
    read = sum(clip.asked.values())
    shown = sorted(clip.asked.items(), key=lambda item: _rank(item[0]))
    first, rest = shown[:8], shown[8:]
    more = (
        f'<details class="more"><summary>{len(rest)} more tags</summary>'
        f"{_tag_list(rest)}</details>"
        if rest
        else ""
    )
    return (
        f'<article class="clip{smooth}">'
        f'<img alt="{_text(clip.prompt)}" width="{len(clips) * width}" height="{height}" '
        f'loading="lazy" src="{animation(list(clips.values()), fps=report.fps)}">'
        f'<div class="who">{names}</div>'
        f"<p>{_text(clip.prompt)}</p>{_tag_list(first)}{more}"
        f'<div class="tally">{read} of {len(clip.asked)} tags read back</div></article>'
    )


# What a person sees at a glance comes first.
_FIRST = (
    "style.rendering",
    "motion.motion_style",
    "camera.camera_motion",
    "camera.shot_size",
    "motion.deformation",
    "style.palette",
    "vfx.impact",
    "motion.timing",
)


def _rank(tag: str) -> tuple[int, str]:
    key, _, value = tag.partition("=")
    dull = value in ("none", "fix")
    return (len(_FIRST) + dull if key not in _FIRST else _FIRST.index(key)), tag


def _tag_list(tags: Sequence[tuple[str, bool]]) -> str:
    items = []
    for tag, read in tags:
        key, _, value = tag.partition("=")
        axis, _, field = key.partition(".")
        label = f"no {field}" if value == "none" else value.replace("_", " ")
        note = "read back" if read else "not read back"
        items.append(
            f'<li class="{_text(axis)}{"" if read else " missed"}" '
            f'title="{_text(tag)} · {note}">{_text(label.replace("_", " "))}</li>'
        )
    return f'<ul class="tags">{"".join(items)}</ul>'


def _stage_card(stage: StageCurve) -> str:
    summary = stage.summary
    steps = [line["step"] for line in stage.metrics if "loss" in line]
    values = [line["loss"] for line in stage.metrics if "loss" in line]
    held = [line for line in stage.metrics if "validation_loss" in line]
    chart = charts.line_chart(
        [
            charts.Series(name="loss", steps=steps, values=values, style="faint"),
            charts.Series(name="smoothed", steps=steps, values=charts.smooth(values)),
            charts.Series(
                name="held-out loss",
                steps=[line["step"] for line in held],
                values=[line["validation_loss"] for line in held],
                style="dots",
            ),
        ]
    )
    first, last = summary["loss_first"], summary["loss_last"]
    way = "down" if last < first else "up"
    return (
        f'<article class="stage"><header><h3>{_text(summary["name"])}</h3>'
        f'<span class="fall">{first:.4g} <i>→</i> '
        f'<span class="{way}">{last:.4g}</span></span></header>{chart}'
        f"<footer>{summary['steps']:,} steps in {_duration(summary['seconds'])}</footer>"
        "</article>"
    )


def _shares(stages: Sequence[StageCurve]) -> str:
    if not stages:
        return ""
    amounts = [(s.summary["name"], float(s.summary["seconds"])) for s in stages]
    legend = "".join(
        f'<span><i class="s{i % 8}"></i>{_text(name)} {_duration(seconds)}</span>'
        for i, (name, seconds) in enumerate(amounts)
    )
    return f'{charts.share_bar(amounts)}<div class="legend">{legend}</div>'


def _field_table(rows: Sequence[FieldRow]) -> str:
    head = (
        '<tr><th>field</th><th></th><th class="n">samples</th><th class="n">real</th>'
        '<th class="n">most common</th><th class="n">clips</th></tr>'
    )
    body = []
    for row in rows:
        axis, _, name = row.key.rpartition(".")
        label = (
            f'<span class="axis">{_text(axis)}</span>{_text(name.replace("_", " "))}'
        )
        bar = charts.agreement_bar(
            sample=row.sample, real=row.real, chance=row.majority
        )
        style = "" if axis else ' class="sum"'
        body.append(
            f'<tr{style}><td>{label}</td><td class="b">{bar}</td>'
            f'<td class="n">{100 * row.sample:.0f}%</td>'
            f'<td class="n">{100 * row.real:.0f}%</td>'
            f'<td class="n">{100 * row.majority:.0f}%</td>'
            f'<td class="n">{row.count}</td></tr>'
        )
    return head + "".join(body)


def _notes(report: Report) -> str:
    meanings = {LABELS[d.name]: _MEANING[d.name] for d in report.dimensions}
    return "<dl>{}</dl>".format(
        "".join(
            f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>"
            for name, text in (meanings | dict(report.notes)).items()
        )
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _text(value: Any) -> str:
    return html.escape(str(value))
