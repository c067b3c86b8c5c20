"""Runs of the toy stage, and one that dies on the way."""

import dataclasses

import jax
from toy_stage import LeastSquares

from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training.loop import LoopConfig, train
from animatrix_jax.training.optimizer import OptimizerConfig

OPTIMIZER = OptimizerConfig(
    learning_rate=0.1, warmup_steps=2, weight_decay=0.0, ema_decay=0.9
)


def run(
    workdir,
    stage=None,
    *,
    learning_rate=0.1,
    ema_decay=0.9,
    callbacks=(),
    profile=False,
    **loop,
):
    options = {"steps": 60, "log_every": 5, "checkpoint_every": 10} | loop
    config = LoopConfig(**options)
    return train(
        stage or LeastSquares(config.steps),
        config,
        optimizer=dataclasses.replace(OPTIMIZER, ema_decay=ema_decay),
        workdir=workdir,
        mesh=make_mesh(MeshConfig(), jax.devices()[:1]),
        run_config={
            "stage": "toy",
            "model": {},
            "optimizer": {"learning_rate": learning_rate},
            "loop": options,
        },
        callbacks=callbacks,
        profile=profile,
    )


class Killed(Exception):
    pass


class Interrupted(LeastSquares):
    """Dies while it makes the batch of one step, as a killed process would."""

    def __init__(self, steps, at):
        super().__init__(steps)
        self.at = at

    def batches(self):
        def die(batch):
            if batch["clip_id"][0] == 8 * self.at:
                raise Killed
            return batch

        return super().batches().map(die)
