"""How hard a VAE's latents are to generate: the flow loss of the best linear denoiser.

    python -m benchmarks.latents [--checkpoint=pico] [--clips=2048] [--json]

For a Gaussian of covariance eigenvalues l_i, the least mean error of the velocity at noise
level s is the mean of l_i / ((1 - s)^2 l_i + s^2), without tags or text. It is averaged
over the noise levels of training. A generator whose loss is above it has learnt less than
the covariance of one frame; `cell` and `frame` are the bounds of a denoiser that sees one
latent position, or one latent frame. `rank90` is how many of the frame's directions hold
nine tenths of its variance. Fewer clips than some times the dimensions flatter the bound.
"""

import json

import jax
import numpy as np
from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.models.config import VAEConfig, from_dict
from animatrix_jax.models.functional import bind
from animatrix_jax.models.vae import VAE
from animatrix_jax.objectives.flow_matching import FlowConfig, sample_sigma
from animatrix_jax.training.weights import load_component
from benchmarks.vae import draw

FLAGS = flags.FLAGS
_BATCH, _LEVELS = 16, 256


def main(argv: list[str]) -> None:
    """Prints the bounds of the first latent frame and of a later one."""
    del argv
    component = load_component(FLAGS.checkpoint, "vae")
    config = from_dict(VAEConfig, component.config["model"]["vae"])
    params = jax.device_put(component.params)

    @jax.jit
    def encode(video):
        vae = bind(lambda rngs: VAE(config, rngs=rngs), params)
        return vae.encode_pixels(video)

    videos = draw("train", FLAGS.clips - FLAGS.clips % _BATCH)
    parts = [
        np.asarray(encode(videos[i : i + _BATCH]))
        for i in range(0, len(videos), _BATCH)
    ]
    latents = np.concatenate(parts)
    report = {}
    for name, frame in (("first", latents[:, 0]), ("later", latents[:, 2])):
        spectrum = eigenvalues(frame.reshape(len(frame), -1))
        share = np.cumsum(spectrum) / spectrum.sum()
        report[name] = {
            "cell": bound(eigenvalues(frame.reshape(-1, frame.shape[-1]))),
            "frame": bound(spectrum),
            "rank90": int(np.searchsorted(share, 0.9)) + 1,
            "dimensions": len(spectrum),
        }
        print(name, report[name])
    app.print_json(json.loads(json.dumps(report)))


def eigenvalues(rows: np.ndarray) -> np.ndarray:
    """Of the covariance, falling."""
    rows = rows - rows.mean(axis=0)
    return np.linalg.eigvalsh(rows.T @ rows / len(rows)).clip(0)[::-1]


def bound(spectrum: np.ndarray) -> float:
    """Mean over the noise levels of training."""
    levels = np.asarray(sample_sigma(jax.random.key(0), _LEVELS, FlowConfig()))
    s = levels[:, None]
    return round(float((spectrum / ((1 - s) ** 2 * spectrum + s**2)).mean()), 4)


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "pico", "A shipped model's name, or a run.")
    flags.DEFINE_integer("clips", 2048, "Of the training split.", lower_bound=256)
    app.run(main)
