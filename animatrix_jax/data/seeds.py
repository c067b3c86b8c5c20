"""Which clips of Cel World are drawn for what, so that "never seen" can be looked up.

A stream of clips is a seed and a split, and no two streams share a clip. Stages train on
the split "train" of the run's own seed (images of the seed after it); everything below is
of other splits, or far from any run's seed. Not one of these numbers may change: what a
figure was measured on is named by them.

| split | seeds |
|---|---|
| test | `HELD_OUT`, `SHOWN`, `SUITE`, `TWINS`, and the benchmarks' |
| calibration | `CALIBRATION` |
| train | `CANDIDATES` and `MEASURES`, which other networks learn from |
"""

HELD_OUT = 7919
"""Every stage's validation loss."""

SHOWN = 1_000_003
"""Prompts of the samples that a stage leaves as it trains."""

SUITE, TWINS = 2605, 3652
"""The evaluation's prompts with their real clips, and second drawings of the same tags."""

CALIBRATION = 104_729
"""AniCaption's confidences are fitted on these."""

CANDIDATES = 4_000_003
"""Added to the run's seed: prompts of the preference stage's candidates."""

MEASURES = 5
"""What the reading of a clip's measures is learnt on."""

CLAIMS, GATE, TRIALS = 605_036, 605_037, 303_652
"""benchmarks/claims: demanded tags, clips that choose the fields, and the judge's trial."""

LABELS = 20_260
"""benchmarks/anicaption."""

REBUILT = 7
"""benchmarks/vae."""
