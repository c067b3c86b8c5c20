"""Conditioning corruption: what of a directive the generator is told in training.

After AniMatrix (arXiv 2605.03652), per clip:

    mode        hybrid 0.7, tags only 0.1, text only 0.1, none 0.1
    tag drop    each tag with 0.15; in a share `sparse` of clips (0 in the paper) with
                a probability of the clip's own, uniform in 0..1, since a person names
                two or three tags and not all twenty
    synonym     0.10: wordings of the clip's tags in the text give way to others
    conflict    0.05: the text contradicts one tag

The video always matches the tags, so only the text is ever made wrong: that teaches the
model that tags are hard constraints and text is soft. A conflict needs both, so it
comes about in hybrid clips alone, and the contradicted tag is never dropped.
"""

import dataclasses
import re

import numpy as np

from animatrix_jax.errors import UserError, check_range
from animatrix_jax.knowledge import mentions
from animatrix_jax.knowledge.directive import Directive
from animatrix_jax.knowledge.schema import NONE, Field, Taxonomy, Value
from animatrix_jax.knowledge.tags import Tag
from animatrix_jax.knowledge.taxonomy import load_taxonomy

MODES = ("hybrid", "tags_only", "text_only", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorruptionConfig:
    """Probabilities; those of the four modes sum to one.

    Attributes:
      hybrid: told by text and tags.
      tags_only: by tags alone.
      text_only: by text alone.
      none: by nothing.
      tag_drop: each tag is left out with it.
      sparse: share of clips that are told by few of their tags, as a person would.
      synonym: wordings of the tags in the text give way to others with it.
      conflict: the text contradicts one of the tags with it.

    Raises:
      UserError: a number is not a probability, or the modes do not sum to one.
    """

    hybrid: float = 0.7
    tags_only: float = 0.1
    text_only: float = 0.1
    none: float = 0.1
    tag_drop: float = 0.15
    sparse: float = 0.0
    synonym: float = 0.10
    conflict: float = 0.05

    def __post_init__(self):
        names = [field.name for field in dataclasses.fields(self)]
        where = {"section": "corruption", "error": UserError}
        check_range(self, *names, low=0, high=1, **where)
        total = sum(self.modes)
        if abs(total - 1.0) > 1e-6:
            modes = " + ".join(MODES)
            raise UserError(f"corruption: {modes} must be 1, got {total:g}")

    @property
    def modes(self) -> tuple[float, ...]:
        """The probability of each of `MODES`."""
        return tuple(getattr(self, mode) for mode in MODES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corrupted:
    """What is told: `mode` is one of MODES, `conflict` says the text contradicts."""

    text: str
    tags: tuple[Tag, ...]
    mode: str
    conflict: bool


def corrupt(
    directive: Directive, config: CorruptionConfig, rng: np.random.Generator
) -> Corrupted:
    """Draws what the generator is told of one clip; a pure function of `rng`'s state.

    The text is the summary, or the summary and the description, with equal chance.
    """
    taxonomy = load_taxonomy()
    mode_at, short, synonym, conflict, sparse, rate = rng.random(6)
    tag_drop = rate if sparse < config.sparse else config.tag_drop
    kept = rng.random(len(directive.tags)) >= tag_drop
    edges = np.cumsum(config.modes) / sum(config.modes)
    mode = MODES[min(int(np.searchsorted(edges, mode_at, "right")), len(MODES) - 1)]

    text = ""
    if mode in ("hybrid", "text_only"):
        parts = (directive.summary, directive.description)[: 1 if short < 0.5 else 2]
        text = " ".join(part for part in parts if part)
        if synonym < config.synonym:
            text = substitute_synonyms(text, directive.tags, rng, taxonomy)
    target = None
    if mode == "hybrid" and directive.tags and text and conflict < config.conflict:
        target = directive.tags[rng.integers(len(directive.tags))]
        text = contradict(text, target, directive.tags, rng, taxonomy)
    tags: tuple[Tag, ...] = ()
    if mode in ("hybrid", "tags_only"):
        tags = tuple(
            tag
            for tag, keep in zip(directive.tags, kept, strict=True)
            if keep or tag == target
        )
    return Corrupted(text=text, tags=tags, mode=mode, conflict=target is not None)


def substitute_synonyms(
    text: str, tags: tuple[Tag, ...], rng: np.random.Generator, taxonomy: Taxonomy
) -> str:
    """`text` with every wording of `tags` replaced by another of the same meaning."""
    for mention in reversed(mentions.find_mentions(text, tags, taxonomy)):
        field, value = taxonomy.values_by_tag[mention.tag]
        said = text[mention.start : mention.end].casefold()
        others = [
            wording
            for wording in mentions.wordings(field, value, mention.form)
            if wording.casefold() != said
        ]
        if others:
            other = others[rng.integers(len(others))]
            text = mentions.replace(text, mention, other)
    return text


def contradict(
    text: str,
    tag: Tag,
    tags: tuple[Tag, ...],
    rng: np.random.Generator,
    taxonomy: Taxonomy,
) -> str:
    """`text` edited to claim another value of the tag's field.

    Where the text speaks of the tag, the other value takes its place; where it does
    not, a sentence that contradicts the tag is added at the end.
    """
    field, value = taxonomy.values_by_tag[tag]
    said = mentions.find_mentions(text, (tag,), taxonomy)
    rivals = _rivals(field, value, tags, strict=not said)
    rival = rivals[rng.integers(len(rivals))]
    for mention in reversed(said):
        wordings = mentions.wordings(field, rival, mention.form)
        text = mentions.replace(text, mention, (*wordings, rival.phrase)[0])
    if not said:
        stop = "" if re.search(r"[.!?…。]\W*$", text) else "."
        text = f"{text.rstrip()}{stop} {field.state(rival)}"
    return text


def _rivals(
    field: Field, value: Value, tags: tuple[Tag, ...], *, strict: bool
) -> list[Value]:
    """Values of the field that the clip does not show.

    In a field of several values another one need not contradict this one (fire and
    smoke go together), so `strict` keeps to those that the tag excludes, if it excludes
    any. `none` beside a value always does.
    """
    others = [v for v in field.values if v is not value and v.tag not in tags]
    if strict and field.multiple and value.name != NONE:
        others = [v for v in others if v.tag in value.excludes] or others
    return others
