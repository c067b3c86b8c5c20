"""What a clip is conditioned on, as the generator takes it."""

import dataclasses
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditioning:
    """The conditioning of a batch; a pytree, so any array transformation applies.

    The fields are typed loosely because a pytree's leaves are at times not arrays (shapes,
    shardings, axes); `Generator` checks their shapes.

    Attributes:
      text: encoded text [b s d], zero where padded, as the text tower gives it.
      tag_fields, tag_values: ids of each tag's field and value, int [b k].
      tag_mask: bool [b k], False where padded; all False for a clip with no tags.
      image: image embeddings [b p i] for models with an image branch, else None.
      reference: mask and latents of given frames [b t h w r] (`reference.py`), for models
        whose `frame_conditioning` is "concat", else None.
      clean: bool [b f], latent frames that are given, and clean in xt: they are told
        noise level 0, whatever the others'. None: none are.
    """

    text: Any
    tag_fields: Any
    tag_values: Any
    tag_mask: Any
    image: Any = None
    reference: Any = None
    clean: Any = None
