"""From a config to a run: what the loop is given beside the stage."""

import json

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.cli import stages
from animatrix_jax.data import seeds
from animatrix_jax.training.stage import Stage


def test_validation_prompts_are_of_the_world_that_the_stage_sees(tmp_path):
    from tiny_model import stage_config, write_model

    model = write_model(tmp_path / "model")
    config = stage_config(model, "ct", data={"odds": "plain"})
    samples = stages._samples(
        "generator", config, json.loads(config.to_json()), workdir=tmp_path
    )
    of = {"seed": seeds.SHOWN, "size": stages._PROMPTS, "split": "test"}
    plain, broad = CelWorld(odds="plain", **of), CelWorld(odds="broad", **of)
    tags = [prompt.tags for prompt in samples.prompts]
    assert tags == [plain.spec(i).tags for i in range(len(plain))]
    assert tags != [broad.spec(i).tags for i in range(len(broad))]
    texts = [prompt.text for prompt in samples.prompts]
    assert texts == [plain.narrative(i).summary for i in range(len(plain))]


def test_stages_that_train_the_generator_are_sampled_and_no_others():
    sampled = {
        name
        for name, stage in stages.STAGES.items()
        if stage.sampled is not Stage.sampled
    }
    assert sampled == {"ct", "sft", "qt", "preference"}
