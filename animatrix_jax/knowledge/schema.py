"""What a taxonomy is made of: axes hold fields, fields hold values.

These are plain frozen records with their look-up tables. `taxonomy.py` reads and checks
the YAML that fills them; everything else in the room only reads them.
"""

import dataclasses
import functools
import hashlib
import re
import unicodedata

NONE = "none"  # The explicit claim that nothing of the field shows.
UNKNOWN = "unknown"  # No claim: legal in label files, dropped when read.


def normalise(name: str) -> str:
    """The form in which names and aliases are compared: "T.U. Shot" -> "t.u._shot"."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_\-]+", "_", folded).strip("_")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudioTerm:
    """What a Japanese studio calls it: the written term and its plain-ASCII reading."""

    term: str
    romaji: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Value:
    """One value of a field. `index` is unique over all (field, value) pairs.

    `excludes` are the tags it cannot stand beside; the relation is symmetric, and it
    includes `none` against the other values of a field that takes several.
    """

    name: str
    index: int
    tag: str
    meaning: str
    appearance: str
    placement: str
    scenes: str
    phrase: str
    paraphrases: tuple[str, ...]
    aliases: tuple[str, ...]
    japanese: StudioTerm | None
    excludes: tuple[str, ...]

    @property
    def words(self) -> str:
        """The name as prose: "pan left"."""
        return self.name.replace("_", " ")

    @property
    def names(self) -> tuple[str, ...]:
        """Everything a tag may call it: name, aliases, studio term and its reading."""
        studio = (self.japanese.term, self.japanese.romaji) if self.japanese else ()
        return (self.name, *self.aliases, *studio)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One controllable variable of production, such as `camera.camera_motion`."""

    axis: str
    name: str
    index: int
    meaning: str
    multiple: bool
    everyday: bool
    sentence: str
    values: tuple[Value, ...]

    @property
    def key(self) -> str:
        return f"{self.axis}.{self.name}"

    @property
    def words(self) -> str:
        """The name as prose: "camera speed"."""
        return self.name.replace("_", " ")

    @functools.cached_property
    def lookup(self) -> dict[str, Value]:
        """Normalised name or alias to value."""
        return {normalise(name): value for value in self.values for name in value.names}

    def find(self, name: str) -> Value | None:
        """The value of that name or alias in any spelling, or None."""
        return self.lookup.get(normalise(name))

    def state(self, value: Value) -> str:
        """The value as a sentence of its own: "It is animated on twos."."""
        text = self.sentence.format(phrase=value.phrase)
        return text[:1].upper() + text[1:]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Taxonomy:
    """All axes and fields in file order, and the look-ups that the room needs."""

    version: str
    axes: tuple[str, ...]
    axis_meanings: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def num_fields(self) -> int:
        return len(self.fields)

    @property
    def num_values(self) -> int:
        return sum(len(field.values) for field in self.fields)

    @functools.cached_property
    def fields_by_key(self) -> dict[str, Field]:
        return {field.key: field for field in self.fields}

    @functools.cached_property
    def values_by_tag(self) -> dict[str, tuple[Field, Value]]:
        """Canonical tag to its field and value."""
        return {
            value.tag: (field, value) for field in self.fields for value in field.values
        }

    @functools.cached_property
    def by_index(self) -> tuple[Value, ...]:
        """The values in the order of their index."""
        return tuple(value for field in self.fields for value in field.values)

    @functools.cached_property
    def order(self) -> str:
        """Names the tags in their order, by which weights know them."""
        tags = "\n".join(value.tag for value in self.by_index)
        return hashlib.sha256(tags.encode()).hexdigest()[:16]

    def field(self, key: str) -> Field:
        """The field of key `axis.field`; a KeyError names the keys there are."""
        try:
            return self.fields_by_key[key]
        except KeyError:
            keys = ", ".join(self.fields_by_key)
            raise KeyError(f"no field {key!r}; fields are {keys}") from None

    def value(self, tag: str) -> Value:
        """The value of a canonical tag."""
        return self.values_by_tag[tag][1]
