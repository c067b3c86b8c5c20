"""The first batch and its program come early; what they are does not change."""

import contextlib
import threading

import grain.python as grain
import jax
import numpy as np
import pytest

from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training.feed import Feed, StepProgram


def feed():
    make = {"clip_id": np.zeros(1), "x": np.zeros(2, np.float32)}
    batches = grain.MapDataset.range(10).map(
        lambda step: {name: value + step for name, value in make.items()}
    )
    return Feed(iter(batches.to_iter_dataset()), lambda batch: batch)


def steps(feed, count):
    return [int(feed.next()[1]["x"][0]) for _ in range(count)]


def test_the_first_batch_is_prepared_in_a_thread_and_taken_once():
    ours, seen = feed(), []
    ours.begin(lambda batch: seen.append((threading.get_ident(), batch)), None)
    ours.wait()
    ((thread, batch),) = seen
    assert thread != threading.get_ident() and "clip_id" not in batch
    assert steps(ours, 3) == [0, 1, 2]
    # And the iterator stands where it would have stood without.
    plain = feed()
    steps(plain, 3)
    assert ours.iterator.get_state() == plain.iterator.get_state()


def test_it_goes_on_where_another_stood():
    before = feed()
    steps(before, 4)
    position = before.iterator.get_state()
    early, late = feed(), feed()
    early.begin(lambda batch: None, position)
    assert steps(early, 2) == [4, 5]
    late.begin(lambda batch: None, before.iterator.get_state())
    steps(before, 3)
    late.move(before.iterator.get_state())  # the first guess was another checkpoint's
    assert steps(late, 2) == [7, 8]


def test_an_error_comes_with_the_batch():
    def fail(batch):
        raise ValueError("no memory for this program")

    ours = feed()
    ours.begin(fail, None)
    ours.wait()
    with pytest.raises(ValueError, match="no memory"):
        ours.next()


def test_each_shape_is_compiled_once_and_waited_for_only_if_it_was_not_prepared():
    traced, waited = [], []

    @jax.jit
    def step(state, frozen, batch, rate):
        traced.append(batch["x"].shape)
        return state + rate * batch["x"].sum(), {}

    @contextlib.contextmanager
    def waits():
        waited.append(True)
        yield

    program = StepProgram(
        step,
        state=jax.ShapeDtypeStruct((), np.float32),
        frozen={},
        mesh=make_mesh(MeshConfig(), jax.devices()[:1]),
        on_compile=waits,
    )
    batches = [{"x": np.ones(size, np.float32)} for size in (2, 3, 2, 3)]
    program.prepare(batches[0])
    state = np.float32(0)
    for batch in batches:
        state, _ = program(state, {}, batch, np.float32(0.5))
    assert float(state) == 5.0
    assert traced == [(2,), (3,)] and len(waited) == 1
