"""Confidences mean what they say, where the truth is drawn from what is known."""

import dataclasses

import numpy as np
import pytest

from animatrix_jax.caption import calibration
from animatrix_jax.objectives.fields import FieldTable

# Field 0: one of 4 values. Field 1: several of 3. Field 2 is never calibrated.
TABLE = FieldTable(
    fields=("a.one", "a.several", "a.other"),
    owner=np.array([0, 0, 0, 0, 1, 1, 1, 2, 2], np.int32),
    multiple=np.array([False, True, False]),
)
KNOWN = ("a.one", "a.several")


@pytest.fixture(scope="module")
def drawn():
    """Logits of an overconfident reader, and truth that follows them when cooled."""
    rng = np.random.default_rng(0)
    n, hot = 6000, 3.0
    logits = rng.normal(size=(n, 9)) * 1.5
    truth = np.zeros((n, 9), bool)
    one = (logits[:, :4] + rng.gumbel(size=(n, 4))).argmax(axis=1)
    truth[np.arange(n), one] = True
    truth[:, 4:7] = logits[:, 4:7] + rng.logistic(size=(n, 3)) > 0
    shown = rng.normal(size=(n, 3)) + 2.0
    hidden = shown[:, 0] + rng.logistic(size=n) < 0
    truth[hidden, :4] = False
    return logits * hot, shown, truth


@pytest.fixture(scope="module")
def fitted(drawn):
    return calibration.fit(*(x[:3000] for x in drawn), table=TABLE, fields=KNOWN)


def test_the_temperature_is_found(fitted):
    assert fitted.temperature["a.one"] == pytest.approx(3.0, rel=0.1)
    assert fitted.temperature["a.several"] == pytest.approx(3.0, rel=0.1)
    assert fitted.fields == KNOWN


def test_confidence_is_the_share_that_is_right(drawn, fitted):
    logits, shown, truth = (x[3000:] for x in drawn)
    naive = calibration.uncalibrated(KNOWN)
    errors = []
    for numbers in (fitted, naive):
        read = calibration.read(logits, shown, table=TABLE, calibration=numbers)
        right = calibration.right(read.values, truth, table=TABLE)
        errors.append(
            calibration.expected_calibration_error(
                read.confidence[:, :2].ravel(), right[:, :2].ravel()
            )
        )
    assert errors[0] < 0.02
    assert errors[1] > 0.1


def test_a_field_that_cannot_be_seen_is_not_sure(drawn, fitted):
    logits, shown, _ = drawn
    hidden = np.full_like(shown, -6.0)
    read = calibration.read(logits, hidden, table=TABLE, calibration=fitted)
    assert read.confidence[:, 0].max() < 0.1


def test_what_is_not_calibrated_is_never_read(drawn, fitted):
    read = calibration.read(*drawn[:2], table=TABLE, calibration=fitted)
    assert not read.confidence[:, 2].any() and not read.values[:, 7:].any()


def test_right_is_all_of_a_stated_fields_values():
    truth = np.array([[1, 0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0]], bool)
    read = np.array([[1, 0, 0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0, 0]], bool)
    found = calibration.right(read, truth, table=TABLE)
    assert found[:, :2].tolist() == [[True, False], [False, True]]


def test_the_error_of_known_bins():
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.1, 0.1])
    right = np.array([True, True, True, False, False, False])
    found = calibration.expected_calibration_error(confidence, right)
    assert found == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.1)


def test_a_lean_reads_rare_values_where_that_reads_all_of_them_better():
    """A reader that hardly tells a rare value reads the common one alone."""
    rng = np.random.default_rng(3)
    n = 4000
    rare = rng.random(n) < 0.12
    signal = rare + rng.normal(size=n)
    odds = signal - 0.5 + np.log(0.12 / 0.88)
    logits = np.zeros((n, 9))
    logits[:, 0], logits[:, 2:4] = -odds, -20.0
    truth = np.zeros((n, 9), bool)
    truth[~rare, 0], truth[rare, 1], truth[:, 4] = True, True, True
    shown = np.full((n, 3), 9.0)
    fitted = calibration.fit(logits, shown, truth, table=TABLE, fields=KNOWN)
    assert set(fitted.lean) == {"a.one"}
    lean = np.array(fitted.lean["a.one"])
    assert lean[1] < lean[0]  # the rarer gains more, and what no clip holds nothing
    assert (lean[2:] == lean[0]).all()
    plain = dataclasses.replace(fitted, lean={})
    scores = []
    for numbers in (plain, fitted):
        read = calibration.read(logits, shown, table=TABLE, calibration=numbers)
        scores.append(calibration.macro_f1(read.values[:, :4], truth[:, :4]))
        right = calibration.right(read.values, truth, table=TABLE)
    assert scores[1] > scores[0] + 0.03
    error = calibration.expected_calibration_error(read.confidence[:, 0], right[:, 0])
    assert error < 0.03


def test_there_is_no_lean_where_it_would_harm():
    """Values as common as each other, read as well as can be."""
    rng = np.random.default_rng(4)
    n = 2000
    truth, logits = np.zeros((n, 9), bool), np.full((n, 9), -9.0)
    # The commonest value is told apart by little: any lean takes from it.
    common = rng.random(n) < 0.9
    truth[common, 0], truth[~common, 1], truth[:, 4] = True, True, True
    logits[:, 0], logits[:, 1] = np.where(common, 0.3, -0.3), 0.0
    fitted = calibration.fit(
        logits, np.full((n, 3), 9.0), truth, table=TABLE, fields=KNOWN
    )
    assert set(fitted.lean["a.one"]) == {0.0}
