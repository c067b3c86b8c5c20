"""Draws clips for longer than any test waits, until it is told to stop."""

import pathlib
import time

import numpy as np

from animatrix_jax.data.chunks import Chunks
from animatrix_jax.training.faults import EXIT_STOPPED, Stopped, session


def draw(index):
    time.sleep(0.05)
    return {"number": np.array([index])}, {}


def main(folder):
    """Draws into a folder; returns the exit code."""
    of = {"heartbeat_seconds": 60, "hang_seconds": 0, "start_seconds": 60}
    try:
        with session(**of):
            Chunks(pathlib.Path(folder), draw, count=100_000, size=2, workers=2)
    except Stopped as stopped:
        print(stopped)
        return EXIT_STOPPED
    return 0
