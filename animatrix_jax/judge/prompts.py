"""Prompts of the preference stage: words and tags that the generator has learnt.

Of Cel World they come from a world of their own, neither the stages' nor the
evaluation's, at the odds that the generator was trained at. Of real clips they are what
the labels of the training clips say.
"""

import dataclasses
import hashlib
import json

import numpy as np

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data import seeds
from animatrix_jax.data.records import Source
from animatrix_jax.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompts:
    """A summary and tags for each prompt."""

    texts: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def digest(self) -> str:
        """Of all that they say."""
        text = json.dumps([self.texts, self.tags], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def world_prompts(count: int, *, frames: int, odds: str, seed: int) -> Prompts:
    """What `count` clips of a world of their own say."""
    world = CelWorld(seed=seeds.CANDIDATES + seed, size=count, frames=frames, odds=odds)
    return Prompts(
        texts=tuple(world.narrative(i).summary for i in range(count)),
        tags=tuple(tuple(world.spec(i).tags) for i in range(count)),
    )


def source_prompts(source: Source, count: int, *, seed: int) -> Prompts:
    """What `count` labelled clips of a source say, or all where it has fewer.

    Raises:
      UserError: if fewer than two of its clips are labelled.
    """
    order = np.random.default_rng(seed).permutation(len(source)).tolist()
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for index in order:
        record = source.narrative(index)
        if record["summary"] or record["tags"]:
            found[record["summary"], tuple(record["tags"])] = None
        if len(found) == count:
            break
    if len(found) < 2:
        raise UserError(
            f"the preference stage needs prompts, and of {len(source)} clips "
            f"{len(found)} say anything: label them (animatrix caption)"
        )
    texts, tags = zip(*found)
    return Prompts(texts=texts, tags=tags)
