"""Wan's shapes: 1.3B, 5B, 14B and the two experts of A14B, from Wan's own weights.

    animatrix train --config=configs/wan.py:preset=wan21_1_3b,stage=ct,data=dataset \
        --config.init.generator=WAN --config.init.vae=WAN --config.init.text=WAN \
        --config.data.path=DATASET --workdir=/gcs/BUCKET/run

WAN is what `animatrix convert` wrote, DATASET what `animatrix prepare` did; of a folder of
videos, data=videos. On a pod: docs/launch.md.

Arguments: `preset` (wan21_1_3b, wan21_14b, wan22_5b, wan22_a14b, and wan21_14b_i2v and
wan22_a14b_i2v, which train on image-to-video alone), `stage` (ct, sft, qt, judge,
preference), `data` (videos, dataset, cels), `grow` (ct at 256 pixels and 17 frames first,
then at 720 and 65), `expert` (low or high, for A14B: each is trained within its own noise
levels, and the low one's weights are init.generator_low).

The whole programme, with the data that each stage wants: docs/programme.md.
"""

import ml_collections

from animatrix_jax.cli.schema import base_config
from animatrix_jax.errors import UserError
from animatrix_jax.training.config import parse_arg

# The paper's ct: 256 pixels and 16 frames (17, of a causal VAE), then 720 and 65, in the
# middle third from the one to the other; and its shares of tasks in each.
_EARLY, _LATE = (1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0)
_SIZES = (
    ((17, 256, 256), (17, 192, 352), _EARLY),
    ((65, 960, 960), (65, 704, 1280), _LATE),
)
GROW = {
    "batch": {
        "multiple": 64,
        "buckets": tuple(
            (frames, *shape[1:], weight)
            for *shapes, weight in _SIZES
            for shape in shapes
            for frames in (shape[0], 1)
        ),
    },
    "tasks": {
        "t2i": (0.5, 0.5, 0.2, 0.2),
        "t2v": (0.3, 0.3, 0.4, 0.4),
        "i2v": (0.2, 0.2, 0.4, 0.4),
    },
}

_COMMON = {
    "data": {"source": "videos"},
    "batch": {"size": 64},
    "flow": {"shift": 5.0},
}
STAGES = {
    "ct": _COMMON | {"optimizer": {"learning_rate": 2e-5}, "loop": {"steps": 50_000}},
    # Of a prepared dataset its best tiers; a folder of videos has none, and gives all.
    "sft": _COMMON
    | {
        "init": {"generator": "@ct"},
        "data": {"source": "videos", "tiers": ("A", "S")},
        "curriculum": {"mode": "curriculum"},
        "optimizer": {"learning_rate": 2e-5},
        "loop": {"steps": 20_000},
    },
    "qt": _COMMON
    | {
        "init": {"generator": "@sft"},
        "data": {"source": "videos", "tiers": ("S",)},
        "curriculum": {"mode": "uniform"},
        "optimizer": {"learning_rate": 5e-5},
        "loop": {"steps": 5_000},
    },
    # On clips whose labels carry scores: about 20,000 in the paper.
    "judge": _COMMON
    | {
        "init": {"generator": "@qt"},
        "optimizer": {"learning_rate": 1e-5},
        "loop": {"steps": 2_000},
    },
    # 12,000 prompts of four candidates make about the paper's 50,000 pairs.
    "preference": _COMMON
    | {
        "init": {"generator": "@qt", "judge": "@judge"},
        "candidates": {"prompts": 12_000},
        "optimizer": {"learning_rate": 2e-6, "ema_decay": 0.99},
        "loop": {"steps": 1_500},
    },
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The config of one stage of one of Wan's sizes."""
    args = parse_arg(
        arg, preset="wan21_1_3b", stage="ct", data="videos", grow=False, expert=""
    )
    config = base_config(args.preset, args.stage, stages=STAGES)
    config.data.source = args.data
    config.model.dit.update({"dtype": "bfloat16", "remat": "block"})
    if args.grow:
        if args.stage != "ct":
            raise UserError(f"grow is of stage=ct, got stage={args.stage}")
        config.update(GROW)
    if config.model.dit.frame_conditioning == "concat":
        config.tasks.update({"t2i": (0.0,), "t2v": (0.0,), "i2v": (1.0,)})
        config.batch.buckets = tuple(b for b in config.batch.buckets if b[0] > 1)
    _give_noise_levels(config, args.preset, args.expert)
    return config


def _give_noise_levels(
    config: ml_collections.ConfigDict, preset: str, expert: str
) -> None:
    """Restricts a run of a model of two experts to the one that it trains."""
    experts = config.model.experts
    if expert not in (("low", "high") if experts else ("",)):
        raise UserError(
            f"expert={expert!r} with {preset}: only A14B presets have experts, "
            "and one of them is trained at a time, expert=low or expert=high"
        )
    if expert == "high":
        config.flow.low = experts.boundary
    if expert == "low":
        config.flow.high = experts.boundary
        # The stage before trained this one too.
        config.init.generator_low = config.init.generator
        config.init.generator = ""
