"""The clips of a stage: which source, cached or not, as training and held-out batches.

    Cel World, a folder of videos, or a prepared dataset  ->  (latents)  ->  batches

Held-out clips come from Cel World's test split, a stream of clips that training never
draws from; its characters combine the same hair, clothes and palettes. Real videos have
no such split: there the held-out batches are drawn by another seed, fixed, from the same
clips.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import grain
import jax
import numpy as np

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data import latents
from animatrix_jax.data.curriculum import CurriculumConfig
from animatrix_jax.data.dataset import DatasetSource
from animatrix_jax.data.folder import FolderSource
from animatrix_jax.data.held import HeldSource
from animatrix_jax.data.pipeline import Batcher, DataConfig, make_batches
from animatrix_jax.data.records import Source
from animatrix_jax.data.sources import CelSource
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.corruption import CorruptionConfig
from animatrix_jax.parallel import distributed
from animatrix_jax.training.config import BatchConfig, SourceConfig, TaskMix, section
from animatrix_jax.training.lazy import loaded
from animatrix_jax.training.stage import Batch
from animatrix_jax.training.stages.towers import Towers

_HELD_OUT_SEED = 7919


class Clips:
    """Batches of a stage.

    Args:
      config: the run's config.
      workdir: where caches and lists of what was set aside go.
      towers: for the VAE behind the cache, and the tokenizer.
      fields: of the batches; see data/batches.py.
      pixels: train on pixels, not on latents.
      group: neighbouring clips that a batch keeps together.
    """

    def __init__(
        self,
        config: Any,
        *,
        workdir: pathlib.Path,
        towers: Towers,
        fields: tuple[str, ...] = ("media", "text", "tags", "given"),
        pixels: bool = False,
        group: int = 1,
    ):
        self._workdir, self._towers = workdir, towers
        self._stage, self._seed = config.stage, config.seed
        self._model = config.model
        self._data = section(SourceConfig, config.data)
        # Real videos are read anew each time: a window is drawn in each.
        cacheable = self._data.cached and self._data.source == "cels"
        self.pixels = pixels or not cacheable
        tasks, batch = (
            section(TaskMix, config.tasks),
            section(BatchConfig, config.batch),
        )
        self._batches = DataConfig(
            batch_size=batch.size,
            max_tags=batch.max_tags,
            steps=config.loop.steps,
            seed=config.seed,
            fields=fields,
            tasks=tuple(dataclasses.asdict(tasks).items()),
            text_length=towers.text_length,
            time_stride=towers.vae_config.stride[0],
            corruption=section(CorruptionConfig, config.corruption),
            curriculum=section(CurriculumConfig, config.curriculum),
            group=group,
            workers=self._data.workers,
        )

    def batches(self) -> grain.IterDataset:
        """The training batches of this host."""
        host, hosts = distributed.batch_share()
        return make_batches(
            self.source,
            self._batches,
            images=self._images,
            tokenizer=self._tokenizer,
            host=host,
            hosts=hosts,
        )

    def batch_shapes(self) -> dict[str, Any]:
        """Shapes of a batch of clips (not of single images) over all hosts."""
        config, model = self._batches, self._towers.model
        size = config.batch_size
        video = (size, model.frames, model.height, model.width, 3)
        latents = (size, *model.latent_shape)
        text, tags = (size, config.text_length), (size, config.max_tags)
        media = {"video": (video, np.uint8)}
        if not self.pixels:
            media = {"latents": (latents, np.float32)}
        parts = {
            "media": media,
            "text": {"text_tokens": (text, np.int32), "text_mask": (text, np.bool_)},
            "tags": {
                "tag_fields": (tags, np.int32),
                "tag_values": (tags, np.int32),
                "tag_mask": (tags, np.bool_),
            },
            "given": {"given": (latents[:2], np.bool_)},
            "scores": {"scores": ((size, 4), np.float32)},
        }
        return {
            name: jax.ShapeDtypeStruct(*shape)
            for field in config.fields
            for name, shape in parts[field].items()
        }

    def held_out(self) -> list[Batch]:
        """Fixed batches with whole conditioning; the tasks of video, or of images."""
        host, hosts = distributed.batch_share()
        size = min(self._batches.batch_size, self._data.held_out)
        size -= size % (self._batches.group * hosts)
        config = dataclasses.replace(
            self._batches,
            batch_size=size,
            steps=max(self._data.held_out // max(size, 1), 1),
            tasks=self._batches.tasks_at(1.0),
            seed=_HELD_OUT_SEED,
            corruption=None,
            curriculum=CurriculumConfig(),
        )
        batcher = Batcher(
            self._held_out_source,
            config,
            tokenizer=self._tokenizer,
            host=host,
            hosts=hosts,
        )
        return [batcher(step) for step in range(config.steps)]

    def counts(self) -> dict[str, int]:
        """How many files were set aside."""
        return {"set_aside": len(self.source.set_aside)}

    @functools.cached_property
    def source(self) -> Source:
        """The training clips."""
        if self._data.source != "cels" and not self._data.path:
            name = self._data.source
            raise UserError(f"data={name} needs --config.data.path=DIR")
        if self._data.source == "dataset":
            return DatasetSource(
                self._data.path,
                frames=self._model.frames,
                fps=self._model.fps,
                height=self._model.height,
                width=self._model.width,
                tiers=self._data.tiers,
            )
        if self._data.source == "videos":
            # Each process notes what it has set aside, the first where people look.
            apart = "" if distributed.is_first() else f"process_{jax.process_index()}"
            return FolderSource(
                self._data.path,
                frames=self._model.frames,
                fps=self._model.fps,
                height=self._model.height,
                width=self._model.width,
                labels=self._data.labels or None,
                workdir=self._workdir / self._stage / apart,
            )
        return self._world("train", self._data.clips, self._seed)

    @property
    def _images(self) -> Source | None:
        """Clips seen as one frame each, for text-to-image."""
        shown = np.max(dict(self._batches.tasks)["t2i"]) > 0
        if not (self._data.images and self._data.source == "cels" and shown):
            return None
        return self._world("train", self._data.images, self._seed + 1, still=True)

    @functools.cached_property
    def _held_out_source(self) -> Source:
        if self._data.source != "cels":
            return self.source
        return self._world(
            "test",
            max(self._data.held_out, 2),
            _HELD_OUT_SEED,
            held_out=self._data.held_out_world,
        )

    @property
    def _tokenizer(self) -> Any:
        return self._towers.tokenizer if "text" in self._batches.fields else None

    def _world(
        self,
        split: str,
        clips: int,
        seed: int,
        *,
        still: bool = False,
        held_out: bool = False,
    ) -> Source:
        world = CelWorld(
            seed=seed,
            size=clips,
            height=self._model.height,
            width=self._model.width,
            frames=self._model.frames,
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
        mark = latents.fingerprint(vae.params, self._towers.vae_config)
        world = source.world
        name = (
            f"cels-{world.split}-{len(world)}"
            f"x{1 if world.still else world.frames}x{world.height}x{world.width}"
            f"-seed{world.seed}-{world.odds}-{world.defects}"
            f"{'-held_out' if world.held_out else ''}"
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
