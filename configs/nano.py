"""nano: 3-8M parameters, 33 frames x 64 x 64; the size that ships as the default.

animatrix train --config=configs/nano.py:stage=ct --workdir=runs/nano
"""

import ml_collections

from animatrix_jax.cli.schema import base_config
from animatrix_jax.training.config import parse_arg, smoke

STAGES = {
    "vae": {
        "data": {"clips": 4096, "held_out": 32},
        "batch": {"size": 8},
        "loop": {"steps": 8000},
    },
    "text": {"loop": {"steps": 3000}},
    "probe": {"data": {"clips": 8192}, "loop": {"steps": 3000}},
    "ct": {
        "init": {"vae": "@vae", "text": "@text"},
        "curriculum": {"mode": "uniform"},
        "corruption": {"synonym": 0.0, "conflict": 0.0, "sparse": 0.25},
        "loop": {"steps": 8000},
    },
    "sft": {
        "init": {"vae": "@vae", "text": "@text", "generator": "@ct"},
        "curriculum": {"mode": "curriculum"},
        "corruption": {"sparse": 0.25},
        "loop": {"steps": 4000},
    },
    "qt": {
        "init": {"vae": "@vae", "text": "@text", "generator": "@sft"},
        "curriculum": {"mode": "uniform"},
        "corruption": {"sparse": 0.25},
        "optimizer": {"learning_rate": 5e-5},
        "loop": {"steps": 1000},
    },
    "judge": {
        "init": {"vae": "@vae", "text": "@text", "generator": "@qt"},
        "data": {"defects": "paired"},
        "loop": {"steps": 1500},
    },
    "preference": {
        "init": {"vae": "@vae", "text": "@text", "generator": "@qt", "judge": "@judge"},
        "optimizer": {"learning_rate": 2e-5},
        "loop": {"steps": 500},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The config of one stage."""
    args = parse_arg(arg, stage="ct", data="cels", smoke=False)
    config = base_config("nano", args.stage, stages=STAGES)
    config.data.source = args.data
    return smoke(config) if args.smoke else config
