"""What a planned step reads: the stage's own shapes, resized or with towers left out."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from animatrix_jax.errors import UserError
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.training.stage import StepShapes

INPUTS = ("config", "encoded")


def resized(shapes: StepShapes, size: int) -> StepShapes:
    """The same step with `size` clips over all hosts."""

    def change(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)

    return dataclasses.replace(shapes, batch=jax.tree.map(change, shapes.batch))


def encoded(shapes: StepShapes, model: ModelPreset) -> StepShapes:
    """The same step on latents and text vectors, encoded before: it runs no tower.

    Raises:
      UserError: for a model whose conditions are pictures, which its step encodes.
    """
    if model.dit.frame_conditioning == "concat" or model.dit.image_dim is not None:
        raise UserError(
            "--inputs=encoded is for text-to-video models; an image-to-video model "
            "encodes its first frames within the step: leave it at config"
        )
    batch = dict(shapes.batch)
    size = next(iter(batch.values())).shape[0]
    video = batch.pop("video", None)
    if video is not None:
        _, frames, height, width, _ = video.shape
        time, rows, columns = model.vae.stride
        grid = ((frames - 1) // time + 1, height // rows, width // columns)
        shape = (size, *grid, model.vae.latent_channels)
        batch["latents"] = jax.ShapeDtypeStruct(shape, jnp.float32)
    if "text_tokens" in batch:
        text = (size, model.text_length, model.dit.text_dim)
        del batch["text_tokens"], batch["text_mask"]
        batch["text"] = jax.ShapeDtypeStruct(text, jnp.bfloat16)
    frozen = {k: v for k, v in shapes.frozen.items() if k not in model.towers}
    return StepShapes(frozen=frozen, batch=batch)
