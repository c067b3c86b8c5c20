"""Tags `axis.field=value`: read in any spelling, kept in one canonical form and order.

A tag is a hard constraint on the clip, so nothing is guessed here: an unknown field or
value is an error that names the nearest valid tags, and tags that contradict each other
are an error that names both.
"""

import difflib
import functools
from collections.abc import Iterable

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.schema import UNKNOWN, Field, Taxonomy, Value, normalise
from animatrix_jax.knowledge.taxonomy import load_taxonomy

Tag = str  # "axis.field=value"

_CUTOFF = 0.5  # difflib's similarity under which a name is no neighbour.


# The look that clips share: how it is rendered, and in which colours.
_CLUSTER = ("style.rendering", "style.palette")


def field_of(tag: Tag) -> str:
    """The key of a canonical tag's field: "camera.camera_motion"."""
    return tag.partition("=")[0]


def style_cluster(tags: Iterable[Tag]) -> str:
    """The style cluster of canonical tags: "two_tone_cel/vivid"; "?" where none is said.

    Rendering and palette alone: all of a clip's style tags would make nearly every clip a
    cluster of its own.
    """
    values = dict.fromkeys(_CLUSTER, "?")
    for tag in tags:
        field, _, value = tag.partition("=")
        if values.get(field) == "?":
            values[field] = value
    return "/".join(values.values())


def parse_tags(
    tags: str | Iterable[str], taxonomy: Taxonomy | None = None
) -> tuple[Tag, ...]:
    """Canonical tags, each once, in the taxonomy's order.

    Args:
      tags: tags separated by commas, or an iterable with one tag an item. Names are
        read in any case, with spaces or hyphens for underscores, and aliases and
        Japanese studio terms are accepted for values. A tag `axis.field=unknown` claims
        nothing and is dropped.
      taxonomy: the packaged one if None.

    Raises:
      UserError: a tag is unknown (the nearest are named), or two contradict each other.
    """
    taxonomy = load_taxonomy() if taxonomy is None else taxonomy
    items = tags.split(",") if isinstance(tags, str) else tags
    found: dict[int, tuple[Field, Value]] = {}
    for item in items:
        if not isinstance(item, str):
            raise UserError(f"a tag is text axis.field=value, got {item!r}")
        pair = taxonomy.values_by_tag.get(item)
        if pair is None and item.strip():
            pair = _resolve(item.strip(), taxonomy)
        if pair is not None:
            found[pair[1].index] = pair
    ordered = [found[index] for index in sorted(found)]
    _check_consistent(ordered)
    return tuple(value.tag for _, value in ordered)


def unclaimed_fields(
    tags: Iterable[str], claimed: Iterable[Tag] = ()
) -> tuple[str, ...]:
    """The fields that `tags` say `unknown` of, in order, without those of `claimed`."""
    said = [tag.partition("=") for tag in tags]
    fields = {normalise(key) for key, _, name in said if normalise(name) == UNKNOWN}
    return tuple(sorted(fields - {tag.partition("=")[0] for tag in claimed}))


def format_tags(tags: Iterable[str], taxonomy: Taxonomy | None = None) -> str:
    """The tags in canonical form and order, separated by a comma and a space."""
    return ", ".join(parse_tags(tuple(tags), taxonomy))


def nearest(
    tag: str, count: int = 3, taxonomy: Taxonomy | None = None
) -> tuple[Tag, ...]:
    """Up to `count` canonical tags that `tag` may have meant, the likeliest first.

    The value is sought in the named field first, then in a field of nearly that name,
    then anywhere.
    """
    taxonomy = load_taxonomy() if taxonomy is None else taxonomy
    key, separator, name = tag.partition("=")
    key, name = normalise(key), normalise(name)
    found: dict[Tag, None] = {}
    if separator:
        for field in _likely_fields(key, taxonomy):
            names = _close(name, field.lookup, count)
            found |= {field.lookup[near].tag: None for near in names}
    if not found:
        wanted = name if separator and name else key
        everywhere = _all_names(taxonomy)
        for near in _close(wanted, everywhere, count):
            found |= dict.fromkeys(everywhere[near])
    if not found:
        canonical = normalise(tag)
        found |= dict.fromkeys(
            difflib.get_close_matches(canonical, taxonomy.values_by_tag, count, 0.0)
        )
    return tuple(found)[:count]


def _resolve(tag: str, taxonomy: Taxonomy) -> tuple[Field, Value] | None:
    """The field and value of a tag in any spelling; None for an `unknown` value."""
    key, separator, name = tag.partition("=")
    field = taxonomy.fields_by_key.get(normalise(key)) if separator else None
    if field is not None:
        if normalise(name) == UNKNOWN:
            return None
        value = field.find(name)
        if value is not None:
            return field, value
    near = nearest(tag, taxonomy=taxonomy)
    hint = "" if separator else "; a tag is axis.field=value"
    raise UserError(f"unknown tag {tag!r}{hint}; nearest: {', '.join(near)}")


def _check_consistent(pairs: list[tuple[Field, Value]]) -> None:
    """Raises on two values of a field that takes one, and on excluded pairs."""
    single: dict[str, Value] = {}
    earlier: set[Tag] = set()
    for field, value in pairs:
        if not field.multiple:
            other = single.setdefault(field.key, value)
            if other is not value:
                raise UserError(
                    f"contradictory tags {other.tag} and {value.tag}: "
                    f"{field.key} takes one value"
                )
        clash = next((tag for tag in value.excludes if tag in earlier), None)
        if clash is not None:
            raise UserError(
                f"contradictory tags {clash} and {value.tag}: one excludes the other"
            )
        earlier.add(value.tag)


def _likely_fields(key: str, taxonomy: Taxonomy) -> list[Field]:
    """The field of that key; else those whose key, or name without axis, is near it."""
    if key in taxonomy.fields_by_key:
        return [taxonomy.fields_by_key[key]]
    last = key.rpartition(".")[2]
    exact = [field for field in taxonomy.fields if field.name == last]
    if exact:
        return exact
    close = _close(key, taxonomy.fields_by_key, 2)
    by_name = {field.name: field for field in taxonomy.fields}
    fields = [taxonomy.fields_by_key[near] for near in close]
    fields += [by_name[near] for near in _close(last, by_name, 2)]
    return list(dict.fromkeys(fields))


def _close(name: str, names: Iterable[str], count: int) -> list[str]:
    return difflib.get_close_matches(name, list(names), count, _CUTOFF)


@functools.lru_cache(maxsize=8)
def _all_names(taxonomy: Taxonomy) -> dict[str, tuple[Tag, ...]]:
    """Every normalised name or alias of any field to the tags it may mean."""
    owners: dict[str, tuple[Tag, ...]] = {}
    for field in taxonomy.fields:
        for name, value in field.lookup.items():
            owners[name] = (*owners.get(name, ()), value.tag)
    return owners
