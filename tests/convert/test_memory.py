"""What is held while the 1.3B is converted, and while it is restored to 8 devices.

The bound is the one of the whole model, of 30 layers; measured is the model with few of
them. What a layer adds, times the layers that are left out, must still fit: a second copy
of the weights, or of a stack of layers, adds 0.09 GiB a layer and does not.
"""

import json
import subprocess
import sys

import pytest

from animatrix_jax.models import presets

BOUND_GIB = 1.5
FEW, MORE = 1, 6


def measured(layers, folder):
    """The benchmark's own report of the model with so many layers."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.convert_memory", "--json"),
            *(f"--layers={layers}", f"--folder={folder}"),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Of a few layers, and of more."""
    folder = tmp_path_factory.mktemp("memory")
    return measured(FEW, folder), measured(MORE, folder)


@pytest.mark.parametrize("step", ["convert", "restore"])
def test_what_the_whole_model_would_hold(reports, step):
    few, more = (report[f"{step}_gib"] for report in reports)
    assert more > 0
    a_layer = max(0, more - few) / (MORE - FEW)
    left_out = presets.preset("wan21_1_3b").dit.num_layers - MORE
    assert more + left_out * a_layer <= BOUND_GIB


def test_all_of_it_is_there(reports):
    for report in reports:
        assert report["restored_gib"] >= report["checkpoint_gib"]
