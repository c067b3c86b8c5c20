"""pico: 1.7M parameters, 17 frames x 32 x 32; a stage in minutes on two CPU cores.

    animatrix train --config=configs/pico.py:stage=ct --workdir=runs/pico
    animatrix train --config=configs/pico.py:stage=ct,data=videos \
        --config.data.path=DIR --workdir=runs/mine

Arguments: `stage` (vae, ct, sft, qt, judge, preference), `data` (cels,
videos, dataset), `smoke` (a few steps of everything, to see that it runs).
"""

import ml_collections

from animatrix_jax.cli.schema import base_config
from animatrix_jax.training.config import parse_arg, smoke

# These ship with the package; nano's text tower serves both.
TOWERS = {"vae": "pico", "text": "nano"}
CLIPS = {"clips": 3072, "odds": "series"}
# What a step compiles to is the same in ct, sft and qt: the compilation cache has it.
BATCH = {"size": 32, "max_tags": 32}
# What composes a picture is decided at high noise levels, what draws a face at low ones
# (docs/decisions/0006).
FLOW = {"shift": 2.0, "logit_std": 1.6}
# Few tags as often as many: a person names two or three.
CORRUPTION = {"sparse": 0.5}
VIDEO_TASKS = {"t2i": (0.0,), "t2v": (0.6,), "i2v": (0.4,)}
# What each stage starts from, and how long it trains.
STAGES = {
    # nano's, tuned to 32 pixels.
    "vae": {
        "init": {"vae": "nano"},
        "data": {"clips": 4096, "held_out": 64, "odds": "series"},
        "tasks": {"t2i": (0.0,), "t2v": (1.0,), "i2v": (0.0,)},
        "batch": {"size": 4},
        "optimizer": {"kind": "muon", "learning_rate": 1.5e-3, "ema_decay": 0.995},
        "loop": {"steps": 1200, "validate_every": 400, "checkpoint_every": 200},
    },
    "ct": {
        "init": TOWERS,
        "data": {**CLIPS, "images": 12288},
        "batch": BATCH,
        "flow": FLOW,
        "optimizer": {"kind": "muon", "learning_rate": 8e-3},
        "curriculum": {"mode": "uniform"},
        "corruption": {"sparse": 0.25, "synonym": 0.0, "conflict": 0.0},
        # Images alone for half of the run, then to the paper's mixes of CT.
        "tasks": {
            "t2i": (1.0, 1.0, 1.0, 0.5, 0.2),
            "t2v": (0.0, 0.0, 0.0, 0.3, 0.4),
            "i2v": (0.0, 0.0, 0.0, 0.2, 0.4),
        },
        "loop": {"steps": 2400},
    },
    "sft": {
        "init": {**TOWERS, "generator": "@ct"},
        "data": CLIPS,
        "batch": BATCH,
        "flow": FLOW,
        "optimizer": {"kind": "muon", "learning_rate": 1.5e-3},
        "curriculum": {"mode": "curriculum"},
        "corruption": CORRUPTION,
        "tasks": VIDEO_TASKS,
        "loop": {"steps": 110},
    },
    "qt": {
        "init": {**TOWERS, "generator": "@sft"},
        "data": CLIPS,
        "batch": BATCH,
        "flow": FLOW,
        "optimizer": {"kind": "muon", "learning_rate": 3e-4},
        "curriculum": {"mode": "uniform"},
        "corruption": CORRUPTION,
        "tasks": VIDEO_TASKS,
        "loop": {"steps": 50},
    },
    "judge": {
        "init": {**TOWERS, "generator": "@qt"},
        "data": {"clips": 1024, "odds": "bending", "defects": "paired"},
        "judge": {"heads_steps": 1000},
        "batch": {"size": 32},
        "optimizer": {"learning_rate": 3e-4, "ema_decay": 0.99},
        "loop": {"steps": 50},
    },
    "preference": {
        "init": {**TOWERS, "generator": "@qt", "judge": "@judge"},
        "data": {"odds": "series"},
        "flow": FLOW,
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
