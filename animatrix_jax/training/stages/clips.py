"""The clips of a stage, as training and held-out batches.

    sources (clip_sources.py)  ->  clips as video or latents  ->  batches

Held-out batches are of clips that training never draws: of Cel World a stream of its own,
of people's files those that are kept whole for it (of too few files none are, and the log
says so). They are drawn by a seed of their own, always the same, under whole tags and
texts.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import grain

from animatrix_jax.data import seeds
from animatrix_jax.data.buckets import along
from animatrix_jax.data.curriculum import CurriculumConfig
from animatrix_jax.data.pipeline import Batcher, DataConfig, make_batches
from animatrix_jax.data.records import Source
from animatrix_jax.knowledge.corruption import CorruptionConfig
from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.mesh import batch_parts
from animatrix_jax.training.config import BatchConfig, SourceConfig, TaskMix, section
from animatrix_jax.training.stage import Batch
from animatrix_jax.training.stages.batch_shapes import (
    all_shapes,
    buckets_of,
    held_out_size,
)
from animatrix_jax.training.stages.clip_sources import clip_sources
from animatrix_jax.training.stages.towers import Towers


class Clips:
    """Batches of a stage.

    Args:
      config: the run's config.
      workdir: where caches and lists of what was set aside go.
      towers: for the VAE behind the cache, and the tokenizer.
      fields: of the batches; see data/batches.py.
      pixels: train on pixels, not on latents.
      group: neighbouring clips that a batch keeps together.

    Attributes:
      pixels: whether batches hold pixels.
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
        self._towers = towers
        data = section(SourceConfig, config.data)
        batch = section(BatchConfig, config.batch)
        tasks = section(TaskMix, config.tasks)
        self._held_out = data.held_out
        self._bucket_multiple = batch.multiple if batch.buckets else 1
        self._batches = DataConfig(
            batch_size=batch.size,
            max_tags=batch.max_tags,
            steps=config.loop.steps,
            seed=config.seed,
            fields=fields,
            tasks=tuple(dataclasses.asdict(tasks).items()),
            buckets=buckets_of(batch, towers.model),
            text_length=towers.text_length,
            time_stride=towers.vae_config.stride[0],
            corruption=section(CorruptionConfig, config.corruption),
            curriculum=section(CurriculumConfig, config.curriculum),
            say_tags=not towers.dit.uses_tags,
            group=group,
            workers=data.workers,
            processes=data.processes,
        )
        self._sources = clip_sources(
            config,
            workdir=workdir,
            towers=towers,
            batches=self._batches,
            pixels=pixels,
        )
        self.pixels = self._sources.pixels

    @property
    def source(self) -> Source:
        """The training clips, in the model's own shape."""
        return self._sources.source

    def batches(self) -> grain.IterDataset:
        """The training batches of this host."""
        host, hosts = distributed.batch_share()
        sources, shaped = self._sources, self._batches.buckets != ()
        return make_batches(
            None if shaped else sources.source,
            self._batches,
            images=None if shaped else sources.images,
            shaped=sources.shaped if shaped else (),
            tokenizer=self._tokenizer,
            host=host,
            hosts=hosts,
        )

    def once(self) -> Iterator[Batch]:
        """Every training clip once in the model's own shape, in batches, on every host."""
        config = dataclasses.replace(self._batches, buckets=())
        return Batcher(self.source, config, tokenizer=self._tokenizer).once()

    def batch_shapes(self) -> dict[str, Any]:
        """Shapes of a batch of clips (not of single images) over all hosts; with buckets,
        of the largest."""
        return self.all_shapes()[0]

    def all_shapes(self) -> list[dict[str, Any]]:
        """Those of every bucket, the largest first."""
        ahead = self._sources.text_ahead
        return all_shapes(
            self._batches,
            self._towers.model,
            pixels=self.pixels,
            text_width=self._towers.text_config.d_model if ahead else None,
        )

    def held_out(self) -> list[Batch]:
        """Fixed batches with whole conditioning; the tasks of video, or of images."""
        config = dataclasses.replace(
            self._batches,
            tasks=self._batches.tasks_at(1.0),
            seed=seeds.HELD_OUT,
            corruption=None,
            curriculum=CurriculumConfig(),
        )
        if config.buckets:
            return self._held_out_shaped(config)
        size = self._held_out_size(config.batch_size)
        steps = max(self._held_out // size, 1)
        config = dataclasses.replace(config, batch_size=size, steps=steps)
        batcher = self._batcher(config, self._sources.held_out)
        return [batcher(step) for step in range(config.steps)]

    def _held_out_shaped(self, config: DataConfig) -> list[Batch]:
        """A batch of each bucket that the run's last step could be of."""
        found = []
        for bucket, source in zip(config.buckets, self._sources.held_out_shaped):
            tasks = tuple((k, s) for k, s in config.tasks if bucket.takes(k) and s > 0)
            if not tasks or not along(bucket.weight, 1.0):
                continue
            size = self._held_out_size(bucket.size)
            bucket = dataclasses.replace(bucket, size=size, weight=1.0)
            alone = dataclasses.replace(config, buckets=(bucket,), tasks=tasks, steps=1)
            found.append(self._batcher(alone, None, shaped=[source])(0))
        return found

    def _held_out_size(self, size: int) -> int:
        """Clips of a held-out batch, where training has `size`: what divides over the
        hosts, each with whole groups, and over the mesh."""
        on_hosts = distributed.batch_share()[1] * self._batches.group
        multiples = (on_hosts, self._bucket_multiple, batch_parts())
        return held_out_size(size, self._held_out, multiples_of=multiples)

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
        buckets, sources = self._batches.buckets, self._sources
        opened = sources.shaped if buckets else [sources.source]
        return {"set_aside": max(len(source.set_aside) for source in opened)}

    @property
    def _tokenizer(self) -> Any:
        return self._towers.tokenizer if "text" in self._batches.fields else None
