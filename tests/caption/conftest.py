"""One tiny AniCaption, trained through two of its stages for a few steps."""

import importlib.util
import pathlib

import pytest

from animatrix_jax.caption.model import CaptionConfig
from animatrix_jax.caption.sight import SightConfig

ROOT = pathlib.Path(__file__).parents[2]
SIGHT = SightConfig(frames=9, size=32, thumb=8, grid=4)


def tiny_config(stage: str, **changes):
    """The smoke config of a stage."""
    spec = importlib.util.spec_from_file_location("config", ROOT / "configs/caption.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(f"stage={stage},smoke")
    config.loop.compile_cache = False
    config.update(changes)
    return config


@pytest.fixture(scope="session")
def tiny() -> CaptionConfig:
    """The smoke model's shape."""
    return CaptionConfig(
        sight=SIGHT,
        dim=32,
        stem=(8, 16),
        layers=1,
        writer_layers=1,
        writer_ffn=32,
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> pathlib.Path:
    """A run's folder: all together from the start, then preference."""
    import jax

    from animatrix_jax.cli import stages

    folder = tmp_path_factory.mktemp("caption")
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    stages.run(tiny_config("caption", init={"caption": ""}), workdir=folder)
    stages.run(tiny_config("caption_preference"), workdir=folder)
    jax.config.update("jax_disable_most_optimizations", before)
    return folder
