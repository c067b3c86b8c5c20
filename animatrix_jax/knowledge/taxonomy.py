"""Reads `taxonomy.yaml` into a checked `Taxonomy`: the one source of every tag's id.

A taxonomy is data that people edit, so every mistake in it is a `UserError` that names
the file and the key: a key given twice, a text that is missing, an alias of two values,
an exclusion that points nowhere. Exclusions are written once and made mutual here.
"""

import dataclasses
import functools
import pathlib
import re
from typing import Any

import yaml

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.schema import (
    NONE,
    UNKNOWN,
    Field,
    StudioTerm,
    Taxonomy,
    Value,
    normalise,
)

TAXONOMY_PATH = pathlib.Path(__file__).with_name("taxonomy.yaml")

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_FIELD_KEYS = ("meaning", "multiple", "everyday", "sentence", "values")
_VALUE_KEYS = (
    "meaning",
    "appearance",
    "placement",
    "scenes",
    "phrase",
    "paraphrases",
    "aliases",
    "japanese",
    "excludes",
)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """The safe loader, which also refuses a key that is given twice in one mapping."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"duplicate key {key_node.value!r}",
                    key_node.start_mark,
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


class _Reader:
    """Typed access to the nested mappings; every failure names the file and the key."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def fail(self, key: str, problem: str) -> UserError:
        return UserError(f"{self.path}: {key}: {problem}")

    def mapping(self, value: Any, key: str, allowed: tuple[str, ...] = ()) -> dict:
        if not isinstance(value, dict) or not value:
            raise self.fail(key, f"expected a mapping, got {type(value).__name__}")
        for name in value:
            if not isinstance(name, str):
                raise self.fail(key, f"name {name!r} must be quoted to be a string")
            if allowed and name not in allowed:
                raise self.fail(
                    key, f"unknown key {name!r}; keys are {', '.join(allowed)}"
                )
            if not allowed and not _NAME.fullmatch(name):
                raise self.fail(key, f"name {name!r} is not made of a-z, 0-9 and _")
        return value

    def text(self, entry: dict, key: str, name: str, default: str | None = None) -> str:
        value = entry.get(name, default)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise self.fail(f"{key}.{name}", f"expected a line of text, got {value!r}")
        return value

    def texts(self, entry: dict, key: str, name: str) -> tuple[str, ...]:
        value = entry.get(name, [])
        if not isinstance(value, list) or not all(
            isinstance(item, str) and item.strip() for item in value
        ):
            raise self.fail(f"{key}.{name}", f"expected a list of texts, got {value!r}")
        return tuple(value)

    def flag(self, entry: dict, key: str, name: str) -> bool:
        value = entry.get(name, False)
        if not isinstance(value, bool):
            raise self.fail(f"{key}.{name}", f"expected true or false, got {value!r}")
        return value


@functools.lru_cache(maxsize=8)
def load_taxonomy(path: str | pathlib.Path | None = None) -> Taxonomy:
    """The packaged taxonomy, or the one at `path`; read and checked once.

    Raises:
      UserError: the file is missing, is not YAML, or is not a sound taxonomy.
    """
    path = TAXONOMY_PATH if path is None else pathlib.Path(path)
    reader = _Reader(path)
    root = reader.mapping(_read(path), "top level", ("version", "axes"))
    axes = reader.mapping(root.get("axes"), "axes")
    written: dict[str, tuple[str, ...]] = {}  # tag -> its exclusions as written
    raw_fields = []
    for axis, entry in axes.items():
        entry = reader.mapping(entry, axis, ("meaning", "fields"))
        for name, raw in reader.mapping(entry.get("fields"), f"{axis}.fields").items():
            key = f"{axis}.{name}"
            raw = reader.mapping(raw, key, _FIELD_KEYS)
            values = reader.mapping(raw.get("values"), f"{key}.values")
            for value, raw_value in values.items():
                tag = f"{key}={value}"
                raw_value = reader.mapping(raw_value, tag, _VALUE_KEYS)
                written[tag] = reader.texts(raw_value, tag, "excludes")
            raw_fields.append((axis, name, raw))
    excludes = _mutual_excludes(written, raw_fields, reader)
    fields, offset = [], 0
    for index, (axis, name, raw) in enumerate(raw_fields):
        field = _build_field(
            raw, axis=axis, name=name, index=index, offset=offset, reader=reader
        )
        field = _with_excludes(field, excludes)
        _check_names(field, reader)
        fields.append(field)
        offset += len(field.values)
    return Taxonomy(
        version=reader.text(root, "top level", "version"),
        axes=tuple(axes),
        axis_meanings=tuple(reader.text(axes[a], a, "meaning") for a in axes),
        fields=tuple(fields),
    )


def _read(path: pathlib.Path) -> Any:
    try:
        with path.open(encoding="utf-8") as stream:
            return yaml.load(stream, Loader=_Loader)
    except OSError as error:
        raise UserError(f"cannot read taxonomy {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"{path}:{line} {problem}") from None


def _build_field(
    raw: dict, *, axis: str, name: str, index: int, offset: int, reader: _Reader
) -> Field:
    key = f"{axis}.{name}"
    sentence = reader.text(raw, key, "sentence", "It is {phrase}.")
    if sentence.count("{phrase}") != 1 or sentence.count("{") != 1:
        raise reader.fail(f"{key}.sentence", "expected {phrase} once")
    values = []
    for position, (value, entry) in enumerate(raw["values"].items()):
        tag = f"{key}={value}"
        if value == UNKNOWN:
            raise reader.fail(tag, "every field accepts unknown without listing it")
        studio = entry.get("japanese")
        if studio is not None:
            studio = reader.mapping(studio, f"{tag}.japanese", ("term", "romaji"))
            studio = StudioTerm(
                term=reader.text(studio, f"{tag}.japanese", "term"),
                romaji=reader.text(studio, f"{tag}.japanese", "romaji"),
            )
        values.append(
            Value(
                name=value,
                index=offset + position,
                tag=tag,
                meaning=reader.text(entry, tag, "meaning"),
                appearance=reader.text(entry, tag, "appearance"),
                placement=reader.text(entry, tag, "placement"),
                scenes=reader.text(entry, tag, "scenes"),
                phrase=reader.text(entry, tag, "phrase", value.replace("_", " ")),
                paraphrases=reader.texts(entry, tag, "paraphrases"),
                aliases=reader.texts(entry, tag, "aliases"),
                japanese=studio,
                excludes=(),
            )
        )
    return Field(
        axis=axis,
        name=name,
        index=index,
        meaning=reader.text(raw, key, "meaning"),
        multiple=reader.flag(raw, key, "multiple"),
        everyday=reader.flag(raw, key, "everyday"),
        sentence=sentence,
        values=tuple(values),
    )


def _mutual_excludes(
    written: dict[str, tuple[str, ...]], raw_fields: list, reader: _Reader
) -> dict[str, list[str]]:
    """Both directions of every exclusion, in taxonomy order."""
    pairs = set()
    for tag, others in written.items():
        for other in others:
            key, _, name = other.partition("=")
            if name == "*":
                found = [t for t in written if t.startswith(f"{key}=")]
                found = [t for t in found if t != f"{key}={NONE}"]
            else:
                found = [other] if other in written else []
            if not found:
                raise reader.fail(f"{tag}.excludes", f"{other!r} is not in the file")
            if tag in found:
                raise reader.fail(f"{tag}.excludes", "a value cannot exclude itself")
            pairs |= {(tag, t) for t in found} | {(t, tag) for t in found}
    for axis, name, raw in raw_fields:
        key = f"{axis}.{name}"
        if reader.flag(raw, key, "multiple") and NONE in raw["values"]:
            for value in raw["values"]:
                if value != NONE:
                    pairs.add((f"{key}={NONE}", f"{key}={value}"))
                    pairs.add((f"{key}={value}", f"{key}={NONE}"))
    order = {tag: position for position, tag in enumerate(written)}
    excludes: dict[str, list[str]] = {tag: [] for tag in written}
    for tag, other in sorted(pairs, key=lambda pair: order[pair[1]]):
        excludes[tag].append(other)
    return excludes


def _with_excludes(field: Field, excludes: dict[str, list[str]]) -> Field:
    values = tuple(
        dataclasses.replace(value, excludes=tuple(excludes[value.tag]))
        for value in field.values
    )
    return dataclasses.replace(field, values=values)


def _check_names(field: Field, reader: _Reader) -> None:
    """No name, alias or phrase may belong to two values of one field."""
    names: dict[str, str] = {UNKNOWN: f"{field.key}={UNKNOWN}"}
    phrases: dict[str, str] = {}
    for value in field.values:
        for name in value.names:
            if "," in name or "=" in name:
                raise reader.fail(value.tag, f"alias {name!r} holds a comma or =")
            owner = names.setdefault(normalise(name), value.tag)
            if owner != value.tag:
                raise reader.fail(value.tag, f"{name!r} already names {owner}")
        for phrase in (value.phrase, *value.paraphrases):
            owner = phrases.setdefault(phrase.casefold(), value.tag)
            if owner != value.tag:
                raise reader.fail(value.tag, f"phrase {phrase!r} belongs to {owner}")
