"""The shipped VAE keeps more of a drawing than the best linear code of its rate: lines,
single frames, and all in all; by `benchmarks/vae.py`, on fewer clips."""

import functools

import pytest

from animatrix_jax.models.config import VAEConfig, from_dict
from animatrix_jax.training.weights import load_component
from benchmarks import vae as benchmark

# What it keeps of the whole of Cel World, where it was tuned on `series`.
SHORT = pytest.mark.xfail(strict=True, reason="tuned on series alone (decision 0003)")


@pytest.fixture(scope="module", params=["series", "broad"])
def code(request):
    """What draws clips of a world, the VAE, and the linear code."""
    draw = functools.partial(benchmark.draw, odds=request.param)
    component = load_component("pico", "vae")
    config = from_dict(VAEConfig, component.config["model"]["vae"])
    linear = benchmark.LinearCode(draw("train", 256), config)
    return draw, benchmark.make_vae(component.params, config), linear


def _impact(code):
    draw, *codes = code
    clips = draw("test", 16, tags=("vfx.impact=impact_frame",))
    return [benchmark.kept(clips, c(clips), benchmark.impact_response) for c in codes]


def test_more_is_kept_than_a_linear_code_keeps(code):
    draw, *codes = code
    clips = draw("test", 32)
    made = [c(clips) for c in codes]
    vae, linear = (
        (benchmark.psnr(clips, m), benchmark.kept(clips, m, benchmark.line_response))
        for m in made
    )
    assert vae[0] > linear[0] and vae[1] > linear[1]
    struck = _impact(code)
    assert struck[0] > struck[1]


@pytest.mark.parametrize(
    "code", ["series", pytest.param("broad", marks=SHORT)], indirect=True
)
def test_an_impact_frame_stays_one_frame(code):
    assert _impact(code)[0] > 0.6


@pytest.mark.parametrize(
    "code", ["series", pytest.param("broad", marks=SHORT)], indirect=True
)
def test_20_db_are_kept(code):
    draw, vae, _ = code
    clips = draw("test", 96)  # of 32 the mean is good to some 0.4 dB
    assert benchmark.psnr(clips, vae(clips)) > 20
