"""The benchmark of parity runs: full sizes by their names, and one small family whole."""

import pytest

from benchmarks import parity


@pytest.mark.parametrize("name", parity.FULL_SIZE)
def test_every_name_and_shape_of_a_full_size_is_mapped(name):
    """It raises with what is left over on either side."""
    counted = parity.full_size_names(name)
    assert counted["tensors"] > 100 and counted["unmapped"] == 0


def test_a_family_by_way_of_its_files():
    assert 0 < parity.measure("umt5")["max_rel_error"] <= 1e-5
