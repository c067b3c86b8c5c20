"""A stage small enough to train in milliseconds: least squares on random batches."""

import pathlib

import grain.python as grain
import jax
import jax.numpy as jnp
import numpy as np

from animatrix_jax.training.stage import Stage, StepShapes

TRUTH = np.array([[1.0], [-2.0], [0.5]], np.float32)


def make_batch(step: int, poison: range = range(0)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(int(step))
    x = rng.normal(size=(8, 3)).astype(np.float32)
    if step in poison:
        x[0, 0] = np.nan
    ids = np.arange(8 * step, 8 * step + 8, dtype=np.int64)
    return {"x": x, "y": x @ TRUTH, "clip_id": ids}


class LeastSquares(Stage):
    name = "toy"

    def __init__(self, steps: int, poison: range = range(0)):
        self.steps, self.poison = steps, poison

    def init(self, key):
        return {"vae": {"kernel": 0.1 * jax.random.normal(key, (3, 1))}}

    def initial(self):
        return None

    def frozen(self):
        return {}

    def step_shapes(self):
        batch = {k: v for k, v in make_batch(0).items() if k != "clip_id"}
        shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in batch.items()}
        return StepShapes(frozen={}, batch=shapes)

    def loss(self, params, frozen, batch, key):
        noise = 0.01 * jax.random.normal(key, batch["y"].shape)
        error = batch["x"] @ params["vae"]["kernel"] + noise - batch["y"]
        return jnp.mean(jnp.square(error)), {"worst": jnp.max(jnp.abs(error))}

    def batches(self):
        return (
            grain.MapDataset.range(self.steps)
            .map(lambda step: make_batch(step, self.poison))
            .to_iter_dataset()
        )

    def held_out(self):
        return [make_batch(10_000)]

    def counts(self):
        return {"set_aside": 3}

    def finish(self, params, folder: pathlib.Path):
        (folder / "finished").write_text("yes")
