"""Reading fields: from a logit for every value of the taxonomy to tags, and the loss.

    L = mean over stated fields of  logsumexp(logits of f) - logit of its value
                                    or, where several hold,  sum_v softplus(z_v) - y_v z_v

A single-valued field is a softmax over its own values, a multi-valued one a sigmoid each.
A field of which a clip says nothing is masked.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.knowledge.schema import Taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldTable:
    """The taxonomy as arrays, for the fields that are read.

    Attributes:
      fields: keys, in taxonomy order.
      owner: [v] which field (position in `fields`) a value belongs to, -1 for none.
      multiple: [f] whether several values hold at once.
    """

    fields: tuple[str, ...]
    owner: np.ndarray
    multiple: np.ndarray

    @classmethod
    def of(cls, taxonomy: Taxonomy, fields: tuple[str, ...]) -> "FieldTable":
        """The table of `fields`."""
        owner = np.full(taxonomy.num_values, -1, np.int32)
        multiple = np.zeros(len(fields), bool)
        for position, key in enumerate(fields):
            field = taxonomy.field(key)
            multiple[position] = field.multiple
            for value in field.values:
                owner[value.index] = position
        return cls(fields=fields, owner=owner, multiple=multiple)

    @property
    def membership(self) -> np.ndarray:
        """[f v], true where value v belongs to field f."""
        return np.arange(len(self.fields))[:, None] == self.owner[None, :]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldTerms:
    """The loss of reading fields, and the accuracy over those stated."""

    loss: Array
    accuracy: Array


def truth_matrix(
    values: Int[Array | np.ndarray, "b k"],
    mask: Bool[Array | np.ndarray, "b k"],
    *,
    num_values: int,
) -> Bool[Array, "b v"]:
    """Batches of tag ids as one flag a value."""
    one_hot = jax.nn.one_hot(jnp.asarray(values), num_values, dtype=jnp.float32)
    stated = jnp.einsum("bkv,bk->bv", one_hot, jnp.asarray(mask, jnp.float32))
    return stated > 0


def stated_fields(
    truth: Bool[Array, "b v"], *, table: FieldTable
) -> Bool[Array, "b f"]:
    """Which fields a clip's tags speak of; a field that cannot be seen is not stated."""
    member = jnp.asarray(table.membership, jnp.float32)
    return jnp.einsum("fv,bv->bf", member, truth.astype(jnp.float32)) > 0


def field_loss(
    logits: Float[Array, "b v"], truth: Bool[Array, "b v"], *, table: FieldTable
) -> FieldTerms:
    """Mean over stated fields of softmax or (summed) sigmoid cross-entropy."""
    weight = stated_fields(truth, table=table).astype(jnp.float32)
    total = jnp.maximum(jnp.sum(weight), 1.0)
    right = field_agreement(predict(logits, table=table), truth, table=table)
    return FieldTerms(
        loss=-jnp.sum(field_log_probs(logits, truth, table=table)) / total,
        accuracy=jnp.sum(right * weight) / total,
    )


def field_log_probs(
    logits: Float[Array, "b v"], tags: Bool[Array, "b v"], *, table: FieldTable
) -> Float[Array, "b f"]:
    """Log-probability of the values given of each field; 0 where none is given."""
    member = jnp.asarray(table.membership, jnp.float32)
    flags = tags.astype(jnp.float32)
    single = jnp.einsum("fv,bv,bv->bf", member, flags, logits)
    single = single - field_log_normalizer(logits, table=table)
    each = flags * logits - jax.nn.softplus(logits)
    several = jnp.einsum("fv,bv->bf", member, each)
    found = jnp.where(jnp.asarray(table.multiple), several, single)
    return jnp.where(stated_fields(tags, table=table), found, 0.0)


def field_log_normalizer(
    logits: Float[Array, "b v"], *, table: FieldTable
) -> Float[Array, "b f"]:
    """Log of the sum of exponentials within each field."""
    member = jnp.asarray(table.membership)
    inside = jnp.where(member[None], logits[:, None, :], -jnp.inf)
    return jax.nn.logsumexp(inside, axis=-1)


def predict(
    logits: Float[Array | np.ndarray, "b v"], *, table: FieldTable
) -> Bool[Array, "b v"]:
    """The values read: a field's best; every one above one half where several hold.

    A multi-valued field with nothing above one half gives its best, so that every field
    is read; one of whose values none is known, all at -inf, is not.
    """
    logits = jnp.asarray(logits)
    member = jnp.asarray(table.membership)
    inside = jnp.where(member[None], logits[:, None, :], -jnp.inf)
    best = jax.nn.one_hot(inside.argmax(-1), logits.shape[-1], dtype=bool)
    best &= jnp.isfinite(inside.max(-1, keepdims=True))  # else no value is known
    above = (inside > 0) & member[None]
    several = jnp.asarray(table.multiple)[None, :, None] & above.any(-1, keepdims=True)
    return jnp.where(several, above, best).any(axis=1)


def field_agreement(
    read: Bool[Array, "b v"], truth: Bool[Array, "b v"], *, table: FieldTable
) -> Float[Array, "b f"]:
    """Agreement a field: intersection over union, which is 0 or 1 for single values."""
    member = jnp.asarray(table.membership, jnp.float32)
    both = jnp.einsum("fv,bv->bf", member, (read & truth).astype(jnp.float32))
    either = jnp.einsum("fv,bv->bf", member, (read | truth).astype(jnp.float32))
    return both / jnp.maximum(either, 1.0)
