"""The shipped VAE keeps more of a drawing than the best linear code of its rate: lines,
single frames, and all in all; by `benchmarks/vae.py`, on fewer clips."""

import pytest

from animatrix_jax.models.config import VAEConfig, from_dict
from animatrix_jax.training.weights import load_component
from benchmarks import vae as benchmark


@pytest.fixture(scope="module")
def codes():
    component = load_component("pico", "vae")
    config = from_dict(VAEConfig, component.config["model"]["vae"])
    linear = benchmark.LinearCode(benchmark.draw("train", 256), config)
    return benchmark.make_vae(component.params, config), linear


def test_an_impact_frame_stays_one_frame(codes):
    clips = benchmark.draw("test", 16, tags=("vfx.impact=impact_frame",))
    vae, linear = (
        benchmark.kept(clips, code(clips), benchmark.impact_response) for code in codes
    )
    assert vae > max(linear, 0.6)


def test_a_thin_line_stays(codes):
    clips = benchmark.draw("test", 32)
    vae, linear = (code(clips) for code in codes)
    assert benchmark.psnr(clips, vae) > benchmark.psnr(clips, linear)
    kept = [
        benchmark.kept(clips, made, benchmark.line_response) for made in (vae, linear)
    ]
    assert kept[0] > kept[1]


@pytest.mark.xfail(strict=True, reason="trained before Cel World drew every field")
def test_20_db_are_kept(codes):
    """It had 20.67 dB of what was drawn then; to be trained anew (decision 0003)."""
    clips = benchmark.draw("test", 32)
    assert benchmark.psnr(clips, codes[0](clips)) > 20
