"""Charts of the report as inline SVG: no scripts, no files, colours from the page's CSS.

Every function returns markup. Colours are classes (`c-a`, `c-b`, ...), so that the dark
and the light theme share one drawing.
"""

import dataclasses
import html
import math
from collections.abc import Sequence

import numpy as np

from animatrix_jax.statistics import Interval

Number = float | int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart: steps and values, and how it is drawn.

    Attributes:
      style: "faint" for raw values, "line" for the main curve, "dots" for marks.
    """

    name: str
    steps: Sequence[Number]
    values: Sequence[Number]
    style: str = "line"


def smooth(values: Sequence[Number], *, span: float = 0.08) -> list[float]:
    """A centred running mean over `span` of the points; the ends keep what they have.

    Values that are not finite count for nothing; a mean of none is NaN.
    """
    array = np.asarray(values, np.float64)
    half = round(len(array) * span / 2)
    if half == 0:
        return array.tolist()
    finite = np.isfinite(array)
    sums, counts = (
        np.concatenate([[0.0], np.cumsum(x)])
        for x in (np.where(finite, array, 0.0), finite)
    )
    low = np.maximum(np.arange(len(array)) - half, 0)
    high = np.minimum(np.arange(len(array)) + half + 1, len(array))
    count = counts[high] - counts[low]
    mean = (sums[high] - sums[low]) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan).tolist()


def line_chart(series: Sequence[Series], *, width: int = 420, height: int = 190) -> str:
    """Curves over steps with ticks; the scale is logarithmic over two decades or more.

    Values that are not finite are left out.
    """
    kept = [_finite(s) for s in series]
    kept = [s for s in kept if len(s.values)]
    if not kept:
        return '<p class="empty">no values were logged</p>'
    left, right, top, bottom = 46, 12, 10, 24
    values = np.concatenate([np.asarray(s.values, np.float64) for s in kept])
    steps = np.concatenate([np.asarray(s.steps, np.float64) for s in kept])
    log = bool(values.min() > 0 and values.max() / values.min() > 50)
    low, high = _limits(values, log)
    first, last = float(steps.min()), float(max(steps.max(), steps.min() + 1))

    def x(step: float) -> float:
        return left + (width - left - right) * (step - first) / (last - first)

    def y(value: float) -> float:
        if log:
            share = math.log(value / low) / math.log(high / low)
        else:
            share = (value - low) / (high - low)
        return height - bottom - (height - top - bottom) * share

    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img">']
    for tick in _log_ticks(low, high) if log else ticks(low, high, 4):
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(tick):.1f}" '
            f'y2="{y(tick):.1f}"/><text x="{left - 6}" y="{y(tick) + 3.5:.1f}" '
            f'text-anchor="end">{tick:.4g}</text>'
        )
    for tick in ticks(first, last, 4):
        anchor = "end" if x(tick) > width - 30 else "middle"
        parts.append(
            f'<text x="{x(tick):.1f}" y="{height - 7}" text-anchor="{anchor}">'
            f"{tick:,.0f}</text>"
        )
    for item in kept:
        points = [(x(s), y(v)) for s, v in zip(item.steps, item.values)]
        title = f"<title>{html.escape(item.name)}</title>"
        if item.style == "dots":
            parts += [
                f'<circle class="dots" cx="{px:.1f}" cy="{py:.1f}" r="2.6">{title}'
                "</circle>"
                for px, py in points
            ]
        text = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(
            f'<polyline class="{item.style}" points="{text}">{title}</polyline>'
        )
    parts.append("</svg>")
    return "".join(parts)


def score_gauge(score: Interval, *, width: int = 220) -> str:
    """A score from 1 to 5 on its track, with the interval as a band."""
    left, right, middle = 6, 6, 14

    def x(value: Number) -> float:
        return left + (width - left - right) * (min(max(value, 1.0), 5.0) - 1.0) / 4.0

    marks = "".join(
        f'<line class="tickmark" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{middle - 5}" '
        f'y2="{middle + 5}"/><text x="{x(v):.1f}" y="{middle + 17}" '
        f'text-anchor="middle">{v}</text>'
        for v in (1, 2, 3, 4, 5)
    )
    band = max(x(score.high) - x(score.low), 2.0)
    return (
        f'<svg class="gauge" viewBox="0 0 {width} 36" role="img">'
        f'<line class="track" x1="{x(1)}" x2="{x(5)}" y1="{middle}" y2="{middle}"/>'
        f'{marks}<rect class="band" x="{x(score.low):.1f}" y="{middle - 4}" '
        f'width="{band:.1f}" height="8" rx="4"/>'
        f'<circle class="mark" cx="{x(score.value):.1f}" cy="{middle}" r="5.5"/></svg>'
    )


def agreement_bar(*, sample: float, real: float, chance: float) -> str:
    """Agreement of samples as a bar, with ticks for the real clips and for chance."""

    def at(value: float) -> str:
        return f"{100 * min(max(value, 0.0), 1.0):.1f}"

    return (
        '<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" role="img">'
        '<rect class="rail" x="0" y="3" width="100" height="6"/>'
        f'<rect class="fill" x="0" y="3" width="{at(sample)}" height="6"/>'
        f'<rect class="chance" x="{at(chance)}" y="0" width="0.8" height="12"/>'
        f'<rect class="real" x="{at(real)}" y="0" width="0.8" height="12"/></svg>'
    )


def share_bar(shares: Sequence[tuple[str, Number]]) -> str:
    """One stacked bar of named amounts."""
    total = sum(amount for _, amount in shares) or 1.0
    parts, start = [], 0.0
    for index, (name, amount) in enumerate(shares):
        width = 100.0 * amount / total
        parts.append(
            f'<rect class="s{index % 8}" x="{start:.2f}" y="0" width="{width:.2f}" '
            f'height="10"><title>{html.escape(name)}</title></rect>'
        )
        start += width
    return (
        '<svg class="shares" viewBox="0 0 100 10" preserveAspectRatio="none" '
        f'role="img">{"".join(parts)}</svg>'
    )


def ticks(low: Number, high: Number, count: int) -> list[float]:
    """About `count` round numbers within [low, high]."""
    raw = (high - low) / max(count, 1)
    if raw <= 0:
        return [low]
    unit = 10.0 ** math.floor(math.log10(raw))
    step = min((m * unit for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    return [10.0**i for i in range(first, last + 1)] or [low, high]


def _limits(values: np.ndarray, log: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if log:
        return low / 1.1, high * 1.1
    # One spike early in training must not flatten the rest.
    most = float(np.quantile(values, 0.995))
    high = min(high, most + 0.1 * abs(most) + 1e-12)
    margin = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - margin, max(high, float(np.median(values))) + margin


def _finite(series: Series) -> Series:
    pairs = [(s, v) for s, v in zip(series.steps, series.values) if math.isfinite(v)]
    return dataclasses.replace(
        series, steps=[s for s, _ in pairs], values=[v for _, v in pairs]
    )
