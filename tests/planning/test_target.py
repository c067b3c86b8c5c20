"""Targets are parsed, and what is wrong is answered with what is valid."""

import subprocess
import sys

import jax
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.planning import target


@pytest.mark.parametrize(
    "text,chip,count,near",
    [
        ("tpu:v5p:4x4x4", "v5p", 64, 64),
        ("tpu:v5p:2x2x1", "v5p", 4, 4),
        ("tpu:v5e:16x16:4", "v5e", 1024, 256),
        ("gpu:h100:8", "h100", 8, 8),
        ("gpu:h100:64", "h100", 64, 8),
        ("cpu:8", "cpu", 8, 8),
    ],
)
def test_parse(text, chip, count, near):
    parsed = target.parse(text)
    assert (parsed.chip.name, parsed.count, parsed.links.chips) == (chip, count, near)


@pytest.mark.parametrize(
    "text,says",
    [
        ("tpu", "none of tpu:v5p:4x4x4"),
        ("npu:x:1", "none of tpu:v5p:4x4x4"),
        ("cpu:none", "none of tpu:v5p:4x4x4"),
        ("tpu:v9:2x2", "'v9' is not one of v5e, v5p, v6e"),
        ("gpu:a100:8", "'a100' is not one of h100"),
        ("tpu:v5p:4x4", "'4x4' is not a shape of v5p.*4x4x4"),
        ("tpu:v5e:3x3", "'3x3' is not a shape of v5e.*2x4"),
        ("tpu:v5e:4x4:0", "slices must be a positive number, got '0'"),
        ("gpu:h100:12", "1 to 8, or a multiple of 8"),
    ],
)
def test_wrong_targets_name_what_is_valid(text, says):
    with pytest.raises(UserError, match=says):
        target.parse(text)


def test_a_slice_of_tpus_is_described(tpu):
    devices = tpu("tpu:v5e:2x2")
    assert len(devices) == 4
    assert {device.platform for device in devices} == {"tpu"}


def test_a_compiler_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(target.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"TPUs, which is not .*install .*\[plan\]"):
        target.devices(target.parse("tpu:v5e:2x2"))


def test_cpu_devices_are_made_before_jax_starts():
    """In a process of its own, since their number is fixed at start-up."""
    code = (
        "from animatrix_jax.planning import target as t; "
        "print(len(t.devices(t.parse('cpu:3'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "3", done.stderr[-500:]


def test_too_few_cpu_devices_once_jax_has_started():
    jax.devices()
    with pytest.raises(UserError, match="device_count=4096"):
        target.devices(target.parse("cpu:4096"))
