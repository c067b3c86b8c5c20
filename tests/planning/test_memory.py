"""What was measured falls into parts, and two batches say what the largest is."""

import pytest

from animatrix_jax.planning import memory
from animatrix_jax.planning.chips import GIB
from animatrix_jax.planning.measure import Measured, out_of_memory
from animatrix_jax.planning.subject import Subject


def measured(**sizes):
    return Measured(text="x", memory=sizes, compile_seconds=1.0, cached=False)


def test_items_add_up_to_the_peak():
    arguments = {"parameters": 100, "ema": 100, "optimizer": 200, "batch": 8}
    subject = Subject(lowered=None, arguments=arguments)
    used = memory.itemise(
        measured(peak=1000, arguments=420, code=30), subject, limit=900
    )
    assert sum(used.items.values()) == used.peak == 1000
    assert used.items["padding"] == 12
    assert used.items["gradients"] == 100
    assert used.activations == 1000 - 420 - 30 - 100
    assert not used.fits


def affine(size, *, limit=100.0):
    return memory.Memory(peak=10.0 + 3.0 * size, limit=limit, items={})


@pytest.mark.parametrize("step,expected", [(1, 30), (4, 28), (8, 24), (64, 0)])
def test_the_largest_of_an_affine_memory(step, expected):
    found = memory.largest_batch(affine(2), affine(4), sizes=(2, 4), step=step)
    assert found == expected


def test_memory_that_does_not_grow_is_an_error():
    with pytest.raises(ValueError, match="expected a larger batch to take more"):
        memory.largest_batch(affine(4), affine(2), sizes=(2, 4), step=1)


@pytest.mark.parametrize(
    "message,size",
    [
        (
            (
                "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required "
                "for HLO temporaries (256.00G) exceeds available HBM (15.75G)."
            ),
            256 * GIB,
        ),
        (
            (
                "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in "
                "memory space hbm. Used 20.50G of 15.75G hbm. Exceeded by 4.75G."
            ),
            20.5 * GIB,
        ),
        ("INVALID_ARGUMENT: shapes differ", None),
    ],
)
def test_what_the_compiler_says_when_memory_runs_out(message, size):
    assert out_of_memory(message) == size
