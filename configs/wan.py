"""Wan's shapes: 1.3B, 5B, 14B and the two experts of A14B, from Wan's own weights.

    animatrix train --config=configs/wan.py:preset=wan21_1_3b,stage=ct \
        --config.init.generator=WAN --config.init.vae=WAN --config.init.text=UMT5 \
        --config.data.path=DATASET --workdir=/gcs/BUCKET/run

On a pod: docs/launch.md.

Arguments: `preset` (wan21_1_3b, wan21_14b, wan22_5b, wan22_a14b, and wan21_14b_i2v and
wan22_a14b_i2v, which train on image-to-video alone), `stage` (ct, sft, qt),
`expert` (low or high, for A14B: each is trained within its own noise levels, and the low
one's weights are init.generator_low).
"""

import ml_collections

from animatrix_jax.cli.schema import base_config
from animatrix_jax.errors import UserError
from animatrix_jax.training.config import parse_arg

_COMMON = {
    "data": {"source": "videos"},
    "batch": {"size": 64},
    "flow": {"shift": 5.0},
}
STAGES = {
    "ct": _COMMON | {"optimizer": {"learning_rate": 2e-5}, "loop": {"steps": 50_000}},
    "sft": _COMMON
    | {
        "init": {"generator": "@ct"},
        "curriculum": {"mode": "curriculum"},
        "optimizer": {"learning_rate": 2e-5},
        "loop": {"steps": 20_000},
    },
    "qt": _COMMON
    | {
        "init": {"generator": "@sft"},
        "optimizer": {"learning_rate": 5e-5},
        "loop": {"steps": 5_000},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The config of one stage of one of Wan's sizes."""
    args = parse_arg(arg, preset="wan21_1_3b", stage="ct", expert="")
    config = base_config(args.preset, args.stage, stages=STAGES)
    config.model.dit.update({"dtype": "bfloat16", "remat": "block"})
    if config.model.dit.frame_conditioning == "concat":
        config.tasks.update({"t2i": (0.0,), "t2v": (0.0,), "i2v": (1.0,)})
    experts = config.model.experts
    if args.expert not in (("low", "high") if experts else ("",)):
        raise UserError(
            f"expert={args.expert!r} with {args.preset}: only wan22_a14b has experts, "
            "and one of them is trained at a time, expert=low or expert=high"
        )
    if args.expert == "high":
        config.flow.low = experts.boundary
    if args.expert == "low":
        config.flow.high = experts.boundary
        # The stage before trained this one too.
        config.init.generator_low = config.init.generator
        config.init.generator = ""
    return config
