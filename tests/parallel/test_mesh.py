"""Meshes that fit, and the errors of those that do not."""

import jax
import pytest

from animatrix_jax.errors import UserError
from animatrix_jax.parallel.mesh import (
    MeshConfig,
    check_batch,
    constrain,
    make_mesh,
    near,
)


def test_one_device_takes_every_axis_at_one():
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    assert dict(mesh.shape) == {"data": 1, "fsdp": 1, "sequence": 1, "tensor": 1}


@pytest.mark.parametrize(
    "config,message",
    [
        (MeshConfig(fsdp=3), "does not fit 1 devices.*take 3; nearest that fit: 1"),
        (MeshConfig(data=-1, fsdp=-1), "at most one -1"),
        (MeshConfig(tensor=0), "must be positive"),
    ],
)
def test_misfits_name_the_numbers(config, message):
    with pytest.raises(UserError, match=message):
        make_mesh(config, jax.devices()[:1])


class Device:
    """As much of a device as a mesh over slices asks for."""

    platform, device_kind = "cpu", "cpu"

    def __init__(self, index, slices):
        self.id, self.process_index, self.slice_index = index, 0, index % slices

    def __repr__(self):
        return f"device {self.id} of slice {self.slice_index}"


def test_data_goes_over_slices_and_the_rest_stays_inside():
    devices = [Device(i, 2) for i in range(8)]
    grid = make_mesh(MeshConfig(data=4, sequence=2), devices).devices
    slices = [[device.slice_index for device in row] for row in grid[:, 0, :, 0]]
    assert slices == [[0, 0], [0, 0], [1, 1], [1, 1]]
    with pytest.raises(UserError, match="mesh.data 1 does not divide over 2 slices.*2"):
        make_mesh(MeshConfig(), devices)


def test_what_does_not_divide_is_told_with_what_would():
    mesh = make_mesh(MeshConfig(data=2, fsdp=2), [Device(i, 1) for i in range(4)])
    check_batch(8, mesh, accumulation=2)
    message = r"batch.size 10 does not divide by 4 \(data 2 x fsdp 2\); nearest: 8, 12"
    with pytest.raises(UserError, match=message):
        check_batch(10, mesh)
    assert near(3, divisors_of=8) == (2, 4)
    assert near(3, multiples_of=4) == (4,)


def test_without_a_mesh_an_activation_is_left_alone():
    x = jax.numpy.ones((2, 3))
    assert constrain(x, "batch", None) is x
