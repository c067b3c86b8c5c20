"""How hard a VAE's latents are to generate: the flow loss of the best linear denoiser.

    python -m benchmarks.latents [--checkpoint=pico] [--clips=2048] [--json]

For a Gaussian of covariance eigenvalues l_i, the least mean error of the velocity at noise
level s is the mean of l_i / ((1 - s)^2 l_i + s^2), without tags or text. It is averaged
over the noise levels of training. A generator whose loss is above it has learnt less than
the covariance of one frame; `cell` and `frame` are the bounds of a denoiser that sees one
latent position, or one latent frame. `rank50` and `rank90` are how many of the frame's
directions hold a half and nine tenths of its variance. Fewer clips than some times the
dimensions flatter the bound. `first` and `later` are latent frames as the generator sees
them; `raw` ones are as the encoder gives them, scaled to deviation 1.
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
        raw = vae.encode(video).mode
        return vae.normalize(raw), raw

    videos = draw("train", FLAGS.clips - FLAGS.clips % _BATCH)
    batches = range(0, len(videos), _BATCH)
    parts = [jax.device_get(encode(videos[i : i + _BATCH])) for i in batches]
    seen, raw = (np.concatenate(both) for both in zip(*parts))
    report = {
        "first": measure(seen[:, 0]),
        "later": measure(seen[:, 2]),
        "raw first": measure(raw[:, 0] / raw[:, 0].std()),
        "raw later": measure(raw[:, 2] / raw[:, 2].std()),
    }
    for name, figures in report.items():
        print(f"{name:<10} {figures}")
    app.print_json(json.loads(json.dumps(report)))


def measure(frame: np.ndarray) -> dict[str, float]:
    """Bounds and ranks of one latent frame [n h w c]."""
    spectrum = eigenvalues(frame.reshape(len(frame), -1))
    share = np.cumsum(spectrum) / spectrum.sum()
    return {
        "cell": bound(eigenvalues(frame.reshape(-1, frame.shape[-1]))),
        "frame": bound(spectrum),
        "rank50": int(np.searchsorted(share, 0.5)) + 1,
        "rank90": int(np.searchsorted(share, 0.9)) + 1,
        "dimensions": len(spectrum),
    }


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
