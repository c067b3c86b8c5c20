"""Shapes of a cel."""

import numpy as np
import pytest
import skia

from animatrix_jax.cels.look import overlap
from animatrix_jax.cels.shapes import oval


def _iris_and_white() -> tuple[skia.Path, skia.Path]:
    """Of a clip on which Skia's own intersection gives up."""
    iris, white = skia.Path(), skia.Path()
    iris.moveTo(0.0249257293, 0.00373545289)
    for x0, y0, x1, y1 in (
        (0.0249257293, 0.186772391, -0.083051987, 0.186772391),
        (-0.191029698, 0.186772391, -0.191029698, 0.00373545289),
        (-0.191029698, -0.179301485, -0.083051987, -0.179301485),
        (0.0249257293, -0.179301485, 0.0249257293, 0.00373545289),
    ):
        iris.conicTo(x0, y0, x1, y1, 0.707106769)
    iris.close()
    white.moveTo(0.0392919518, 0.0350741111)
    for curve in (
        (0.0179805607, -0.0401332639, -0.12409538, -0.158881411, -0.247701451)
        + (-0.0538925156,),
        (-0.244859919, 0.0863279402, -0.188029557, 0.173198819, -0.11699158)
        + (0.180463389,),
        (-0.0459536128, 0.185860246, 0.0179805607, 0.136740178, 0.0392919518)
        + (0.0350741111,),
    ):
        white.cubicTo(*curve)
    white.close()
    return iris, white


@pytest.mark.parametrize("fails", [0, 1])
def test_paths_are_cut_where_skia_gives_up(monkeypatch, fails):
    """Skia 144 gives up on these two; another version may on others."""
    iris, white = _iris_and_white()
    cut, calls = skia.Op, []

    def op(*args):
        calls.append(args)
        if len(calls) <= fails:
            raise RuntimeError("Failed to apply op")
        return cut(*args)

    monkeypatch.setattr(skia, "Op", op)
    found = overlap(iris, white)
    for x, y in np.random.default_rng(0).uniform(-0.25, 0.25, (2000, 2)).tolist():
        both = iris.contains(x, y) and white.contains(x, y)
        near = iris.contains(x + 2e-3, y) == iris.contains(x - 2e-3, y)
        assert found.contains(x, y) == both or not near


def test_a_path_that_is_nowhere_is_refused():
    path = skia.Path()
    path.lineTo(float("inf"), 0.0)
    with pytest.raises(ValueError, match="infinity"):
        overlap(path, oval(0.0, 0.0, 1.0, 1.0))


def test_two_ovals_overlap_where_both_are():
    found = overlap(oval(0.0, 0.0, 1.0, 1.0), oval(1.0, 0.0, 1.0, 1.0)).getBounds()
    assert abs(found.left()) < 1e-3 and abs(found.right() - 1.0) < 1e-3
