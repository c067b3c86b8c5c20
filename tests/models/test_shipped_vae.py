"""The shipped VAE keeps more of a drawing than the best linear code of its rate: lines,
single frames, and all in all; by `benchmarks/vae.py`, on fewer clips of the world that it
was tuned on."""

import functools

import pytest

from animatrix_jax.models.config import VAEConfig, from_dict
from animatrix_jax.training.weights import load_component
from benchmarks import vae as benchmark

draw = functools.partial(benchmark.draw, odds="series")


@pytest.fixture(scope="module")
def codes():
    component = load_component("pico", "vae")
    config = from_dict(VAEConfig, component.config["model"]["vae"])
    linear = benchmark.LinearCode(draw("train", 256), config)
    return benchmark.make_vae(component.params, config), linear


def test_an_impact_frame_stays_one_frame(codes):
    clips = draw("test", 16, tags=("vfx.impact=impact_frame",))
    vae, linear = (
        benchmark.kept(clips, code(clips), benchmark.impact_response) for code in codes
    )
    assert vae > max(linear, 0.6)


def test_thin_lines_and_20_db_stay(codes):
    clips = draw("test", 32)
    vae, linear = (code(clips) for code in codes)
    assert benchmark.psnr(clips, vae) > max(benchmark.psnr(clips, linear), 20)
    kept = [
        benchmark.kept(clips, made, benchmark.line_response) for made in (vae, linear)
    ]
    assert kept[0] > kept[1]
