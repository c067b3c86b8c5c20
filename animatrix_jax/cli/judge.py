"""Scores clips by a trained judge, and pairs those that were asked for the same.

    animatrix judge --checkpoint=runs/local --videos=DIR
    animatrix judge --checkpoint=runs/local --videos=DIR --labels=labels.jsonl \\
        --out=scores.jsonl --pairs=pairs.jsonl
    animatrix judge --checkpoint=runs/local --videos=clip.mp4 \\
        --tags="motion.deformation=smear,motion.motion_style=dash"

Four heads from 1 to 5 (face, limbs, lines, motion) under the tags that a clip was asked to
have: those of its label, or --tags for all. A clip whose worst head is under 2 is
rejected. --out is label lines with scores; what cannot be read is in
OUT.set_aside.jsonl. With --pairs, clips of one prompt are compared: a winner is not
rejected and has at least 0.8 of the loser's d(x); the closest pairs go to people, into
PAIRS.aside.jsonl, which PAIRS.aside.html shows. What they answer there, --answers reads:
their pairs come into PAIRS, and how often the judge agrees is said. docs/judge.md
explains all of it.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError
from animatrix_jax.files import write_lines

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "checkpoint", "", "A run's folder, or a shipped model.", allow_override=True
)
flags.DEFINE_string(
    "stage", "", "The stage of a run; empty for the latest.", allow_override=True
)
flags.DEFINE_string("videos", "", "A folder of videos, or one.", allow_override=True)
flags.DEFINE_string(
    "labels",
    "",
    "JSON lines with the tags of each clip; by default labels.jsonl in the folder of "
    "--videos, where there is one.",
    allow_override=True,
)
flags.DEFINE_multi_string(
    "tags", [], "Tags that all clips were asked to have.", allow_override=True
)
flags.DEFINE_string("out", "scores.jsonl", "The file of scores.", allow_override=True)
flags.DEFINE_string("pairs", "", "The file of pairs; none.", allow_override=True)
flags.DEFINE_string("answers", "", "People's answers on pairs.", allow_override=True)

# Lines of the table.
_SHOWN = 24


def main(argv: list[str]) -> None:
    """Checks the request, scores, prints and writes."""
    app.no_arguments(argv)
    if not FLAGS.checkpoint:
        raise UserError("which judge? --checkpoint=DIR or a shipped model's name")
    if not FLAGS.videos:
        raise UserError("which clips? --videos=DIR or a file")
    if FLAGS.labels and FLAGS.tags:
        raise UserError(
            "--labels say the tags of each clip, --tags those of all: not both"
        )
    if FLAGS.answers and not FLAGS.pairs:
        raise UserError("--answers are on pairs: --pairs=FILE too")
    # Before JAX, which takes seconds to import.
    from animatrix_jax.knowledge.tags import parse_tags

    tags = parse_tags(",".join(FLAGS.tags)) if FLAGS.tags else None
    _check_apart()
    out = app.writable(FLAGS.out, flag="out")
    pairs = app.writable(FLAGS.pairs, flag="pairs") if FLAGS.pairs else None
    app.print_json(_judge(tags, out, pairs))


def _check_apart() -> None:
    """No file that is written is another one, or one that is read.

    Raises:
      UserError: naming the flags.
    """
    videos, pairs = pathlib.Path(FLAGS.videos), FLAGS.pairs
    beside = (videos.parent if videos.is_file() else videos) / "labels.jsonl"
    files = {
        "--out": FLAGS.out,
        "--out's set_aside": FLAGS.out and _beside(FLAGS.out, ".set_aside.jsonl"),
        "--pairs": pairs,
        "--pairs' aside": pairs and _beside(pairs, ".aside.jsonl"),
        "--answers": FLAGS.answers,
        "--labels": FLAGS.labels or beside,
    }
    flags_of: dict[pathlib.Path, str] = {}
    for flag, name in files.items():
        if not name:
            continue
        other = flags_of.setdefault(pathlib.Path(name).resolve(), flag)
        if other != flag:
            raise UserError(f"{other} and {flag} are one file, {name}: name another")


def _beside(name: str, suffix: str) -> pathlib.Path | None:
    path = pathlib.Path(name)
    return path.with_suffix(suffix) if path.name else None  # "/" is refused later


def _judge(
    tags: Sequence[str] | None, out: pathlib.Path, pairs: pathlib.Path | None
) -> dict[str, Any]:
    from animatrix_jax.judge.clips import ClipJudge

    judge = ClipJudge.load(FLAGS.checkpoint, FLAGS.stage)
    source = judge.open(
        pathlib.Path(FLAGS.videos),
        labels=pathlib.Path(FLAGS.labels) if FLAGS.labels else None,
    )
    clips = judge(source, tags=tags, measured=pairs is not None)
    _print_table(clips)
    if judge.scorer.config.tag_blind:
        print("this judge is blind to tags: they change nothing")
    elif untold := sum(not clip.tags for clip in clips):
        print(f"{untold} of {len(clips)} clips have no tags: judged as asked for none")
    write_lines(out, (clip.line() for clip in clips))
    _write_set_aside(out, source.set_aside)
    rejected = sum(clip.rejected for clip in clips)
    print(
        f"{len(clips)} clips in {out}, {rejected} rejected; "
        f"{len(source.set_aside)} files or labels set aside"
    )
    report = {
        "clips": len(clips),
        "rejected": rejected,
        "composite": round(sum(clip.composite for clip in clips) / len(clips), 4),
        "set_aside": len(source.set_aside),
        "out": str(out),
    }
    if pairs is not None:
        report["pairs"] = _write_pairs(pairs, clips, source.folder)
    return report


def _write_set_aside(out: pathlib.Path, reasons: dict[str, str]) -> None:
    """OUT.set_aside.jsonl; there is none if nothing was."""
    path = out.with_suffix(".set_aside.jsonl")
    path.unlink(missing_ok=True)
    if reasons:
        lines = ({"path": name, "reason": reasons[name]} for name in reasons)
        write_lines(path, lines)


def _write_pairs(
    path: pathlib.Path, clips: Sequence[Any], folder: pathlib.Path
) -> dict[str, Any]:
    """Writes the decided pairs and those for people, and says what was dropped."""
    from animatrix_jax.judge.answers import read_answers
    from animatrix_jax.judge.clips import ClipPairs
    from animatrix_jax.judge.page import write_page
    from animatrix_jax.judge.pairs import CandidateConfig

    found = ClipPairs.of(clips, config=CandidateConfig())
    people = None
    if FLAGS.answers:
        people = read_answers(
            pathlib.Path(FLAGS.answers), lines=found.lines, scores=found.scores
        )
        print(people)
    aside = path.with_suffix(".aside.jsonl")
    lines = list(found.lines.aside(found.ranked.aside))
    write_lines(path, found.decided(people and people.table))
    write_lines(aside, lines)
    write_page(aside.with_suffix(".html"), lines, clips=folder)
    print(
        f"{path}, {aside}: of {len(found.prompts)} prompts, {found.ranked}; "
        f"{found.alone} clips have no other of their prompt"
    )
    return {
        "prompts": len(found.prompts),
        "decided": len(found.ranked.train),
        "aside": len(found.ranked.aside),
        "dropped": found.ranked.dropped,
        "alone": found.alone,
        "out": [str(path), str(aside), str(aside.with_suffix(".html"))],
    } | ({"people": people.report()} if people else {})


def _print_table(clips: Sequence[Any]) -> None:
    """The first clips, a line each."""
    width = max(len(clip.name) for clip in clips[:_SHOWN])
    heads = list(clips[0].heads)
    print(" ".join([" " * width, *heads, "composite"]))
    for clip in clips[:_SHOWN]:
        columns = [f"{clip.heads[head]:>{len(head)}.2f}" for head in heads]
        verdict = "  rejected" if clip.rejected else ""
        name = clip.name.encode("ascii", "backslashreplace").decode()
        print(
            " ".join([f"{name:<{width}}", *columns, f"{clip.composite:9.2f}{verdict}"])
        )
    if len(clips) > _SHOWN:
        print(f"... and {len(clips) - _SHOWN} more")


if __name__ == "__main__":
    app.run(main)
