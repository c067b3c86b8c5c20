"""The taxonomy as people read it: one entry as text, and all of it as Markdown."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
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
_PICTURED = """\
Under a field stands a picture of every value that Cel World draws, {drawn} of the
{num_values}: clips that differ in that value alone, as far as the taxonomy lets them,
frames from left to right. `animatrix taxonomy coverage` lists what is not drawn.
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
        f"  scenes      {value.scenes}",
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


def reference(
    taxonomy: Taxonomy,
    pictures: Mapping[str, str] | None = None,
    undrawn: AbstractSet[str] = frozenset(),
) -> str:
    """The whole taxonomy as a Markdown page.

    Args:
      taxonomy: what to write.
      pictures: path of the picture of a field, by its key; none where there are none.
      undrawn: tags that no picture shows.
    """
    parts = [
        _HEADER.format(
            version=taxonomy.version,
            num_fields=taxonomy.num_fields,
            num_values=taxonomy.num_values,
        )
    ]
    if pictures:
        drawn = taxonomy.num_values - len(undrawn)
        parts.append(_PICTURED.format(drawn=drawn, num_values=taxonomy.num_values))
    for axis, meaning in zip(taxonomy.axes, taxonomy.axis_meanings, strict=True):
        parts.append(f"## {axis}\n\n{meaning}\n")
        for field in taxonomy.fields:
            if field.axis == axis:
                picture = (pictures or {}).get(field.key, "")
                parts.append(_section(field, picture, undrawn))
    return "\n".join(parts)


def _section(field: Field, picture: str, undrawn: AbstractSet[str]) -> str:
    takes = "Several values at once." if field.multiple else "One value."
    lines = [f"### {field.key}", "", f"{field.meaning} {takes}", ""]
    if picture:
        lines += [f"![{field.key}, value by value]({picture})", ""]
        missing = [f"`{v.name}`" for v in field.values if v.tag in undrawn]
        if missing:
            lines += [f"Not drawn: {', '.join(missing)}.", ""]
    heads = "value", "meaning", "what one sees", "where and when", "typical scenes"
    lines += [f"| {' | '.join(heads)} | also called |", "|---|---|---|---|---|---|"]
    for value in field.values:
        called = [*value.aliases, *([_studio(value)] if value.japanese else [])]
        cells = (
            f"`{value.name}`",
            value.meaning,
            value.appearance,
            value.placement,
            value.scenes,
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
