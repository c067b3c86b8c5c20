"""Shape buckets: clips of several lengths, sizes and aspect ratios in one run.

A bucket is a shape, frames x height x width, of which one frame is an image. A step's
batch is of one bucket, so each is one compiled program, and its clips are as many as keep
the tokens of a batch about the same:

    size_b = budget / tokens_b,  rounded down to a multiple, and at least that multiple

Weights, like tasks, are shares of clips, and like them may change along the run: so a
programme grows in size and length. With s_k the share of task k, w_b the weight of bucket
b and K(b) the buckets that take the same tasks as b (images or videos),

    P(step has task k and bucket b) ~ s_k w_b / (sum of w over K(b)) / size_b

which `batches.draw_choice` draws from (seed, step), the same on every host.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from animatrix_jax.errors import UserError

Shape = tuple[int, int, int]
"""Frames, height and width."""

Along = float | tuple[float, ...]
"""A number for the whole run, or one for each of some moments of it, spaced evenly from
its start to its end; between them it moves in a line."""


# Ratios whose logarithms differ by less are one: sizes that divide into tokens seldom have
# the very same.
_SAME_ASPECT = 0.02


def along(values: Along, progress: float | np.ndarray) -> np.ndarray:
    """The number at a progress in [0, 1] of the run, or at each of several."""
    table = np.atleast_1d(values)
    return np.asarray(np.interp(progress, np.linspace(0, 1, len(table)), table))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bucket:
    """One shape of batches.

    Attributes:
      frames, height, width: of its clips; one frame is an image.
      weight: its share of clips, among the buckets of images or those of videos, along
        the run.
      size: clips of a batch, over all hosts.
    """

    frames: int
    height: int
    width: int
    weight: Along = 1.0
    size: int = 1

    def __post_init__(self):
        if min(self.frames, self.height, self.width, self.size) < 1:
            raise ValueError(f"expected a shape and a size of 1 or more, got {self}")
        if (
            np.size(self.weight) < 1
            or np.min(self.weight) < 0
            or not np.max(self.weight)
        ):
            raise ValueError(f"expected weights of 0 or more, not all 0, got {self}")

    @property
    def shape(self) -> Shape:
        """Frames, height and width."""
        return self.frames, self.height, self.width

    @property
    def is_image(self) -> bool:
        """Whether its clips are single frames."""
        return self.frames == 1

    @property
    def name(self) -> str:
        """Its shape, as people write it."""
        return f"{self.frames}x{self.height}x{self.width}"

    def takes(self, task: str) -> bool:
        """Whether batches of a task come in this shape."""
        return (task == "t2i") == self.is_image


def make_buckets(
    entries: Sequence[Sequence[Along]],
    *,
    stride: Shape,
    patch: Shape,
    budget: int,
    multiple: int = 1,
) -> tuple[Bucket, ...]:
    """The buckets of a config, with their batch sizes.

    Args:
      entries: (frames, height, width) or (frames, height, width, weight); the weight a
        number, or several along the run.
      stride: frames, rows and columns of pixels to one latent.
      patch: the same of latents to one token.
      budget: tokens of a batch.
      multiple: that every batch size is a multiple of.

    Raises:
      UserError: for an entry that is no shape, one that does not divide into tokens, or
        two of the same shape.
    """
    found = []
    for entry in entries:
        if not _is_entry(entry):
            raise UserError(
                "batch.buckets: expected (frames, height, width) or (frames, height,"
                " width, weight), all above 0 (of several weights one), got"
                f" {tuple(entry)}"
            )
        shape = tuple(int(n) for n in entry[:3])
        tokens = tokens_of(shape, stride=stride, patch=patch)
        size = max(1, budget // (tokens * multiple)) * multiple
        frames, height, width = shape
        found.append(
            Bucket(
                frames=frames,
                height=height,
                width=width,
                weight=tuple(np.atleast_1d(entry[3]).tolist()) if entry[3:] else 1.0,
                size=size,
            )
        )
    names = [bucket.name for bucket in found]
    if len(set(names)) < len(names):
        raise UserError(f"batch.buckets: two of the same shape among {names}")
    return tuple(found)


def _is_entry(entry: Sequence[Along]) -> bool:
    """Whether an entry is of the kind that make_buckets takes."""
    if len(entry) not in (3, 4) or any(np.ndim(side) for side in entry[:3]):
        return False
    weights = np.atleast_1d(entry[3]) if len(entry) == 4 else np.ones(1)
    positive = weights.size > 0 and weights.min() >= 0 and weights.max() > 0
    return bool(min(entry[:3]) > 0 and positive)


def tokens_of(
    shape: Shape, *, stride: Shape, patch: Shape, name: str = "batch.buckets"
) -> int:
    """Tokens of one clip of a shape that `name` gives.

    Raises:
      UserError: if the shape does not divide; the message names the nearest below.
    """
    frames, height, width = shape
    steps = tuple(s * p for s, p in zip(stride, patch))
    # The first latent frame is one frame of pixels; a patch may span several latents.
    latents = (frames - 1) // stride[0] + 1
    fits = (
        (frames - 1) % stride[0] == 0 and latents % patch[0] == 0,
        height % steps[1] == 0,
        width % steps[2] == 0,
    )
    if not all(fits) or min(height // steps[1], width // steps[2]) < 1:
        near = (
            max(0, latents // patch[0] * patch[0] - 1) * stride[0] + 1,
            *(max(1, side // step) * step for side, step in zip(shape[1:], steps[1:])),
        )
        raise UserError(
            f"{name}: {frames} x {height} x {width} does not divide into tokens "
            f"of {steps[0]} x {steps[1]} x {steps[2]} pixels; nearest below: "
            f"{' x '.join(map(str, near))}"
        )
    return latents // patch[0] * (height // steps[1]) * (width // steps[2])


def largest(buckets: Sequence[Bucket], *, stride: Shape, patch: Shape) -> int:
    """Which bucket asks most of a step: the most pairs of tokens that attend."""

    def pairs(number: int) -> int:
        bucket = buckets[number]
        shape = (bucket.frames, bucket.height, bucket.width)
        return bucket.size * tokens_of(shape, stride=stride, patch=patch) ** 2

    return max(range(len(buckets)), key=pairs)


def sort_clips(
    buckets: Sequence[Bucket],
    *,
    aspects: Float[np.ndarray, " n"],
    seconds: Float[np.ndarray, " n"],
    fps: float,
) -> list[np.ndarray]:
    """Which of n clips go into each bucket: the nearest aspect ratio, and long enough.

    Videos and images are sorted apart, so a clip gives to buckets of both. Of several
    lengths and sizes of its aspect ratio, give or take 2%, it gives to all that it is
    long enough for.

    Args:
      buckets: at least one.
      aspects: width over height of each clip.
      seconds: the time from its first frame to its last that can be asked for.
      fps: of the buckets' clips.

    Raises:
      UserError: if a bucket gets no clip.
    """
    found = []
    for bucket in buckets:
        kin = [b for b in buckets if b.is_image == bucket.is_image]
        ratios = np.array([b.width / b.height for b in kin])
        apart = np.abs(np.log(np.asarray(aspects)[:, None] / ratios))
        nearest = apart[:, kin.index(bucket)] <= apart.min(axis=1) + _SAME_ASPECT
        needed = (bucket.frames - 1) / fps
        clips = np.flatnonzero(nearest & (np.asarray(seconds) >= needed))
        if not len(clips):
            longest = float(np.max(np.asarray(seconds)[nearest], initial=0.0))
            raise UserError(
                f"no clip goes into bucket {bucket.name}: {int(nearest.sum())} of "
                f"{len(nearest)} are of its aspect ratio, of which the longest has "
                f"{longest:.2f} s and {needed:.2f} s are needed; leave the bucket out"
            )
        found.append(clips)
    return found


def budget_of(shape: Shape, *, clips: int, stride: Shape, patch: Shape) -> int:
    """Tokens of a batch of so many clips of the model's own shape."""
    frames, height, width = shape
    latents = (frames - 1) // stride[0] + 1
    sides = math.prod(
        side // (s * p) for side, s, p in zip((height, width), stride[1:], patch[1:])
    )
    return clips * max(1, latents // patch[0]) * max(1, sides)
