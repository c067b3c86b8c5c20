"""The largest batch, with a compiler that answers as it is told."""

import pytest

from animatrix_jax.planning import memory, plan, target, timeline
from animatrix_jax.planning.measure import Measured

STEP, LIMIT = 4, 1000


@pytest.fixture
def compiler(monkeypatch):
    """Peaks by batch; what was compiled is listed."""
    asked = []

    def given(peak):
        def measure(subject, target, *, cache, progress=""):
            asked.append(subject)
            return Measured(
                text="x",
                memory={"peak": peak(subject)},
                compile_seconds=0.0,
                cached=False,
            )

        def itemise(measured, subject, *, limit):
            del subject, limit
            return memory.Memory(peak=measured.memory["peak"], limit=LIMIT, items={})

        monkeypatch.setattr(plan, "measure", measure)
        monkeypatch.setattr(plan.memory, "itemise", itemise)
        return asked

    return given


def largest(peak, clips, cache):
    first = plan.Plan(
        target=target.parse("cpu:1"),
        mesh={},
        work=plan.Work(verb="train", clips=clips, tokens=1, flops=0.0, recomputed=0.0),
        memory=memory.Memory(peak=peak(clips), limit=LIMIT, items={}),
        line=None,
        predicted=None,
        assumed=timeline.Efficiency(attention=0.5, matmul=0.5),
        measured=Measured(text="", memory={}, compile_seconds=0.0, cached=False),
    )
    return plan.largest_batch(lambda size: size, first, step=STEP, cache=cache)


def test_it_is_compiled_and_fits_and_one_step_more_does_not(compiler, tmp_path):
    def peak(size):
        return 100 + 10 * size

    asked = compiler(peak)
    found = largest(peak, STEP, tmp_path)
    assert (found.clips, found.verified) == (88, True)
    assert peak(found.clips) <= LIMIT < peak(found.clips + STEP)
    assert asked == [8, 88]  # one more batch for the line, one to verify


def test_from_above_when_the_planned_batch_does_not_fit(compiler, tmp_path):
    def peak(size):
        return 100 + 10 * size

    compiler(peak)
    assert largest(peak, 160, tmp_path).clips == 88


def test_where_the_line_bends_it_steps_down(compiler, tmp_path):
    def peak(size):
        return 100 + 10 * size + (50 if size > 84 else 0)

    compiler(peak)
    found = largest(peak, STEP, tmp_path)
    assert (found.clips, found.verified) == (84, True)


def test_nothing_fits(compiler, tmp_path):
    def peak(size):
        return 5000 + 10 * size

    compiler(peak)
    assert largest(peak, STEP, tmp_path).clips == 0
    assert largest(peak, 4 * STEP, tmp_path).clips == 0
