"""The device programs of sampling, each compiled once for each shape.

    encode_text    tokens -> text vectors          frozen text tower
    encode_frames  pixels -> latents               VAE, for given pictures
    refer          pictures -> reference channels  VAE, for models that concatenate
    see            pictures -> image embeddings    CLIP, for models with an image branch
    sample         noise, conditioning -> latents  one generator's steps, solver
    decode         latents -> uint8 pixels         VAE

They are pure functions of (preset, parameters, arrays). `Program` compiles ahead of time,
so that a caller can tell compiling from running, and shares nothing between presets. On the
mesh that is set, parameters stay as they lie, and all else is put on every device.
"""

import contextlib
import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, UInt8

from animatrix_jax.models.clip import CLIPImageEncoder
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import Params, bind
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.models.reference import reference_channels
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.models.vae import VAE, signed
from animatrix_jax.parallel import mesh as mesh_lib
from animatrix_jax.parallel.sharding import path_name
from animatrix_jax.sampling.conditioning import GivenFrames
from animatrix_jax.sampling.sampler import SamplerConfig, Trajectory, sample_latents

Phase = Callable[[str], contextlib.AbstractContextManager]


def _everywhere(x: Any, *, mesh: Mesh) -> Array:
    return jax.device_put(x, mesh_lib.replicated(mesh))


class Program:
    """A pure function `fn(static, *arrays)`, compiled once for each shape and static."""

    def __init__(self, fn: Callable[..., Any]):
        self._jitted = jax.jit(fn, static_argnums=0)
        self._compiled: dict[Hashable, Any] = {}
        self.__doc__ = fn.__doc__

    def lower(self, static: Hashable, *arrays: Any) -> Any:
        """The program lowered for arrays, or for their shapes, and not yet compiled."""
        return self._jitted.lower(static, *arrays)

    def __call__(
        self, static: Hashable, params: Params, *arrays: Any, name: str, phase: Phase
    ) -> Any:
        """Runs it; `phase("compile")` is held while it compiles, `phase(name)` after."""
        mesh = jax.sharding.get_mesh()
        place = jnp.asarray if mesh.empty else functools.partial(_everywhere, mesh=mesh)
        arrays = (jax.tree.map(jnp.asarray, params), *jax.tree.map(place, arrays))
        leaves, structure = jax.tree.flatten(arrays)
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        key = (static, structure, shapes, mesh)
        if key not in self._compiled:
            with phase("compile"):
                self._compiled[key] = self.lower(static, *arrays).compile()
        with phase(name):
            return jax.block_until_ready(self._compiled[key](*arrays))


def _encode_text(
    preset: ModelPreset,
    params: Params,
    tokens: Int[Array, "b s"],
    mask: Bool[Array, "b s"],
) -> Float[Array, "b s d"]:
    """Text vectors; those of padding are zero, as Wan has them."""
    tower = bind(lambda rngs: T5Encoder(preset.text, rngs=rngs), params)
    return tower(tokens, mask) * mask[..., None]


def _encode_frames(
    preset: ModelPreset, params: Params, video: UInt8[Array, "b T H W 3"]
) -> Float[Array, "b t h w c"]:
    """Normalised latents of pixels, the mean of the posterior."""
    vae = bind(lambda rngs: VAE(preset.vae, rngs=rngs), params)
    return vae.encode_pixels(video)


def _refer(
    static: tuple[ModelPreset, int],
    params: Params,
    first: UInt8[Array, "b H W 3"],
    last: UInt8[Array, "b H W 3"] | None,
) -> Float[Array, "b t h w r"]:
    """Reference channels of a clip of so many frames whose first one is given, and perhaps
    its last."""
    preset, frames = static
    vae = bind(lambda rngs: VAE(preset.vae, rngs=rngs), params)
    video = jnp.zeros((len(first), frames, *first.shape[1:]))
    given = jnp.zeros((len(first), frames), bool)
    for at, picture in ((0, first), (-1, last)):
        if picture is not None:
            video = video.at[:, at].set(signed(picture))
            given = given.at[:, at].set(True)
    return reference_channels(vae, video, given)


def _see(
    preset: ModelPreset, params: Params, pixels: Float[Array, "b s s 3"]
) -> Float[Array, "b p i"]:
    """Image embeddings of prepared pictures."""
    tower = bind(lambda rngs: CLIPImageEncoder(preset.image, rngs=rngs), params)
    return tower(pixels)


def _decode(
    preset: ModelPreset, params: Params, latents: Float[Array, "b t h w c"]
) -> UInt8[Array, "b T H W 3"]:
    """Pixels of normalised latents."""
    vae = bind(lambda rngs: VAE(preset.vae, rngs=rngs), params)
    return vae.decode_pixels(latents)


def as_computed(preset: ModelPreset, generator: Any) -> Any:
    """A generator's parameters, each matrix of a block in the dtype that the block casts it
    to: less memory, and no bit of a clip changes."""
    dtype = jnp.dtype(preset.dit.dtype)

    def cast(path: Any, leaf: Any) -> Any:
        parts = path_name(path).split("/")
        in_block = "blocks" in parts and parts[-1] == "kernel"
        return leaf.astype(dtype) if in_block and leaf.dtype != dtype else leaf

    return jax.tree_util.tree_map_with_path(cast, generator)


def clip_noise(
    seed: int, indices: Int[Array, " b"], *, shape: tuple[int, int, int, int]
) -> Float[Array, "b t h w c"]:
    """The starting noise of clips `indices` of a seed; clip i depends on (seed, i)."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), indices)
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def _sample(
    static: tuple[ModelPreset, SamplerConfig, tuple[int, int]],
    params: Params,
    start: Trajectory,
    conditioning: Conditioning,
    null: Conditioning,
    negative: Conditioning | None,
    frames: GivenFrames | None,
    weights: dict[str, Float[Array, ""]],
) -> Trajectory:
    """One generator's steps; see sampler.py. Guidance comes by `weights`, so a scale costs
    no compile."""
    preset, config, steps = static
    generator = bind(lambda rngs: Generator(preset.dit, preset.tags, rngs=rngs), params)
    return sample_latents(
        generator,
        start,
        conditioning=conditioning,
        null=null,
        config=config,
        frames=frames,
        negative=negative,
        weights=weights,
        steps=steps,
    )


encode_text = Program(_encode_text)
encode_frames = Program(_encode_frames)
refer = Program(_refer)
see = Program(_see)
sample = Program(_sample)
decode = Program(_decode)
