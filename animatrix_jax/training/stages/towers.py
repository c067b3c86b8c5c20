"""The networks round a stage: which are trained, which are frozen, and their weights.

Every stage that reads clips needs the VAE's and the text tower's configs, and most need
their weights. They come from `config.init`; a tower keeps the config that its weights
were trained with, latent statistics included, whatever the preset says.
"""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.errors import UserError
from animatrix_jax.models.clip import CLIPImageEncoder, preprocess
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.config import CLIPConfig, T5Config, VAEConfig
from animatrix_jax.models.functional import Build, Params, bind, init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.presets import EXPERTS, ModelPreset
from animatrix_jax.models.reference import frames_of_pixels, reference_channels
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.models.vae import VAE, signed
from animatrix_jax.objectives.flow_matching import FlowConfig
from animatrix_jax.training.config import TaskMix, section
from animatrix_jax.training.stage import Batch
from animatrix_jax.training.weights import Component, load_component


class Towers:
    """The generator, the VAE and the text tower that a run's config names."""

    def __init__(self, config: Any, *, workdir: pathlib.Path):
        self._config, self._workdir = config, workdir
        self.model = section(ModelPreset, config.model)
        self.dit, self.tags = self.model.dit, self.model.tags
        self.vae_config = self._tower_config("vae", VAEConfig)
        self.text_config = self._tower_config("text", T5Config)
        self.image_config = None
        if "image" in self.model.towers:
            self.image_config = self._tower_config("image", CLIPConfig)

    @property
    def trained(self) -> str:
        """The generator that the noise levels of `config.flow` are of.

        Raises:
          UserError: for a model of two experts and noise levels of both.
        """
        if self.model.experts is None:
            return EXPERTS["high"]
        boundary = self.model.experts.boundary
        flow = section(FlowConfig, self._config.flow)
        if flow.low >= boundary:
            return EXPERTS["high"]
        if flow.high <= boundary:
            return EXPERTS["low"]
        raise UserError(
            f"the model has two experts, above and below noise level {boundary}, each "
            f"trained on its own; flow.low {flow.low} to flow.high {flow.high} is both: "
            "give expert=high or expert=low to configs/wan.py"
        )

    def expert_at(self, sigma: float) -> str:
        """The generator that works at a noise level."""
        experts = self.model.experts
        low = experts is not None and sigma < experts.boundary
        return EXPERTS["low" if low else "high"]

    def component(self, name: str) -> Component | None:
        """The weights that `config.init` names for a component, or None."""
        ref = self._config.init[name]
        if not ref:
            return None
        return _load(ref, name, self._workdir)

    def digests(self) -> dict[str, str]:
        """What the weights are, beside their names in `config.init`."""
        loaded = {name: self.component(name) for name in self._config.init}
        return {
            name: fingerprint(component.params)
            for name, component in loaded.items()
            if component is not None
        }

    def initial(self, name: str) -> Params | None:
        """Starting weights of the one trained component `name`, or None."""
        component = self.component(name)
        return None if component is None else {name: component.params}

    def generator(self, rngs: nnx.Rngs) -> Generator:
        """Builds the generator."""
        return Generator(self.dit, self.tags, rngs=rngs)

    def vae(self, rngs: nnx.Rngs) -> VAE:
        """Builds the VAE."""
        return VAE(self.vae_config, rngs=rngs)

    def text_encoder(self, rngs: nnx.Rngs) -> T5Encoder:
        """Builds the frozen text tower."""
        return T5Encoder(self.text_config, rngs=rngs)

    def image_encoder(self, rngs: nnx.Rngs) -> CLIPImageEncoder:
        """Builds the frozen encoder of given pictures."""
        return CLIPImageEncoder(self.image_config, rngs=rngs)

    @property
    def refers(self) -> bool:
        """Whether given frames are reference channels, and not held clean."""
        return self.dit.frame_conditioning == "concat"

    @property
    def _holds(self) -> bool:
        """Whether there are given frames, and they are held clean."""
        tasks = section(TaskMix, self._config.tasks)
        return not self.refers and max(tasks.i2v) > 0

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The text tower's own tokenizer."""
        component = self.component("text")
        if component is None or component.tokenizer is None:
            raise UserError(
                f"stage {self._config.stage!r} reads text: name a text tower with a "
                "tokenizer.json by --config.init.text"
            )
        return Tokenizer.from_file(component.tokenizer)

    @property
    def text_length(self) -> int:
        """Tokens that a text is padded to."""
        return self._config.model.text_length

    def frozen(self, *, pixels: bool) -> Params:
        """Weights of the frozen towers that a step reads.

        Args:
          pixels: whether batches hold video, which the step must encode.
        """
        read = [name for name in self.model.towers if pixels or name != "vae"]
        return {name: self._frozen(name) for name in read}

    def frozen_shapes(self, *, pixels: bool) -> Params:
        """Shapes of `frozen`, with no weights loaded."""
        read = [name for name in self.model.towers if pixels or name != "vae"]
        key = jax.random.key(0)
        return {
            name: jax.eval_shape(functools.partial(init_params, self._build(name)), key)
            for name in read
        }

    def latents(self, frozen: Params, batch: Batch) -> Array:
        """A batch's normalised latents [b t h w c], encoded here if need be."""
        if "latents" in batch:
            return jnp.asarray(batch["latents"], jnp.float32)
        return jax.lax.stop_gradient(self.encode(frozen["vae"], batch["video"]))

    def encode(self, vae_params: Params, video: Array) -> Array:
        """uint8 video [b t h w 3] to normalised latents."""
        return bind(self.vae, vae_params).encode_pixels(video)

    def conditioning(self, frozen: Params, batch: Batch) -> Conditioning:
        """A batch's text and pictures, through the frozen towers, and its tags."""
        return Conditioning(
            text=self._text(frozen, batch),
            tag_fields=batch["tag_fields"],
            tag_values=batch["tag_values"],
            tag_mask=batch["tag_mask"],
            image=self._seen(frozen, batch) if self.image_config else None,
            reference=self._reference(frozen, batch) if self.refers else None,
            clean=batch["given"] if self._holds else None,
        )

    def _text(self, frozen: Params, batch: Batch) -> Array:
        """A batch's text vectors [b s d], zero where padded; encoded here if need be."""
        if "text" in batch:
            return jnp.asarray(batch["text"])
        encoder = bind(self.text_encoder, frozen["text"])
        mask = batch["text_mask"]
        text = encoder(batch["text_tokens"], mask)
        return jax.lax.stop_gradient(text * mask[..., None])

    def held(self, batch: Batch) -> Array:
        """Which latent frames [b t] of a batch stay clean, at noise level 0."""
        return jnp.zeros_like(batch["given"]) if self.refers else batch["given"]

    def with_pictures(self, batch: Batch) -> Batch:
        """A batch on the host, with its first frames as the image encoder takes them."""
        first = np.asarray(batch["video"])[:, 0]
        return batch | {"picture": preprocess(first, self.image_config)}

    def with_picture_shapes(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The shapes of `with_pictures`, where the model takes pictures."""
        if self.image_config is None:
            return batch
        side, size = self.image_config.image_size, batch["video"].shape[0]
        picture = jax.ShapeDtypeStruct((size, side, side, 3), np.float32)
        return batch | {"picture": picture}

    def _reference(self, frozen: Params, batch: Batch) -> Array:
        vae = bind(self.vae, frozen["vae"])
        given = frames_of_pixels(batch["given"], self.vae_config.stride[0])
        channels = reference_channels(vae, signed(batch["video"]), given)
        return jax.lax.stop_gradient(channels)

    def _seen(self, frozen: Params, batch: Batch) -> Array:
        encoder = bind(self.image_encoder, frozen["image"])
        return jax.lax.stop_gradient(encoder(batch["picture"]))

    def _frozen(self, name: str) -> Params:
        component = self.component(name)
        if component is None:
            return self._fresh(name)
        # The text tower is trained with a decoder, which no step has use for.
        return component.params["encoder"] if name == "text" else component.params

    def _tower_config(self, name: str, cls: type) -> Any:
        component = self.component(name)
        model = self._config.model.to_dict() if component is None else None
        values = (model or component.config["model"])[name]
        return section(cls, values)

    def _build(self, name: str) -> Build:
        builds: dict[str, Build] = {
            "vae": self.vae,
            "text": self.text_encoder,
            "image": self.image_encoder,
        }
        return builds[name]

    def _fresh(self, name: str) -> Params:
        fresh = init_params(self._build(name), jax.random.key(0))
        return jax.tree.map(np.asarray, fresh)


@functools.lru_cache(maxsize=8)
def _load(ref: str, name: str, workdir: pathlib.Path) -> Component:
    return load_component(ref, name, workdir=workdir, form="lazy")
