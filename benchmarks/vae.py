"""How much of a drawing a model's VAE keeps, against the best linear code of its rate.

    python -m benchmarks.vae [--checkpoint=pico] [--clips=96] [--json] [--sheet=FILE.png]
    python -m benchmarks.vae --size=64 --odds=series      as `nano` uses it

On clips of Cel World's test split:

    psnr      decibels, pixels in [0, 1]
    first     the same of first frames, which are coded alone
    line      <L r, L x> / <L x, L x>, L the response to dark lines one pixel wide
    impact    <P r, P x> / <P x, P x>, P a frame less the mean of the frames around it, at
              the frame where P x is largest, of clips tagged impact_frame

r is the reconstruction, x the clip; 1 is all of it, 0 none. `linear` is the projection of
each stride of pixels on its first principal components, as many as the VAE has channels,
fitted on clips of the training split; its first frame alone is coded by itself, as the
VAE's is.
"""

import json

import jax
import numpy as np
from absl import flags

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.cli import app
from animatrix_jax.data import seeds
from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.data.turns import full_turns
from animatrix_jax.data.writing import write_image
from animatrix_jax.models.config import VAEConfig, from_dict
from animatrix_jax.models.functional import bind
from animatrix_jax.models.vae import VAE, signed
from animatrix_jax.training.weights import load_component

FLAGS = flags.FLAGS
_FRAMES = 17
_FIT_CLIPS, _BATCH = 256, 16


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    component = load_component(FLAGS.checkpoint, "vae")
    config = from_dict(VAEConfig, component.config["model"]["vae"])
    where = {"size": FLAGS.size, "odds": FLAGS.odds}
    clips = draw("test", FLAGS.clips, **where)
    impact = ("vfx.impact=impact_frame",)
    struck = draw("test", FLAGS.clips // 4, tags=impact, **where)
    fitted = LinearCode(draw("train", _FIT_CLIPS, **where), config)
    report = {}
    for name, code in (("vae", make_vae(component.params, config)), ("linear", fitted)):
        made = code(clips)
        report[name] = {
            "psnr": psnr(clips, made),
            "first": psnr(clips[:, :1], made[:, :1]),
            "line": kept(clips, made, line_response),
            "impact": kept(struck, code(struck), impact_response),
        }
        figures = ", ".join(f"{k} {v:.3f}" for k, v in report[name].items())
        print(f"{name:<7} {figures}")
        if name == "vae" and FLAGS.sheet:
            shown = np.concatenate([clips[:6], struck[:2]])
            pairs = np.stack([shown, code(shown)], axis=1).reshape(-1, *shown.shape[1:])
            write_image(FLAGS.sheet, contact_sheet(pairs, frames=9, scale=3))
    app.print_json(json.loads(json.dumps(report)))


def draw(
    split: str,
    count: int,
    tags: tuple[str, ...] = (),
    *,
    size: int = 32,
    odds: str = "broad",
) -> np.ndarray:
    """uint8 [n t h w 3]."""
    world = CelWorld(
        seed=seeds.REBUILT,
        size=count,
        split=split,
        tags=tags,
        frames=_FRAMES,
        height=size,
        width=size,
        odds=odds,
    )
    return np.stack([world[i].video for i in range(count)])


def make_vae(params, config):
    """video -> reconstruction, both uint8, by the likeliest latents."""
    params = jax.device_put(params)

    @jax.jit
    def run(video):
        vae = bind(lambda rngs: VAE(config, rngs=rngs), params)
        return vae.decode(vae.encode(signed(video)).mode)

    def code(videos):
        turns = full_turns(len(videos), _BATCH)
        made = np.concatenate([np.asarray(run(videos[rows])) for rows in turns])
        return np.rint((made[: len(videos)] + 1) * 127.5).astype(np.uint8)

    return code


class LinearCode:
    """Principal components of the first frame's blocks, and of the blocks of the rest."""

    def __init__(self, videos: np.ndarray, config: VAEConfig):
        self._stride = config.stride
        self._bases = []
        for part in self._blocks(videos):
            flat = part.reshape(-1, part.shape[-1])
            mean = flat.mean(axis=0)
            _, vectors = np.linalg.eigh(np.cov((flat - mean).T))
            self._bases.append((mean, vectors[:, -config.latent_channels :]))

    def __call__(self, videos: np.ndarray) -> np.ndarray:
        """The reconstruction."""
        parts = [
            ((part - mean) @ basis) @ basis.T + mean
            for part, (mean, basis) in zip(self._blocks(videos), self._bases)
        ]
        n, _, h, w, c = videos.shape
        _, rows, columns = self._stride
        frames = [
            part.reshape(n, -1, h // rows, w // columns, length, rows, columns, c)
            .transpose(0, 1, 4, 2, 5, 3, 6, 7)
            .reshape(n, -1, h, w, c)
            for part, length in zip(parts, (1, self._stride[0]))
        ]
        whole = np.concatenate(frames, axis=1)
        return np.clip(np.rint(whole), 0, 255).astype(np.uint8)

    def _blocks(self, videos: np.ndarray) -> list[np.ndarray]:
        """[n t' h' w' (time rows columns 3)] of the first frame, and of the rest."""
        time, rows, columns = self._stride
        n, _, h, w, c = videos.shape
        blocks = []
        for part, length in ((videos[:, :1], 1), (videos[:, 1:], time)):
            split = part.reshape(
                n, -1, length, h // rows, rows, w // columns, columns, c
            )
            blocks.append(
                split.transpose(0, 1, 3, 5, 2, 4, 6, 7)
                .reshape(n, -1, h // rows, w // columns, length * rows * columns * c)
                .astype(np.float32)
            )
        return blocks


def psnr(x: np.ndarray, r: np.ndarray) -> float:
    """Of all pixels together."""
    error = np.square((x.astype(np.float32) - r) / 255).mean()
    return round(float(-10 * np.log10(max(error, 1e-10))), 3)


def kept(x: np.ndarray, r: np.ndarray, response) -> float:
    """Share of the clip's response that the reconstruction has."""
    whole, left = (response(v.astype(np.float32), x.astype(np.float32)) for v in (x, r))
    return round(float((whole * left).sum() / np.square(whole).sum()), 4)


def line_response(video: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Luminance below both neighbours' mean, along rows and columns, where truth's is."""

    def dark(v, axis):
        grey = v.mean(axis=-1)
        grey = np.moveaxis(grey, axis, -1)
        return (grey[..., :-2] + grey[..., 2:]) / 2 - grey[..., 1:-1]

    parts = [
        np.where(dark(truth, axis) > 40, dark(video, axis), 0.0).ravel()
        for axis in (2, 3)
    ]
    return np.concatenate(parts)


def impact_response(video: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The frame that differs most from its neighbours, less their mean, of each clip."""

    def strike(v):
        return v[:, 1:-1] - (v[:, :-2] + v[:, 2:]) / 2

    at = np.abs(strike(truth)).mean(axis=(2, 3, 4)).argmax(axis=1)
    return strike(video)[np.arange(len(video)), at]


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "pico", "A shipped model's name, or a run.")
    flags.DEFINE_integer("clips", 96, "Of each kind.", lower_bound=8)
    flags.DEFINE_integer("size", 32, "Pixels of a side.", lower_bound=16)
    flags.DEFINE_string("odds", "broad", "Of Cel World.")
    flags.DEFINE_string(
        "sheet", "", "Where to write clips above their reconstructions."
    )
    app.run(main)
