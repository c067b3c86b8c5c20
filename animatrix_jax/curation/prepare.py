"""From a folder of videos to a dataset: what `animatrix prepare` does, step by step.

    files -> digests -> films and their shots            Beam, a file an element
          -> clips looked at: filters, measures          Beam, a minute of clips
          -> near-duplicates                             here, by bands of pHashes
          -> kept clips captioned, and encoded           Beam, a minute of clips
          -> shards, columns, ledger                     Beam, a shard

Between the steps stands the journal: what a step found is in files, named by the content
it came from and the settings it was made with. So a second call, or one after a kill, does
what is not there yet; and what the dataset holds is a function of the folder and the
settings alone, not of how many calls made it.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging
from etils import epath

from animatrix_jax.curation import duplicates as duplicates_of
from animatrix_jax.curation import rows as rows_of
from animatrix_jax.curation import shards, tasks
from animatrix_jax.curation.commit import commit, finish
from animatrix_jax.curation.findings import Clip, File, Findings, together
from animatrix_jax.curation.inputs import find_inputs, sha256
from animatrix_jax.curation.journal import Journal, Path, read_lines, write_whole
from animatrix_jax.curation.labels import Labels, read_labels
from animatrix_jax.curation.ledger import Ledger, put_labels, whole_file
from animatrix_jax.curation.lock import alone
from animatrix_jax.curation.rules import TIERS, rank
from animatrix_jax.curation.runner import Runner, write_lines
from animatrix_jax.curation.settings import Settings, digest
from animatrix_jax.data import measures
from animatrix_jax.data.dataset import COLUMNS, features
from animatrix_jax.errors import UserError


def prepare(
    videos: Path,
    out: Path,
    *,
    settings: Settings | None = None,
    runner: Runner | None = None,
    labels: Path | None = None,
) -> dict[str, Any]:
    """Makes a dataset of a folder, or brings one up to date.

    Args:
      videos: the folder.
      out: the dataset's folder.
      settings: how, and what is kept.
      runner: where.
      labels: a label file; `labels.jsonl` beside the videos if there is one.

    Returns:
      The totals of the ledger, the tiers, and what was done anew.

    Raises:
      UserError: if there is nothing to prepare, or nothing is kept.
    """
    settings = _with_captioner(settings or Settings())
    folder = _absolute(out)
    with alone(folder / ".work"), (runner or Runner()).ready() as running:
        preparation = _Preparation(_absolute(videos), folder, settings, running, labels)
        return preparation.run()


class _Preparation:
    def __init__(
        self,
        videos: epath.Path,
        out: epath.Path,
        settings: Settings,
        runner: Runner,
        labels: Path | None,
    ):
        self._videos, self._out, self._label_path = videos, out, labels
        self._settings, self._runner = settings, runner
        self._work = out / ".work"
        finish(self._work)
        self._found = Findings(self._work, settings.looking, settings.rules)
        self._captioner = settings.captioning.captioner
        captions = digest(settings.looking, settings.captioning)
        self._captions = Journal(self._work / "captions" / captions)
        encoding = digest(settings.encoding)
        self._media = self._work / "media" / encoding
        self._failures = Journal(self._work / "failures" / encoding)
        for journal in (
            *(self._found.films, self._found.looks),
            *(self._captions, self._failures),
        ):
            journal.forget()
        self._state = self._read_state(encoding)
        self._done: dict[str, int] = {}

    def run(self) -> dict[str, Any]:
        """All steps."""
        inputs = find_inputs(self._videos, unpacked=self._work / "members")
        labels = read_labels(
            self._videos, {item.name for item in inputs}, self._label_path
        )
        files, fates = self._found.digest(inputs, labels)
        self._cut(files)
        self._look(files)
        while True:
            duplicates = self._duplicates(files, labels)
            self._caption(files, duplicates)
            self._encode(files, duplicates)
            # The copies of a clip that cannot be captioned or encoded are none.
            if not any(map(self._failure, set(duplicates.values()))):
                break
        return self._write(files, fates, labels, duplicates)

    def _cut(self, files: list[File]) -> None:
        task = tasks.CutFilms(
            os.fspath(self._found.films.folder), self._settings.looking
        )
        todo = (
            {"key": file.key, "path": file.path, "labelled": file.labelled}
            for file in files
            if not self._found.films.has(file.key)
        )
        self._map("films", task, todo, "finding shots")

    def _look(self, files: list[File]) -> None:
        task = tasks.LookAtClips(
            os.fspath(self._found.looks.folder), self._settings.looking
        )
        todo = (
            {"key": key, "path": file.path, "film": film | {"spans": spans}}
            for file in files
            for film in [self._found.films.read(file.key)]
            for key, spans in self._found.batches(file, film)
            if not self._found.looks.has(key)
        )
        self._map("clips", task, todo, "looking at clips")

    def _duplicates(self, files: list[File], labels: Labels) -> dict[str, str]:
        """Ids of near-duplicates, with the ids of the clips that they duplicate."""
        lines = self._work / "compare.jsonl"
        write_lines(
            lines,
            (
                {
                    "id": clip.id,
                    "signature": clip.found["signature"],
                    "rank": rank(
                        clip.found,
                        labelled=labels.speak_of(
                            file.name, clip.found["start"], clip.found["end"]
                        ),
                    ),
                }
                for file in files
                for clip in self._found.clips(file)
                if clip.place == "kept" and not self._failure(clip.id)
            ),
        )
        near_enough = self._settings.rules.near
        mark = digest(sha256(lines), near_enough)
        known = self._state.get("duplicates", {})
        if known.get("mark") == mark:
            return known["found"]
        found = duplicates_of.find(lines, near=near_enough)
        self._state["duplicates"] = {"mark": mark, "found": found}
        return found

    def _caption(self, files: list[File], duplicates: dict[str, str]) -> None:
        if self._captioner == "none":
            return
        task = tasks.CaptionClips(
            os.fspath(self._captions.folder),
            self._settings.looking,
            self._settings.captioning,
        )

        def wanted(clip: Clip) -> bool:
            return (
                clip.id not in duplicates
                and not self._captions.has(clip.id)
                and not self._failure(clip.id)
            )

        todo = (
            {
                "path": file.path,
                "clips": [
                    {"id": clip.id, "start": clip.start, "end": clip.end}
                    for clip in some
                ],
            }
            for file, some in self._kept(files, wanted)
        )
        self._map("captions", task, todo, "captioning clips")

    def _encode(self, files: list[File], duplicates: dict[str, str]) -> None:
        task = tasks.EncodeClips(
            os.fspath(self._media),
            os.fspath(self._failures.folder),
            self._settings.encoding,
        )
        there = self._ids()

        def wanted(clip: Clip) -> bool:
            return (
                clip.id not in duplicates
                and int(clip.id, 16) not in there
                and not self._failure(clip.id)
                and not tasks.media_path(self._media, clip.id).exists()
            )

        todo = (
            {
                "path": file.path,
                "clips": [
                    {
                        "id": clip.id,
                        "start": clip.start,
                        "end": clip.end,
                        "fps": clip.found["fps"],
                        "crop": clip.found["technical"]["crop"],
                    }
                    for clip in some
                ],
            }
            for file, some in self._kept(files, wanted)
        )
        self._map("encoded", task, todo, "encoding clips")

    def _kept(
        self, files: list[File], wanted: Callable[[Clip], bool]
    ) -> Iterator[tuple[File, list[Clip]]]:
        """Some of the clips that no rule filters, as workers take them."""
        return together(
            (file, clip)
            for file in files
            for clip in self._found.clips(file)
            if clip.place == "kept" and wanted(clip)
        )

    def _failure(self, name: str) -> str:
        """Why a clip could not be captioned or encoded; empty if it could, so far."""
        captions = () if self._captioner == "none" else (self._captions,)
        for journal in (*captions, self._failures):
            found = journal.read(name) or {}
            if "failed" in found:
                return found["failed"]
        return ""

    def _write(
        self,
        files: list[File],
        fates: list[tuple[str, dict[str, Any]]],
        labels: Labels,
        duplicates: dict[str, str],
    ) -> dict[str, Any]:
        """Shards, columns and ledger, and all of it into its place at once."""
        new = self._work / "new"
        new.mkdir(exist_ok=True)
        related = {*duplicates, *duplicates.values()}
        names = {
            clip.id: clip.name
            for file in files
            for clip in self._found.clips(file)
            if clip.id in related
        }
        with (new / "ledger.jsonl").open("w") as ledger_file:
            ledger = Ledger(ledger_file)
            for name, fate in fates:
                ledger.put("file", name, **fate)
            spoken: dict[str, list[dict[str, Any]]] = {}
            count = write_lines(
                new / "rows.jsonl",
                self._rows(files, labels, duplicates, names, ledger, spoken),
            )
            films = {
                file.name: self._found.films.read(file.key)
                for file in files
                if file.name in labels.lines
            }
            put_labels(ledger, labels, films, spoken)
        summary = {"totals": ledger.totals, "new": self._done}
        if not count:
            self._save_state()
            (new / "ledger.jsonl").replace(self._out / "ledger.jsonl")
            old = "; the dataset of before is still there"
            raise UserError(
                f"none of {len(files) + len(fates)} files gives a clip that is kept:"
                f" see {self._out / 'ledger.jsonl'}"
                + (old if (self._out / "dataset_info.json").exists() else "")
            )
        summary |= self._fill(new, count, summary["totals"])
        return summary

    def _rows(
        self,
        files: list[File],
        labels: Labels,
        duplicates: dict[str, str],
        names: dict[str, str],
        ledger: Ledger,
        spoken: dict[str, list[dict[str, Any]]],
    ) -> Iterator[dict[str, Any]]:
        """The rows of what is kept; enters every file and clip in the ledger.

        `spoken` gets the places of the clips that each label is about.
        """
        looking, rules = self._settings.looking, self._settings.rules
        for file in files:
            film, places, of = self._found.films.read(file.key), [], ""
            if "failed" in film:
                ledger.put("file", file.name, "set aside", why=film["failed"])
                continue
            for clip in self._found.clips(file):
                place, more = clip.place, {"why": clip.why} if clip.why else {}
                if place == "kept" and clip.id in duplicates:
                    of = names[duplicates[clip.id]]
                    place, more = "duplicate", {"of": of}
                elif place == "kept" and (failure := self._failure(clip.id)):
                    place, more = "set aside", {"why": failure}
                line = labels.of(file.name, clip.start, clip.end)
                if place == "kept":
                    told = rows_of.tell(
                        clip.found["measured"],
                        line,
                        self._captions.read(clip.id),
                        captioner=self._captioner,
                    )
                    row = rows_of.row(
                        file.name,
                        clip.found,
                        told,
                        clip_id=clip.id,
                        looking=looking,
                        rules=rules,
                    )
                    more = {"id": clip.id, "tier": row["tier"]}
                    yield row
                ledger.put("clip", clip.name, place, **more)
                if line is not None:
                    told_of = spoken.setdefault(line.name, [])
                    told_of.append({"place": place, "name": clip.name} | more)
                places.append(place)
            fate = whole_file(places)
            if fate["place"] == "duplicate":
                fate["of"] = of
            ledger.put("file", file.name, **fate)

    def _fill(self, new: epath.Path, count: int, totals: Any) -> dict[str, Any]:
        """Makes the shards that change; returns counts."""
        total = shards.count_shards(count)
        lists, kinds = (
            new / "lists",
            shards.kinds_of(dataclasses.asdict(measures.STILL)),
        )
        rows = (json.loads(line) for line in (new / "rows.jsonl").open("r"))
        marks = shards.write_lists(rows, lists, total)
        encoding = digest(self._settings.encoding)
        marks = {str(n): digest(mark, encoding, kinds) for n, mark in marks.items()}
        old = self._state.get("marks", {})
        changed = [n for n in range(total) if old.get(str(n)) != marks[str(n)]]
        if len(old) != total:
            changed = list(range(total))
        task = shards.FillShards(
            media=os.fspath(self._media),
            dataset=os.fspath(self._out),
            lists=os.fspath(self._work / "lists"),
            shards=len(old),
            kinds=kinds,
        )
        made = {n: new / f"{marks[str(n)]}.shard" for n in changed}
        todo = (
            {
                "shard": n,
                "list": os.fspath(lists / f"{n:05d}.jsonl"),
                "out": os.fspath(p),
            }
            for n, p in made.items()
        )
        self._map("shards", task, todo, "writing shards", few=8)
        ordered = [lists / f"{n:05d}.jsonl" for n in range(total)]
        table = rows_of.columns(row for path in ordered for row in read_lines(path))
        tiers = dict(zip(TIERS, np.bincount(table["tier"], minlength=3).tolist()))
        with (new / COLUMNS).open("wb") as file:
            np.savez(file, **table)
        lengths = [sum(1 for _ in read_lines(path)) for path in ordered]
        sizes = [
            made.get(n, self._out / shards.shard_name(n)).stat().length
            for n in range(total)
        ]
        metadata = {
            "settings": dataclasses.asdict(self._settings),
            "totals": totals,
            "tiers": tiers,
            "state": digest(*marks.values()),
        }
        info = new / "info"
        info.mkdir(exist_ok=True)
        shards.write_info(
            info,
            schema=features(kinds),
            lengths=lengths,
            sizes=sizes,
            metadata=metadata,
        )
        before = max(len(old), self._state.get("shards", 0))
        self._state |= {"marks": marks, "encoding": encoding, "shards": total}
        self._save_state(new / "state.json")
        self._commit(new, made, total, before)
        return {"clips": count, "tiers": tiers, "shards": total, "out": str(self._out)}

    def _commit(
        self, new: epath.Path, made: dict[int, epath.Path], total: int, before: int
    ) -> None:
        out, work = self._out, self._work
        if not made and (out / "dataset_info.json").exists():
            made_info = []
        else:
            made_info = [out / "dataset_info.json"]
        moves = [(path, out / shards.shard_name(n)) for n, path in made.items()]
        moves += [
            (new / "lists" / f"{n:05d}.jsonl", work / "lists" / f"{n:05d}.jsonl")
            for n in range(total)
        ]
        moves += [(new / n, out / n) for n in (COLUMNS, "ledger.jsonl")]
        moves += [(new / "state.json", work / "state.json")]
        moves += [
            (path, out / path.name)
            for path in sorted((new / "info").iterdir(), key=lambda p: p.name)
        ]
        extra = [out / shards.shard_name(n) for n in range(total, before)]
        extra += [work / "lists" / f"{n:05d}.jsonl" for n in range(total, before)]
        commit(work, first_gone=made_info, moves=moves, gone=extra)
        # What is in a shard now is there for good.
        if self._media.exists():
            self._media.rmtree()
        # Of a call that was killed there are shards that it did not end.
        for path in [*new.glob("*.shard"), *new.glob("*.tmp")]:
            path.unlink()

    def _ids(self) -> frozenset[int]:
        """Clips whose videos are in the dataset, encoded as now."""
        found = set()
        for n in range(len(self._state.get("marks", {}))):
            for row in read_lines(self._work / "lists" / f"{n:05d}.jsonl"):
                found.add(int(row["clip_id"], 16))
        return frozenset(found)

    def _map(
        self, name: str, task: Any, todo: Any, title: str, *, few: int = 0
    ) -> None:
        lines = self._work / f"{name}.todo"
        if write_lines(lines, todo):
            done = self._runner.map(task, lines, title=title, few=few)
            self._done[name] = self._done.get(name, 0) + done
            logging.info("%s: %d", title, done)
        lines.unlink(missing_ok=True)

    def _read_state(self, encoding: str) -> dict[str, Any]:
        path = self._work / "state.json"
        state = json.loads(path.read_text()) if path.exists() else {}
        if state.get("encoding") != encoding:
            # The shards that are there hold other videos: none is taken from them.
            state.pop("marks", None)
        return state

    def _save_state(self, path: epath.Path | None = None) -> None:
        write_whole(path or self._work / "state.json", json.dumps(self._state).encode())


def _with_captioner(settings: Settings) -> Settings:
    """With the digest of the captioner's weights, so that others look anew."""
    captioning = settings.captioning
    if captioning.captioner == "none":
        return settings
    from animatrix_jax.caption.labeller import load_labeller

    found = load_labeller(captioning.captioner).digest
    captioning = dataclasses.replace(captioning, captioner_digest=found)
    return dataclasses.replace(settings, captioning=captioning)


def _absolute(path: Path) -> epath.Path:
    # Workers may run in another folder.
    name = os.fspath(path)
    return epath.Path(name if "://" in name else os.path.abspath(name))
