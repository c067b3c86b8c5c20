"""One tiny model for the room: compiling it is what costs."""

import pytest


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory):
    """A pipeline with random weights, loaded the way a user loads one."""
    from tiny_model import write_model

    from animatrix_jax.sampling.pipeline import Pipeline

    return Pipeline.load(str(write_model(tmp_path_factory.mktemp("model"))))
