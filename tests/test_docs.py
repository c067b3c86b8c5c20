"""README.md, docs/ and the help of programs: each command line is one that the programs
take, each link leads.

Nothing is run: verbs' and modules' flags are read from their source, and a config is
loaded and overridden by the same parser that `animatrix train` uses.
"""

import ast
import functools
import pathlib
import re
import sys
from unittest import mock

import pytest
from absl import flags
from doc_lines import (
    PAGES,
    PROGRAMS,
    Command,
    anchors,
    commands,
    links,
    placeholder,
    text_of,
)
from ml_collections import config_flags
from shells import ROOT

from animatrix_jax.cli import main
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.tags import parse_tags

COMMANDS = [command for page in (*PAGES, *PROGRAMS) for command in commands(page)]
# Every verb has it, of no module of ours.
HELP = ("help",)
_REFUSED = (
    *(flags.Error, UserError),
    *(AttributeError, KeyError, OSError, TypeError, ValueError),
)


def _source(module: str) -> pathlib.Path:
    path = ROOT / module.replace(".", "/")
    files = (path.with_suffix(".py"), path / "__main__.py", path / "__init__.py")
    return next((file for file in files if file.is_file()), files[0])


@functools.cache
def _flags(module: str) -> dict[str, str]:
    """Name and kind of each flag of a module, and of those of ours that it imports."""
    found, seen, waiting = {}, set(), [module]
    while waiting:
        name = waiting.pop()
        if name in seen or not _source(name).is_file():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(_source(name).read_text(encoding="utf-8"))):
            of = getattr(node, "module", None) or ""
            if of.startswith(("benchmarks", "animatrix_jax.cli")):
                waiting += [of, *(f"{of}.{alias.name}" for alias in node.names)]
            if isinstance(node, ast.Call) and (kind := _defines(node)):
                found[node.args[0].value.removeprefix("--")] = kind
    return found


def _defines(call: ast.Call) -> str:
    """The kind of flag that a call defines; empty if it is no such call."""
    if not call.args or not isinstance(call.args[0], ast.Constant):
        return ""
    function = getattr(call.func, "attr", "") or getattr(call.func, "id", "")
    if function in ("_define", "add_argument"):  # of cli/prepare.py, and argparse
        return "string"
    return function.removeprefix("DEFINE_") if function.startswith("DEFINE_") else ""


def _check_flags(command: Command, words: list[str], known: dict[str, str]) -> None:
    for word in words:
        if not word.startswith("--") or word == "...":
            continue
        name, given, _ = word.removeprefix("--").partition("=")
        if name.startswith("config.") or name in HELP:
            continue  # fields are for _check_config
        kind = known.get(name) or known.get(name.removeprefix("no"))
        assert kind, f"{command}\n--{name} is none of {', '.join(sorted(known))}"
        assert given or kind == "bool", f"{command}\n--{name} needs a value"


def _check_config(command: Command, words: list[str]) -> None:
    """The config loads with its arguments, and has each field that is set."""
    config = [word for word in words if word.startswith("--config=")]
    fields = [word for word in words if word.startswith("--config.")]
    if not config or placeholder(config[0].removeprefix("--config=")):
        return
    path = config[0].removeprefix("--config=").partition(":")[0]
    assert (ROOT / path).is_file(), f"{command}\nthere is no {path}"
    absolute = config[0].replace(path, str(ROOT / path), 1)
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", flag_values=values)
    argv = ["docs", absolute, *fields]
    try:
        # The parser looks for overrides in the process's own arguments.
        with mock.patch.object(sys, "argv", argv):
            values(argv)
        assert holder.value.stage
    except _REFUSED as error:
        pytest.fail(f"{command}\n{error}")


def _script(command: Command, name: str, words: list[str]) -> None:
    path = ROOT / name.removeprefix("./")
    assert path.is_file(), f"{command}\nthere is no {name}"
    text = path.read_text(encoding="utf-8")
    own, rest = words, []
    if "--" in words:
        at = words.index("--")
        own, rest = words[:at], words[at + 1 :]
    if found := re.search(r'parse_flags "([^"]*)" "([^"]*)"', text):
        valued, switches = (
            re.sub(r"\\\n", " ", part).split() for part in found.groups()
        )
        known = dict.fromkeys(valued, "string") | dict.fromkeys(switches, "bool")
        _check_flags(command, own, known)
    _check_flags(command, rest, _flags("animatrix_jax.cli.train"))
    _check_config(command, rest)


@pytest.mark.parametrize("page", sorted({command.page for command in COMMANDS}))
def test_commands(page):
    for command in (c for c in COMMANDS if c.page == page):
        program, *words = command.words
        if program == "animatrix":
            verb, *words = words
            assert verb in main.VERBS, f"{command}\nthere is no verb {verb}"
            module = f"animatrix_jax.cli.{verb}"
        elif program == "python":
            _, module, *words = words
            assert _source(module).is_file(), f"{command}\nthere is no {module}"
        else:
            _script(command, program, words)
            continue
        if "--" in words:  # what follows is for Beam
            words = words[: words.index("--")]
        words = [word.strip("[]") for word in words]  # [--size=pico] may be left out
        for word in words:
            if word.startswith("--tags=") and "..." not in word:
                parse_tags(word.removeprefix("--tags="))  # refuses what does not exist
        _check_flags(command, words, _flags(module))
        _check_config(command, words)


def test_every_verb_is_shown():
    shown = {c.words[1] for c in COMMANDS if c.words[0] == "animatrix"}
    assert set(main.VERBS) <= shown


def test_the_checks_refuse_what_is_wrong():
    """Commands as they stood in these pages once, and inventions."""

    def refused(line: str) -> bool:
        words = line.split()
        command = Command("here", tuple(words))
        try:
            _check_flags(command, words, _flags("animatrix_jax.cli.train"))
            _check_config(command, words)
        except (AssertionError, pytest.fail.Exception):
            return True
        return False

    pico = "animatrix train --workdir=W --config=configs/pico.py:stage=ct"
    assert not refused(f"{pico} --config.loop.steps=2 --config.profile")
    assert refused(f"{pico} --config.loop.stepz=2")
    assert refused(f"{pico} --config.loop.steps=some")
    assert refused(f"{pico},colour=red")
    assert refused(f"{pico} --colour=red")
    assert refused("animatrix train --config=configs/none.py")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for path, anchor in links(page):
        target = (ROOT / path).resolve()
        assert target.exists(), f"{page}: there is no {path}"
        if anchor:
            inside = target.relative_to(ROOT).as_posix()
            assert anchor in anchors(inside), f"{page}: {path} has no #{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    rooms = "animatrix_jax|benchmarks|configs|docs|launch|notebooks|tests"
    for name in re.findall(rf"`((?:\./)?(?:{rooms})/[\w./-]+)`", text_of(page)):
        assert (ROOT / name).exists(), f"{page}: there is no {name}"


def test_flags_read_from_the_source_are_those_of_the_module():
    """Held on the one module of verbs that may be imported beside all others."""
    own = flags.FLAGS.flags_by_module_dict()["animatrix_jax.cli.app"]
    assert {flag.name for flag in own} == _flags("animatrix_jax.cli.app").keys()


@pytest.mark.parametrize("page", PAGES)
def test_python_examples_import_what_there_is(page):
    for block in re.findall(
        r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL
    ):
        for node in ast.walk(ast.parse(block)):
            of = getattr(node, "module", None) or ""
            if of.startswith("animatrix_jax"):
                text = _source(of).read_text(encoding="utf-8")
                for alias in node.names:
                    defined = rf"^(def|class) {alias.name}\b|^{alias.name}\b"
                    assert re.search(defined, text, re.MULTILINE), (
                        f"{page}: {of}.{alias.name}"
                    )


def test_the_programme_page_has_the_steps_of_the_configs():
    rows = re.findall(
        r"^\| `(\w+)` \|(.*)\|$", text_of("docs/programme.md"), re.MULTILINE
    )
    assert {name for name, _ in rows} == {"ct", "sft", "qt", "judge", "preference"}
    for stage, cells in rows:
        for name, cell in zip(("pico", "nano", "wan"), cells.split("|")[-3:]):
            values = flags.FlagValues()
            holder = config_flags.DEFINE_config_file("config", flag_values=values)
            path = f"--config={ROOT}/configs/{name}.py:stage={stage}"
            with mock.patch.object(sys, "argv", ["docs", path]):
                values(["docs", path])
            steps = f"{holder.value.loop.steps:,}"
            assert steps in re.findall(r"[\d,]*\d", cell), f"{name}, {stage}: {steps}"
