"""Which clips AniCaption learns from."""

from collections import Counter

from animatrix_jax.caption.sights import demanded_tags, drawn_tags


def test_every_tag_is_demanded_those_of_hard_fields_twice():
    times = Counter(demanded_tags())
    assert times.keys() == set(drawn_tags())
    assert times["motion.emotion=joy"] == 2 and times["motion.timing=twos"] == 1
