"""AniCaption: field experts, then all together, then preference on motion and VFX.

    animatrix train --config=configs/nano.py:stage=text --workdir=runs/nano
    animatrix train --config=configs/caption.py:stage=caption_experts --workdir=runs/nano
    animatrix train --config=configs/caption.py:stage=caption --workdir=runs/nano
    animatrix train --config=configs/caption.py:stage=caption_preference \
        --workdir=runs/nano

It ships in `nano` and writes with nano's tokenizer, so it is trained in nano's folder.
Clips are drawn and looked at once, into WORKDIR/cache; more of them
(`--config.data.clips`) are another run, and keep what the cache has.
Arguments: `stage`, `smoke` (a few steps of everything, to see that it runs).
"""

import ml_collections

from animatrix_jax.caption.model import CaptionConfig
from animatrix_jax.caption.preference import CaptionPairsConfig
from animatrix_jax.caption.stages import CaptionDataConfig
from animatrix_jax.objectives.captioning import CaptioningConfig
from animatrix_jax.training.config import base_config, parse_arg

STAGES = {
    "caption_experts": {
        "data": {"clips": 32768, "held_out": 256},
        "batch": {"size": 32},
        "optimizer": {"kind": "muon", "learning_rate": 2e-3, "ema_decay": 0.998},
        "loop": {"steps": 2200, "validate_every": 500, "checkpoint_every": 200},
    },
    "caption": {
        "init": {"text": "@text", "caption": "@caption_experts"},
        "data": {"clips": 32768, "held_out": 256},
        "batch": {"size": 32},
        "optimizer": {"kind": "muon", "learning_rate": 1.5e-3, "ema_decay": 0.998},
        "loop": {"steps": 2600, "validate_every": 500, "checkpoint_every": 200},
    },
    "caption_preference": {
        "init": {"text": "@text", "caption": "@caption"},
        "data": {"clips": 32768, "held_out": 256},
        "batch": {"size": 16},
        "optimizer": {"learning_rate": 5e-5, "ema_decay": 0.98, "warmup_steps": 20},
        "loop": {"steps": 200, "validate_every": 50, "checkpoint_every": 50},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The config of one stage."""
    args = parse_arg(arg, stage="caption_experts", smoke=False)
    config = base_config(
        "nano",
        args.stage,
        stages=STAGES,
        later={
            "caption": CaptionConfig(),
            "captioning": CaptioningConfig(),
            "caption_data": CaptionDataConfig(),
            "caption_pairs": CaptionPairsConfig(),
        },
    )
    return smoke(config) if args.smoke else config


def smoke(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The same run, tiny."""
    config.update(
        {
            "init": {"text": "pico"},
            "data": {"clips": 16, "held_out": 8, "workers": 0},
            "caption_pairs": {"clips": 16, "margin": 0.001},
            "caption_data": {"height": 48, "calibration": 16, "chunk": 8},
            "caption": {
                "dim": 32,
                "stem": (8, 16),
                "residuals": (1, 1, 1),
                "layers": 1,
                "writer_layers": 1,
                "writer_ffn": 32,
                "sight": {"frames": 9, "size": 32, "thumb": 8, "grid": 4},
            },
            "batch": {"size": 4},
            "loop": {"steps": 4, "log_every": 2, "checkpoint_every": 2},
        }
    )
    return config
