"""What every labeller gives: a caption of a clip, whoever made it.

    video, fps --Labeller--> Caption --> a label line (knowledge/labels.py)

A caption claims values of some fields, each with a confidence: the probability, calibrated
where the labeller is, that what is read of the field is right. A field whose confidence
is below the labeller's threshold is not claimed: its line says `axis.field=unknown`, and
keeps the confidence. `load_labeller` finds AniCaption (a shipped name or a run's folder)
or a vision-language model (`vlm:MODEL`) by name.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.directive import Directive, format_directive
from animatrix_jax.knowledge.labels import Label
from animatrix_jax.knowledge.schema import UNKNOWN, Taxonomy
from animatrix_jax.knowledge.tags import Tag, parse_tags
from animatrix_jax.knowledge.taxonomy import load_taxonomy

VLM_PREFIX = "vlm:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caption:
    """What a labeller says of one clip.

    Attributes:
      tags: claimed, canonical, none contradicting another.
      confidence: of each field that was looked at, 0 to 1, claimed or not.
      summary: one sentence; empty where nothing is told.
      description: subject, camera, motion, effects, environment.
    """

    tags: tuple[Tag, ...] = ()
    confidence: Mapping[str, float] = dataclasses.field(default_factory=dict)
    summary: str = ""
    description: str = ""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Fields that were looked at and are not claimed."""
        claimed = {tag.partition("=")[0] for tag in self.tags}
        return tuple(key for key in self.confidence if key not in claimed)

    def label(
        self, *, video: str = "", start: float | None = None, end: float | None = None
    ) -> Label:
        """The caption as a label of `video` from `start` to `end` seconds."""
        return Label(
            tags=self.tags,
            video=video,
            start=start,
            end=end,
            confidence=dict(self.confidence),
            summary=self.summary,
            description=self.description,
            unknown=tuple(sorted(self.unknown)),
        )

    def line(
        self, *, video: str = "", start: float | None = None, end: float | None = None
    ) -> str:
        """The label as one line of JSON, as `parse_label` reads it.

        It is UTF-8 whatever the video's name is: other bytes of it become `\\udcXX`.
        """
        tags = [*self.tags, *(f"{key}={UNKNOWN}" for key in self.unknown)]
        entry = {
            "video": video,
            "start": start,
            "end": end,
            "tags": tags,
            "confidence": {k: round(float(v), 4) for k, v in self.confidence.items()},
            "summary": self.summary,
            "description": self.description,
        }
        entry = {k: v for k, v in entry.items() if v is not None}
        return dump_line(entry)

    def directive(self) -> str:
        """`<tag>...</tag><summary>...</summary><description>...</description>`."""
        return format_directive(
            Directive(
                tags=self.tags, summary=self.summary, description=self.description
            )
        )


def dump_line(entry: Mapping[str, Any]) -> str:
    """JSON that is readable and can be written as UTF-8: halves of surrogate pairs, as
    Python has them in names that are not UTF-8, become `\\udcXX`."""
    text = json.dumps(entry, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@runtime_checkable
class Labeller(Protocol):
    """Reads clips."""

    name: str
    """What `load_labeller` was given."""

    threshold: float
    """A field is claimed from this confidence on."""

    digest: str
    """Names the weights and the taxonomy: labels of one digest can be kept together."""

    def label(self, video: UInt8[np.ndarray, "t h w 3"], fps: float) -> Caption:
        """The caption of a clip of any length and size at `fps` frames a second."""
        ...


def load_labeller(name: str) -> Labeller:
    """The labeller of a name.

    Args:
      name: a shipped model or a run's folder with an AniCaption; or `vlm:MODEL`, where
        MODEL is a folder, or a model that transformers finds by that name.

    Raises:
      UserError: if there is no such thing.
    """
    if not name:
        raise UserError("no labeller: name a checkpoint, or vlm:MODEL")
    if name.startswith(VLM_PREFIX):
        try:
            from animatrix_jax.caption.vlm import load_vlm

            return load_vlm(name.removeprefix(VLM_PREFIX))
        except ImportError as error:
            raise UserError(
                f"{name} needs the extra vlm: pip install '.[vlm]' ({error})"
            ) from error
    from animatrix_jax.caption.anicaption import load_anicaption

    return load_anicaption(name)


def agreeing(
    claims: Iterable[tuple[Tag, float]], taxonomy: Taxonomy | None = None
) -> tuple[Tag, ...]:
    """Claims that stand beside each other: of two that exclude one another, the surer.

    Args:
      claims: canonical tags with their confidence.
      taxonomy: the packaged one if None.
    """
    taxonomy = load_taxonomy() if taxonomy is None else taxonomy
    kept: list[Tag] = []
    for tag, _ in sorted(claims, key=lambda claim: -claim[1]):
        excluded = set(taxonomy.value(tag).excludes)
        if not excluded.intersection(kept):
            kept.append(tag)
    return parse_tags(kept, taxonomy)
