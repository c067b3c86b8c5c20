"""pico: about 1M parameters, 17 frames x 32 x 32; a stage in minutes on two CPU cores.

    animatrix train --config=configs/pico.py:stage=ct --workdir=runs/pico
    animatrix train --config=configs/pico.py:stage=ct,data=videos \
        --config.data.path=DIR --workdir=runs/mine

Arguments: `stage` (vae, text, probe, ct, sft, qt, judge, preference), `data` (cels,
videos), `smoke` (a few steps of everything, to see that it runs).
"""

import ml_collections

from animatrix_jax.cli.schema import base_config
from animatrix_jax.training.config import parse_arg, smoke

# What each stage starts from, and how long it trains.
STAGES = {
    "vae": {
        "data": {"clips": 4096, "held_out": 64},
        "tasks": {"t2i": 0.0, "t2v": 1.0, "i2v": 0.0},
        "batch": {"size": 8},
        "autoencoding": {"window": 0},
        "optimizer": {"learning_rate": 1e-3, "ema_decay": 0.995},
        "loop": {"steps": 2000, "validate_every": 500, "checkpoint_every": 100},
    },
    "text": {
        "data": {"clips": 20_000, "held_out": 256},
        "batch": {"size": 64},
        "optimizer": {"learning_rate": 3e-3},
        "loop": {"steps": 2000, "validate_every": 500},
    },
    "probe": {
        "data": {"clips": 6144, "held_out": 128},
        "batch": {"size": 32},
        "loop": {"steps": 600},
    },
    "ct": {
        "init": {"vae": "pico", "text": "pico"},
        "loop": {"steps": 1200},
        "tasks": {"t2i": 0.2, "t2v": 0.5, "i2v": 0.3},
        "corruption": {"synonym": 0.0, "conflict": 0.0},
    },
    "sft": {
        "init": {"vae": "pico", "text": "pico", "generator": "@ct"},
        "curriculum": {"mode": "curriculum"},
        "tasks": {"t2i": 0.0, "t2v": 0.6, "i2v": 0.4},
        "optimizer": {"learning_rate": 5e-4},
        "loop": {"steps": 600},
    },
    "qt": {
        "init": {"vae": "pico", "text": "pico", "generator": "@sft"},
        "tasks": {"t2i": 0.0, "t2v": 0.6, "i2v": 0.4},
        "optimizer": {"learning_rate": 1e-4},
        "loop": {"steps": 200},
    },
    "judge": {
        "init": {"vae": "pico", "text": "pico", "generator": "@qt"},
        "data": {"clips": 2048, "defects": "paired"},
        "optimizer": {"learning_rate": 5e-4},
        "loop": {"steps": 300},
    },
    "preference": {
        "init": {"vae": "pico", "text": "pico", "generator": "@qt", "judge": "@judge"},
        "batch": {"size": 32},
        "optimizer": {"learning_rate": 5e-5},
        "loop": {"steps": 100},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The config of one stage."""
    args = parse_arg(arg, stage="ct", data="cels", smoke=False)
    config = base_config("pico", args.stage, stages=STAGES)
    config.data.source = args.data
    return smoke(config) if args.smoke else config
