"""Label lines: one JSON object a clip, as people, tools and AniCaption write them.

    {"video": "a.mp4", "start": 0.0, "end": 1.4, "tags": ["motion.timing=twos"],
     "confidence": {"motion.timing": 0.9}, "summary": "...", "description": "...",
     "scores": {"face_topology": 5, "limb_structure": 4.5, "line_continuity": 4,
                "motion_coherence": 2}}

Times are seconds, the end exclusive. Only `tags` is required; a field of which nothing
is claimed is left out, or says `unknown` so that no other source claims it either.
`scores` are what the judge learns from, 1 (bad) to 5, by name or as a list in the order
of HEADS. Other keys are let pass, unless they look like one of these misspelt. A file name
that is not UTF-8 has its bytes as `\\udc80` to `\\udcff`, as Python reads it.
"""

import dataclasses
import difflib
import json
import math
import os
import posixpath
from collections.abc import Mapping
from typing import Any

from animatrix_jax.errors import UserError
from animatrix_jax.files import leads_out
from animatrix_jax.knowledge.schema import Taxonomy
from animatrix_jax.knowledge.tags import Tag, parse_tags, unclaimed_fields
from animatrix_jax.knowledge.taxonomy import load_taxonomy

HEADS = ("face_topology", "limb_structure", "line_continuity", "motion_coherence")
"""What a clip is scored for under its tags, in the order of the judge's heads."""

_KEYS = (
    *("video", "start", "end", "tags", "confidence", "summary", "description"),
    "scores",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Label:
    """One checked label line; `start` and `end` in seconds, None where not given.

    `scores` are in the order of HEADS, None where not given. `unknown` are the fields that
    the line says `unknown` of, and nothing else.
    """

    tags: tuple[Tag, ...]
    video: str = ""
    start: float | None = None
    end: float | None = None
    confidence: Mapping[str, float] = dataclasses.field(default_factory=dict)
    summary: str = ""
    description: str = ""
    scores: tuple[float, ...] | None = None
    unknown: tuple[str, ...] = ()


def video_path(label: Label) -> str:
    """Where a label's video lies in the folder of its file.

    Raises:
      UserError: if that is outside.
    """
    path = posixpath.normpath(label.video.replace(os.sep, "/"))
    if leads_out(path):
        raise UserError(f"{label.video!a} is outside the folder")
    return path


def parse_label(line: str, taxonomy: Taxonomy | None = None) -> Label:
    """Reads and checks one line.

    Raises:
      UserError: what is wrong with it, in one line; unknown tags name the nearest.
    """
    taxonomy = load_taxonomy() if taxonomy is None else taxonomy
    try:
        label = json.loads(line, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise UserError("not a label: nested too deep") from None
    except ValueError as error:  # a number of thousands of digits
        raise UserError(f"not JSON: {error}") from None
    if not isinstance(label, dict):
        raise UserError(f"expected a JSON object, got {type(label).__name__}")
    for key in label.keys() - set(_KEYS):
        if near := difflib.get_close_matches(key, _KEYS, 1, 0.75):
            raise UserError(f"unknown key {key!r}; nearest: {near[0]}")
    tags = label.get("tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UserError(
            f"tags: expected a list of axis.field=value, got {_short(tags)}"
        )
    start, end = _seconds(label, "start"), _seconds(label, "end")
    if start is not None and end is not None and not start < end:
        raise UserError(f"end must come after start, got {start:g} to {end:g}")
    found = parse_tags(tags, taxonomy)
    return Label(
        tags=found,
        video=_file_name(label, "video"),
        start=start,
        end=end,
        confidence=_confidence(label.get("confidence", {}), taxonomy),
        summary=_text(label, "summary"),
        description=_text(label, "description"),
        scores=_scores(label.get("scores")),
        unknown=unclaimed_fields(tags, found),
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which a key that is given twice is a mistake."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise UserError(f"key {twice!r} is given twice")
    return found


def _string(label: dict[str, Any], key: str) -> str:
    value = label.get(key, "")
    if not isinstance(value, str):
        raise UserError(f"{key}: expected text, got {_short(value)}")
    return value


def _text(label: dict[str, Any], key: str) -> str:
    value = _string(label, key)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{key}: no text: half of a surrogate pair at character {error.start + 1}"
        ) from None
    return value


def _file_name(label: dict[str, Any], key: str) -> str:
    value = _string(label, key)
    try:
        data = os.fsencode(value)
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:
        raise UserError(f"{key}: no file can have the name {_short(value)}")
    return value


def _seconds(label: dict[str, Any], key: str) -> float | None:
    value = label.get(key)
    if value is None:
        return None
    if not _is_number(value) or value < 0:
        raise UserError(f"{key}: expected seconds from 0 on, got {_short(value)}")
    return float(value)


def _confidence(entries: Any, taxonomy: Taxonomy) -> dict[str, float]:
    if not isinstance(entries, dict):
        raise UserError(
            f"confidence: expected an object by field, got {_short(entries)}"
        )
    for key, value in entries.items():
        if key not in taxonomy.fields_by_key:
            raise UserError(f"confidence: no field {key!r}")
        if not _is_number(value) or not 0 <= value <= 1:
            raise UserError(
                f"confidence of {key}: expected 0 to 1, got {_short(value)}"
            )
    return {key: float(value) for key, value in entries.items()}


def _scores(value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        if value.keys() != set(HEADS):
            got = ", ".join(map(ascii, value)) or "nothing"
            raise UserError(f"scores: expected {', '.join(HEADS)}, got {got}")
        value = [value[head] for head in HEADS]
    of_each = isinstance(value, list) and len(value) == len(HEADS)
    if not of_each or not all(_is_number(s) and 1 <= s <= 5 for s in value):
        raise UserError(
            f"scores: expected {len(HEADS)} numbers from 1 to 5, got {_short(value)}"
        )
    return tuple(map(float, value))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _short(value: Any) -> str:
    """A value as a message shows it: one line, in ASCII, not too long."""
    return ascii(value) if len(ascii(value)) <= 60 else f"{ascii(value)[:57]}..."
