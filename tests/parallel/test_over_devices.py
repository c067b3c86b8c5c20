"""Eight devices compute what one does: attention, and a generator's gradients.

Each in a process of its own, since device counts are fixed at start-up.
"""

import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent


def lines_of(script):
    done = subprocess.run(
        [sys.executable, HERE / script],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_attention_is_plain_attention():
    """Ulysses, ring and both, in o and gradients, also of lengths that do not divide."""
    lines = lines_of("attend_over_devices.py")
    assert len(lines) >= 12
    for line in lines:
        assert line["error"] < 2e-6, line


@pytest.fixture(scope="module")
def steps():
    return {line["mesh"]: line for line in lines_of("step_over_devices.py")}


def test_gradients_are_those_of_one_device(steps):
    assert len(steps) == 4
    for line in steps.values():
        assert line["error"] < 2e-5, line


def test_no_weight_is_gathered_outside_its_layer(steps):
    """The largest gather is one matrix of one layer, and never the stack of them."""
    dim = 64
    for line in steps.values():
        assert line["largest_gather"] <= 6 * dim * dim, line


def test_each_axis_sends_what_it_should(steps):
    assert "all-to-all" in steps["data 2 sequence 4"]["bytes"], "Ulysses"
    assert "collective-permute" in steps["sequence 8"]["bytes"], "the ring"
    assert "collective-permute" not in steps["data 2 fsdp 4"]["bytes"]
