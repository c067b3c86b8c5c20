"""Set before anything imports jax: CPU only, and array annotations checked."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from jaxtyping import install_import_hook

# An int where a float is annotated is fine, as PEP 484 has it.
install_import_hook(
    "animatrix_jax",
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

import jax
import pytest
from absl import flags


@pytest.fixture(scope="session", autouse=True)
def parsed_flags():
    """Grain refuses to iterate before absl's flags are parsed."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="module")
def quick_compile():
    """XLA's expensive passes off while a module's tests run: compiling dominates tests at
    small sizes, and most of it is optimisation not needed."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
