"""The reading of the evidence, apart from what it has learnt."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from animatrix_jax.data.measures import readout

PAIRS = 24


@pytest.fixture(scope="module")
def seen():
    """Evidence [2 s ...] of nothing in particular; two pairs show the same picture."""
    rng = np.random.default_rng(0)
    same = np.zeros((2, PAIRS), np.float32)
    same[0, 3:5] = 1.0
    return {
        "cells": rng.normal(size=(2, PAIRS, 24, 32, readout.CHANNELS)).astype("f4"),
        "pairs": rng.normal(size=(2, PAIRS, readout.GLOBALS)).astype("f4"),
        "motion": rng.uniform(0.001, 0.1, (2, PAIRS)).astype("f4"),
        "deformation": rng.uniform(0.001, 0.1, (2, PAIRS)).astype("f4"),
        "same": same,
    }


@pytest.fixture(scope="module")
def params():
    """A network that says something."""
    rng = np.random.default_rng(1)
    params = readout.init(rng)
    params["say"]["kernel"] = rng.normal(size=(64, 3)).astype("f4") * 0.02
    return params


def test_numpy_and_jax_read_the_same(params, seen):
    ours = readout.forward(params, seen)
    theirs = readout.forward(params, seen, jnp)
    for field in dataclasses.fields(ours):
        a, b = getattr(ours, field.name), getattr(theirs, field.name)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    logits = readout.cadence_logits(params, ours.new)
    np.testing.assert_allclose(
        logits, readout.cadence_logits(params, theirs.new, jnp), rtol=1e-3, atol=1e-2
    )
    assert ours.new.std() > 0.1


def test_fresh_weights_leave_the_rules_as_they_are(seen):
    said = readout.forward(readout.init(np.random.default_rng(2)), seen)
    motion, deformation = readout.clip_means(said, seen["same"])
    moves = 1.0 - seen["same"]
    np.testing.assert_allclose(motion, (seen["motion"] * moves).mean(1), rtol=1e-4)
    expected = np.sqrt(((seen["deformation"] * moves) ** 2).mean(1))
    np.testing.assert_allclose(deformation, expected, rtol=1e-4)


def test_a_correction_is_bounded(params, seen):
    loud = params | {"say": {"kernel": np.full((64, 3), 1e3), "bias": np.zeros(3)}}
    said = readout.forward(loud, seen)
    ratio = np.exp(said.motion) / (seen["motion"] + readout.FLOOR)
    assert ratio.max() <= np.exp(3.0) * 1.001 and ratio.min() >= np.exp(-3.0) * 0.999


def test_pairs_that_are_the_same_picture_have_no_new_drawing(params, seen):
    said = readout.forward(params, seen)
    assert (said.new[seen["same"] == 1] == -6.0).all()


@pytest.mark.parametrize(
    ("cadence", "sheet"),
    [
        ("held", np.zeros(PAIRS)),
        ("ones", np.ones(PAIRS)),
        *(("twos", np.arange(PAIRS) % 2 == phase) for phase in range(2)),
        *(("threes", np.arange(PAIRS) % 3 == phase) for phase in range(3)),
        *(("fours_plus", np.arange(PAIRS) % n == 1) for n in (4, 5, 6)),
        # Action that pauses.
        ("ones", np.arange(PAIRS) < 12),
        ("twos", (np.arange(PAIRS) % 2 == 1) & (np.arange(PAIRS) >= 8)),
        (
            "modulated",
            np.where(abs(np.arange(PAIRS) - 12) < 5, 1, np.arange(24) % 3 == 1),
        ),
    ],
)
@pytest.mark.parametrize("flipped", [0, 2])
def test_the_likeliest_sheet_is_the_cadence(cadence, sheet, flipped):
    # Two pairs in 24 may be read the wrong way round.
    params = readout.init(np.random.default_rng(0))
    new = np.where(sheet, 4.0, -4.0)
    new[[5, 14][:flipped]] *= -1.0
    logits = readout.cadence_logits(params, new[None])[0]
    assert readout.CADENCES[int(logits.argmax())] == cadence


def test_weights_are_kept_in_half_precision(params, tmp_path):
    readout.save(tmp_path / "w.npz", params)
    found = readout.load(tmp_path / "w.npz")
    assert found.keys() == params.keys()
    np.testing.assert_allclose(
        found["pair"]["kernel"], params["pair"]["kernel"], rtol=1e-3, atol=1e-4
    )


def test_parts_of_a_long_clip_may_pause_and_be_on_other_phases():
    params = readout.init(np.random.default_rng(0))
    twos = np.tile([1, 0], 20)
    new = np.concatenate([twos, [0], twos, np.zeros(40)]) * 8.0 - 4.0
    parts = np.array_split(new[None], 3, axis=1)
    logits = sum(readout.cadence_logits(params, part)[0] for part in parts)
    assert readout.CADENCES[int(np.argmax(logits))] == "twos"
