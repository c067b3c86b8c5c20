"""A verb in a process of its own, as a person calls it."""

import subprocess
import sys
from typing import Any


def animatrix(*args: Any, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """`animatrix ARGS`, or the same arguments to a program of its own."""
    program = ["-m", "animatrix_jax.cli.main"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *program, *map(str, args)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
