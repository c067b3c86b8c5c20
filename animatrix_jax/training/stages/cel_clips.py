"""The clips of Cel World, drawn as they are asked for, held in memory, or as latents.

Those held out come from its test split, a stream of clips that training never draws from;
its characters combine the same hair, clothes and palettes, unless the config asks for the
world of other characters.
"""

import functools
import pathlib
from typing import Any

import jax
import numpy as np

from animatrix_jax.cels.world import VERSION, CelWorld
from animatrix_jax.data import latents, seeds
from animatrix_jax.data.buckets import Bucket, Shape
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.held import HeldSource
from animatrix_jax.data.pipeline import DataConfig
from animatrix_jax.data.records import Source
from animatrix_jax.data.sources import CelSource
from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import SourceConfig, section
from animatrix_jax.training.lazy import loaded
from animatrix_jax.training.stages.towers import Towers


class CelClips:
    """Sources of drawn clips; see clip_sources.py for what each is."""

    def __init__(
        self,
        config: Any,
        *,
        workdir: pathlib.Path,
        towers: Towers,
        batches: DataConfig,
        pixels: bool,
    ):
        self._workdir, self._towers, self._batches = workdir, towers, batches
        self._model, self._seed = config.model, config.seed
        self._data = section(SourceConfig, config.data)
        self.pixels = pixels or not self._data.cached
        self.text_ahead = False

    @functools.cached_property
    def source(self) -> Source:
        """The training clips, in the model's own shape."""
        return self._world(
            "train", self._data.clips, self._seed, held_out=self._data.apart
        )

    @functools.cached_property
    def images(self) -> Source | None:
        """Clips of one frame each, for text-to-image; None: frames of the others."""
        shown = np.max(dict(self._batches.tasks)["t2i"]) > 0
        if not (self._data.images and shown):
            return None
        return self._world(
            "train",
            self._data.images,
            self._seed + 1,
            still=True,
            held_out=self._data.apart,
        )

    @functools.cached_property
    def shaped(self) -> list[Source]:
        """The training clips of each bucket, in its shape."""
        buckets = self._batches.buckets
        return [self._drawn(bucket, "train", self._seed) for bucket in buckets]

    @functools.cached_property
    def held_out(self) -> Source:
        """The clips to validate with, in the model's own shape."""
        return self._world(
            "test",
            max(self._data.held_out, 2),
            seeds.HELD_OUT,
            held_out=self._other_world(held=True),
        )

    @functools.cached_property
    def held_out_shaped(self) -> list[Source]:
        """Those of each bucket, in its shape."""
        buckets = self._batches.buckets
        return [self._drawn(bucket, "test", seeds.HELD_OUT) for bucket in buckets]

    def _drawn(self, bucket: Bucket, split: str, seed: int) -> Source:
        """Clips in the shape of a bucket; an image is a frame of a clip of its own."""
        still, held = bucket.is_image, split != "train"
        clips = (still and self._data.images) or self._data.clips
        frames = self._model.frames if still else bucket.frames
        return self._world(
            split,
            max(self._data.held_out, 2) if held else clips,
            seed + (still and not held),
            still=still,
            held_out=self._other_world(held=held),
            shape=(frames, bucket.height, bucket.width),
        )

    def _other_world(self, *, held: bool) -> bool:
        """Whether clips, held out or not, are of the world of other characters."""
        return self._data.apart or (held and self._data.held_out_world)

    def _world(
        self,
        split: str,
        clips: int,
        seed: int,
        *,
        still: bool = False,
        held_out: bool = False,
        shape: Shape | None = None,
    ) -> Source:
        model = self._model
        frames, height, width = shape or (model.frames, model.height, model.width)
        world = CelWorld(
            seed=seed,
            size=clips,
            height=height,
            width=width,
            frames=frames,
            split=split,
            defects=self._data.defects,
            still=still,
            odds=self._data.odds,
            held_out=held_out,
        )
        source = CelSource(world)
        if not self._data.cached:
            return source
        if self.pixels:
            return HeldSource(source, count=clips, workers=self._data.workers)
        return self._encoded(source)

    def _encoded(self, source: CelSource) -> Source:
        """The clips' latents, encoded at the first call; stages share the folder."""
        vae = self._towers.component("vae")
        if vae is None:
            raise UserError("cached latents need a trained VAE: set --config.init.vae")
        mark = fingerprint(vae.params, self._towers.vae_config)
        world = source.world
        name = (
            f"cels-{world.split}-{len(world)}"
            f"x{1 if world.still else world.frames}x{world.height}x{world.width}"
            f"-seed{world.seed}-{world.odds}-{world.defects}"
            f"{'-held_out' if world.held_out else ''}-world{VERSION}"
        )
        folder = self._workdir / "cache" / name

        def encoded() -> Source:
            if latents.read_metadata(folder) is None:
                write()
            return latents.LatentSource(folder, fingerprint=mark)

        def write() -> None:
            encode = functools.partial(
                jax.jit(self._towers.encode), jax.device_put(loaded(vae.params))
            )
            latents.write_latents(
                source,
                encode,
                folder=folder,
                count=len(world),
                fingerprint=mark,
                draw_workers=self._data.workers,
                origin=name,
            )

        return distributed.in_turn(encoded)  # hosts share the folder
