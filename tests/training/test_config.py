"""Configs: what cannot be meant is refused in one line, by the name that users write."""

import pytest

from animatrix_jax.cli.schema import base_config
from animatrix_jax.errors import UserError
from animatrix_jax.judge.model import JudgeConfig
from animatrix_jax.judge.pairs import CandidateConfig
from animatrix_jax.objectives.flow_matching import FlowConfig
from animatrix_jax.training.config import (
    BatchConfig,
    SourceConfig,
    parse_arg,
    section,
    smoke,
)
from animatrix_jax.training.loop import LoopConfig
from animatrix_jax.training.optimizer import OptimizerConfig


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (BatchConfig, {"size": 0}, "batch.size is 0; expected 1 or more"),
        (SourceConfig, {"clips": 1}, "data.clips is 1; expected 2 or more"),
        (OptimizerConfig, {"accumulation": 0}, "accumulation is 0; expected 1 or more"),
        (OptimizerConfig, {"learning_rate": 0.0}, "rate is 0; expected above 0"),
        (OptimizerConfig, {"ema_decay": 1.5}, "ema_decay is 1.5; expected 0 to 1"),
        (FlowConfig, {"shift": 0.0}, "flow.shift is 0; expected above 0"),
        (CandidateConfig, {"candidates": 1}, "candidates is 1; expected 2 or more"),
        (CandidateConfig, {"aside": 1.1}, "candidates.aside is 1.1; expected 0 to 1"),
        (JudgeConfig, {"sigma": 2.0}, "judge.sigma is 2; expected 0 to 1"),
        (LoopConfig, {"max_nonfinite": 0}, "loop.max_nonfinite is 0; expected 1"),
        (LoopConfig, {"log_every": -1}, "loop.log_every is -1; expected 0 or more"),
        (BatchConfig, {"sizes": 3}, "sizes"),
    ],
)
def test_a_value_that_cannot_be_meant_is_one_line(cls, values, message):
    with pytest.raises(UserError, match=message):
        section(cls, values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("smoke", True), ("smoke=True", True), ("smoke=on", True), ("smoke=0", False)],
)
def test_an_argument_of_a_config_is_true_or_false(text, expected):
    assert parse_arg(text, smoke=False).smoke is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("smoke=ture", "smoke='ture': expected True or False"), ("smok", "'smok' is not")],
)
def test_an_argument_that_is_misspelt_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_arg(text, smoke=False)


def test_a_smoke_run_has_little_of_all_and_a_real_one_all_it_asks_for():
    stages = {"preference": {"candidates": {"prompts": 12_000}, "judge": {"depth": 3}}}
    config = base_config("pico", "preference", stages=stages)
    assert (config.candidates.prompts, config.judge.depth) == (12_000, 3)
    smoke(config)
    assert (config.candidates.prompts, config.judge.depth) == (16, 2)
    assert config.judge.heads_steps == 0  # not more than was asked for
