"""The shapes of a stage's batches, known from its config alone: no clip is read."""

import math
from typing import Any

import jax
import numpy as np

from animatrix_jax.data.buckets import (
    Bucket,
    Shape,
    budget_of,
    largest,
    make_buckets,
)
from animatrix_jax.data.pipeline import DataConfig
from animatrix_jax.knowledge.counterfactual import DIRECTIVES
from animatrix_jax.knowledge.labels import HEADS
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.training.config import BatchConfig


def buckets_of(batch: BatchConfig, model: ModelPreset) -> tuple[Bucket, ...]:
    """The buckets of a run with their batch sizes; none where all have one shape."""
    if not batch.buckets:
        return ()
    cut = {"stride": model.vae.stride, "patch": model.dit.patch}
    own = (model.frames, model.height, model.width)
    return make_buckets(
        batch.buckets,
        budget=budget_of(own, clips=batch.size, **cut),
        multiple=batch.multiple,
        **cut,
    )


def all_shapes(
    config: DataConfig,
    model: ModelPreset,
    *,
    pixels: bool,
    text_width: int | None = None,
) -> list[dict[str, Any]]:
    """The shapes of a batch of clips (not of single images) over all hosts; with buckets
    of each, the largest first.

    Args:
      config: which fields, how many clips, which buckets.
      model: the clips' own shape, and what the VAE makes of it.
      pixels: whether batches hold video; else latents.
      text_width: of a text vector, where batches hold those in place of tokens.
    """
    own = (model.frames, model.height, model.width)
    sizes = [(config.batch_size, own)]
    if buckets := config.buckets:
        first = largest(buckets, stride=model.vae.stride, patch=model.dit.patch)
        order = [buckets[first], *buckets[:first], *buckets[first + 1 :]]
        sizes = [(b.size, (b.frames, b.height, b.width)) for b in order]
    options = {"pixels": pixels, "text_width": text_width}
    return [_shapes_of(config, model, *each, **options) for each in sizes]


def _shapes_of(
    config: DataConfig,
    model: ModelPreset,
    size: int,
    shape: Shape,
    *,
    pixels: bool,
    text_width: int | None,
) -> dict[str, Any]:
    frames, height, width = shape
    time, rows, columns = model.vae.stride
    coded = (
        *(size, (frames - 1) // time + 1, height // rows, width // columns),
        model.vae.latent_channels,
    )
    text, tags = (size, config.text_length), (size, config.max_tags)
    asked = (size, DIRECTIVES, config.max_tags)
    media = {"latents": (coded, np.float32)}
    if pixels:
        media = {"video": ((size, *shape, 3), np.uint8)}
    told = {"text_tokens": (text, np.int32), "text_mask": (text, np.bool_)}
    if text_width is not None:
        told = {"text": ((*text, text_width), np.float32)}
    parts = {
        "media": media,
        "text": told,
        "tags": {
            "tag_fields": (tags, np.int32),
            "tag_values": (tags, np.int32),
            "tag_mask": (tags, np.bool_),
        },
        "given": {"given": (coded[:2], np.bool_)},
        "directives": {
            "tag_fields": (asked, np.int32),
            "tag_values": (asked, np.int32),
            "tag_mask": (asked, np.bool_),
            "scores": ((*asked[:2], len(HEADS)), np.float32),
            "weights": (asked[:2], np.float32),
        },
    }
    return {
        name: jax.ShapeDtypeStruct(*kind)
        for field in config.fields
        for name, kind in parts[field].items()
    }


def held_out_size(size: int, wanted: int, *, multiples_of: tuple[int, ...]) -> int:
    """Clips of a held-out batch over all hosts: of training's `size` as many as are
    wanted, rounded down to what divides, and never fewer than that.

    Args:
      size: clips of a training batch.
      wanted: clips that are held out.
      multiples_of: all of these divide it.
    """
    multiple = math.lcm(*multiples_of)
    return max(min(size, wanted) // multiple, 1) * multiple
