"""From a prompt, tags and perhaps a picture to a clip: what every user of a model calls.

    pipeline = Pipeline.load("nano")
    video = pipeline.generate(GenerateRequest(prompt="a girl runs", tags=("...",)))

`generate` serves one request (command line, notebook, page); `sample_latents_for` serves
a list of prompts (validation, evaluation, candidate pairs), and `decode` turns what it
gives into pixels. Clip i of a seed depends on (seed, i) alone, never on how many clips
are made beside it.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt8

from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.data.turns import full_turns
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.directive import say_tags
from animatrix_jax.knowledge.encoding import encode_tags
from animatrix_jax.knowledge.tags import parse_tags
from animatrix_jax.models.clip import preprocess
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import Params
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.parallel import sharding
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.sampling import programs
from animatrix_jax.sampling.conditioning import Given, first_frame
from animatrix_jax.sampling.guidance import UNSCALED, branch_weights
from animatrix_jax.sampling.parts import load_parts, preset_of
from animatrix_jax.sampling.request import GenerateRequest, sampler_config
from animatrix_jax.sampling.sampler import SamplerConfig, begin, turns
from animatrix_jax.training.lazy import loaded
from animatrix_jax.training.weights import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A model that samples: parameters by component, its sizes, its tokenizer.

    Attributes:
      preset: sizes and sampling defaults.
      params: parameters of each of `preset.networks`, of "text" the encoder alone. Two
        experts stay where they are, in the host's memory or on disk, and go to the device
        each in its turn.
      tokenizer: of the text tower.
      max_batch: clips sampled at once; more are done in turns of this many.
      phase: called with the name of each phase ("compile", "text", "sample", "decode"),
        gives a context manager held while it lasts.
      devices: of this host, that share each clip's tokens and hold the parameters
        together; see `on_devices`.
    """

    preset: ModelPreset
    params: Mapping[str, Params]
    tokenizer: Tokenizer
    max_batch: int = 8
    phase: programs.Phase = contextlib.nullcontext
    devices: int = 1

    @classmethod
    def load(
        cls,
        checkpoint: str,
        stage: str = "",
        *,
        phase: programs.Phase = contextlib.nullcontext,
        devices: int = 1,
    ) -> "Pipeline":
        """The model of a checkpoint: a packaged name, a run, or a folder.

        Args:
          checkpoint: "nano", or a folder as `training/weights.py` describes.
          stage: of a run, the stage whose generator to take; empty for the latest.
          phase: see the attribute.
          devices: as of `on_devices`.

        Raises:
          UserError: if there is no such model or a part of it is missing, or devices are
            too few or do not divide it.
        """
        return cls.from_components(
            load_parts(checkpoint, stage), phase=phase, devices=devices
        )

    @classmethod
    def from_components(
        cls,
        parts: Mapping[str, Component],
        *,
        phase: programs.Phase = contextlib.nullcontext,
        devices: int = 1,
    ) -> "Pipeline":
        """The model of loaded parts: each part's sizes come from its own config.

        Raises:
          UserError: for a part that is missing or does not go with the others, and for
            a text tower without a tokenizer.
        """
        preset = preset_of(parts)
        path = parts["text"].tokenizer
        if path is None:
            raise UserError(f"{parts['text'].source} has no tokenizer")
        return cls(
            preset=preset,
            params={
                **{name: parts[name].params for name in preset.networks},
                # The tower is trained with a decoder, which sampling has no use for.
                "text": parts["text"].params["encoder"],
            },
            tokenizer=Tokenizer.from_file(path),
            phase=phase,
        ).on_devices(devices)

    def on_devices(self, count: int) -> "Pipeline":
        """The same, its parameters put on so many devices of this host once; 0: all.

        Several share each clip's tokens, as `mesh.sequence` has it in training, and hold
        the parameters together.

        Raises:
          UserError: if there are fewer, or a parameter does not divide by their number.
        """
        here = jax.local_device_count()
        if not 0 <= count <= here:
            raise UserError(f"expected 0 to {here} devices, got {count}")
        pipeline = dataclasses.replace(self, devices=count or here)
        return pipeline.with_networks(self.params)

    @property
    def mesh(self) -> Mesh | None:
        """Of several devices; None of one."""
        if self.devices == 1:
            return None
        config = MeshConfig(fsdp=1, sequence=self.devices)
        return make_mesh(config, jax.local_devices()[: self.devices])

    def with_networks(self, params: Mapping[str, Params]) -> "Pipeline":
        """The same with other parameters of some networks, of the same shapes.

        They may lie on a training mesh; here they are brought to this pipeline's devices.
        """
        in_turns = self.preset.generators if self.preset.experts else ()
        placed = {
            name: jax.tree.map(_off_device, tree)
            if name in in_turns
            else self._placed(name, jax.tree.map(_off_device, tree))
            for name, tree in params.items()
        }
        return dataclasses.replace(self, params={**self.params, **placed})

    def _placed(self, name: str, tree: Params) -> Params:
        """A network's parameters on the devices: split by the sharding table, and a
        generator's as it computes with them."""
        if name in self.preset.generators:
            tree = programs.as_computed(self.preset, tree)
        mesh = self.mesh
        if mesh is None:
            return jax.device_put(loaded(tree))
        places = sharding.tree_shardings({name: tree}, mesh)[name]
        return sharding.put(tree, places)

    def _run(
        self,
        program: programs.Program,
        static: Any,
        network: str,
        *arrays: Any,
        name: str,
    ) -> Any:
        """The program on the devices, with the parameters of a network."""
        params, mesh = self.params[network], self.mesh
        if mesh is None:
            return program(static, params, *arrays, name=name, phase=self.phase)
        if any(not isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params)):
            params = self._placed(network, params)
        with jax.set_mesh(mesh):
            return program(static, params, *arrays, name=name, phase=self.phase)

    def generate(self, request: GenerateRequest) -> UInt8[np.ndarray, "n T H W 3"]:
        """The clips of a request.

        Raises:
          UserError: for a request that this model cannot serve.
        """
        if request.num < 1:
            raise UserError(f"num must be at least 1, got {request.num}")
        given = None
        if request.image is not None or request.last_image is not None:
            one = self.given(
                None if request.image is None else request.image[None],
                None if request.last_image is None else request.last_image[None],
                frames=request.frames,
            )
            given = jax.tree.map(lambda leaf: jnp.repeat(leaf, request.num, 0), one)
        latents = self.sample_latents_for(
            [parse_tags(request.tags)] * request.num,
            [request.prompt] * request.num,
            seed=request.seed,
            config=self.sampler_config(request),
            given=given,
            negative_prompt=request.negative_prompt,
            frames=request.frames,
        )
        return self.decode(latents)

    def sampler_config(self, request: GenerateRequest) -> SamplerConfig:
        """The sampler of a request, the model's defaults where it is silent.

        Raises:
          UserError: for values out of range.
        """
        return sampler_config(request, self.preset)

    def sample_latents_for(
        self,
        tags: Sequence[Sequence[str]],
        texts: Sequence[str],
        *,
        seed: int,
        config: SamplerConfig | None = None,
        given: Given | None = None,
        negative_prompt: str = "",
        frames: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Float[np.ndarray, "n t h w c"]:
        """Normalised latents of one clip a prompt.

        Args:
          tags: canonical tags of each prompt.
          texts: narrative of each prompt.
          seed: of the noise; prompt j takes that of clip j.
          config: how to sample; None for the model's defaults.
          given: what the pictures of each clip are to the model, from the method of
            that name.
          negative_prompt: for all clips; empty for none.
          frames: of a clip, in pixels; None for the model's default.
          progress: called after each turn with how many clips it made.

        Raises:
          UserError: for a model that makes clips of pictures, and no picture.
        """
        if given is None and self.preset.dit.frame_conditioning == "concat":
            raise UserError(
                "this is an image-to-video model, which makes a clip of its first frame:"
                " give one by --image=PICTURE"
            )
        given = given or Given()
        if len(tags) != len(texts):
            raise ValueError(f"expected {len(texts)} lists of tags, got {len(tags)}")
        config = config or self.sampler_config(GenerateRequest())
        shape = self.latent_shape(frames)
        null = self.conditioning([()], [""])
        negative = (
            self.conditioning([()], [negative_prompt]) if negative_prompt else None
        )
        count = len(texts)
        size = min(count, self.max_batch)
        # What is compiled depends on the branches that guidance needs, not on its scales.
        unguided = dataclasses.replace(config, guidance=UNSCALED, guidance_high=None)
        parts = []
        for rows in full_turns(count, size):
            # Of many prompts the text vectors of all are more than a device holds.
            conditioning = dataclasses.replace(
                self.conditioning([tags[i] for i in rows], [texts[i] for i in rows]),
                image=_take(given.image, rows),
                reference=_take(given.reference, rows),
            )
            noise = programs.clip_noise(seed, jnp.asarray(rows), shape=shape)
            at = begin(noise, config)
            for turn in turns(config, self.preset.experts):
                at = self._run(
                    programs.sample,
                    (self.preset, unguided, turn.steps),
                    turn.generator,
                    at,
                    conditioning,
                    _broadcast(null, size),
                    None if negative is None else _broadcast(negative, size),
                    _take(given.frames, rows),
                    branch_weights(turn.guidance),
                    name="sample",
                )
            parts.append(np.asarray(at.xt))
            if progress is not None:
                progress(min(size, count - int(rows[0])))
        return np.concatenate(parts)[:count]

    def conditioning(
        self, tags: Sequence[Sequence[str]], texts: Sequence[str]
    ) -> Conditioning:
        """What the generator sees of each prompt; without a tag path, tags in words."""
        if not self.preset.dit.uses_tags:
            texts = [say_tags(text, row) for text, row in zip(texts, tags)]
        ids = [encode_tags(tuple(row)) for row in tags]
        return Conditioning(
            text=self.encode_text(texts),
            tag_fields=jnp.asarray(np.stack([row.fields for row in ids])),
            tag_values=jnp.asarray(np.stack([row.values for row in ids])),
            tag_mask=jnp.asarray(np.stack([row.mask for row in ids])),
        )

    def encode_text(self, texts: Sequence[str]) -> Float[Array, "b s d"]:
        """Text vectors; each distinct text is encoded once."""
        unique = sorted(set(texts))
        tokens = self.tokenizer.encode(unique, self.preset.text_length)
        vectors = []
        for i in range(len(unique)):  # one shape whatever the number of texts
            vectors.append(
                self._run(
                    programs.encode_text,
                    self.preset,
                    "text",
                    tokens.tokens[i : i + 1],
                    tokens.mask[i : i + 1],
                    name="text",
                )
            )
        rows = np.asarray([unique.index(text) for text in texts])
        return jnp.concatenate(vectors)[rows]

    def encode_frames(
        self, video: UInt8[np.ndarray, "b T H W 3"]
    ) -> Float[np.ndarray, "b t h w c"]:
        """Normalised latents of pixels."""
        return np.asarray(
            self._run(programs.encode_frames, self.preset, "vae", video, name="image")
        )

    def given(
        self,
        images: UInt8[np.ndarray, "n H W 3"] | None,
        last_images: UInt8[np.ndarray, "n H W 3"] | None = None,
        *,
        frames: int | None = None,
    ) -> Given:
        """What the first frames of clips, and perhaps their last, are to this model.

        Raises:
          UserError: for a picture of another size, or one that the model cannot take.
        """
        for pictures in (images, last_images):
            if pictures is not None:
                self._check_pictures(pictures)
        if images is None:
            raise UserError("a last frame needs a first one too: --image=PICTURE")
        shape = self.latent_shape(frames)
        if self.preset.dit.frame_conditioning == "clean":
            if last_images is not None:
                raise UserError("this model takes a first frame alone, and no last one")
            first = jnp.asarray(self.encode_frames(images[:, None]))
            return Given(frames=first_frame(first, frames=shape[0]))
        if last_images is not None and (self.preset.image or shape[0] == 1):
            raise UserError(
                "a last frame is for models without an image branch (Wan 2.2 A14B), and "
                "for clips of more than one frame"
            )
        reference = self._run(
            programs.refer,
            (self.preset, self.preset.frames if frames is None else frames),
            "vae",
            images,
            last_images,
            name="image",
        )
        return Given(reference=reference, image=self._seen(images))

    def _seen(
        self, images: UInt8[np.ndarray, "n H W 3"]
    ) -> Float[Array, "n p i"] | None:
        """What CLIP sees of pictures, for a model that takes it."""
        if self.preset.image is None:
            return None
        return self._run(
            programs.see,
            self.preset,
            "image",
            preprocess(images, self.preset.image),
            name="image",
        )

    def decode(
        self, latents: Float[np.ndarray, "n t h w c"] | Float[Array, "n t h w c"]
    ) -> UInt8[np.ndarray, "n T H W 3"]:
        """Pixels of normalised latents, clip by clip."""
        clips = [
            self._run(
                programs.decode, self.preset, "vae", latents[i : i + 1], name="decode"
            )
            for i in range(len(latents))
        ]
        return np.concatenate([np.asarray(clip) for clip in clips])

    def latent_shape(self, frames: int | None = None) -> tuple[int, int, int, int]:
        """Shape (t, h, w, c) of the latents of a clip of `frames` frames.

        Raises:
          UserError: if the VAE cannot make that many frames.
        """
        stride = self.preset.vae.stride[0]
        if frames is None:
            return self.preset.latent_shape
        if frames < 1 or (frames - 1) % stride:
            raise UserError(
                f"frames must be 1 more than a multiple of {stride}, got {frames}"
            )
        return ((frames - 1) // stride + 1, *self.preset.latent_shape[1:])

    def _check_pictures(self, images: np.ndarray) -> None:
        expected = (self.preset.height, self.preset.width, 3)
        if images.shape[1:] != expected or images.dtype != np.uint8:
            raise UserError(
                f"the image must be uint8 of shape {expected}, "
                f"got {images.dtype} of shape {images.shape[1:]}"
            )


def _off_device(leaf: Any) -> Any:
    return jax.device_get(leaf) if isinstance(leaf, jax.Array) else leaf


def _take(conditions: Any, rows: np.ndarray) -> Any:
    """The conditions of some of the clips, a pytree whose leaves have them first."""
    return jax.tree.map(lambda leaf: leaf[rows], conditions)


def _broadcast(conditioning: Conditioning, count: int) -> Conditioning:
    """One clip's conditioning, `count` times."""
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape[1:])), conditioning
    )
