"""Charts: well-formed SVG, inside their frame, whatever the numbers are."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from animatrix_jax.evaluation.charts import (
    Series,
    agreement_bar,
    line_chart,
    score_gauge,
    share_bar,
    smooth,
    ticks,
)
from animatrix_jax.statistics import Interval

SERIES = {
    "falling": [2.0, 1.5, 1.2, 1.1],
    "constant": [1.0, 1.0, 1.0, 1.0],
    "decades": [1000.0, 10.0, 0.1, 0.001],
    "negative": [-5.0, 3.0, -1.0, 0.0],
    "below": [-10.5, -10.2, -10.0, -10.1],
    "spiked": [9e9, 1.0, 1.0, 1.0],
    "broken": [float("nan"), 1.0, float("inf"), 2.0],
    "single": [3.0],
}


@pytest.mark.parametrize("name", SERIES)
def test_lines_stay_in_the_frame(name):
    values = SERIES[name]
    steps = list(range(10, 10 + len(values)))
    svg = line_chart(
        [
            Series(name="a<b", steps=steps, values=values, style="faint"),
            Series(name="dots", steps=steps, values=values, style="dots"),
        ]
    )
    root = ElementTree.fromstring(svg)
    assert "nan" not in svg.lower().replace("a&lt;b", "") and "inf" not in svg
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for points in re.findall(r'points="([^"]*)"', svg):
        for pair in points.split():
            x, y = map(float, pair.split(","))
            assert -1 <= x <= width + 1
            if name != "spiked":  # a spike leaves through the top, by design
                assert -1 <= y <= height + 1


def test_nothing_to_draw():
    assert "no values" in line_chart([Series(name="a", steps=[], values=[])])


def test_smoothing_keeps_the_mean_and_the_ends():
    values = np.random.default_rng(0).normal(1.0, 0.3, 200).tolist()
    soft = smooth(values, span=0.2)
    assert len(soft) == 200
    assert np.std(soft) < 0.5 * np.std(values)
    assert np.mean(soft) == pytest.approx(np.mean(values), abs=0.05)
    assert smooth([5.0, 1.0]) == [5.0, 1.0]
    values[50] = float("nan")
    assert np.isfinite(smooth(values, span=0.2)).all()


@pytest.mark.parametrize("low,high", [(0, 1), (0.53, 0.55), (20, 1200), (-3, 7)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high, 4)
    assert 2 <= len(found) <= 9
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in found)
    assert np.allclose(np.diff(found), np.diff(found)[0])


def test_gauge_and_bars_are_clipped():
    gauge = score_gauge(Interval(value=7.0, low=-2.0, high=9.0))
    for x in re.findall(r'c?x="([-\d.]+)"', gauge):
        assert 0 <= float(x) <= 220
    bar = agreement_bar(sample=1.7, real=0.5, chance=-1.0)
    for svg in (gauge, bar, share_bar([("a&b", 3.0), ("c", 0.0)]), share_bar([])):
        ElementTree.fromstring(svg)
