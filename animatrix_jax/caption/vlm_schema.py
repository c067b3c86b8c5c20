"""The taxonomy as a JSON schema, and what of an answer it lets through.

    {"tags": {"motion.timing": "twos", "vfx.impact": ["flash"], ...},
     "confidence": {"motion.timing": 0.8, ...}, "summary": "...", "description": "..."}

A field of one value is a string of its enum, one of several an array; each may say
`unknown` and may be left out.
"""

import dataclasses
import json
from typing import Any

import jsonschema

from animatrix_jax.knowledge.schema import UNKNOWN, Field, Taxonomy


def json_schema(taxonomy: Taxonomy) -> dict[str, Any]:
    """The schema (draft 2020-12) of an answer."""
    fields = {field.key: _values(field) for field in taxonomy.fields}
    sure = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "tags": _closed(fields),
            "confidence": _closed(dict.fromkeys(fields, sure)),
            "summary": {"type": "string"},
            "description": {"type": "string"},
        },
        "required": ["tags"],
        "additionalProperties": False,
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _values(field: Field) -> dict[str, Any]:
    one = {"enum": [*(value.name for value in field.values), UNKNOWN]}
    if not field.multiple:
        return one
    return {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What is valid of a model's answer, and what is wrong with the rest.

    Attributes:
      tags: valid values by field, without `unknown`.
      problems: one line each, for the round of repair; empty if all is valid.
    """

    tags: dict[str, tuple[str, ...]]
    confidence: dict[str, float]
    summary: str
    description: str
    problems: tuple[str, ...]


def check(text: str, schema: dict[str, Any]) -> Answer:
    """Reads an answer: the first JSON object in `text`, held to the schema.

    What breaks the schema is left out field by field, and named in `problems`.
    """
    found = _first_object(text)
    if found is None:
        return Answer(
            tags={},
            confidence={},
            summary="",
            description="",
            problems=("the answer holds no JSON object",),
        )
    validator = jsonschema.Draft202012Validator(schema)
    problems = tuple(
        f"{'/'.join(map(str, error.absolute_path)) or 'the object'}: {error.message}"
        for error in validator.iter_errors(found)
    )
    parts = schema["properties"]
    tags = _valid(found.get("tags"), parts["tags"]["properties"])
    sure = _valid(found.get("confidence"), parts["confidence"]["properties"])
    return Answer(
        tags={key: names for key, value in tags.items() if (names := _names(value))},
        confidence={key: float(value) for key, value in sure.items()},
        summary=_text(found.get("summary")),
        description=_text(found.get("description")),
        problems=problems,
    )


def _valid(values: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(values, dict):
        return {}
    return {
        key: value
        for key, value in values.items()
        if key in schemas
        and jsonschema.Draft202012Validator(schemas[key]).is_valid(value)
    }


def _names(value: str | list[str]) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    return () if UNKNOWN in names else tuple(names)


def _text(value: Any) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    # JSON may spell half of a surrogate pair, which no file of labels can hold.
    return text.encode("utf-8", "replace").decode("utf-8")


def _first_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text, whatever stands round it."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            found, _ = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):  # no JSON; a number of 5,000 digits
            found = None
        if isinstance(found, dict):
            return found
        at = text.find("{", at + 1)
    return None
