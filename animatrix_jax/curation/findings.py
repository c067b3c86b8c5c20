"""What is known so far: the files, their films, and their clips with where they go.

Everything is read from the journal each time it is asked for, file by file, so that memory
holds one file's clips and not all.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import tqdm
from etils import epath

from animatrix_jax.curation.inputs import Digests, Input
from animatrix_jax.curation.journal import Journal
from animatrix_jax.curation.labels import Labels
from animatrix_jax.curation.rows import clip_id
from animatrix_jax.curation.rules import broken_rule
from animatrix_jax.curation.settings import Looking, Rules, digest

# Clips of one file that a worker takes together, in seconds.
_BATCH_SECONDS = 60.0
Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """An input that is looked at."""

    name: str
    path: str
    digest: str
    key: str
    labelled: tuple[tuple[float, float | None], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip, in seconds of its file, what was found of it, and where it went."""

    name: str
    start: float
    end: float
    id: str = ""
    found: dict[str, Any] = dataclasses.field(default_factory=dict)
    place: str = ""
    why: str = ""


class Findings:
    """Results of the steps that look at videos.

    Args:
      work: the work folder.
      looking: how they are looked at, which names the journals.
      rules: what is filtered.
    """

    def __init__(self, work: epath.Path, looking: Looking, rules: Rules):
        self._work, self.looking, self._rules = work, looking, rules
        # Where films are cut does not depend on how clips are looked at.
        cutting = (looking.cut_ratio, looking.cut_change, looking.max_seconds)
        self.films = Journal(work / "films" / digest(cutting))
        self.looks = Journal(work / "clips" / digest(looking))

    def digest(
        self, inputs: list[Input], labels: Labels
    ) -> tuple[list[File], list[tuple[str, dict[str, Any]]]]:
        """The files to look at, and where the others went."""
        digests = Digests(self._work / "digests.json")
        fates, read = [], []
        for item in tqdm.tqdm(inputs, desc="reading files", mininterval=1.0):
            if item.refused:
                fates.append((item.name, {"place": "set aside", "why": item.refused}))
                continue
            try:
                read.append((item, digests.of(item.path)))
            except OSError as error:
                why = f"cannot read: {error.strerror}"
                fates.append((item.name, {"place": "set aside", "why": why}))
        # Of copies, one with labels is looked at before one without.
        first: dict[str, str] = {}
        for item, found in sorted(read, key=lambda r: not labels.spans(r[0].name)):
            first.setdefault(found, item.name)
        files = []
        for item, found in read:
            if first[found] != item.name:
                fates.append((item.name, {"place": "duplicate", "of": first[found]}))
                continue
            labelled = tuple(labels.spans(item.name))
            files.append(
                File(
                    name=item.name,
                    path=item.path,
                    digest=found,
                    key=f"{found[:24]}-{digest(labelled)}",
                    labelled=labelled,
                )
            )
        digests.save()
        return files, fates

    def batches(
        self, file: File, film: dict[str, Any]
    ) -> Iterator[tuple[str, list[list[float]]]]:
        """The clips of a film that are long enough, some at a time, each with a key."""
        long = (
            [start, end]
            for start, end in film.get("spans", [])
            if end - start >= self.looking.min_seconds
        )
        minutes = _by_minute(long, lambda span: span[1] - span[0])
        for number, batch in enumerate(minutes):
            yield f"{file.key}-{number:05d}", batch

    def clips(self, file: File) -> Iterator[Clip]:
        """The clips of a file in order, each kept so far, filtered or set aside."""
        film, least = self.films.read(file.key), self.looking.min_seconds
        looked = {}
        for key, _ in self.batches(file, film):
            for found in self.looks.read(key):
                looked[found["start"], found["end"]] = found
        for start, end in film.get("spans", []):
            name = f"{file.name}@{start:.3f}-{end:.3f}"
            clip = Clip(name=name, start=start, end=end)
            found = looked.get((start, end))
            if found is None:
                why = f"too short: {end - start:.2f} s, expected {least:g} s"
                yield dataclasses.replace(clip, place="filtered", why=why)
            elif "failed" in found:
                yield dataclasses.replace(clip, place="set aside", why=found["failed"])
            else:
                why = broken_rule(found, self._rules)
                yield dataclasses.replace(
                    clip,
                    id=clip_id(file.digest, found),
                    found=found,
                    place="filtered" if why else "kept",
                    why=why,
                )


def together(
    clips: Iterable[tuple[File, Clip]],
) -> Iterator[tuple[File, list[Clip]]]:
    """Clips, file after file, as one worker takes them: a minute of one file at a time,
    so that a file is fetched and opened once for all of them."""
    for _, pairs in itertools.groupby(clips, key=lambda pair: pair[0].name):
        for batch in _by_minute(pairs, lambda pair: pair[1].end - pair[1].start):
            yield batch[0][0], [clip for _, clip in batch]


def _by_minute(
    items: Iterable[Item], seconds: Callable[[Item], float]
) -> Iterator[list[Item]]:
    """Items in order, as many together as last a minute."""
    batch, total = [], 0.0
    for item in items:
        batch.append(item)
        total += seconds(item)
        if total >= _BATCH_SECONDS:
            yield batch
            batch, total = [], 0.0
    if batch:
        yield batch
