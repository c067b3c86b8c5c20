"""Finds where prose speaks of tags, so that corruption can reword or contradict it.

A value is spoken of in two forms. The sentence form is its `phrase` or a paraphrase
("the camera pans left"); the name form is its name or an alias ("left pan"). Wording
of one form replaces wording of the same form. Single-word names of an `everyday` field
("large", "high") do not count: prose uses them for other things.
"""

import dataclasses
import functools
import re
from collections.abc import Collection

from animatrix_jax.knowledge.schema import NONE, Field, Taxonomy, Value
from animatrix_jax.knowledge.tags import Tag

_MIN_WORD = 4  # Shorter single words are abbreviations ("TU") or too common.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mention:
    """`text[start:end]` speaks of `tag`; `form` is "sentence" or "name"."""

    start: int
    end: int
    tag: Tag
    form: str


def wordings(field: Field, value: Value, form: str) -> tuple[str, ...]:
    """The interchangeable wordings of a value in one form, the usual one first."""
    if form == "sentence":
        return (value.phrase, *value.paraphrases)
    names = () if value.name == NONE else (value.words,)
    return tuple(
        name for name in (*names, *value.aliases) if _counts_in_prose(name, field)
    )


def find_mentions(
    text: str, tags: Collection[Tag], taxonomy: Taxonomy
) -> tuple[Mention, ...]:
    """Where `text` speaks of any of `tags`, left to right, without overlap.

    At each place the longest wording of the whole taxonomy wins, so that a word inside
    another tag's phrase ("blast" in "blast wave") is not taken for a mention.
    """
    pattern, owners = _index(taxonomy)
    mentions = []
    for match in pattern.finditer(text):
        for tag, form in owners.get(match[0].casefold(), ()):
            if tag in tags:
                mentions.append(
                    Mention(start=match.start(), end=match.end(), tag=tag, form=form)
                )
                break
    return tuple(mentions)


def replace(text: str, mention: Mention, wording: str) -> str:
    """`text` with the mention reworded, its first letter in the case it had."""
    if text[mention.start].isupper():
        wording = wording[:1].upper() + wording[1:]
    return text[: mention.start] + wording + text[mention.end :]


def _counts_in_prose(name: str, field: Field) -> bool:
    if " " in name or "-" in name:
        return True
    return not field.everyday and len(name) >= _MIN_WORD


@functools.lru_cache(maxsize=8)
def _index(
    taxonomy: Taxonomy,
) -> tuple[re.Pattern[str], dict[str, tuple[tuple[Tag, str], ...]]]:
    """One pattern of all wordings, longest first, and who owns each."""
    owners: dict[str, tuple[tuple[Tag, str], ...]] = {}
    for field in taxonomy.fields:
        for value in field.values:
            for form in ("sentence", "name"):
                for wording in wordings(field, value, form):
                    key = wording.casefold()
                    owners[key] = (*owners.get(key, ()), (value.tag, form))
    longest_first = sorted(owners, key=lambda wording: (-len(wording), wording))
    body = "|".join(re.escape(wording) for wording in longest_first)
    return re.compile(rf"(?<![\w-])(?:{body})(?![\w-])", re.IGNORECASE), owners
