"""The step time: against a published one, and by hand."""

import pytest

from animatrix_jax.planning import chips, roofline, timeline

V5P = chips.chip("v5p")


def test_the_peers_published_step_within_15_percent():
    """maxdiffusion's Wan 2.1 14B on 4 v5p chips: 36.0 s; see docs/plan.md."""
    given = roofline.calibration(roofline.Peer())
    assert given["ratio"] == pytest.approx(1.0, abs=0.15)


def test_a_step_by_hand():
    line = timeline.Timeline(
        total=10.0, compute=3.0, attention=6.0, exposed=1.0, collective=2.0
    )
    assumed = timeline.Efficiency(attention=0.5, matmul=1.0)
    flops = 0.4 * 10.0 * 4 * V5P.flops
    given = roofline.predict(
        line, chip=V5P, chips=4, model_flops=flops, assumed=assumed
    )
    assert given.mfu == pytest.approx(0.4)
    assert given.bound == "attention"
    # A kernel at 0.6 takes 5 s and not 6.
    assert given.by_attention["0.6"]["step_seconds"] == pytest.approx(9.0)
    assert given.by_attention["0.5"]["mfu"] == pytest.approx(given.mfu)


@pytest.mark.parametrize(
    "parts,bound",
    [
        ({"compute": 5.0, "memory_bytes": 1e9}, "compute"),
        ({"compute": 5.0, "memory_bytes": 4.9 * V5P.hbm_bandwidth}, "memory"),
        ({"exposed": 5.0, "collective": 6.0}, "interconnect"),
        (
            {"exposed": 5.0, "collective": 6.0, "network_bytes": 5 * V5P.network},
            "network",
        ),
    ],
)
def test_what_bounds_it(parts, bound):
    assert roofline.bound(timeline.Timeline(**parts), V5P) == bound


@pytest.mark.parametrize("wrong", [0.0, 1.5])
def test_an_efficiency_beyond_peak_is_refused(wrong):
    with pytest.raises(ValueError, match=r"attention efficiency must be in \(0, 1\]"):
        roofline.efficiency(V5P, attention=wrong)
