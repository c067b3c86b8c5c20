"""The command lines of README.md and docs/, and of the help of programs, as words a shell
would make of them."""

import ast
import dataclasses
import pathlib
import re
import shlex
from collections.abc import Iterator

from shells import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
    )
)
# What explains itself at its head: verbs, benchmarks, configs, scripts.
PROGRAMS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        *("animatrix_jax/cli/*.py", "animatrix_jax/planning/plan.py"),
        *("benchmarks/*.py", "benchmarks/claims/__main__.py", "configs/*.py"),
        *("launch/*.sh", "launch/gke/*.sh", "launch/*.sbatch"),
    )
    for path in ROOT.glob(pattern)
)
_FENCES = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`", re.DOTALL)
_ASSIGNED = re.compile(r"^([A-Z])=(\"[^\"]*\"|\S*)$")
# Before the program itself.
_PREFIXES = ("nice", "sbatch", "bash", "exec")


@dataclasses.dataclass(frozen=True)
class Command:
    """One command line: where it stands, its words from the program on, and those before
    it (`sbatch --nodes=4`)."""

    page: str
    words: tuple[str, ...]
    before: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def text_of(page: str) -> str:
    """The page's Markdown."""
    return (ROOT / page).read_text(encoding="utf-8")


def lines_of(block: str) -> Iterator[str]:
    """A block's lines, continued ones joined, one-letter variables filled in."""
    variables: dict[str, str] = {}
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        if found := _ASSIGNED.match(line.strip()):
            variables[found[1]] = found[2].strip('"')
            continue
        for name, value in variables.items():
            line = re.sub(rf"\${name}\b", lambda _, value=value: value, line)
        yield line


def head_of(program: str) -> str:
    """A module's docstring, or the comment at the head of a script."""
    text = text_of(program)
    if program.endswith(".py"):
        return ast.get_docstring(ast.parse(text)) or ""
    lines = [line for line in text.splitlines() if not line.startswith("#SBATCH")][1:]
    end = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line[1:].removeprefix(" ") for line in lines[:end])


def commands(page: str) -> Iterator[Command]:
    """The commands of `animatrix`, of a module of ours, and of launch/, in a page or at the
    head of a program, where they are indented."""
    if page in PROGRAMS:
        for line in lines_of(head_of(page)):
            if line.startswith("  "):
                yield from _commands(page, line.strip())
        return
    text = text_of(page)
    for kind, block in _FENCES.findall(text):
        if kind in ("sh", "", "bash"):
            for line in lines_of(block):
                yield from _commands(page, line)
    for code in _INLINE.findall(_FENCES.sub("", text)):
        yield from _commands(page, " ".join(code.split()))


def _commands(page: str, line: str) -> Iterator[Command]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # an apostrophe: prose, or output
        return
    part: list[str] = []
    for word in [*words, "&&"]:
        if word in ("&&", "||", "|", ";", "&"):
            if at := _program(part):
                yield Command(page, tuple(part[at - 1 :]), tuple(part[: at - 1]))
            part = []
        else:
            part.append(word)


def _program(words: list[str]) -> int:
    """1 more than where a program of ours stands; 0 for another's line."""
    for n, word in enumerate(words):
        ours = word == "animatrix" and len(words) > n + 1 and words[n + 1].islower()
        module = word == "python" and words[n + 1 : n + 2] == ["-m"]
        module = module and words[n + 2].startswith(("animatrix_jax", "benchmarks"))
        script = re.fullmatch(r"(\./)?launch/[\w/]+\.(sh|sbatch)", word)
        if ours or module or script:
            return n + 1
        if word not in _PREFIXES and not word.startswith("-") and "=" not in word:
            return 0
    return 0


def placeholder(text: str) -> bool:
    """Whether a person is to fill it in: FILE, stage=NAME, ..."""
    return "..." in text or bool(re.search(r"(^|[=:])[A-Z]{2,}\b", text))


def links(page: str) -> Iterator[tuple[str, str]]:
    """(file, anchor) of each link in a page that leads into the repository."""
    text = _FENCES.sub("", text_of(page))
    folder = pathlib.PurePosixPath(page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        yield (folder / path).as_posix() if path else page, anchor


def anchors(page: str) -> set[str]:
    """What the headings of a page are called in a link."""
    heads = re.findall(r"^#+ (.*)$", _FENCES.sub("", text_of(page)), re.MULTILINE)
    heads = [re.sub(r"[^\w\- ]", "", head.lower()) for head in heads]
    return {head.strip().replace(" ", "-") for head in heads}
