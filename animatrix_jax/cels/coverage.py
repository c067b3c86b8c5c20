"""How much of the taxonomy Cel World draws, from the tables that draw it."""

import dataclasses

from animatrix_jax.cels.rarities import WEIGHTS
from animatrix_jax.knowledge.taxonomy import load_taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coverage:
    """Counts of fields and values, and what is left."""

    fields: int
    values: int
    drawn: int
    undrawn_fields: tuple[str, ...]
    undrawn: tuple[str, ...]  # tags

    def __str__(self) -> str:
        drawn = self.fields - len(self.undrawn_fields)
        share = 100.0 * self.drawn / self.values
        return (
            f"Cel World draws {drawn} of {self.fields} fields and {self.drawn} of "
            f"{self.values} values ({share:.0f}%)"
        )


def coverage() -> Coverage:
    """What Cel World draws of the packaged taxonomy: a value it can be asked for."""
    taxonomy = load_taxonomy()
    undrawn = tuple(
        value.tag
        for field in taxonomy.fields
        for value in field.values
        if value.name not in WEIGHTS.get(field.key, {})
    )
    return Coverage(
        fields=taxonomy.num_fields,
        values=taxonomy.num_values,
        drawn=taxonomy.num_values - len(undrawn),
        undrawn_fields=tuple(
            field.key for field in taxonomy.fields if field.key not in WEIGHTS
        ),
        undrawn=undrawn,
    )
