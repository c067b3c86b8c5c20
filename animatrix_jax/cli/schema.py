"""The config schema of the generator's programme: training's sections, and the judge's.

Stages that no generator needs bring their own: configs/caption.py and configs/measures.py
add them to training's.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from animatrix_jax.judge.model import JudgeConfig
from animatrix_jax.judge.pairs import CandidateConfig
from animatrix_jax.objectives.preference import PreferenceConfig
from animatrix_jax.objectives.reward import RewardConfig
from animatrix_jax.training import config as training_config

SECTIONS = training_config.SECTIONS | {
    "judge": JudgeConfig(),
    "reward": RewardConfig(),
    "candidates": CandidateConfig(),
    "preference": PreferenceConfig(),
}
"""What every config of the programme has beside `model`, with the defaults."""


def base_config(
    preset: str, stage: str, *, stages: Mapping[str, Mapping[str, Any]]
) -> ml_collections.ConfigDict:
    """What config files start from; see `training.config.base_config`."""
    return training_config.base_config(
        preset,
        stage,
        stages=stages,
        later=SECTIONS,
    )
