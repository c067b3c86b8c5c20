"""Tags become the taxonomy's ids, padded under a mask."""

import numpy as np
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.encoding import MAX_TAGS, encode_tags
from animatrix_jax.knowledge.taxonomy import load_taxonomy

TAGS = ("style.line=tapered", "motion.timing=twos", "vfx.lines=speed_lines")


def decode_tags(ids):
    """The tags that `ids` stand for, in their order."""
    by_index = load_taxonomy().by_index
    return tuple(by_index[int(i)].tag for i in ids.values[ids.mask])


def test_ids_and_padding():
    taxonomy = load_taxonomy()
    ids = encode_tags(TAGS, 5)
    assert ids.fields.tolist()[:3] == [
        taxonomy.field(tag.partition("=")[0]).index for tag in TAGS
    ]
    assert ids.values.tolist()[:3] == [taxonomy.value(tag).index for tag in TAGS]
    assert ids.mask.tolist() == [True, True, True, False, False]
    assert not ids.fields[3:].any() and not ids.values[3:].any()
    assert ids.fields.dtype == ids.values.dtype == np.int32


def test_round_trip_of_every_tag():
    for value in load_taxonomy().by_index:
        assert decode_tags(encode_tags((value.tag,), 1)) == (value.tag,)
    assert decode_tags(encode_tags(TAGS)) == TAGS


def test_no_tags():
    ids = encode_tags(())
    assert ids.mask.shape == (MAX_TAGS,) and not ids.mask.any()
    assert decode_tags(ids) == ()


def test_aliases_are_read():
    assert decode_tags(encode_tags(["motion.deformation=obake"])) == (
        "motion.deformation=multiples",
    )


def test_too_many_names_both_numbers():
    with pytest.raises(UserError, match="3 tags given, at most 2 fit"):
        encode_tags(TAGS, 2)


def test_unknown_tag():
    with pytest.raises(UserError, match="motion.timing=twos"):
        encode_tags(["motion.timing=two"])


def test_a_value_of_each_field_fits():
    taxonomy = load_taxonomy()
    assert taxonomy.num_fields <= MAX_TAGS
