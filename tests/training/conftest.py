"""What the tests of the loop share: a run that nothing disturbs."""

import pytest
from runs import run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Its workdir and its summary."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    return workdir, run(workdir)
