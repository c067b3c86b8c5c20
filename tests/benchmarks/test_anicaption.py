"""The benchmark's arithmetic; that it runs is tested with the model (tests/caption)."""

import numpy as np
import pytest

from animatrix_jax.caption.calibration import macro_f1 as f1
from benchmarks.anicaption import majority


def test_f1_of_a_known_table():
    truth = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    read = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], bool)
    # Value 0: 1 of 2 found, none false. Value 1: found, one false. Value 2: never held.
    assert f1(read, truth) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert f1(truth, truth) == 1.0
    assert f1(~truth, truth) == 0.0


def test_the_majority_is_a_set_of_values():
    truth = np.array([[1, 1], [1, 1], [1, 0], [0, 1], [0, 1]], bool)
    assert majority(truth).tolist() in ([True, True], [False, True])
    assert majority(truth[:3]).tolist() == [True, True]
