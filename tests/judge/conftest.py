"""One tiny model with a judge, for what needs sampling and scoring together."""

import functools
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "sampling"))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A packaged model's folder: generator, vae, text and judge, random weights."""
    from tiny_model import write_judge, write_model

    return write_judge(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session")
def stage_config(model):
    """config(stage, **sections): a run's config on the tiny model."""
    import tiny_model

    return functools.partial(tiny_model.stage_config, model)


@pytest.fixture(scope="session")
def latent_shape(model):
    """Of the tiny model's clips."""
    from tiny_model import tiny_preset

    return tiny_preset().latent_shape
