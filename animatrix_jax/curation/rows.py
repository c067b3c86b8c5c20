"""From what is known of a kept clip to its row in the dataset, and to the columns.

Tags come from the best that speaks of a field: a label, the captioner, the measures. A tag
that contradicts a better one is left out. A field of which a label says `unknown` is left
out whatever others say; where that has a confidence, a labeller only was not sure enough,
and the measures may still speak. The confidence of a tag is of who claims it: a label's is 1 where it gives none,
measures claim without confidence.
"""

import array
import dataclasses
import functools
import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from animatrix_jax.curation.labels import Line
from animatrix_jax.curation.rules import TIERS, tier
from animatrix_jax.curation.settings import Looking, Rules
from animatrix_jax.data.curriculum import build_tables, long_tail_weights
from animatrix_jax.data.split import file_code
from animatrix_jax.knowledge.tags import Tag, field_of, parse_tags, style_cluster
from animatrix_jax.knowledge.taxonomy import load_taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Claim:
    """What one says: tags, how sure by field, and fields of which nothing is to be said."""

    tags: Sequence[Tag]
    confidence: Mapping[str, float] = dataclasses.field(default_factory=dict)
    unknown: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What is said of a clip, and by whom.

    Attributes:
      confidence: of each field that is claimed, by who claims it.
      sure: the mean confidence over all fields that labels or the captioner looked at,
        also those that they were not sure enough of; 0 if they looked at none.
    """

    tags: tuple[Tag, ...]
    confidence: dict[str, float]
    sure: float
    summary: str
    description: str
    by: str


def clip_id(digest: str, clip: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a clip's content: its file's bytes, its span, its bars."""
    crop = ",".join(f"{edge:.4f}" for edge in clip["technical"]["crop"])
    text = f"{digest} {clip['start']:.6f} {clip['end']:.6f} {crop}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tell(
    measured: Sequence[Tag],
    line: Line | None,
    caption: Mapping[str, Any] | None,
    *,
    captioner: str,
) -> Told:
    """Joins a label, a caption and what the measures support."""
    by: list[str] = []
    claims: list[_Claim] = []
    summary = description = ""
    if line is not None:
        label = line.label
        sure = {field_of(tag): 1.0 for tag in label.tags} | dict(label.confidence)
        left_out = [field for field in label.unknown if field not in label.confidence]
        claims.append(_Claim(tags=label.tags, confidence=sure, unknown=left_out))
        summary, description = label.summary, label.description
        by.append("label")
    if caption is not None:
        claims.append(_Claim(tags=caption["tags"], confidence=caption["confidence"]))
        summary = summary or caption["summary"]
        description = description or caption["description"]
        by.append(captioner)
    claims.append(_Claim(tags=measured))
    by.append("measures")
    tags, confidence = _joined(claims)
    looked_at = dict(confidence)
    for claim in claims:
        looked_at = dict(claim.confidence) | looked_at
    return Told(
        tags=tags,
        confidence=confidence,
        sure=float(np.mean(list(looked_at.values()))) if looked_at else 0.0,
        summary=summary,
        description=description,
        by="+".join(by),
    )


def row(
    name: str,
    clip: Mapping[str, Any],
    told: Told,
    *,
    clip_id: str,
    looking: Looking,
    rules: Rules,
) -> dict[str, Any]:
    """A clip's row, without its video."""
    technical = clip["technical"]
    return {
        "clip_id": clip_id,
        "source": name,
        "start": clip["start"],
        "end": clip["end"],
        "fps": clip["fps"],
        "aspect": clip["width"] / clip["height"],
        "tier": tier(clip, told.sure, rules, fps=looking.measure_fps),
        "labelled_by": told.by,
        "tags": list(told.tags),
        "confidence": told.confidence,
        "summary": told.summary,
        "description": told.description,
        "style_cluster": style_cluster(told.tags),
        "blank": technical["blank"],
        "blur": technical["blur"],
        "text": technical["text"],
        "change": clip["change"],
        **clip["measures"],
    }


def columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """What sampling must know of all clips, in the order of the shards."""
    motion, deformation = array.array("f"), array.array("f")
    seconds, aspects = array.array("f"), array.array("f")
    tiers = array.array("b")
    sources, codes = array.array("Q"), functools.lru_cache(file_code)
    tags: list[tuple[str, ...]] = []
    clusters: list[str] = []
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for each in rows:
        motion.append(each["motion"])
        deformation.append(each["deformation"])
        seconds.append(each["end"] - each["start"])
        aspects.append(each["aspect"])
        tiers.append(TIERS.index(each["tier"]))
        sources.append(codes(each["source"]))
        # Equal ones are one object: there are far fewer kinds of clips than clips.
        found = tuple(each["tags"])
        tags.append(known.setdefault(found, found))
        clusters.append(sys.intern(each["style_cluster"]))
    tables = build_tables(
        tags=tags, clusters=clusters, motion=motion, deformation=deformation
    )
    return {
        "axes": tables.axes,
        "clusters": tables.clusters,
        "motion": tables.motion,
        "deformation": tables.deformation,
        "weight": long_tail_weights(tables).astype(np.float32),
        "seconds": np.asarray(seconds, np.float32),
        "aspect": np.asarray(aspects, np.float32),
        "tier": np.asarray(tiers, np.int8),
        "source": np.asarray(sources, np.uint64),
        "tags": np.array([len(found) for found in tags], np.int16),
    }


def _joined(claims: Sequence[_Claim]) -> tuple[tuple[Tag, ...], dict[str, float]]:
    """All tags of the first claim, and of each later one what goes with the others.

    Returns:
      The tags, and the confidence of each field by the claim that its tags are from.
    """
    taxonomy = load_taxonomy()
    kept: list[Tag] = []
    confidence: dict[str, float] = {}
    taken: set[str] = set()  # by better claims: this one's may repeat
    for claim in claims:
        fields = set()
        for tag in claim.tags:
            _, value = taxonomy.values_by_tag[tag]
            if field_of(tag) not in taken and not set(value.excludes) & set(kept):
                kept.append(tag)
                fields.add(field_of(tag))
        confidence |= {k: v for k, v in claim.confidence.items() if k in fields}
        taken |= fields | set(claim.unknown)
    return parse_tags(kept, taxonomy), confidence
