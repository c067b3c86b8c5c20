"""What the shipped VAE keeps of a drawing; the figures are `benchmarks/vae.py`'s."""

import pytest

from animatrix_jax.models.config import VAEConfig, from_dict
from animatrix_jax.training.weights import load_component
from benchmarks import vae as benchmark


@pytest.fixture(scope="module")
def code():
    component = load_component("pico", "vae")
    config = from_dict(VAEConfig, component.config["model"]["vae"])
    return benchmark.make_vae(component.params, config)


def test_an_impact_frame_stays_one_frame(code):
    clips = benchmark.draw("test", 16, tags=("vfx.impact=impact_frame",))
    kept = benchmark.kept(clips, code(clips), benchmark.impact_response)
    assert kept > 0.6


def test_a_thin_line_stays(code):
    clips = benchmark.draw("test", 16)
    made = code(clips)
    assert benchmark.psnr(clips, made) > 20
    assert benchmark.kept(clips, made, benchmark.line_response) > 0.3
