"""Draws are pure functions of their name, and the same on every machine."""

import pytest

from animatrix_jax.cels.random import Draws

RECORDED_RAW = 16500778730541466749
RECORDED_INTEGERS = [89, 79, 98, 38, 38, 97]


def test_recorded_stream():
    draws = Draws(7, "clip", 3)
    assert draws.raw() == RECORDED_RAW
    assert [draws.integer(0, 100) for _ in range(6)] == RECORDED_INTEGERS


def test_child_does_not_advance_its_parent():
    first, second = Draws(1, "a"), Draws(1, "a")
    first.child("b").raw()
    assert first.raw() == second.raw()
    assert Draws(1, "a", "b").raw() == first.child("b").raw()


def test_other_names_give_other_streams():
    streams = {Draws(s, *p).raw() for s in range(4) for p in ((), ("a",), ("a", 1))}
    assert len(streams) == 12


@pytest.mark.parametrize("low, high", [(0, 1), (-3, 4), (5, 505)])
def test_integers_stay_inside_and_reach_both_ends(low, high):
    draws = Draws(0, "integers", low)
    found = [draws.integer(low, high) for _ in range(1000)]
    assert min(found) >= low and max(found) < high
    if high - low < 10:
        assert set(found) == set(range(low, high))


def test_choice_follows_its_weights():
    draws = Draws(0, "weights")
    found = [draws.weighted({"a": 1.0, "b": 3.0, "c": 0.0}) for _ in range(1000)]
    assert "c" not in found
    assert abs(found.count("b") / 1000 - 0.75) < 0.05


def test_sample_draws_different_things():
    assert sorted(Draws(0).sample("abcd", 4)) == list("abcd")


def test_many_uniforms_are_the_same_stream():
    one = Draws(5, "table")
    assert Draws(5, "table").uniforms(150) == [one.uniform() for _ in range(150)]
    with pytest.raises(ValueError, match="fresh"):
        one.uniforms(2)
