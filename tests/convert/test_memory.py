"""Converting and restoring hold a small part of the checkpoint: the bound is that of
1.5 GiB for the 1.3B's 2.8 GB, for a checkpoint a tenth of its size."""

import dataclasses

import pytest

from animatrix_jax.models import presets
from benchmarks import convert_memory

BOUND_OF_BYTES = 1.5 * 2**30 / 2.8e9


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """A transformer of 134M parameters."""
    dit = dataclasses.replace(
        tiny.dit, dim=1024, ffn_dim=4096, num_heads=8, num_layers=8
    )
    model = dataclasses.replace(tiny, dit=dit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tenth", lambda: model)
        yield tmp_path_factory.mktemp("memory")


def test_peaks(folder):
    size = convert_memory.write_random("tenth", folder / "diffusers")
    assert size > 2.6e8
    bound = BOUND_OF_BYTES * size / 2**30
    converted = convert_memory.convert(folder, "tenth")
    assert 0 < converted["convert_gib"] <= bound
    restored = convert_memory.in_process("restore", folder, "tenth")
    assert restored["restored_gib"] >= size / 2**30
    assert restored["restore_gib"] <= bound
