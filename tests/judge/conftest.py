"""One tiny model with a judge, for what needs sampling and scoring together."""

import pathlib
import sys

import jax
import ml_collections
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "sampling"))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A packaged model's folder: generator, vae, text and judge, random weights."""
    from tiny_model import tiny_preset, write_model

    from animatrix_jax.judge.model import Judge, JudgeConfig
    from animatrix_jax.models.functional import init_params
    from animatrix_jax.training.weights import save_component

    folder = write_model(tmp_path_factory.mktemp("model"))
    preset = tiny_preset()
    judge = jax.jit(
        lambda key: init_params(
            lambda rngs: Judge(JudgeConfig(), preset.dit, preset.tags, rngs=rngs), key
        )
    )(jax.random.key(7))
    save_component(folder, "judge", judge, dtype="float32")
    return folder


@pytest.fixture(scope="session")
def stage_config(model):
    """config(stage, **sections): a run's config on the tiny model."""
    from tiny_model import tiny_preset

    from animatrix_jax.cli.schema import base_config
    from animatrix_jax.models.config import to_dict

    def config(stage, **changes):
        changes = {
            "init": {
                name: str(model) for name in ("vae", "text", "generator", "judge")
            },
            "data": {"clips": 12, "held_out": 4, "workers": 0},
            "batch": {"size": 4},
            "loop": {"steps": 4},
        } | changes
        made = base_config("pico", stage, stages={stage: {}})
        with made.unlocked():
            made.model = ml_collections.ConfigDict(to_dict(tiny_preset()))
        made.update(changes)
        return made

    return config


@pytest.fixture(scope="session")
def latent_shape(model):
    """Of the tiny model's clips."""
    from tiny_model import tiny_preset

    return tiny_preset().latent_shape
