"""What a step of `ct`, `sft` and `qt` trains: the generator, and no tower round it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_model

from animatrix_jax.training.stages.flow import FlowStage


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    model = tiny_model.write_model(tmp_path_factory.mktemp("model"))
    # Drawn pixels, which the step encodes by the frozen VAE.
    data = {"clips": 8, "held_out": 4, "workers": 0, "cached": False}
    config = tiny_model.stage_config(model, "ct", data=data)
    return FlowStage(config, workdir=tmp_path_factory.mktemp("run"))


def test_gradients_reach_the_generator_and_no_frozen_tower(stage):
    batch = jax.tree.map(jnp.asarray, next(iter(stage.batches())))
    batch.pop("clip_id")
    params = stage.initial() or stage.init(jax.random.key(0))

    def loss(params, frozen):
        return stage.loss(params, frozen, batch, jax.random.key(1))[0]

    trained, frozen = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, stage.frozen())
    assert frozen.keys() == {"vae", "text"}
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(frozen))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(trained))
