"""How hard a VAE's latents are to generate: the flow loss of the best linear denoiser.

    python -m benchmarks.latents [--checkpoint=pico] [--clips=2048] [--json]
    python -m benchmarks.latents --size=64 --odds=series --shift=2 --logit_std=1.6

For a Gaussian of covariance eigenvalues l_i, the least mean error of the velocity at noise
level s is the mean of l_i / ((1 - s)^2 l_i + s^2), without tags or text. It is averaged
over the noise levels of training. A generator whose loss is above it has learnt less than
the covariance of one frame; `cell` and `frame` are the bounds of a denoiser that sees one
latent position, or one latent frame. `rank50` and `rank90` are how many of the frame's
directions hold a half and nine tenths of its variance.

A direction of deviation d is as strong as the noise at s = d / (1 + d): above that level it
is hidden, below it there is nothing left to decide of it. `decided` has the level at which
each share of the variance is there, counted from the widest direction, and the share of
the levels of training (--shift, --logit_std) that lie below it. Fewer clips than some times the
dimensions flatter the bound. `first` and `later` are latent frames as the generator sees
them; `raw` ones are as the encoder gives them, scaled to deviation 1.
"""

import functools
import json
from typing import Any

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
_BATCH, _LEVELS = 16, 1024
_SHARES = (0.5, 0.75, 0.9, 0.95, 0.99)


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

    count = FLAGS.clips - FLAGS.clips % _BATCH
    videos = draw("train", count, size=FLAGS.size, odds=FLAGS.odds)
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


def measure(frame: np.ndarray) -> dict[str, Any]:
    """Bounds, ranks and levels of one latent frame [n h w c]."""
    spectrum = eigenvalues(frame.reshape(len(frame), -1))
    share = np.cumsum(spectrum) / spectrum.sum()
    return {
        "cell": bound(eigenvalues(frame.reshape(-1, frame.shape[-1]))),
        "frame": bound(spectrum),
        "rank50": int(np.searchsorted(share, 0.5)) + 1,
        "rank90": int(np.searchsorted(share, 0.9)) + 1,
        "dimensions": len(spectrum),
        "decided": {str(part): decided(spectrum, share, part) for part in _SHARES},
    }


def decided(spectrum: np.ndarray, share: np.ndarray, part: float) -> list[float]:
    """The noise level at which `part` of the variance is there, and the share of the
    levels of training below it."""
    deviation = np.sqrt(spectrum[np.searchsorted(share, part)])
    level = deviation / (1 + deviation)
    return [round(float(level), 3), round(float((levels() < level).mean()), 3)]


@functools.cache
def levels() -> np.ndarray:
    """The noise levels of training."""
    config = FlowConfig(shift=FLAGS.shift, logit_std=FLAGS.logit_std)
    return np.asarray(sample_sigma(jax.random.key(0), _LEVELS, config))


def eigenvalues(rows: np.ndarray) -> np.ndarray:
    """Of the covariance, falling."""
    rows = rows - rows.mean(axis=0)
    return np.linalg.eigvalsh(rows.T @ rows / len(rows)).clip(0)[::-1]


def bound(spectrum: np.ndarray) -> float:
    """Mean over the noise levels of training."""
    s = levels()[:, None]
    return round(float((spectrum / ((1 - s) ** 2 * spectrum + s**2)).mean()), 4)


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "pico", "A shipped model's name, or a run.")
    flags.DEFINE_integer("size", 32, "Pixels of a side.", lower_bound=16)
    flags.DEFINE_string("odds", "broad", "Of Cel World.")
    flags.DEFINE_float("shift", FlowConfig.shift, "Of the levels of training.")
    flags.DEFINE_float("logit_std", FlowConfig.logit_std, "Of the same.")
    flags.DEFINE_integer("clips", 2048, "Of the training split.", lower_bound=256)
    app.run(main)
