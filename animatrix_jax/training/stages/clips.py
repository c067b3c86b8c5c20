"""The clips of a stage: which source, cached or not, as training and held-out batches.

    Cel World, a folder of videos, or a prepared dataset  ->  (latents)  ->  batches

Held-out clips come from Cel World's test split, a stream of clips that training never
draws from; its characters combine the same hair, clothes and palettes. Real videos have
no such split: there the held-out batches are drawn by another seed, fixed, from the same
clips.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import grain
import jax
import numpy as np

from animatrix_jax.cels.world import VERSION, CelWorld
from animatrix_jax.data import latents
from animatrix_jax.data.buckets import (
    Bucket,
    Shape,
    along,
    budget_of,
    largest,
    make_buckets,
    sort_clips,
)
from animatrix_jax.data.curriculum import CurriculumConfig
from animatrix_jax.data.dataset import DatasetSource
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.folder import FolderSource
from animatrix_jax.data.held import HeldSource
from animatrix_jax.data.pipeline import Batcher, DataConfig, make_batches
from animatrix_jax.data.prepared import PreparedLatents, cache_folder
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
        # Real videos are read anew each time, a window drawn in each, unless a dataset
        # was encoded ahead.
        self._encoded_ahead = self._find_encoded(buckets=bool(config.batch.buckets))
        cacheable = self._data.source == "cels" or self._encoded_ahead is not None
        self.pixels = pixels or not (self._data.cached and cacheable)
        tasks, batch = (
            section(TaskMix, config.tasks),
            section(BatchConfig, config.batch),
        )
        self._bucket_multiple = batch.multiple if batch.buckets else 1
        self._batches = DataConfig(
            batch_size=batch.size,
            max_tags=batch.max_tags,
            steps=config.loop.steps,
            seed=config.seed,
            fields=fields,
            tasks=tuple(dataclasses.asdict(tasks).items()),
            buckets=self._make_buckets(batch),
            text_length=towers.text_length,
            time_stride=towers.vae_config.stride[0],
            corruption=section(CorruptionConfig, config.corruption),
            curriculum=section(CurriculumConfig, config.curriculum),
            say_tags=not towers.dit.uses_tags,
            group=group,
            workers=self._data.workers,
        )

    def _find_encoded(self, *, buckets: bool) -> pathlib.Path | None:
        """Where a dataset's latents of the model's shape lie, if they do."""
        if self._data.source != "dataset" or buckets or not self._data.path:
            return None
        shape = {k: self._model[k] for k in ("frames", "height", "width")}
        folder = cache_folder(self._data.path, **shape)
        return folder if folder.is_dir() else None

    @property
    def _text_ahead(self) -> bool:
        """Whether texts come as vectors: nothing may rewrite them on the way."""
        corruption = self._batches.corruption
        rewritten = corruption.synonym > 0 or corruption.conflict > 0
        rewritten = rewritten or self._batches.say_tags
        return self._encoded_ahead is not None and not (self.pixels or rewritten)

    def batches(self) -> grain.IterDataset:
        """The training batches of this host."""
        host, hosts = distributed.batch_share()
        shaped = self._batches.buckets != ()
        return make_batches(
            None if shaped else self.source,
            self._batches,
            images=None if shaped else self._images,
            shaped=self._shaped,
            tokenizer=self._tokenizer,
            host=host,
            hosts=hosts,
        )

    def batch_shapes(self) -> dict[str, Any]:
        """Shapes of a batch of clips (not of single images) over all hosts; with buckets,
        of the largest."""
        return self.all_shapes()[0]

    def all_shapes(self) -> list[dict[str, Any]]:
        """Those of every bucket, the largest first."""
        buckets, model = self._batches.buckets, self._towers.model
        if not buckets:
            shape = (model.frames, model.height, model.width)
            return [self._shapes_of(self._batches.batch_size, shape)]
        first = largest(buckets, stride=model.vae.stride, patch=model.dit.patch)
        order = [buckets[first], *buckets[:first], *buckets[first + 1 :]]
        return [self._shapes_of(b.size, (b.frames, b.height, b.width)) for b in order]

    def _make_buckets(self, batch: BatchConfig) -> tuple[Bucket, ...]:
        if not batch.buckets:
            return ()
        model = self._towers.model
        cut = {"stride": model.vae.stride, "patch": model.dit.patch}
        own = (model.frames, model.height, model.width)
        return make_buckets(
            batch.buckets,
            budget=budget_of(own, clips=batch.size, **cut),
            multiple=batch.multiple,
            **cut,
        )

    def _shapes_of(self, size: int, shape: Shape) -> dict[str, Any]:
        config, model = self._batches, self._towers.model
        frames, height, width = shape
        time, rows, columns = model.vae.stride
        video = (size, *shape, 3)
        latents = (
            *(size, (frames - 1) // time + 1, height // rows, width // columns),
            model.vae.latent_channels,
        )
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
        if self._text_ahead:
            width = self._towers.text_config.d_model
            parts["text"] = {"text": ((*text, width), np.float32)}
        return {
            name: jax.ShapeDtypeStruct(*shape)
            for field in config.fields
            for name, shape in parts[field].items()
        }

    def held_out(self) -> list[Batch]:
        """Fixed batches with whole conditioning; the tasks of video, or of images."""
        config = dataclasses.replace(
            self._batches,
            tasks=self._batches.tasks_at(1.0),
            seed=_HELD_OUT_SEED,
            corruption=None,
            curriculum=CurriculumConfig(),
        )
        if config.buckets:
            return self._held_out_shaped(config)
        size = self._held_out_size(config.batch_size)
        steps = max(self._data.held_out // max(size, 1), 1)
        config = dataclasses.replace(config, batch_size=size, steps=steps)
        batcher = self._batcher(config, self._held_out_source)
        return [batcher(step) for step in range(config.steps)]

    def _held_out_shaped(self, config: DataConfig) -> list[Batch]:
        """A batch of each bucket that the run's last step could be of."""
        found = []
        for bucket, source in zip(config.buckets, self._held_out_sources):
            tasks = tuple((k, s) for k, s in config.tasks if bucket.takes(k) and s > 0)
            if not tasks or not along(bucket.weight, 1.0):
                continue
            size = self._held_out_size(bucket.size)
            # Smaller batches may not divide over the mesh.
            size = max(size, self._multiple)
            bucket = dataclasses.replace(bucket, size=size, weight=1.0)
            alone = dataclasses.replace(config, buckets=(bucket,), tasks=tasks, steps=1)
            found.append(self._batcher(alone, None, shaped=[source])(0))
        return found

    def _held_out_size(self, size: int) -> int:
        """Clips of a held-out batch, where training has `size`."""
        size = min(size, self._data.held_out)
        return size - size % (self._multiple * distributed.batch_share()[1])

    @property
    def _multiple(self) -> int:
        return math.lcm(self._batches.group, self._bucket_multiple)

    def _batcher(
        self, config: DataConfig, source: Source | None, **options: Any
    ) -> Batcher:
        host, hosts = distributed.batch_share()
        return Batcher(
            source,
            config,
            tokenizer=self._tokenizer,
            host=host,
            hosts=hosts,
            **options,
        )

    def counts(self) -> dict[str, int]:
        """How many files were set aside."""
        sources = self._shaped or [self.source]
        return {"set_aside": max(len(source.set_aside) for source in sources)}

    @property
    def _least_frames(self) -> int:
        """Frames of the shortest batches: a source leaves out what is shorter."""
        if not self._batches.buckets:
            return self._model.frames
        return min(bucket.frames for bucket in self._batches.buckets)

    @functools.cached_property
    def source(self) -> Source:
        """The training clips."""
        if self._data.source != "cels" and not self._data.path:
            name = self._data.source
            raise UserError(f"data={name} needs --config.data.path=DIR")
        if self._data.source == "dataset" and not self.pixels:
            return self._prepared()
        if self._data.source == "dataset":
            return DatasetSource(
                self._data.path,
                frames=self._least_frames,
                fps=self._model.fps,
                height=self._model.height,
                width=self._model.width,
                tiers=self._data.tiers,
                max_tags=self._batches.max_tags,
            )
        if self._data.source == "videos":
            # Each process notes what it has set aside, the first where people look.
            apart = "" if distributed.is_first() else f"process_{jax.process_index()}"
            return FolderSource(
                self._data.path,
                frames=self._least_frames,
                fps=self._model.fps,
                height=self._model.height,
                width=self._model.width,
                labels=self._data.labels or None,
                workdir=self._workdir / self._stage / apart,
                max_tags=self._batches.max_tags,
                scored="scores" in self._batches.fields,
            )
        return self._world(
            "train", self._data.clips, self._seed, held_out=self._data.apart
        )

    def _prepared(self) -> Source:
        """The dataset's clips as they were encoded ahead, by this run's encoders."""
        marks = {}
        for name, config in (
            ("vae", self._towers.vae_config),
            ("text", self._towers.text_config),
        ):
            component = self._towers.component(name)
            if component is None:
                raise UserError(f"latents of a dataset need --config.init.{name}")
            params = component.params["encoder"] if name == "text" else component.params
            marks[name] = fingerprint(params, config)
        if not self._text_ahead:
            del marks["text"]
        return PreparedLatents(
            self._data.path,
            self._encoded_ahead,
            tiers=self._data.tiers,
            max_tags=self._batches.max_tags,
            **marks,
        )

    @functools.cached_property
    def _shaped(self) -> list[Source]:
        """The training clips of each bucket, in its shape."""
        buckets = self._batches.buckets
        if not buckets:
            return []
        if self._data.source == "cels":
            return [self._drawn(bucket, "train", self._seed) for bucket in buckets]
        return self._sorted(self.source, buckets)

    @functools.cached_property
    def _held_out_sources(self) -> list[Source]:
        if self._data.source != "cels":
            return self._shaped
        buckets = self._batches.buckets
        return [self._drawn(bucket, "test", _HELD_OUT_SEED) for bucket in buckets]

    def _drawn(self, bucket: Bucket, split: str, seed: int) -> Source:
        """Cel World in the shape of a bucket; an image is a frame of a clip of its own."""
        still, held = bucket.is_image, split != "train"
        clips = (still and self._data.images) or self._data.clips
        frames = self._model.frames if still else bucket.frames
        return self._world(
            split,
            max(self._data.held_out, 2) if held else clips,
            seed + (still and not held),
            still=still,
            held_out=self._held_out_world(held=held),
            shape=(frames, bucket.height, bucket.width),
        )

    def _sorted(self, source: Any, buckets: Sequence[Bucket]) -> list[Source]:
        """A source of real clips by bucket."""
        if not hasattr(source, "view"):
            raise UserError(
                f"data={self._data.source} does not come in buckets: leave batch.buckets "
                "empty"
            )
        sorted_clips = sort_clips(
            buckets,
            aspects=source.aspects,
            seconds=source.spans,
            fps=self._model.fps,
        )
        return [
            source.view(clips.tolist(), frames=b.frames, height=b.height, width=b.width)
            for b, clips in zip(buckets, sorted_clips)
        ]

    @property
    def _images(self) -> Source | None:
        """Clips seen as one frame each, for text-to-image."""
        shown = np.max(dict(self._batches.tasks)["t2i"]) > 0
        if not (self._data.images and self._data.source == "cels" and shown):
            return None
        return self._world(
            "train",
            self._data.images,
            self._seed + 1,
            still=True,
            held_out=self._data.apart,
        )

    @functools.cached_property
    def _held_out_source(self) -> Source:
        if self._data.source != "cels":
            return self.source
        return self._world(
            "test",
            max(self._data.held_out, 2),
            _HELD_OUT_SEED,
            held_out=self._held_out_world(held=True),
        )

    def _held_out_world(self, *, held: bool) -> bool:
        """Whether clips, held out or not, are of the world of other characters."""
        return self._data.apart or (held and self._data.held_out_world)

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
