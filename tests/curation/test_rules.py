"""What is filtered, and what a tier asks for: each rule, just within and just beyond."""

import pytest

from animatrix_jax.curation.rules import broken_rule, tier
from animatrix_jax.curation.settings import Rules

RULES = Rules()
FPS = 24.0


def _clip(side=480, **changes):
    """A clip that reaches tier S, but for what is changed."""
    technical = {"blank": 0.0, "black": False, "blur": 0.3, "text": 0.0}
    found = {"motion": 0.5 / FPS, "deformation": 0.1 / FPS}
    clip = {"height": side, "width": 2 * side, "change": 1.0}
    for part in (technical, found, clip):
        part.update({key: v for key, v in changes.items() if key in part})
    return clip | {"technical": technical, "measures": found}


@pytest.mark.parametrize(
    ("within", "beyond", "reason"),
    [
        ({"side": 240}, {"side": 239}, "too small: 239 pixels, expected 240"),
        ({"blank": 0.5}, {"blank": 0.51}, "one colour: 51% of its frames"),
        (
            {"blank": 0.5, "black": True},
            {"blank": 0.75, "black": True},
            "black: 75% of its frames",
        ),
        ({"change": 0.02}, {"change": 0.01}, "still: 1% of its frames change"),
        ({"blur": 0.8}, {"blur": 0.81}, "blurred: 0.81, expected 0.8 or less"),
        ({"text": 0.5}, {"text": 0.6}, "burnt-in text on 60% of its frames"),
    ],
)
def test_a_clip_is_filtered_for_the_rule_that_it_breaks(within, beyond, reason):
    assert broken_rule(_clip(**within), RULES) == ""
    assert broken_rule(_clip(**beyond), RULES) == reason


def test_the_first_rule_that_is_broken_is_told():
    assert broken_rule(_clip(side=100, text=1.0, change=0.0), RULES).startswith("too s")


@pytest.mark.parametrize(
    ("changes", "sure", "expected"),
    [
        ({}, 0.75, "S"),
        ({}, 0.74, "A"),
        ({"side": 479}, 0.75, "A"),
        ({"blur": 0.51}, 0.75, "A"),
        ({"deformation": 1.01 / FPS}, 0.75, "A"),
        ({}, 0.6, "A"),
        ({}, 0.59, "B"),
        ({"side": 359}, 1.0, "B"),
        ({"blur": 0.61}, 1.0, "B"),
        ({"text": 0.01}, 1.0, "B"),
        ({"motion": 0.009 / FPS}, 1.0, "B"),
        ({"motion": 3.01 / FPS}, 1.0, "B"),
    ],
)
def test_a_tier_asks_for_all_of_its_rules(changes, sure, expected):
    clip = _clip(**changes)
    assert broken_rule(clip, RULES) == ""
    assert tier(clip, sure, RULES, fps=FPS) == expected
