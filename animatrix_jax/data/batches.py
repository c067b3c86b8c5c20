"""From a step to its batch: draw clips, read them, corrupt their labels, stack.

A batch is a dict of NumPy arrays (b clips of this host, t' latent frames):

    clip_id int64 [b]
    media   video uint8 [b t h w 3]  or  latents float32 [b t' h w c]
    text    text_tokens int32 [b s], text_mask bool [b s]; or text float32 [b s d] where
            a source brings what the text tower made of them
    tags    tag_fields, tag_values int32 [b k], tag_mask bool [b k]
    given   given bool [b t']: the latent frames that are conditions, clean at noise 0
    directives  a directives of each clip, its own first (knowledge/counterfactual.py):
            tag_fields, tag_values int32 [b a k], tag_mask bool [b a k],
            scores float32 [b a 4], weights float32 [b a], 0 where there is none

The words on the left are the fields that a config may ask for. All of it is a pure
function of (source, config, seed, step), split among hosts by slots: the batch of step
s is the same however many hosts make it.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from animatrix_jax.data.buckets import Along, Bucket, along
from animatrix_jax.data.curriculum import (
    CurriculumConfig,
    build_sampler,
    clip_generator,
    step_uniform,
)
from animatrix_jax.data.records import Record, Source
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.corruption import CorruptionConfig, corrupt
from animatrix_jax.knowledge.counterfactual import directives
from animatrix_jax.knowledge.directive import Directive, say_tags
from animatrix_jax.knowledge.encoding import MAX_TAGS, encode_tags

Batch = dict[str, np.ndarray]

FIELDS = ("media", "text", "tags", "given", "directives")
TASKS = ("t2i", "t2v", "i2v")


@runtime_checkable
class TextEncoder(Protocol):
    """What batches need of data.tokenizer.Tokenizer."""

    def encode(self, texts: Any, length: int) -> Any:
        """Returns `tokens` int32 [b s] and `mask` bool [b s]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What batches hold and how they are drawn.

    Attributes:
      batch_size: clips a step, over all hosts; with buckets each has its own.
      steps: how many batches there are; the curriculum's progress runs over them.
      seed: of all that is drawn.
      fields: which parts of FIELDS a batch holds. Without "media" nothing is decoded.
      tasks: tasks with their share of clips along the run. One task is drawn a step.
      buckets: the shapes of batches, one drawn a step; none: the one of the source.
      text_length: tokens of text.
      max_tags: tags of a clip.
      time_stride: frames of video a latent frame stands for, for `given`.
      corruption: conditioning dropout; None gives every tag and the whole text.
      curriculum: how clips are drawn.
      say_tags: tags are said in words after the text, for a model without a tag path.
      group: neighbouring slots that share a draw and its corruption: slot s takes clip
        `group * i + s % group`, so that 2 brings the clips of a pair together.
      workers: threads that make batches ahead.
      processes: that make them in the threads' place; 0: threads.
      prefetch: how many batches the threads, or each process, keep ready.
    """

    batch_size: int
    steps: int
    seed: int = 0
    fields: tuple[str, ...] = ("media", "text", "tags", "given")
    tasks: tuple[tuple[str, Along], ...] = (
        ("t2i", 0.5),
        ("t2v", 0.3),
        ("i2v", 0.2),
    )
    buckets: tuple[Bucket, ...] = ()
    text_length: int = 48
    max_tags: int = MAX_TAGS
    time_stride: int = 4
    corruption: CorruptionConfig | None = dataclasses.field(
        default_factory=CorruptionConfig
    )
    curriculum: CurriculumConfig = dataclasses.field(default_factory=CurriculumConfig)
    say_tags: bool = False
    group: int = 1
    workers: int = 2
    processes: int = 0
    prefetch: int = 4

    def __post_init__(self):
        unknown = set(self.fields) - set(FIELDS)
        if unknown:
            raise UserError(f"unknown batch fields {sorted(unknown)}: have {FIELDS}")
        names = [name for name, _ in self.tasks]
        if not names or set(names) - set(TASKS):
            raise UserError(f"expected tasks among {TASKS}, got {names}")
        shares = self.shares(np.linspace(0, 1, 101))
        if shares.min() < 0 or shares.sum(axis=0).min() <= 0:
            raise UserError(
                f"expected shares of 0 or more, not all 0, got {self.tasks}"
            )
        if self.buckets:
            self._check_buckets()

    def _check_buckets(self) -> None:
        drawn = [name for name, share in self.tasks if np.max(share) > 0]
        for task in drawn:
            if not any(bucket.takes(task) for bucket in self.buckets):
                kind = "1 frame" if task == "t2i" else "several frames"
                raise UserError(
                    f"tasks.{task} is above 0, and no bucket is of {kind}: add one to "
                    "batch.buckets"
                )
        for bucket in self.buckets:
            if not any(bucket.takes(task) for task in drawn):
                raise UserError(
                    f"bucket {bucket.name} is never drawn: no task of its kind has a "
                    "share above 0"
                )
        moments = np.linspace(0, 1, 101)
        for (task, _), shares in zip(self.tasks, self.shares(moments)):
            weights = sum(
                along(b.weight, moments) for b in self.buckets if b.takes(task)
            )
            if (empty := moments[(shares > 0) & (weights == 0)]).size:
                raise UserError(
                    f"tasks.{task} is above 0 at {empty[0]:.0%} of the run, where every "
                    "bucket of its kind has weight 0"
                )

    def shares(self, progress: float | np.ndarray) -> np.ndarray:
        """Each task's share of clips [task] at a progress in [0, 1] of the run."""
        return np.stack([along(share, progress) for _, share in self.tasks])

    def tasks_at(self, progress: float) -> tuple[tuple[str, float], ...]:
        """The tasks with their shares at one moment."""
        shares = self.shares(progress).tolist()
        return tuple((name, share) for (name, _), share in zip(self.tasks, shares))

    def progress(self, step: int) -> float:
        """How far the run is at a step: 0 at the first, 1 at the last."""
        return min(1.0, step / max(self.steps - 1, 1))


class Batcher:
    """Makes the batch of a step: random access, no state.

    Args:
      source: the clips.
      images: the clips of text-to-image, of one frame each; None: frames of `source`.
      shaped: with config.buckets, the clips of each in its shape, in place of `source`
        and `images`.
      config: see DataConfig.
      tokenizer: needed for the field "text" only.
      host, hosts: which share of each step's slots to make.

    Raises:
      UserError: if the slots do not divide among the hosts, or measures are missing.
    """

    def __init__(
        self,
        source: Source | None,
        config: DataConfig,
        *,
        images: Source | None = None,
        shaped: Sequence[Source] = (),
        tokenizer: TextEncoder | None = None,
        host: int = 0,
        hosts: int = 1,
    ):
        sizes = [b.size for b in config.buckets] or [config.batch_size]
        for size in sizes:
            if size % (hosts * config.group):
                raise UserError(
                    f"expected a batch size that {hosts} hosts x groups of "
                    f"{config.group} divide, got {size}"
                )
        if len(shaped) != len(config.buckets):
            raise ValueError(
                f"expected clips of {len(config.buckets)} buckets, got {len(shaped)}"
            )
        if not 0 <= host < hosts:
            raise ValueError(f"expected a host in [0, {hosts}), got {host}")
        if "text" in config.fields and tokenizer is None:
            raise ValueError('expected a tokenizer for the field "text", got none')
        self._config = config
        self._tokenizer = tokenizer
        self._slots = [
            np.arange(host * size // hosts, (host + 1) * size // hosts)
            for size in sizes
        ]
        if config.buckets:
            self._shaped = [self._pool(source) for source in shaped]
            return
        pools = {id(s): self._pool(s) for s in (source, images) if s is not None}
        self._pools = {
            task: pools[id(images if task == "t2i" and images is not None else source)]
            for task in TASKS
        }

    def _pool(self, source: Source) -> "_Pool":
        group, mode = self._config.group, self._config.curriculum.mode
        if len(source) < group:
            raise UserError(f"expected {group} clips or more, got {len(source)}")
        tables = None if mode == "plain" else source.tables(measured=mode != "uniform")
        sampler = build_sampler(
            self._config.curriculum, count=len(source), tables=tables
        )
        return _Pool(source=source, sampler=sampler)

    def __call__(self, step: int) -> Batch:
        """This host's share of the batch of `step`."""
        return self._of(int(step), self.draw(step))

    def once(self) -> Iterator[Batch]:
        """Every clip in its order, in batches of this host's size, the last filled up
        with the first; of Batchers without buckets."""
        group, slots = self._config.group, len(self._slots[0])
        count = len(self._pool_of(draw_choice(self._config, 0)).source)
        groups = np.arange(max(count // group, 1))
        steps = -(-len(groups) * group // slots)
        rows = np.resize(groups, (steps, slots // group))
        for step, some in enumerate(rows):
            clips = some[:, None] * group + np.arange(group)
            yield self._of(step, clips.reshape(-1))

    def _of(self, step: int, clips: np.ndarray) -> Batch:
        """A batch of given clips, with what `step` draws of each."""
        config = self._config
        choice = draw_choice(config, step)
        task, source = choice.task, self._pool_of(choice).source
        groups = self._slots[choice.bucket] // config.group
        read = "media" in config.fields or "directives" in config.fields
        records, texts, tags = [], [], []
        for clip, group in zip(clips.tolist(), groups.tolist()):
            rng = clip_generator(seed=config.seed, step=step, slot=group)
            if read:
                record = source.record(clip, rng)
            else:
                record = source.narrative(clip)
            conditions = _conditions(record, config.corruption, rng)
            if task == "t2i" and "media" in config.fields:
                record = record | _one_image(record, rng)
            records.append(record)
            text = conditions.text
            texts.append(say_tags(text, conditions.tags) if config.say_tags else text)
            tags.append(conditions.tags)
        batch = {"clip_id": np.array([r["clip_id"] for r in records], np.int64)}
        if "media" in config.fields:
            batch |= _stack_media(records)
        if "given" in config.fields and "media" in config.fields:
            batch["given"] = _given(batch, task, config.time_stride)
        if "text" in config.fields and "text_vectors" in records[0]:
            batch["text"] = _stack_vectors(records, texts, config.text_length)
        elif "text" in config.fields:
            encoded = self._tokenizer.encode(texts, config.text_length)
            batch |= {"text_tokens": encoded.tokens, "text_mask": encoded.mask}
        if "tags" in config.fields:
            batch |= stack_tags(tags, config.max_tags)
        if "directives" in config.fields:
            batch |= stack_directives(tags, _scores(records), config.max_tags)
        return batch

    def draw(self, step: int) -> np.ndarray:
        """The clips [b] that this host's slots of a step take."""
        config = self._config
        choice = draw_choice(config, int(step))
        pool, slots = self._pool_of(choice), self._slots[choice.bucket]
        clips = pool.sampler.draw(
            seed=config.seed,
            step=step,
            slots=slots // config.group,
            progress=config.progress(step),
        )
        # A draw names its whole group; clips left over at the end join the last one.
        groups = np.minimum(clips, len(pool.source) - config.group) // config.group
        return groups * config.group + slots % config.group

    def _pool_of(self, choice: "Choice") -> "_Pool":
        if self._config.buckets:
            return self._shaped[choice.bucket]
        return self._pools[choice.task]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """What a step's batch is of: a task, and the number of a bucket (0 without any)."""

    task: str
    bucket: int = 0


def draw_choice(config: DataConfig, step: int) -> Choice:
    """The task and bucket of a step, the same on every host."""
    names = [name for name, _ in config.tasks]
    progress = config.progress(step)
    shares = config.shares(progress)
    choices = [Choice(task=name) for name in names]
    if config.buckets:
        choices, shares = _choices(config.buckets, names, shares, progress)
    edges = np.cumsum(shares)
    edges = edges / edges[-1]
    place = np.searchsorted(edges, step_uniform(seed=config.seed, step=step), "right")
    return choices[min(int(place), len(choices) - 1)]


def _choices(
    buckets: Sequence[Bucket],
    names: Sequence[str],
    shares: np.ndarray,
    progress: float,
) -> tuple[list[Choice], np.ndarray]:
    """Every task in every bucket that takes it, with its share of steps."""
    found, parts = [], []
    for name, share in zip(names, shares.tolist()):
        fit = [n for n, bucket in enumerate(buckets) if bucket.takes(name)]
        weights = [float(along(buckets[n].weight, progress)) for n in fit]
        # Of a task without a share now, every weight may be 0.
        total = sum(weights) or 1.0
        for n, weight in zip(fit, weights):
            found.append(Choice(task=name, bucket=n))
            # Shares count clips, and a step of small clips has many.
            parts.append(share * weight / total / buckets[n].size)
    return found, np.array(parts)


def stack_tags(tags: Sequence[tuple[str, ...]], max_tags: int = MAX_TAGS) -> Batch:
    """Encodes and stacks the tags of clips: fields, values and mask, each [b k]."""
    encoded = [encode_tags(clip, max_tags) for clip in tags]
    return {
        "tag_fields": np.stack([ids.fields for ids in encoded]),
        "tag_values": np.stack([ids.values for ids in encoded]),
        "tag_mask": np.stack([ids.mask for ids in encoded]),
    }


def stack_directives(
    tags: Sequence[tuple[str, ...]],
    scores: Float[np.ndarray, "b 4"],
    max_tags: int = MAX_TAGS,
) -> Batch:
    """Clips with scores under their own tags and under others; see the field."""
    found = [directives(*each) for each in zip(tags, scores, strict=True)]
    said = stack_tags([one for each in found for one in each.tags], max_tags)
    shape = (len(found), -1, max_tags)
    return {name: value.reshape(shape) for name, value in said.items()} | {
        "scores": np.stack([each.scores for each in found]),
        "weights": np.stack([each.weights for each in found]),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pool:
    """Clips, and how they are drawn."""

    source: Source
    sampler: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Conditions:
    text: str
    tags: tuple[str, ...]


def _conditions(
    record: Record, config: CorruptionConfig | None, rng: np.random.Generator
) -> _Conditions:
    if config is None:
        text = " ".join(filter(None, (record["summary"], record["description"])))
        return _Conditions(text=text, tags=record["tags"])
    names = ("tags", "summary", "description")
    directive = Directive(**{name: record[name] for name in names})
    corrupted = corrupt(directive, config, rng)
    return _Conditions(text=corrupted.text, tags=corrupted.tags)


def _one_image(record: Record, rng: np.random.Generator) -> Record:
    """A frame of the clip: of its pixels any, of its latents the one coded alone."""
    if "latents" in record:
        return {"latents": record["latents"][:1]}
    frame = rng.integers(len(record["video"]))
    return {"video": record["video"][frame : frame + 1]}


def _stack_media(records: Sequence[Record]) -> Batch:
    """Video as it is, latents as float32."""
    if "latents" in records[0]:
        return {"latents": np.stack([r["latents"] for r in records]).astype(np.float32)}
    return {"video": np.stack([record["video"] for record in records])}


def _stack_vectors(
    records: Sequence[Record], texts: Sequence[str], length: int
) -> np.ndarray:
    """What the text tower made of each clip's text [b s d], zero where padded."""
    found = []
    for record, text in zip(records, texts):
        if text not in record["text_vectors"]:
            raise UserError(
                f"the text of clip {record['clip_id']} is not among those encoded ahead: "
                "encode again, or train with --config.data.cached=False"
            )
        found.append(record["text_vectors"][text][:length])
    stacked = np.zeros((len(found), length, found[0].shape[-1]), np.float32)
    for row, vectors in zip(stacked, found):
        row[: len(vectors)] = vectors
    return stacked


def _given(batch: Batch, task: str, time_stride: int) -> np.ndarray:
    """The first latent frame of image-to-video; nothing otherwise."""
    if "latents" in batch:
        count, frames = batch["latents"].shape[:2]
    else:
        count, frames = batch["video"].shape[:2]
        frames = (frames - 1) // time_stride + 1
    given = np.zeros((count, frames), bool)
    given[:, 0] = task == "i2v"
    return given


def _scores(records: Sequence[Record]) -> np.ndarray:
    missing = [r["clip_id"] for r in records if r.get("scores") is None]
    if missing:
        raise UserError(f"expected scored clips, but clip {missing[0]} has no scores")
    return np.stack([record["scores"] for record in records]).astype(np.float32)
