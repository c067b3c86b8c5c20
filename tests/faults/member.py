"""One process of a run on a toy stage: python member.py WORKDIR '{"steps": 24, ...}'

The stage's parameters bear the generator's names, so that the sharding table splits them
over the processes. Each process notes the clips of the batches that it takes. `hang`
names a process and a step: there it sleeps while it makes its batch; `fails` another
pair: there a user's mistake shows.
"""

import json
import os
import pathlib
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"

import grain.python as grain
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, logging

from animatrix_jax.errors import UserError
from animatrix_jax.parallel import distributed
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training import faults
from animatrix_jax.training.loop import LoopConfig, train
from animatrix_jax.training.optimizer import OptimizerConfig
from animatrix_jax.training.stage import Stage, StepShapes

WIDTH, LAYERS, ROWS = 16, 2, 8


class Residual(Stage):
    """Learns to turn its input round through a stack of residual blocks."""

    name = "toy"

    def __init__(self, steps, workdir, *, hang=None, fails=None, wide=1):
        self.steps, self.workdir, self.wide = steps, workdir, wide
        self.hang, self.fails = hang, fails

    def init(self, key):
        up, down, pad = jax.random.split(key, 3)
        ffn = {
            "up": {"kernel": 0.3 * jax.random.normal(up, (LAYERS, WIDTH, 2 * WIDTH))},
            "down": {
                "kernel": 0.3 * jax.random.normal(down, (LAYERS, 2 * WIDTH, WIDTH))
            },
            "pad": {"kernel": jax.random.normal(pad, (WIDTH, self.wide * WIDTH))},
        }
        return {"generator": {"dit": {"blocks": {"ffn": ffn}}}}

    def initial(self):
        return None

    def frozen(self):
        return {}

    def step_shapes(self):
        rows = jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32)
        return StepShapes(frozen={}, batch={"x": rows})

    def loss(self, params, frozen, batch, key):
        ffn = params["generator"]["dit"]["blocks"]["ffn"]
        x = batch["x"]
        for layer in range(LAYERS):
            hidden = jnp.tanh(x @ ffn["up"]["kernel"][layer])
            x = x + hidden @ ffn["down"]["kernel"][layer]
        noise = 0.1 * jax.random.normal(key, x.shape)
        idle = jnp.mean(jnp.square(ffn["pad"]["kernel"]))
        error = jnp.mean(jnp.square(x + noise - jnp.flip(batch["x"], -1)))
        return error + 1e-3 * idle, {"idle": idle}

    def batches(self):
        host, hosts = distributed.batch_share()
        part = slice(host * ROWS // hosts, (host + 1) * ROWS // hosts)
        index = jax.process_index()
        log = (self.workdir / f"clips-{index}-of-{jax.process_count()}.jsonl").open("a")

        def taken(batch):
            step = int(batch.pop("step")) + 1
            if self.hang == [index, step]:
                time.sleep(600)
            if self.fails == [index, step]:
                raise UserError("no clip is left")
            log.write(json.dumps([step, host, batch["clip_id"].tolist()]) + "\n")
            log.flush()
            return batch

        def make(step):
            return {"step": step} | {k: v[part] for k, v in make_batch(step).items()}

        return grain.MapDataset.range(self.steps).map(make).to_iter_dataset().map(taken)

    def held_out(self):
        host, hosts = distributed.batch_share()
        part = slice(host * ROWS // hosts, (host + 1) * ROWS // hosts)
        return [{"x": make_batch(10_000)["x"][part]}]

    def counts(self):
        return {"set_aside": 0}

    def finish(self, params, folder):
        whole = distributed.fetch(params)
        if distributed.is_first():
            total = float(sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(whole)))
            (folder / "finished").write_text(f"{total}")


def make_batch(step):
    rng = np.random.default_rng(int(step))
    x = rng.standard_normal((ROWS, WIDTH)).astype(np.float32)
    return {"x": x, "clip_id": rng.integers(1 << 40, size=ROWS)}


def run(workdir, options):
    """Trains; the loop's fields, `hang`, `fails`, `wide`, `seconds` (a step),
    `tensorboard`."""
    names = ("hang", "fails", "wide", "seconds", "tensorboard")
    special = {name: options.pop(name, None) for name in names}
    if not special["tensorboard"]:
        sys.modules["clu"] = None  # TensorFlow takes long to import
    fields = {
        "steps": 24,
        "log_every": 4,
        "validate_every": 8,
        "checkpoint_every": 4,
        "sample_every": 12,
        "heartbeat_seconds": 60,
        "hang_seconds": 300.0,
    }
    config = LoopConfig(**fields | options)
    stage = Residual(
        config.steps,
        workdir,
        hang=special["hang"],
        fails=special["fails"],
        wide=special["wide"] or 1,
    )

    def sampled(step, params, writer):
        leaf = params["generator"]["dit"]["blocks"]["ffn"]["up"]["kernel"]
        line = f"{step} {float(np.abs(leaf).sum()):.3f}\n"
        with (workdir / "sampled").open("a") as file:
            file.write(line)

    with faults.session(
        heartbeat_seconds=config.heartbeat_seconds,
        hang_seconds=config.hang_seconds,
        start_seconds=60,
    ) as session:
        mesh = make_mesh(MeshConfig())
        distributed.share_batches(mesh)
        if special["seconds"]:
            stops = session.stops
            session.stops = lambda step: (time.sleep(special["seconds"]), stops(step))[
                1
            ]
        with jax.set_mesh(mesh):
            return train(
                stage,
                config,
                optimizer=OptimizerConfig(learning_rate=0.01, warmup_steps=2),
                workdir=workdir,
                mesh=mesh,
                run_config={"stage": "toy"},
                callbacks=[sampled],
                session=session,
            )


def main(argv):
    logging.set_verbosity(logging.WARNING)
    workdir = pathlib.Path(argv[1])
    workdir.mkdir(parents=True, exist_ok=True)
    try:
        summary = run(workdir, json.loads(argv[2]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return faults.EXIT_USER
    except faults.Stopped as stopped:
        print(stopped, file=sys.stderr)
        return faults.EXIT_STOPPED
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    app.run(main)
