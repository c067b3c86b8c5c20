"""docs/config.md: every field of a config, with what its dataclass says of it."""

import dataclasses
import pathlib

import pytest

from animatrix_jax.cli import fields
from animatrix_jax.cli.schema import SECTIONS, base_config

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "config.md"


def test_the_page_is_what_the_dataclasses_say():
    assert PAGE.read_text(encoding="utf-8") == fields.page()


def test_every_field_of_a_config_is_on_it():
    config = base_config("pico", "ct", stages={"ct": {}})
    page = PAGE.read_text(encoding="utf-8")

    def flags(prefix, section):
        for name, value in section.items():
            if hasattr(value, "items"):
                yield from flags(f"{prefix}{name}.", value)
            else:
                yield f"{prefix}{name}"

    assert [flag for flag in flags("", config) if f"| `{flag}` |" not in page] == []
    assert set(SECTIONS) <= set(config.keys())


def test_a_field_that_no_one_explains_is_refused():
    @dataclasses.dataclass
    class Config:
        """Some.

        Attributes:
          a, b: of both,
            on two lines.
        """

        a: int = 1
        b: int = 2

    told = "of both, on two lines."
    assert list(fields.rows("x", Config())) == [("x.a", 1, told), ("x.b", 2, told)]

    @dataclasses.dataclass
    class Silent(Config):
        """Some."""

    with pytest.raises(ValueError, match="Silent says nothing of a"):
        list(fields.rows("x", Silent()))
