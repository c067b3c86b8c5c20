"""The VAE's loss: its terms by hand, and what each of them is there to see."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from animatrix_jax.models.vae import Gaussian
from animatrix_jax.objectives.autoencoding import (
    AutoencodingConfig,
    autoencoding_loss,
    kl_divergence,
)

CONFIG = AutoencodingConfig()
SHAPE = (2, 5, 8, 12, 3)
UNIT = Gaussian(mean=jnp.zeros((1, 2, 2, 3, 4)), logvar=jnp.zeros((1, 2, 2, 3, 4)))


def terms(video, reconstruction, gaussian=UNIT, config=CONFIG) -> dict[str, float]:
    compute = jax.jit(autoencoding_loss, static_argnums=3)
    result = compute(video, reconstruction, gaussian, config)
    return {name: float(value) for name, value in result.items()}


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE).astype(np.float32)


def magnitude(error: np.ndarray) -> float:
    return np.abs(error).mean() + CONFIG.square * np.square(error).mean()


def test_the_terms_are_the_equations():
    video, other = noise(0), noise(1)
    error = other - video
    result = terms(video, other)
    edge = magnitude(np.diff(error, axis=2)) + magnitude(np.diff(error, axis=3))
    two = (error[:, :, ::2] + error[:, :, 1::2]) / 2
    two = (two[:, :, :, ::2] + two[:, :, :, 1::2]) / 2
    four = (two[:, :, ::2] + two[:, :, 1::2]) / 2
    four = (four[:, :, :, ::2] + four[:, :, :, 1::2]) / 2
    expected = {
        "pixel": magnitude(error),
        "edge": edge,
        "temporal": magnitude(np.diff(error, axis=1)),
        "coarse": magnitude(two) + magnitude(four),
        "kl": 0.0,
        "psnr": 10 * np.log10(4 / np.square(error).mean()),
    }
    expected["loss"] = (
        expected["pixel"]
        + CONFIG.edge * expected["edge"]
        + CONFIG.temporal * expected["temporal"]
        + CONFIG.coarse * expected["coarse"]
    )
    assert result == pytest.approx(expected, rel=1e-4)


def test_nothing_is_lost_when_nothing_differs():
    result = terms(noise(0), noise(0))
    assert result["loss"] == 0
    assert result["psnr"] > 90


def test_edges_and_time_see_what_a_flat_error_hides():
    """Absolute errors of one size: a line costs by its edges, a flash by its time."""
    video = np.zeros(SHAPE, np.float32)
    flat, line, flash = (video.copy() for _ in range(3))
    line[:, :, :, 6] = 1.0
    flash[:, 2] = 5 / 12
    flat += 1 / 12
    absolute = AutoencodingConfig(square=0.0)
    flat, line, flash = (
        terms(video, other, config=absolute) for other in (flat, line, flash)
    )
    assert line["pixel"] == pytest.approx(flat["pixel"], rel=1e-4)
    assert line["pixel"] == pytest.approx(flash["pixel"], rel=1e-4)
    assert flat["edge"] == flash["edge"] == 0 < line["edge"]
    assert flat["temporal"] == line["temporal"] == 0 < flash["temporal"]


@pytest.mark.parametrize(("square", "best"), [(0.0, 0.0), (2.5, 0.22)])
def test_a_detail_in_doubt_leaves_a_trace_by_the_square_alone(square, best):
    """Three clips in ten have an eye at a pixel: which value there costs least?"""
    config = AutoencodingConfig(square=square, edge=0, temporal=0, coarse=0, kl=0)
    video = np.zeros((10, 1, 1, 1, 3), np.float32)
    video[:3] = 1.0
    shades = np.linspace(0, 1, 101)
    costs = [
        terms(video, np.full_like(video, s), config=config)["loss"] for s in shades
    ]
    # 0.3 (1 - s) + 0.7 s + w (0.3 (1 - s)^2 + 0.7 s^2) has no slope at 0.3 - 0.2 / w.
    assert shades[np.argmin(costs)] == pytest.approx(best, abs=0.011)


def test_a_single_frame_has_no_time():
    result = terms(noise(0)[:, :1], noise(1)[:, :1])
    assert result["temporal"] == 0
    assert np.isfinite(list(result.values())).all()


def test_divergence_is_that_of_the_closed_form():
    """By Monte Carlo: E_q [log q - log p]."""
    mean, logvar = 0.7, -1.2
    drawn = mean + np.exp(logvar / 2) * np.random.default_rng(0).standard_normal(
        200_000
    )
    log_q = -0.5 * (logvar + (drawn - mean) ** 2 / np.exp(logvar))
    expected = (log_q + 0.5 * drawn**2).mean()
    shape = (1, 1, 2, 2, 1)
    gaussian = Gaussian(mean=jnp.full(shape, mean), logvar=jnp.full(shape, logvar))
    assert float(kl_divergence(gaussian)) == pytest.approx(expected, abs=0.01)
    assert float(kl_divergence(UNIT)) == 0
    weighty = terms(noise(0), noise(0), gaussian, AutoencodingConfig(kl=2.0))
    assert weighty["loss"] == pytest.approx(2 * weighty["kl"])


def test_the_gradient_points_at_the_video():
    video, start = jnp.asarray(noise(0)), jnp.asarray(noise(1))

    def loss(reconstruction):
        return autoencoding_loss(video, reconstruction, UNIT, CONFIG)["loss"]

    loss = jax.jit(loss)
    gradient = jax.jit(jax.grad(loss))(start)
    step = 0.05 * gradient / jnp.abs(gradient).max()
    assert float(loss(start - step)) < float(loss(start))
    assert float((gradient * (start - video)).sum()) > 0
