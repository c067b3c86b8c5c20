"""A shell of its own for each test of the launch scripts."""

import pytest
from shells import Shell


@pytest.fixture
def shell(tmp_path) -> Shell:
    """A shell in which sleep takes no time."""
    shell = Shell(tmp_path)
    shell.stand_in("sleep")
    (shell.folder / "bin" / "sleep").write_text("#!/bin/sh\n")
    return shell
