"""Tags as the ids that the tag encoder embeds: `e = W_field[f] + W_value[v]`.

Field and value ids are the taxonomy's own; value ids are unique over all fields. Rows
are padded to a fixed length with id 0 under a False mask.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int32

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.schema import Taxonomy
from animatrix_jax.knowledge.tags import Tag, parse_tags
from animatrix_jax.knowledge.taxonomy import load_taxonomy

MAX_TAGS = 48


@dataclasses.dataclass(frozen=True, kw_only=True)
class TagIds:
    """The ids of one clip's tags, padded; `mask` is True where there is a tag."""

    fields: Int32[np.ndarray, " k"]
    values: Int32[np.ndarray, " k"]
    mask: Bool[np.ndarray, " k"]


def encode_tags(
    tags: Sequence[Tag], max_tags: int = MAX_TAGS, taxonomy: Taxonomy | None = None
) -> TagIds:
    """Ids of `tags`, in their order, padded to `max_tags`.

    Raises:
      UserError: a tag is unknown, or there are more than `max_tags`.
    """
    taxonomy = load_taxonomy() if taxonomy is None else taxonomy
    known = taxonomy.values_by_tag
    if not all(tag in known for tag in tags):
        tags = parse_tags(tags, taxonomy)
    if len(tags) > max_tags:
        raise UserError(f"{len(tags)} tags given, at most {max_tags} fit")
    fields = np.zeros(max_tags, np.int32)
    values = np.zeros(max_tags, np.int32)
    for position, tag in enumerate(tags):
        field, value = known[tag]
        fields[position], values[position] = field.index, value.index
    mask = np.arange(max_tags) < len(tags)
    return TagIds(fields=fields, values=values, mask=mask)
