"""The taxonomy as people read it: one entry as text, and all of it as Markdown."""

import dataclasses
from typing import Any

from animatrix_jax.knowledge.schema import NONE, Field, Taxonomy, Value

_HEADER = """\
# Taxonomy {version}

{num_fields} fields, {num_values} values. Written by `animatrix taxonomy reference` from
`animatrix_jax/knowledge/taxonomy.yaml`; edit that file, not this one.

A tag is `axis.field=value`. Where a field takes several values, the field is repeated:
`vfx.elemental=fire,vfx.elemental=smoke`. Aliases and Japanese terms may stand for the
value. `unknown` is legal in every field and claims nothing; `none` claims that nothing
of the field shows.
"""


def describe(value: Value) -> dict[str, Any]:
    """The value as plain data, for JSON."""
    data = dataclasses.asdict(value)
    return data | {key: list(data[key]) for key in data if type(data[key]) is tuple}


def explain(field: Field, value: Value) -> str:
    """The whole entry of one value, a line an item."""
    takes = "several values" if field.multiple else "one value"
    lines = [
        value.tag,
        f"  meaning     {value.meaning}",
        f"  appearance  {value.appearance}",
        f"  placement   {value.placement}",
        f'  in prose    "{value.phrase}"',
    ]
    if value.aliases:
        lines.append(f"  aliases     {', '.join(value.aliases)}")
    if value.japanese:
        lines.append(f"  studio term {_studio(value)}")
    if value.excludes:
        lines.append(f"  excludes    {', '.join(value.excludes)}")
    lines.append(f"  field       {field.meaning} Takes {takes}.")
    return "\n".join(lines)


def reference(taxonomy: Taxonomy) -> str:
    """The whole taxonomy as a Markdown page."""
    parts = [
        _HEADER.format(
            version=taxonomy.version,
            num_fields=taxonomy.num_fields,
            num_values=taxonomy.num_values,
        )
    ]
    for axis, meaning in zip(taxonomy.axes, taxonomy.axis_meanings, strict=True):
        parts.append(f"## {axis}\n\n{meaning}\n")
        for field in taxonomy.fields:
            if field.axis == axis:
                parts.append(_section(field))
    return "\n".join(parts)


def _section(field: Field) -> str:
    takes = "Several values at once." if field.multiple else "One value."
    lines = [f"### {field.key}", "", f"{field.meaning} {takes}", ""]
    lines += ["| value | meaning | what one sees | where and when | also called |"]
    lines += ["|---|---|---|---|---|"]
    for value in field.values:
        called = [*value.aliases, *([_studio(value)] if value.japanese else [])]
        cells = (
            f"`{value.name}`",
            value.meaning,
            value.appearance,
            value.placement,
            ", ".join(called),
        )
        lines.append(
            "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        )
    rules = [
        f"- `{value.name}` excludes {', '.join(f'`{tag}`' for tag in others)}"
        for value in field.values
        if (others := _foreign(field, value))
    ]
    return "\n".join([*lines, "", *([*rules, ""] if rules else [])])


def _foreign(field: Field, value: Value) -> list[str]:
    """Exclusions worth telling: `none` against its own field goes without saying."""
    none = f"{field.key}={NONE}"
    own = f"{field.key}="
    return [
        tag
        for tag in value.excludes
        if tag != none and not (value.tag == none and tag.startswith(own))
    ]


def _studio(value: Value) -> str:
    return f"{value.japanese.term} ({value.japanese.romaji})" if value.japanese else ""
