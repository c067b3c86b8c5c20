"""The held-out prompt suite: directives of Cel World that no stage has seen.

Every prompt comes with two real clips of the same tags: `real`, the clip that the
directive describes, and `twin`, another drawing under the same tags. The twin says how
near a perfect generator could come; an unrelated real clip says what chance gives.
"""

import dataclasses

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.cels import spec as cels_spec
from animatrix_jax.cels.render import render
from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data import seeds
from animatrix_jax.knowledge.tags import Tag


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt of the suite."""

    index: int
    text: str
    tags: tuple[Tag, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """Prompts and the real clips beside them."""

    prompts: tuple[Prompt, ...]
    real: UInt8[np.ndarray, "n t h w 3"]
    twin: UInt8[np.ndarray, "n t h w 3"]


def held_out_suite(
    count: int,
    *,
    frames: int,
    height: int,
    width: int,
    seed: int = seeds.SUITE,
    odds: str = "broad",
    held_out: bool = False,
) -> Suite:
    """The first `count` prompts of the test split, with their real clips.

    Args:
      count: of prompts.
      frames, height, width: of the clips.
      seed: of the prompts.
      odds: of the world that the generator was trained on.
      held_out: of a world that shares no character, colour, body or place with it.
    """
    world = CelWorld(
        seed=seed,
        height=height,
        width=width,
        frames=frames,
        split="test",
        odds=odds,
        held_out=held_out,
    )
    prompts, real, twin = [], [], []
    for index in range(count):
        clip = world[index]
        prompts.append(Prompt(index=index, text=clip.summary, tags=clip.tags))
        real.append(clip.video)
        other = cels_spec.draw_spec(
            seed=seeds.TWINS,
            index=index,
            split="test",
            frames=frames,
            tags=clip.tags,
            odds=odds,
            held_out=held_out,
        )
        twin.append(render(other, height=height, width=width))
    return Suite(prompts=tuple(prompts), real=np.stack(real), twin=np.stack(twin))
