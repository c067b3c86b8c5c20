"""Where everything went: one line an input, each in exactly one place.

    {"kind": "file", "name": "a.mp4", "place": "kept", "clips": 12}
    {"kind": "clip", "name": "a.mp4@1.500-4.250", "place": "filtered", "why": "still: ..."}
    {"kind": "clip", "name": ..., "place": "duplicate", "of": "b.mp4@0.000-2.750"}
    {"kind": "label", "name": "labels.jsonl:7", "place": "set aside", "why": "unknown ..."}

A file is kept if one of its clips is; else it is a duplicate if all of its clips are, and
filtered if not. A label is kept if a clip is that it speaks of, else it went where the
first of them went. Set aside is what could not be read, filtered what was read and not wanted.
"""

import collections
import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from animatrix_jax.curation.labels import Labels

PLACES = ("kept", "filtered", "set aside", "duplicate")
KINDS = ("file", "clip", "label")


class Ledger:
    """Writes entries and counts them.

    Args:
      file: open for writing.
    """

    def __init__(self, file: TextIO):
        self._file = file
        self._totals: collections.Counter[tuple[str, str]] = collections.Counter()
        self._seen: dict[str, set[str]] = {"file": set(), "label": set()}

    def put(self, kind: str, name: str, place: str, **more: Any) -> None:
        """Enters something.

        Raises:
          ValueError: if it is in a place already, or the place has no reason.
        """
        if place not in PLACES or kind not in KINDS:
            raise ValueError(f"no place {place!r} for a {kind!r}")
        if place in ("filtered", "set aside") and not more.get("why"):
            raise ValueError(f"{name} is {place} without a reason")
        if place == "duplicate" and not more.get("of"):
            raise ValueError(f"{name} is a duplicate of nothing")
        if kind in self._seen:
            if name in self._seen[kind]:
                raise ValueError(f"{kind} {name!r} has a place already")
            self._seen[kind].add(name)
        entry = {"kind": kind, "name": name, "place": place} | more
        self._file.write(json.dumps(entry) + "\n")
        self._totals[kind, place] += 1

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """How many are where, by kind."""
        return {
            kind: {place: self._totals[kind, place] for place in PLACES}
            for kind in KINDS
        }


def whole_file(fates: Iterable[str]) -> dict[str, Any]:
    """The place of a file by those of its clips; `of` is left to the caller."""
    counts = collections.Counter(fates)
    if counts["kept"]:
        return {"place": "kept", "clips": counts["kept"]}
    total = counts.total()
    if not total:
        return {"place": "filtered", "why": "no clip: its labels start after its end"}
    if total and counts["duplicate"] == total:
        return {"place": "duplicate"}
    if total and counts["set aside"] == total:
        return {"place": "set aside", "why": "none of its clips can be used"}
    told = ", ".join(f"{n} {fate}" for fate, n in sorted(counts.items()))
    return {"place": "filtered", "why": f"none of its clips is kept: {told}"}


def whole_label(clips: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The place of a label by the entries of the clips that it is about."""
    clips = list(clips)
    if not clips:
        return {"place": "filtered", "why": "its clips are those of another label"}
    kept = sum(clip["place"] == "kept" for clip in clips)
    if kept:
        return {"place": "kept", "clips": kept}
    first = clips[0]
    if first["place"] == "duplicate":
        return {"place": "duplicate", "of": first["of"]}
    return {"place": first["place"], "why": f"{first['name']}: {first['why']}"}


def put_labels(
    ledger: Ledger,
    labels: Labels,
    films: dict[str, dict[str, Any]],
    clips: dict[str, list[dict[str, Any]]],
) -> None:
    """Enters every label: it went where the clips went that it speaks of.

    Args:
      ledger: where.
      labels: all that were read.
      films: by the name of the video.
      clips: the ledger's entries of a label's clips, by its name.
    """
    for name, why in labels.set_aside.items():
        ledger.put("label", name, "set aside", why=why)
    for video, lines in labels.lines.items():
        film = films.get(video, {"failed": "its video is set aside or a copy"})
        for line in lines:
            if "failed" in film:
                why = f"{video}: {film['failed']}"
                ledger.put("label", line.name, "set aside", why=why)
            elif line.start >= film["seconds"]:
                why = f"it starts after the end of {video}, {film['seconds']:.2f} s"
                ledger.put("label", line.name, "set aside", why=why)
            else:
                ledger.put("label", line.name, **whole_label(clips.get(line.name, [])))
