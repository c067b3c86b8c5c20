"""Collectives of real compiled programs carry the bytes that their arrays have."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import shard_map
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.planning import chips, collectives, hlo, target, timeline

CHIP = chips.chip("v5e")
LINKS = chips.links(CHIP, (2, 2))


def compiled(devices, body, spec, out, shape, dtype):
    """`body` of each shard, compiled for a mesh of two axes over 4 devices."""
    grid = np.array(devices[:4]).reshape(2, 2)
    mesh = Mesh(grid, ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    run = shard_map(body, mesh=mesh, in_specs=spec, out_specs=out, check_vma=False)
    x = jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))
    return hlo.parse(jax.jit(run).lower(x).compile().as_text())


def found(module):
    line = timeline.walk(
        module, CHIP, timeline.Efficiency(attention=0.5, matmul=1.0), links=LINKS
    )
    return {k: (v["bytes"], v["count"]) for k, v in line.collectives.items()}


@pytest.mark.parametrize(
    "body,spec,out,kind,size",
    [
        # 512 x 128 bf16 over "a": a chip is given all of it.
        (
            functools.partial(jax.lax.all_gather, axis_name="a", tiled=True),
            P("a"),
            P(),
            "all-gather",
            512 * 128 * 2,
        ),
        (
            functools.partial(jax.lax.all_gather, axis_name=("a", "b"), tiled=True),
            P(("a", "b")),
            P(),
            "all-gather",
            512 * 128 * 2,
        ),
        # Each chip's half moves on.
        (
            functools.partial(jax.lax.ppermute, axis_name="a", perm=[(0, 1), (1, 0)]),
            P("a"),
            P("a"),
            "collective-permute",
            256 * 128 * 2,
        ),
        (
            functools.partial(
                jax.lax.all_to_all,
                axis_name="b",
                split_axis=1,
                concat_axis=0,
                tiled=True,
            ),
            P("b"),
            P(None, "b"),
            "all-to-all",
            256 * 128 * 2,
        ),
    ],
)
def test_bytes_on_tpu(tpu, body, spec, out, kind, size):
    module = compiled(tpu("tpu:v5e:2x2"), body, spec, out, (512, 128), jnp.bfloat16)
    assert found(module) == {kind: (size, 1)}


def test_a_sum_over_all_in_a_loop_counts_each_turn(tpu):
    def body(x):
        def turn(x, _):
            return jax.lax.psum(jnp.sin(x), ("a", "b")), None

        return jax.lax.scan(turn, x, length=6)[0]

    module = compiled(tpu("tpu:v5e:2x2"), body, P(), P(), (512, 128), jnp.float32)
    assert found(module) == {"all-reduce": (6 * 512 * 128 * 4, 6)}


@pytest.mark.parametrize("axis,crosses", [("data", True), ("fsdp", False)])
def test_between_slices_is_the_network(tpu, axis, crosses):
    """The data axis lies across the slices, the others within."""
    aim = target.parse("tpu:v5e:2x2:2")
    mesh = make_mesh(MeshConfig(data=2, fsdp=4), tpu(aim.text))
    run = shard_map(
        lambda x: jax.lax.psum(x, axis), mesh=mesh, in_specs=P(), out_specs=P()
    )
    place = NamedSharding(mesh, P())
    x = jax.ShapeDtypeStruct((256, 128), jnp.float32, sharding=place)
    line = timeline.walk(
        hlo.parse(jax.jit(run).lower(x).compile().as_text()),
        CHIP,
        timeline.Efficiency(attention=0.5, matmul=1.0),
        links=aim.links,
    )
    assert line.collective_bytes >= 256 * 128 * 4
    assert (line.network_bytes > 0) == crosses


@pytest.mark.parametrize(
    "attributes,groups",
    [
        ("replica_groups={{0,1},{2,3}}, x", [[0, 1], [2, 3]]),
        ("replica_groups=[2,4]<=[8], x", [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ("replica_groups=[4,2]<=[2,4]T(1,0), x", [[0, 4], [1, 5], [2, 6], [3, 7]]),
        ("replica_groups=mesh['p'=2,'q'=4] {'p'}", [[0, 4], [1, 5], [2, 6], [3, 7]]),
        ("replica_groups=mesh['p'=8] {'p':(2)2}", [[0, 2], [1, 3], [4, 6], [5, 7]]),
    ],
)
def test_groups_as_xla_writes_them(attributes, groups):
    assert collectives.groups(attributes).tolist() == groups


def collective(kind, chips_, *, crosses=False):
    return collectives.Collective(
        kind=kind, bytes=800_000, chips=chips_, crosses=crosses, starts=False
    )


def test_seconds_follow_the_links():
    cube = chips.links(chips.chip("v5p"), (4, 4, 4))
    node = chips.links(chips.chip("h100"), (8,))

    def taken(links, *args, **kwargs):
        return collectives.seconds(collective(*args, **kwargs), links)

    # A ring of 4 along one dimension, both ways round.
    gather = taken(cube, "all-gather", 4)
    assert gather == pytest.approx(0.75 * 800_000 / 200e9)
    assert taken(cube, "all-reduce", 4) == pytest.approx(2 * gather)
    # All chips of the cube have three rings at once.
    assert taken(cube, "all-gather", 64) == pytest.approx(63 / 64 * 800_000 / 600e9)
    # A line of two has one link of the two; a square of such lines has two of four.
    square = chips.links(chips.chip("v5p"), (2, 2, 1))
    assert taken(square, "all-gather", 2) == pytest.approx(0.5 * 800_000 / 100e9)
    assert taken(square, "all-gather", 4) == pytest.approx(0.75 * 800_000 / 200e9)
    # A switch gives a permute all of a chip's bandwidth, a ring one link of two.
    assert taken(node, "collective-permute", 2) == pytest.approx(800_000 / 450e9)
    assert taken(cube, "collective-permute", 2) == pytest.approx(800_000 / 100e9)
    # Beyond the node, the network.
    across = taken(node, "all-gather", 16, crosses=True)
    assert across == pytest.approx(15 / 16 * 800_000 / 50e9)


FUSED = """HloModule m, is_scheduled=true

%start (p: bf16[64,128]) -> (bf16[64,128], bf16[256,128]) {
  %p = bf16[64,128]{1,0} parameter(0)
  %g = bf16[256,128]{1,0} all-gather(%p), channel_id=3, replica_groups={{0,1,2,3}}, dimensions={0}, backend_config={"async_collective_fusion_config":{"flag_start":"-1"}}
  ROOT %c = (bf16[64,128]{1,0}, bf16[256,128]{1,0}) custom-call(%g), custom_call_target="AsyncCollectiveStart"
}

%carried (p: bf16[64,128]) -> f32[8] {
  %p = bf16[64,128]{1,0} parameter(0)
  %g = bf16[256,128]{1,0} all-gather(%p), channel_id=3, replica_groups={{0,1,2,3}}, dimensions={0}, backend_config={"async_collective_fusion_config":{"flag_start":"2"}}
  ROOT %t = f32[8]{0} custom-call(%g), custom_call_target="x"
}

%done (p: bf16[64,128]) -> bf16[256,128] {
  %p = bf16[64,128]{1,0} parameter(0)
  %g = bf16[256,128]{1,0} all-gather(%p), channel_id=3, replica_groups={{0,1,2,3}}, dimensions={0}, backend_config={"async_collective_fusion_config":{"flag_start":"2"}}
  ROOT %c = bf16[256,128]{1,0} custom-call(%g), custom_call_target="AsyncCollectiveDone"
}

ENTRY %main (a: bf16[64,128]) -> bf16[256,128] {
  %a = bf16[64,128]{1,0} parameter(0)
  %s = (bf16[64,128]{1,0}, bf16[256,128]{1,0}) fusion(%a), kind=kCustom, calls=%start
  %m = f32[8]{0} fusion(%s), kind=kOutput, calls=%carried, backend_config={"estimated_cycles":"CYCLES"}
  ROOT %d = bf16[256,128]{1,0} fusion(%m), kind=kCustom, calls=%done
}
"""


@pytest.mark.parametrize("cycles,hidden", [(0, False), (10**9, True)])
def test_a_gather_carried_through_products_is_one_and_hides_behind_them(cycles, hidden):
    module = hlo.parse(FUSED.replace("CYCLES", str(cycles)))
    line = timeline.walk(
        module, CHIP, timeline.Efficiency(attention=0.5, matmul=1.0), links=LINKS
    )
    assert line.collectives == {"all-gather": {"bytes": 256 * 128 * 2, "count": 1}}
    taken = 0.75 * 256 * 128 * 2 / LINKS.whole
    assert line.collective == pytest.approx(taken)
    assert line.exposed == pytest.approx(0 if hidden else taken, abs=1e-12)
