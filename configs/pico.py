"""pico: 1.7M parameters, 17 frames x 32 x 32; a stage in minutes on two CPU cores.

    animatrix train --config=configs/pico.py:stage=ct --workdir=runs/pico
    animatrix train --config=configs/pico.py:stage=ct,data=videos \
        --config.data.path=DIR --workdir=runs/mine

Arguments: `stage` (vae, text, ct, sft, qt, judge, preference), `data` (cels,
videos, dataset), `smoke` (a few steps of everything, to see that it runs).
"""

import ml_collections

from animatrix_jax.cli.schema import base_config
from animatrix_jax.training.config import parse_arg, smoke

# These ship with the package.
TOWERS = {"vae": "pico", "text": "pico"}
# What each stage starts from, and how long it trains.
STAGES = {
    "vae": {
        "data": {"clips": 8192, "held_out": 64},
        "tasks": {"t2i": (0.0,), "t2v": (1.0,), "i2v": (0.0,)},
        "batch": {"size": 4},
        "optimizer": {"kind": "muon", "learning_rate": 2e-3, "ema_decay": 0.995},
        "loop": {"steps": 3600, "validate_every": 400, "checkpoint_every": 200},
    },
    "text": {
        "data": {"clips": 20_000, "held_out": 256},
        "batch": {"size": 64},
        "optimizer": {"learning_rate": 3e-3},
        "loop": {"steps": 2000, "validate_every": 500},
    },
    "ct": {
        "init": TOWERS,
        "data": {"clips": 3072, "images": 12288, "odds": "plain"},
        "batch": {"size": 32, "max_tags": 32},
        "flow": {"shift": 5.0},
        "optimizer": {"kind": "muon", "learning_rate": 8e-3},
        "curriculum": {"mode": "uniform"},
        "corruption": {"synonym": 0.0, "conflict": 0.0, "sparse": 0.25},
        # Images alone for half of the run, then to the paper's mixes of CT.
        "tasks": {
            "t2i": (1.0, 1.0, 1.0, 0.5, 0.2),
            "t2v": (0.0, 0.0, 0.0, 0.3, 0.4),
            "i2v": (0.0, 0.0, 0.0, 0.2, 0.4),
        },
        "loop": {"steps": 1700},
    },
    "sft": {
        "init": {**TOWERS, "generator": "@ct"},
        "data": {"clips": 3072, "odds": "plain"},
        # What a step compiles to is ct's own, which the compilation cache has.
        "batch": {"size": 32, "max_tags": 32},
        "flow": {"shift": 5.0},
        "optimizer": {"kind": "muon", "learning_rate": 1.5e-3},
        "curriculum": {"mode": "curriculum"},
        "corruption": {"sparse": 0.25},
        "tasks": {"t2i": (0.0,), "t2v": (0.6,), "i2v": (0.4,)},
        "loop": {"steps": 110},
    },
    "qt": {
        "init": {**TOWERS, "generator": "@sft"},
        "data": {"clips": 3072, "odds": "plain"},
        "batch": {"size": 32, "max_tags": 32},
        "flow": {"shift": 5.0},
        "optimizer": {"kind": "muon", "learning_rate": 3e-4},
        "curriculum": {"mode": "uniform"},
        "corruption": {"sparse": 0.25},
        "tasks": {"t2i": (0.0,), "t2v": (0.6,), "i2v": (0.4,)},
        "loop": {"steps": 50},
    },
    "judge": {
        "init": {**TOWERS, "generator": "@qt"},
        "data": {"clips": 1024, "odds": "plain", "defects": "paired"},
        "batch": {"size": 32},
        "optimizer": {"learning_rate": 5e-4, "ema_decay": 0.99},
        "loop": {"steps": 100},
    },
    "preference": {
        "init": {**TOWERS, "generator": "@qt", "judge": "@judge"},
        "data": {"odds": "plain"},
        "flow": {"shift": 5.0},
        "candidates": {"prompts": 40},
        "batch": {"size": 16, "max_tags": 32},
        "optimizer": {"learning_rate": 3e-5, "ema_decay": 0.95},
        "loop": {"steps": 60},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The config of one stage."""
    args = parse_arg(arg, stage="ct", data="cels", smoke=False)
    config = base_config("pico", args.stage, stages=STAGES)
    config.data.source = args.data
    return smoke(config) if args.smoke else config
