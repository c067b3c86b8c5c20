"""Where a stage's clips come from, on two sides: to train on, and to validate with.

    Cel World            two streams of clips that have none in common (cel_clips.py)
    people's own files   some are kept for validation, whole (own_clips.py)

Each has `source`, the training clips in the model's own shape, `images`, those of one
frame for text-to-image, `shaped`, the training clips of each bucket, and `held_out` and
`held_out_shaped`, the clips kept; nothing is opened before it is asked for. `pixels` says
whether they come as video, else as latents; `text_ahead` whether with their text as
vectors.
"""

import pathlib
from typing import Any

from animatrix_jax.data.pipeline import DataConfig
from animatrix_jax.training.stages.cel_clips import CelClips
from animatrix_jax.training.stages.own_clips import OwnClips
from animatrix_jax.training.stages.towers import Towers

ClipSources = CelClips | OwnClips


def clip_sources(
    config: Any,
    *,
    workdir: pathlib.Path,
    towers: Towers,
    batches: DataConfig,
    pixels: bool,
) -> ClipSources:
    """The sources that `config.data` names.

    Args:
      config: the run's config.
      workdir: where caches and lists of what was set aside go.
      towers: for the VAE behind the cache.
      batches: what the batches of these clips are to hold.
      pixels: train on pixels, whether or not there are latents.
    """
    kind = CelClips if config.data.source == "cels" else OwnClips
    return kind(config, workdir=workdir, towers=towers, batches=batches, pixels=pixels)
