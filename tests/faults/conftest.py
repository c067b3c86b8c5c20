"""What the tests of faults share: runs of one, two and four processes that go well."""

import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from processes import Run

from animatrix_jax.training import checkpoint


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """What one process compiled, the next need not."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("compiled")
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


@pytest.fixture(scope="session")
def alone(tmp_path_factory, compilation_cache):
    """The workdir and the summary of a run of one process."""
    workdir = tmp_path_factory.mktemp("alone")
    return workdir, Run(workdir).summary()


@pytest.fixture(scope="session")
def two(tmp_path_factory, compilation_cache):
    """Of two processes."""
    workdir = tmp_path_factory.mktemp("two")
    return workdir, Run(workdir, 2, tensorboard=True).summary()


@pytest.fixture(scope="session")
def four(tmp_path_factory, compilation_cache):
    """Of four processes."""
    workdir = tmp_path_factory.mktemp("four")
    return workdir, Run(workdir, 4).summary()


@pytest.fixture(scope="session")
def same_parameters():
    """Asserts that two runs have come to the same parameters and EMA."""

    def check(workdir, other):
        for item in ("params", "ema"):
            trees = [
                checkpoint.read_params(w / "toy" / "checkpoints", "generator", item)
                for w in (workdir, other)
            ]
            ours, theirs = (tree["dit"]["blocks"]["ffn"] for tree in trees)
            for name in ours:
                np.testing.assert_allclose(
                    np.asarray(ours[name]["kernel"]),
                    np.asarray(theirs[name]["kernel"]),
                    rtol=2e-5,
                    atol=2e-6,
                    err_msg=f"{item} {name}",
                )

    return check
