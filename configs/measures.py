"""Measures: the reading of m(x), d(x) and cadence that ships with the package.

    animatrix train --config=configs/measures.py --workdir=runs/measures
    cp runs/measures/measures/readout.npz animatrix_jax/data/measures/

Clips are drawn and matched once, into WORKDIR/cache. Argument: `smoke` (a few steps of
everything, to see that it runs).
"""

import ml_collections

from animatrix_jax.curation.measuring import MeasuringConfig
from animatrix_jax.training.config import base_config, parse_arg

STAGES = {
    "measures": {
        "data": {"clips": 8192, "held_out": 256},
        "batch": {"size": 32},
        "optimizer": {"learning_rate": 2e-3, "ema_decay": 0.995},
        "loop": {"steps": 4000, "validate_every": 250, "checkpoint_every": 250},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The stage's config."""
    args = parse_arg(arg, smoke=False)
    config = base_config(
        "nano", "measures", stages=STAGES, later={"measuring": MeasuringConfig()}
    )
    if args.smoke:
        config.update(
            {
                "data": {"clips": 8, "held_out": 4, "workers": 0},
                "measuring": {
                    "heights": (64,),
                    "frames": 9,
                    "stretch": 6,
                    "chunk": 4,
                },
                "batch": {"size": 4},
                "loop": {"steps": 4, "log_every": 2, "checkpoint_every": 2},
            }
        )
    return config
