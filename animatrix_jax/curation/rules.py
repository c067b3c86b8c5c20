"""What a clip's findings mean: filtered and why, or kept and in which tier.

B   technically sound: no rule of `Rules` is broken
A   and larger, sharper, without any burnt-in text, with motion, and with labels that
    are sure of what they looked at
S   and larger, sharper and surer still, and its deformation is drawing, not noise
"""

from collections.abc import Mapping
from typing import Any

from animatrix_jax.curation.settings import Rules
from animatrix_jax.data.dataset import TIERS

__all__ = ["TIERS", "broken_rule", "rank", "tier"]


def broken_rule(clip: Mapping[str, Any], rules: Rules) -> str:
    """Why a clip is filtered; empty if it is not."""
    technical = clip["technical"]
    side = min(clip["height"], clip["width"])
    if side < rules.min_side:
        return f"too small: {side} pixels, expected {rules.min_side}"
    if technical["blank"] > rules.max_blank:
        what = "black" if technical["black"] else "one colour"
        return f"{what}: {technical['blank']:.0%} of its frames"
    if clip["change"] < rules.min_change:
        return f"still: {clip['change']:.0%} of its frames change"
    if technical["blur"] > rules.max_blur:
        return f"blurred: {technical['blur']:.2f}, expected {rules.max_blur:g} or less"
    if technical["text"] > rules.max_text:
        return f"burnt-in text on {technical['text']:.0%} of its frames"
    return ""


def tier(clip: Mapping[str, Any], sure: float, rules: Rules, *, fps: float) -> str:
    """The tier of a clip that no rule filters.

    Args:
      clip: its findings.
      sure: of its labels, as `rows.Told` has it.
      rules: the thresholds.
      fps: what it was measured at.
    """
    technical, found = clip["technical"], clip["measures"]
    side = min(clip["height"], clip["width"])
    motion, deformation = found["motion"] * fps, found["deformation"] * fps
    lowest, highest = rules.a_motion
    reaches_a = (
        side >= rules.a_side
        and technical["blur"] <= rules.a_blur
        and technical["text"] == 0
        and lowest <= motion <= highest
        and sure >= rules.a_confidence
    )
    if not reaches_a:
        return "B"
    reaches_s = (
        side >= rules.s_side
        and technical["blur"] <= rules.s_blur
        and deformation <= rules.s_deformation
        and sure >= rules.s_confidence
    )
    return "S" if reaches_s else "A"


def rank(clip: Mapping[str, Any], *, labelled: bool) -> list[float]:
    """Which of two near-duplicates is the better: the smaller rank.

    Args:
      clip: its findings.
      labelled: whether a label says anything of it, which the other would lose.
    """
    return [
        float(not labelled),
        -clip["height"] * clip["width"],
        -round(clip["end"] - clip["start"], 3),
        round(clip["technical"]["blur"], 4),
    ]
