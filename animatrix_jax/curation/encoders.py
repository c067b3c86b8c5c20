"""A VAE and a text tower that encode clips ahead, a fixed number at a time.

uint8 [b t h w 3] --VAE--> latents float16 [b t' h' w' c]
texts             --T5--> vectors float16 [n d] each, without padding
"""

import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from animatrix_jax.data.buckets import Shape, tokens_of
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.latents import encode_videos
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.errors import UserError
from animatrix_jax.models.config import DiTConfig, T5Config, VAEConfig
from animatrix_jax.models.functional import bind
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.models.vae import VAE
from animatrix_jax.training.config import section
from animatrix_jax.training.weights import Component, load_component

BATCH = 8
_NEEDED = ("frames", "height", "width", "fps", "text_length")
# The last of this process: for a pipeline that runs in it, and for a worker's next shard.
_HELD: list["Encoders"] = []
_LOCK = threading.Lock()


class Encoders:
    """The VAE and the text tower of a checkpoint.

    Attributes:
      checkpoint: its name, or its folder.
      shape: of the clips that the checkpoint's generator makes.
      marks: what names all that an encoding depends on, but the shape: the VAE, the text
        tower, the length of a text, the rate.

    Raises:
      UserError: if the checkpoint has not both, or no shape.
    """

    def __init__(self, checkpoint: str):
        vae, text = (load_component(checkpoint, name) for name in ("vae", "text"))
        model = _model(checkpoint, vae)
        # Workers may run in another folder.
        is_folder = os.path.isdir(checkpoint)
        self.checkpoint = os.path.abspath(checkpoint) if is_folder else checkpoint
        self.shape: Shape = tuple(int(model[k]) for k in _NEEDED[:3])
        self.fps = model["fps"]
        self.text_length = int(model["text_length"])
        self._vae_config = section(VAEConfig, vae.config["model"]["vae"])
        self._patch = section(DiTConfig, model["dit"]).patch
        self._text_config = section(T5Config, text.config["model"]["text"])
        if text.tokenizer is None:
            raise UserError(f"{checkpoint} has a text tower without a tokenizer.json")
        self._tokenizer = Tokenizer.from_file(text.tokenizer)
        tower = text.params["encoder"]
        self.vae_mark = fingerprint(vae.params, self._vae_config)
        self.text_mark = fingerprint(tower, self._text_config)
        self.marks = (self.vae_mark, self.text_mark, self.text_length, self.fps)
        self._held = (vae.params, tower)

    @functools.cached_property
    def _params(self) -> Any:
        return jax.device_put(self._held)

    def latent_shape(self, shape: Shape) -> tuple[int, ...]:
        """Of the latents [t h w c] of a clip.

        Raises:
          UserError: if the shape does not divide into tokens.
        """
        cut = {"stride": self._vae_config.stride, "patch": self._patch}
        tokens_of(shape, name="--shapes", **cut)
        videos = jax.ShapeDtypeStruct((BATCH, *shape, 3), np.uint8)
        return jax.eval_shape(self._encode_videos, self._held[0], videos).shape[1:]

    def latents(self, videos: np.ndarray) -> np.ndarray:
        """uint8 [b t h w 3] to float16 latents, in the one batch that is compiled."""
        encode = functools.partial(self._encode_videos, self._params[0])
        return encode_videos(encode, videos, batch=BATCH)

    def texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Vectors [n d] of each text, where it has tokens."""
        found = []
        for first in range(0, len(texts), BATCH):
            some = texts[first : first + BATCH]
            padded = [*some, *[""] * (BATCH - len(some))]
            ids = self._tokenizer.encode(padded, self.text_length)
            vectors = np.asarray(
                self._encode_texts(self._params[1], ids.tokens, ids.mask), np.float32
            )
            for row, mask in zip(vectors[: len(some)], ids.mask):
                found.append(row[mask].astype(np.float16))
        return found

    @functools.cached_property
    def _encode_videos(self) -> Any:
        def encode(params: Any, videos: Any) -> Any:
            build = lambda rngs: VAE(self._vae_config, rngs=rngs)
            return bind(build, params).encode_pixels(videos)

        return jax.jit(encode)

    @functools.cached_property
    def _encode_texts(self) -> Any:
        def encode(params: Any, tokens: Any, mask: Any) -> Any:
            build = lambda rngs: T5Encoder(self._text_config, rngs=rngs)
            return bind(build, params)(tokens, mask)

        return jax.jit(encode)


def hold(encoders: Encoders) -> None:
    """Keeps what is loaded, for `encoders_of`."""
    with _LOCK:
        _HELD[:] = [encoders]


def encoders_of(checkpoint: str, marks: tuple) -> Encoders:
    """Those of a checkpoint in this process, loaded unless they are there, and then held
    for the next shard.

    Raises:
      UserError: if the checkpoint is another here than its `marks` say.
    """
    with _LOCK:
        if not _HELD or _HELD[0].marks != marks:
            _HELD[:] = [Encoders(checkpoint)]
        found = _HELD[0]
    if found.marks != marks:
        raise UserError(
            f"{checkpoint} has other encoders here than where animatrix prepare was called"
        )
    return found


def encoders_for(dataset: str | os.PathLike, checkpoint: str) -> Encoders:
    """The encoders of a checkpoint, if they can encode a dataset: known before it is made.

    Raises:
      UserError: if it is not local, or the checkpoint cannot encode.
    """
    if "://" in os.fspath(dataset):
        raise UserError(f"--checkpoint encodes local datasets: mount {dataset}")
    return Encoders(checkpoint)


def _model(checkpoint: str, vae: Component) -> dict[str, Any]:
    model = vae.config["model"]
    missing = [name for name in _NEEDED if name not in model]
    if missing:
        raise UserError(
            f"{checkpoint} does not say its {missing[0]}: name a whole model"
        )
    return model
