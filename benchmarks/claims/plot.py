"""The two guidances as a picture: accuracy and sharpness over w_tag, a line a w_text."""

import html
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from animatrix_jax.evaluation.charts import ticks

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _GAP = 720, 280, 46, 40, 28, 60
# Read alike in light and dark: Okabe and Ito's blue, orange, green.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
_GREY = "#888"
_ASIDE = 5  # pixels between the lines' points at one w_tag


def plot(found: Mapping[str, Any]) -> str:
    """The SVG of the claim `dual_guidance`.

    Args:
      found: its part of results.json.
    """
    grid = found["grid"]
    pairs = {tuple(map(float, name.split())): one for name, one in grid.items()}
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box}>']
    width = (_WIDTH - 2 * _LEFT - _GAP) / 2
    panels = (
        ("tag accuracy, %, with 95% intervals", _accuracy),
        ("sharpness over the real clips'", lambda one: 3 * (one["sharpness"],)),
    )
    for number, (title, value) in enumerate(panels):
        left = _LEFT + number * (width + _GAP)
        parts += _panel(pairs, value, title=title, left=left, width=width)
    sweet = tuple(map(float, found["sweet_spot"].split()))
    for number, text in enumerate(sorted({text for text, _ in pairs})):
        star = f" (best: w_tag {sweet[1]:g})" if text == sweet[0] else ""
        parts.append(
            f'<text x="{_LEFT + 200 * number}" y="{_HEIGHT - 4}" '
            f'fill="{_COLOURS[number]}">w_text {text:g}{star}</text>'
        )
    return "".join([*parts, "</svg>\n"])


def _accuracy(one: Mapping[str, Any]) -> tuple[float, float, float]:
    """Low, value and high, in %."""
    low, value, high = (100 * one["accuracy"][k] for k in ("low", "value", "high"))
    return low, value, high


def _panel(
    pairs: Mapping[tuple[float, float], Any],
    interval: Callable[[Any], tuple[float, float, float]],
    *,
    title: str,
    left: float,
    width: float,
) -> list[str]:
    tags = np.array(sorted({tag for _, tag in pairs}))
    texts = sorted({text for text, _ in pairs})
    low, high = 0.0, 1.05 * max(interval(one)[-1] for one in pairs.values())
    bottom, tall = _HEIGHT - _BOTTOM - 18, _HEIGHT - _BOTTOM - 18 - _TOP

    def x(tag: float) -> float:
        return left + width * float(
            np.log2(tag / tags[0]) / np.log2(tags[-1] / tags[0])
        )

    def y(number: float) -> float:
        return bottom - tall * (number - low) / (high - low)

    parts = [f'<text x="{left}" y="14" fill="{_GREY}">{html.escape(title)}</text>']
    for mark in ticks(low, high, 5):
        parts.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y(mark):.1f}" '
            f'y2="{y(mark):.1f}" stroke="{_GREY}" stroke-opacity="0.25"/>'
            f'<text x="{left - 6}" y="{y(mark) + 4:.1f}" text-anchor="end" '
            f'fill="{_GREY}">{mark:.3g}</text>'
        )
    for tag in tags:
        parts.append(
            f'<text x="{x(tag):.1f}" y="{bottom + 16}" text-anchor="middle" '
            f'fill="{_GREY}">{tag:g}</text>'
        )
    parts.append(
        f'<text x="{left + width / 2}" y="{bottom + 30}" text-anchor="middle" '
        f'fill="{_GREY}">w_tag</text>'
    )
    for number, text in enumerate(texts):
        # Side by side, so that no interval hides another.
        aside = _ASIDE * (number - (len(texts) - 1) / 2)
        spans = [(x(tag) + aside, *map(y, interval(pairs[text, tag]))) for tag in tags]
        points = [(px, middle) for px, _, middle, _ in spans]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        colour = _COLOURS[number]
        parts += [
            f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{foot:.1f}" y2="{head:.1f}" '
            f'stroke="{colour}" stroke-opacity="0.5"/>'
            for px, foot, _, head in spans
            if foot != head
        ]
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>'
            for px, py in points
        ]
    return parts
