"""nano: 5.8M parameters, 17 frames x 64 x 64; the size that ships as the default.

    animatrix train --config=configs/nano.py:stage=vae --workdir=runs/nano
    animatrix train --config=configs/nano.py:stage=text --workdir=runs/nano
    animatrix train --config=configs/nano.py:stage=ct --workdir=runs/nano

`./launch/local.sh --size=nano` runs every stage. Arguments: `stage` (vae, text, ct, sft, qt, judge, preference), `data` (cels, videos,
dataset), `smoke` (a few steps of everything, to see that it runs).
"""

import ml_collections

from animatrix_jax.cli.schema import base_config
from animatrix_jax.training.config import parse_arg, smoke

# Towers of its own: its VAE codes 8 x 8 pixels as one token (docs/decisions/0006).
TOWERS = {"vae": "@vae", "text": "@text"}
CLIPS = {"clips": 16384, "odds": "series"}
FEW = {"clips": 4096, "odds": "series"}
# 256 clips, or the 1,280 images that have as many tokens: a step of one large chip.
BATCH = {"size": 256, "max_tags": 32, "buckets": ((17, 64, 64), (1, 64, 64))}
VIDEO_BATCH = {"size": 8, "max_tags": 32}
# Spread widely: what composes a picture is decided at a noise level of 0.95, what draws a
# face at 0.2 to 0.6 (docs/decisions/0006).
FLOW = {"shift": 2.0, "logit_std": 1.6}
# Few tags as often as many: a person names two or three.
CORRUPTION = {"sparse": 0.5}
VIDEO_TASKS = {"t2i": (0.0,), "t2v": (0.6,), "i2v": (0.4,)}
BF16 = {"dit": {"dtype": "bfloat16"}}
STAGES = {
    "vae": {
        "data": {"clips": 8192, "held_out": 64, "odds": "series"},
        "tasks": {"t2i": (0.0,), "t2v": (1.0,), "i2v": (0.0,)},
        "batch": {"size": 32},
        "optimizer": {"kind": "muon", "learning_rate": 3e-3, "ema_decay": 0.998},
        "loop": {"steps": 4350, "validate_every": 500, "checkpoint_every": 500},
    },
    "text": {
        "data": {"clips": 20_000, "held_out": 256},
        "batch": {"size": 64},
        "optimizer": {"learning_rate": 3e-3},
        "loop": {"steps": 3000, "validate_every": 500},
    },
    "ct": {
        "init": TOWERS,
        "data": {**CLIPS, "images": 16384},
        "batch": BATCH,
        "flow": FLOW,
        "optimizer": {"kind": "muon", "learning_rate": 6e-3, "ema_decay": 0.9995},
        "curriculum": {"mode": "uniform"},
        "corruption": {"sparse": 0.25, "synonym": 0.0, "conflict": 0.0},
        # From images to the paper's mixes of CT.
        "tasks": {
            "t2i": (1.0, 0.5, 0.3, 0.2, 0.2),
            "t2v": (0.0, 0.3, 0.4, 0.4, 0.4),
            "i2v": (0.0, 0.2, 0.3, 0.4, 0.4),
        },
        "model": BF16,
        "loop": {"steps": 4250, "validate_every": 1000, "checkpoint_every": 1000},
    },
    "sft": {
        "init": {**TOWERS, "generator": "@ct"},
        "data": FEW,
        "batch": VIDEO_BATCH,
        "flow": FLOW,
        "optimizer": {"kind": "muon", "learning_rate": 4e-4, "ema_decay": 0.998},
        "curriculum": {"mode": "curriculum"},
        "corruption": CORRUPTION,
        "tasks": VIDEO_TASKS,
        "loop": {"steps": 1000},
    },
    "qt": {
        "init": {**TOWERS, "generator": "@sft"},
        "data": FEW,
        "batch": VIDEO_BATCH,
        "flow": FLOW,
        "optimizer": {"kind": "muon", "learning_rate": 1e-4, "ema_decay": 0.99},
        "curriculum": {"mode": "uniform"},
        "corruption": CORRUPTION,
        "tasks": VIDEO_TASKS,
        "loop": {"steps": 200},
    },
    "judge": {
        "init": {**TOWERS, "generator": "@qt"},
        "data": {"clips": 8192, "odds": "bending", "defects": "paired"},
        "judge": {"depth": 3, "heads_steps": 3000},
        "batch": {"size": 32},
        "optimizer": {"learning_rate": 3e-4, "ema_decay": 0.99},
        "loop": {"steps": 500},
    },
    "preference": {
        "init": {**TOWERS, "generator": "@qt", "judge": "@judge"},
        "data": {"odds": "series"},
        "flow": FLOW,
        "candidates": {"prompts": 48},
        "batch": VIDEO_BATCH,
        "optimizer": {"learning_rate": 3e-5, "ema_decay": 0.95},
        "loop": {"steps": 150},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The config of one stage."""
    args = parse_arg(arg, stage="ct", data="cels", smoke=False)
    config = base_config("nano", args.stage, stages=STAGES)
    config.data.source = args.data
    return smoke(config) if args.smoke else config
