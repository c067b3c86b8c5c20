"""Clips a second that the input pipeline delivers, against what a train step consumes.

    python -m benchmarks.input_pipeline [--json] [--preset=nano] [--mfu=0.5]

Three cases, each with its ratio of delivered to consumed; the aim is 3 or more:

    latents        cached latents of the preset's clips, held in memory as the cache of a
                   small model is, against the preset's train step on this machine
    drawn          the same without a cache: Cel World's clips are drawn as they are asked
                   for, and the step encodes them too
    latents_480p   cached latents of 81 frames of 480 x 832 (wan21_1_3b), each read from
                   its file, against 8 v6e chips at an assumed share of their peak
                   (`--chips`, `--tflops`, `--mfu`; a published step reaches less than half)

The batches are those of continued training, with corrupted tags and tokenised text, made
by the pipeline's own threads (`animatrix_jax/data/pipeline.py`); the latents are noise of
the true shape, and the step's weights are fresh. Delivery and step are timed each by
itself. `waiting` is measured with both together: the share of a run of steps that is spent
on waiting for batches. The files of `latents_480p` were written just before: what reads
them finds them in the page cache.
"""

import importlib
import itertools
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from absl import flags

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.cli import app
from animatrix_jax.data.batches import Batch, DataConfig
from animatrix_jax.data.curriculum import CurriculumConfig
from animatrix_jax.data.latents import LatentSource, write_latents
from animatrix_jax.data.pipeline import make_batches
from animatrix_jax.data.records import Source
from animatrix_jax.data.sources import CelSource
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.knowledge.corruption import CorruptionConfig
from animatrix_jax.models import presets
from animatrix_jax.models.functional import init_params
from animatrix_jax.training.config import section
from animatrix_jax.training.optimizer import OptimizerConfig, make_optimizer
from animatrix_jax.training.stages.flow import FlowStage
from animatrix_jax.training.stages.towers import Towers
from animatrix_jax.training.step import init_state, make_train_step
from animatrix_jax.training.weights import load_component, save_component
from benchmarks.stack import Size, forward_flops

FLAGS = flags.FLAGS
_STEPS = 1_000_000
_REAL = "wan21_1_3b"


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    report = {"preset": FLAGS.preset}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for case, cached in (("latents", True), ("drawn", False)):
            report[case] = Run(FLAGS.preset, folder, cached=cached).figures()
        report["latents_480p"] = at_480p(folder)
    for case, figures in report.items():
        print(f"{case}: {figures}")
    app.print_json(report)


class Run:
    """A preset's continued training: its batches, and its step with fresh weights.

    Args:
      preset: a name of `configs/`.
      folder: for a cache.
      cached: train from cached latents, else from clips drawn as they are asked for.
    """

    def __init__(self, preset: str, folder: pathlib.Path, *, cached: bool):
        arg = "stage=ct,smoke" if FLAGS.smoke else "stage=ct"
        self._config = importlib.import_module(f"configs.{preset}").get_config(arg)
        self._config.batch.size = FLAGS.batch
        self._config.data.cached = cached
        self._model = model = presets.preset(preset)
        towers = fresh_towers(self._config, folder / "towers")
        self._config.init.update({"vae": str(towers), "text": str(towers)})
        self._stage = FlowStage(self._config, workdir=folder)
        if cached:
            self._source = cache(folder / "small", model.latent_shape, FLAGS.clips)
        else:
            size = {
                name: getattr(model, name) for name in ("frames", "height", "width")
            }
            self._source = CelSource(CelWorld(seed=0, size=4096, **size))

    def _batches(self) -> Iterator[Batch]:
        config = DataConfig(
            batch_size=self._config.batch.size,
            steps=_STEPS,
            # The longest: no task is images alone.
            tasks=(("t2v", 0.5), ("i2v", 0.5)),
            text_length=self._model.text_length,
            max_tags=self._config.batch.max_tags,
            time_stride=self._model.vae.stride[0],
            corruption=section(CorruptionConfig, self._config.corruption),
            curriculum=_sampling(self._source),
            workers=self._config.data.workers,
        )
        return iter(make_batches(self._source, config, tokenizer=tokenizer()))

    def figures(self) -> dict[str, float]:
        """What its batches come at, and what its step takes."""
        batches = self._batches()
        size = self._config.batch.size
        delivered = size / seconds_a_batch(batches, FLAGS.batches)
        optimizer = section(OptimizerConfig, self._config.optimizer)
        tx = make_optimizer(optimizer)
        step = jax.jit(make_train_step(self._stage, tx, optimizer), donate_argnums=0)
        frozen = jax.device_put(self._stage.frozen())
        state = jax.jit(lambda key: init_state(self._stage.init(key), tx, 0))(
            jax.random.key(0)
        )

        def take(batch: Batch) -> float:
            nonlocal state
            batch = {name: x for name, x in batch.items() if name != "clip_id"}
            start = time.perf_counter()
            state, _ = step(state, frozen, batch, np.float32(1e-4))
            jax.block_until_ready(state)
            return time.perf_counter() - start

        # The first call compiles.
        batch = next(batches)
        times = [take(batch) for _ in range(FLAGS.steps + 1)][1:]
        start = time.perf_counter()
        stepping = sum(take(next(batches)) for _ in range(FLAGS.steps))
        waiting = 1 - stepping / (time.perf_counter() - start)
        consumed = size / statistics.median(times)
        return _figures(delivered, consumed) | {"waiting": round(waiting, 4)}


def at_480p(folder: pathlib.Path) -> dict[str, float]:
    """Latents read from files, against chips whose speed is an assumption."""
    model = presets.preset(_REAL)
    dit = model.dit
    source = cache(
        folder / "large", model.latent_shape, FLAGS.clips_480p, memory_bytes=0
    )
    batch = FLAGS.chips
    config = DataConfig(
        batch_size=batch,
        steps=_STEPS,
        tasks=(("t2v", 0.5), ("i2v", 0.5)),
        text_length=model.text_length,
        time_stride=model.vae.stride[0],
        curriculum=_sampling(source),
    )
    batches = iter(make_batches(source, config, tokenizer=tokenizer()))
    delivered = batch / seconds_a_batch(batches, FLAGS.batches)
    clip = Size(
        layers=dit.num_layers,
        heads=dit.num_heads,
        head_dim=dit.head_dim,
        ffn_dim=dit.ffn_dim,
        text_dim=dit.text_dim,
        text=model.text_length,
        latents=model.latent_shape[:3],
    )
    speed = FLAGS.chips * FLAGS.tflops * 1e12 * FLAGS.mfu
    consumed = speed / (3 * forward_flops(clip))
    megabytes = np.prod(model.latent_shape) * 2 / 1e6
    return _figures(delivered, consumed) | {
        "assumed_tokens_per_second": round(consumed * clip.tokens),
        "megabytes_per_second": round(delivered * megabytes, 1),
    }


def fresh_towers(config: Any, folder: pathlib.Path) -> pathlib.Path:
    """A packaged folder of a VAE and a text tower that nobody trained."""
    config = config.copy_and_resolve_references()
    config.init.update({"vae": "", "text": ""})
    towers = Towers(config, workdir=folder)
    for seed, (name, build) in enumerate(
        {"vae": towers.vae, "text": towers.text_encoder}.items()
    ):
        params = init_params(build, jax.random.key(seed))
        params = {"encoder": params} if name == "text" else params
        save_component(folder, name, params)
    tokenizer().save(folder / "tokenizer.json")
    described = {"preset": config.preset, "model": config.model.to_dict()}
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def cache(
    folder: pathlib.Path,
    shape: tuple[int, ...],
    clips: int,
    *,
    memory_bytes: int = 1 << 31,
) -> LatentSource:
    """A cache of noise of a clip's latent shape, with Cel World's tags and texts."""
    world = CelWorld(seed=0, size=clips, frames=5, height=16, width=16)
    noise = np.random.default_rng(0)
    write_latents(
        CelSource(world),
        lambda video: noise.standard_normal((len(video), *shape), np.float32),
        folder=folder,
        count=clips,
        fingerprint="noise",
        batch=min(8, clips),
        draw_workers=0,
    )
    return LatentSource(folder, memory_bytes=memory_bytes)


def tokenizer() -> Tokenizer:
    """The one that ships with the package."""
    return Tokenizer.from_file(load_component("pico", "text").tokenizer)


def seconds_a_batch(batches: Iterator[Batch], count: int) -> float:
    """Mean time between batches, after those that were ready."""
    for _ in itertools.islice(batches, DataConfig.prefetch + 1):
        pass
    start = time.perf_counter()
    for _ in itertools.islice(batches, count):
        pass
    return (time.perf_counter() - start) / count


def _sampling(source: Source) -> CurriculumConfig:
    """As in continued training, where the clips are measured."""
    return CurriculumConfig(mode="plain" if source.tables() is None else "uniform")


def _figures(delivered: float, consumed: float) -> dict[str, float]:
    return {
        "delivered_per_second": round(delivered, 2),
        "consumed_per_second": round(consumed, 3),
        "ratio": round(delivered / consumed, 2),
    }


if __name__ == "__main__":
    flags.DEFINE_enum("preset", "nano", ["pico", "nano"], "Whose step is timed.")
    flags.DEFINE_bool("smoke", False, "The preset's config, tiny.")
    flags.DEFINE_integer("batch", 16, "Clips in a batch of the preset's step.")
    flags.DEFINE_integer("clips", 256, "In the cache of the preset's latents.")
    flags.DEFINE_integer("clips_480p", 48, "In the cache of latents of 480 x 832.")
    flags.DEFINE_integer("batches", 20, "Timed in each case.", lower_bound=1)
    flags.DEFINE_integer("steps", 5, "Timed in each case.", lower_bound=1)
    flags.DEFINE_integer("chips", 8, "That train on 480p, and clips in their batch.")
    flags.DEFINE_float("tflops", 918.0, "bf16 peak of a chip; a v6e's.")
    flags.DEFINE_float("mfu", 0.5, "Share of it that they are assumed to reach.")
    app.run(main)
