"""Meshes that fit, and the errors of those that do not."""

import jax
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh


def test_one_device_takes_every_axis_at_one():
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    assert dict(mesh.shape) == {"data": 1, "fsdp": 1, "sequence": 1, "tensor": 1}


@pytest.mark.parametrize(
    "config,message",
    [
        (MeshConfig(fsdp=3), "does not fit 1 devices"),
        (MeshConfig(data=-1, fsdp=-1), "at most one -1"),
        (MeshConfig(tensor=0), "must be positive"),
    ],
)
def test_misfits_name_the_numbers(config, message):
    with pytest.raises(UserError, match=message):
        make_mesh(config, jax.devices()[:1])
