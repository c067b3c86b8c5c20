"""Saves a train state on a mesh of 8 devices, or restores it on fewer and says if it held.

python tests/parallel/restore_anywhere.py save FOLDER
python tests/parallel/restore_anywhere.py train|infer FOLDER DEVICES

Whoever restores is told the folder alone. `infer` is run once all but the EMA is gone.
"""

import os
import pathlib
import sys

DEVICES = 8 if sys.argv[1] == "save" else int(sys.argv[3])
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"
os.environ["JAX_PLATFORMS"] = "cpu"

import grain.python as grain
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from animatrix_jax.parallel import sharding
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training import checkpoint
from animatrix_jax.training.optimizer import OptimizerConfig, make_optimizer
from animatrix_jax.training.placement import place_batch
from animatrix_jax.training.step import init_state, make_train_step
from animatrix_jax.training.weights import load_component

SAVED_ON = {
    "fsdp8": MeshConfig(fsdp=8),
    "data2_fsdp4": MeshConfig(data=2, fsdp=4),
    "fsdp2_tensor4": MeshConfig(fsdp=2, tensor=4),
}
RESTORED_ON = {
    1: [MeshConfig()],
    2: [MeshConfig(fsdp=2), MeshConfig(data=2, fsdp=1)],
    4: [MeshConfig(fsdp=4), MeshConfig(data=2, fsdp=1, tensor=2)],
}
STEPS = 3
OPTIMIZER, RATE = OptimizerConfig(), np.float32(0.01)
WIDTH, LAYERS = 16, 3


class Residual:
    """A stack of residual blocks under the generator's own names, so that the table
    splits them as it splits the generator's."""

    name = "ct"

    def init(self, key):
        up, down, bias, table = jax.random.split(key, 4)
        block = {
            "up": {
                "kernel": 0.3 * jax.random.normal(up, (LAYERS, WIDTH, 2 * WIDTH)),
                "bias": 0.3 * jax.random.normal(bias, (LAYERS, 2 * WIDTH)),
            },
            "down": {
                "kernel": 0.3 * jax.random.normal(down, (LAYERS, 2 * WIDTH, WIDTH))
            },
        }
        table = jax.random.normal(table, (8, WIDTH))
        return {"generator": {"dit": {"blocks": {"ffn": block}, "position": table}}}

    def loss(self, params, frozen, batch, key):
        dit = params["generator"]["dit"]

        def layer(x, block):
            up = x @ block["up"]["kernel"] + block["up"]["bias"]
            return x + jnp.tanh(up) @ block["down"]["kernel"], None

        x, _ = jax.lax.scan(layer, batch["x"] + dit["position"], dit["blocks"]["ffn"])
        noise = 0.1 * jax.random.normal(key, x.shape)
        return jnp.mean(jnp.square(x - jnp.flip(batch["x"], -1) + noise)), {}

    def batches(self):
        def make(step):
            draw = np.random.default_rng(int(step))
            return {"x": draw.standard_normal((8, 8, WIDTH)).astype(np.float32)}

        return iter(grain.MapDataset.range(100).map(make).to_iter_dataset())


def setting(config):
    """The mesh, the state's shapes and shardings on it, and a jitted step."""
    mesh = make_mesh(config)
    stage = Residual()
    tx = make_optimizer(OPTIMIZER)

    def fresh():
        return init_state(stage.init(jax.random.key(0)), tx, 0)

    shapes = jax.eval_shape(fresh)
    places = sharding.tree_shardings(shapes, mesh)
    like = jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
        shapes,
        places,
    )
    step = jax.jit(make_train_step(stage, tx, OPTIMIZER), out_shardings=(places, None))
    return mesh, like, step, jax.jit(fresh, out_shardings=places)


def flat(state):
    """The leaves of a state by path."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {sharding.path_name(path): np.asarray(leaf) for path, leaf in leaves}


def save(folder):
    for name, config in SAVED_ON.items():
        mesh, _, step, fresh = setting(config)
        state, iterator = fresh(), Residual().batches()
        for _ in range(STEPS):
            state, _ = step(state, {}, place_batch(next(iterator), mesh), RATE)
        run = {"stage": "ct", "model": {}, "init": {}}
        writer = checkpoint.Checkpoints(folder / name / "ct" / "checkpoints")
        writer.save(STEPS, state, iterator=iterator, config=run)
        writer.close()
        np.savez(folder / name / "saved.npz", **flat(state))
        state, _ = step(state, {}, place_batch(next(iterator), mesh), RATE)
        np.savez(folder / name / "next.npz", **flat(state))


def train(folder, name, config):
    """The same bits, where the table wants them here; and the same next step."""
    mesh, like, step, _ = setting(config)
    iterator = Residual().batches()
    reader = checkpoint.Checkpoints(folder / name / "ct" / "checkpoints")
    state = reader.restore(like)
    iterator.set_state(reader.position())
    reader.close()
    jax.tree.map(lambda leaf, want: _same(leaf.sharding, want.sharding), state, like)
    saved = dict(np.load(folder / name / "saved.npz"))
    restored = flat(state)
    assert restored.keys() == saved.keys()
    for path, value in saved.items():
        assert restored[path].dtype == value.dtype, path
        assert restored[path].tobytes() == value.tobytes(), path
    state, _ = step(state, {}, place_batch(next(iterator), mesh), RATE)
    after = dict(np.load(folder / name / "next.npz"))
    for path, value in flat(state).items():
        np.testing.assert_allclose(
            value, after[path], rtol=2e-5, atol=1e-6, err_msg=path
        )
    moved = "params/generator/dit/blocks/ffn/up/kernel"
    assert np.abs(after[moved] - saved[moved]).max() > 1e-3


def infer(folder, name, config):
    """The EMA's bits in fp32, and in bf16, straight onto the mesh."""
    mesh = make_mesh(config)
    saved = dict(np.load(folder / name / "saved.npz"))
    for dtype in (np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16)):
        component = load_component(str(folder / name), "generator", form="lazy")
        params = {"generator": component.params}
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)  # noqa: B023
        places = sharding.tree_shardings(params, mesh)
        placed = sharding.put(params, places)
        jax.tree.map(lambda leaf, want: _same(leaf.sharding, want), placed, places)
        for path, value in flat(placed).items():
            expected = saved[f"ema/{path}"].astype(dtype)
            assert value.dtype == dtype and value.tobytes() == expected.tobytes(), path


def _same(found, wanted):
    assert found == wanted, f"{found} should be {wanted}"


def main():
    action, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if action == "save":
        save(folder)
        return
    assert jax.device_count() == DEVICES
    for name in SAVED_ON:
        for config in RESTORED_ON[DEVICES]:
            {"train": train, "infer": infer}[action](folder, name, config)
            print(name, config)


if __name__ == "__main__":
    main()
