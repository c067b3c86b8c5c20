"""Rooms import only from the rooms before them, in the order of CONTRIBUTING.md."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "animatrix_jax"
ORDER = re.search(
    r"^`(knowledge → .*)`$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE
)[1].split(" → ")
# They stand beside the rooms and import from none.
BESIDE = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}


def imported(path):
    """The rooms, and modules beside them, that a file imports from anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("animatrix_jax."):
                yield name.split(".")[1]


def test_the_order_names_every_room():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(ORDER) == rooms - {"weights"}


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_from_those_before_it(room):
    allowed = {*ORDER[: ORDER.index(room) + 1], *BESIDE, "weights"}
    wrong = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (PACKAGE / room).rglob("*.py")
        for name in imported(path)
        if name not in allowed
    }
    assert not wrong


@pytest.mark.parametrize("module", sorted(BESIDE))
def test_what_stands_beside_the_rooms_imports_from_none(module):
    assert not set(imported(PACKAGE / f"{module}.py")) - BESIDE
