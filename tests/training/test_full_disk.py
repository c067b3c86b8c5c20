"""A disk that fills up while a run trains: one line, and the last checkpoint is whole.

The disk is a limit on how long a file may grow, which this process sets for itself.
"""

import contextlib
import resource
import time

import jax
import pytest
from runs import run
from toy_stage import LeastSquares

from animatrix_jax.errors import UserError
from animatrix_jax.training import checkpoint, manifest

LIMIT = 200_000


class Wide(LeastSquares):
    """With ballast that does not fit on the disk once step 10 is saved in `full`."""

    def __init__(self, steps, full=None):
        super().__init__(steps)
        self.full = full

    def init(self, key):
        ballast = jax.random.normal(key, (64, 2048))
        return {"vae": super().init(key)["vae"] | {"ballast": {"kernel": ballast}}}

    def batches(self):
        def fill(batch):
            if self.full is not None and batch["clip_id"][0] == 8 * 15:
                until = time.monotonic() + 120
                while not manifest.is_sealed(self.full / "10"):
                    assert time.monotonic() < until
                    time.sleep(0.05)
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
            return batch

        return super().batches().map(fill)


@contextlib.contextmanager
def room_again():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# Orbax lets go of the write that failed without looking at it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_run_ends_with_one_line_and_goes_on_exactly(tmp_path):
    folder = tmp_path / "b" / "toy" / "checkpoints"
    undisturbed = run(tmp_path / "a", Wide(30), steps=30)
    with (
        room_again(),
        pytest.raises(UserError, match="disk or quota of .* full") as error,
    ):
        run(tmp_path / "b", Wide(30, full=folder), steps=30)
    assert "of step 10" in str(error.value) and "\n" not in str(error.value)
    assert checkpoint.latest_step(folder) == 10
    assert checkpoint.read_params(folder, "vae")["ballast"]["kernel"].shape == (
        64,
        2048,
    )
    resumed = run(tmp_path / "b", Wide(30), steps=30)
    assert resumed["params_digest"] == undisturbed["params_digest"]
    assert not list(folder.glob("*tmp*"))
