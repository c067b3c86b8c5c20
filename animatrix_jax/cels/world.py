"""Cel World as a random-access source: clip ``i`` of seed ``s``, in any order.

Grain reads it like a dataset on disk. Every clip is a pure function of (seed, split,
index, demanded tags), so it shards, shuffles and resumes with no files and no state.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from animatrix_jax.cels.defects import DEFECT_MODES, Defect, draw_defects, scores
from animatrix_jax.cels.flow import true_flow
from animatrix_jax.cels.narrative import Narrative, narrate
from animatrix_jax.cels.odds import ODDS
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.render import render
from animatrix_jax.cels.showing import showing
from animatrix_jax.cels.spec import ClipSpec, draw_spec
from animatrix_jax.cels.staging import make_stage, measure
from animatrix_jax.cels.truth import Truth, true_clip
from animatrix_jax.knowledge.tags import parse_tags, style_cluster

# Of what is drawn and said: clips encoded of another are encoded anew.
VERSION = 11


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CelClip:
    """A drawn clip and all that is known about it."""

    video: UInt8[np.ndarray, "t h w 3"]
    tags: tuple[str, ...]  # canonical, every field that is drawn
    summary: str
    description: str
    spec: ClipSpec
    motion: float  # m(x): frame heights per frame
    deformation: float  # d(x): what an affine motion leaves, frame heights per frame
    style_cluster: str
    scores: Float32[np.ndarray, "4"]  # in the order of defects.FAMILIES, of those seen
    flow: Float[np.ndarray, "s h w 2"] | None = None  # s = t - 1
    visible: Bool[np.ndarray, "s h w"] | None = None
    truth: Truth | None = None

    @property
    def defects(self) -> tuple[Defect, ...]:
        return self.spec.defects


class CelWorld:
    """A sequence of clips.

    Args:
      seed: of the world.
      size: how many clips it says it has.
      height: of the frames, pixels.
      width: of the frames, pixels.
      frames: in a clip.
      split: another split is another stream of clips.
      defects: "none"; "random": half of the clips have some; "paired": clips 2j and
        2j+1 are the same but for their defects.
      flow: whether clips carry true optical flow.
      truth: whether they carry all that is known of their pixels: flow, layers, cadence,
        deformation, where defects are. It costs several times the drawing.
      tags: demanded of every clip, in any spelling that ``parse_tags`` reads.
      still: a clip is one of its frames, whose number is drawn.
      odds: how often each value is drawn: "broad"; "plain", where a figure fills the
        frame and effects are few; "series", where everything comes now and then, before
        quiet grounds, and a few characters and sets return; "quiet", which
        has their cast and the odds of "plain"; "bending", "series" with much deformation.
      held_out: the characters, colours, bodies and places of a world that shares none
        of them with any other clip: for testing, never for training.

    Raises:
      UserError: for tags that Cel World does not draw, or not together.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        size: int = 1 << 20,
        height: int = 32,
        width: int = 32,
        frames: int = 17,
        split: str = "train",
        defects: str = "none",
        flow: bool = False,
        truth: bool = False,
        tags: Iterable[str] | str = (),
        still: bool = False,
        odds: str = "broad",
        held_out: bool = False,
    ):
        if defects not in DEFECT_MODES:
            raise ValueError(f"defects must be one of {DEFECT_MODES}, got {defects!r}")
        if odds not in ODDS:
            raise ValueError(f"odds must be one of {tuple(ODDS)}, got {odds!r}")
        if still and (flow or truth):
            raise ValueError("a still has no flow and no truth of its frames")
        if min(size, height, width, frames) < 1:
            raise ValueError(
                "size, height, width and frames must be positive, got "
                f"{size}, {height}, {width}, {frames}"
            )
        self.seed, self.size, self.split = seed, size, split
        self.height, self.width, self.frames = height, width, frames
        self.defects, self.flow, self.odds = defects, flow, odds
        self.truth = truth
        self.still, self.held_out = still, held_out
        self.tags = parse_tags(tags)

    def __len__(self) -> int:
        return self.size

    def spec(self, index: int) -> ClipSpec:
        """What clip ``index`` is, without drawing it."""
        index = int(index)
        if not -self.size <= index < self.size:
            raise IndexError(f"clip {index} of a world of {self.size}")
        index %= self.size
        paired = self.defects == "paired"
        spec = draw_spec(
            seed=self.seed,
            index=index // 2 if paired else index,
            split=self.split,
            frames=self.frames,
            tags=self.tags,
            defects="random" if self.defects == "random" else "none",
            odds=self.odds,
            held_out=self.held_out,
        )
        if not paired:
            return spec
        draws = Draws(self.seed, "pair", self.split, index)
        found = draw_defects(draws, frames=self.frames, clean=0.35)
        return dataclasses.replace(spec, index=index, defects=found)

    def narrative(self, index: int) -> Narrative:
        """Summary and description of clip ``index``, without drawing it."""
        return narrate(self.spec(index))

    def __getitem__(self, index: int) -> CelClip:
        spec = self.spec(index)
        told = narrate(spec)
        stage = make_stage(spec)
        measured = measure(spec, stage)
        only = None
        if self.still:
            # Of a pair the same frame: its clips differ in their defects alone.
            place = spec.index // 2 if self.defects == "paired" else spec.index
            draws = Draws(self.seed, "still", self.split, place)
            only = draws.integer(0, self.frames)
        size = {"height": self.height, "width": self.width}
        truth = found = None
        if self.truth:
            video, truth = true_clip(spec, **size)
            found = truth
        elif self.flow:
            found = true_flow(spec, **size)
            video = found.video
        else:
            video = render(spec, **size, stage=stage, only=only)
        seen = showing(spec, video, numbers=None if only is None else (only,))
        return CelClip(
            video=video,
            tags=spec.tags,
            summary=told.summary,
            description=told.description,
            spec=spec,
            motion=measured.motion,
            deformation=measured.deformation,
            style_cluster=style_cluster(spec.tags),
            scores=scores(seen),
            flow=found.flow if found else None,
            visible=found.visible if found else None,
            truth=truth,
        )
