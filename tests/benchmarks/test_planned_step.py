"""A planned step runs, and is set beside its plan."""

import jax
import jax.numpy as jnp

from animatrix_jax.planning import target as targets
from benchmarks import planned_step
from configs import pico

STEPS = 2


def test_a_sampler_s_step_beside_its_plan():
    config = pico.get_config("stage=ct")
    config.model.dit.num_layers = 1
    config.batch.size = 1
    kernels = {"attention_forward_fraction": 0.5, "matmul_fraction": 0.35}
    found = planned_step.step(
        config, "sample", targets.parse("cpu:1"), kernels, steps=STEPS
    )
    assert found["seconds"] > 0 and found["tokens"] == 80
    assert 0 < found["mfu"] < 1
    # Products at half of the speed that is assumed.
    assert found["predicted_by_kernels"] > found["predicted"] > 0


def test_a_training_step_goes_on_from_its_own_state():
    """Each run's state is the next one's; the first argument is donated."""

    def step(state, batch):
        new = {"step": state["step"] + 1, "mean": batch["given"].mean() + batch["x"]}
        loss = new["step"].astype(jnp.float32) + 10.0 * batch["given"].mean()
        return new, {"loss": loss, "skipped": state["step"] * 0}

    state = {"step": jnp.int32(0), "mean": jnp.float32(0)}
    batch = {"given": jnp.zeros(4, bool), "x": jnp.float32(0)}
    lowered = jax.jit(step, donate_argnums=0).lower(state, batch)
    found, compiled = planned_step.run(lowered, carried=True, steps=STEPS)
    # Counts begin at nought, one run does not count, and no frame is given.
    assert found["loss"] == STEPS + 1 and found["skipped"] == 0
    assert found["seconds"] >= 0 and compiled.as_text()


def test_fractions_of_a_peak(monkeypatch):
    monkeypatch.setattr(planned_step, "_ATTENTION", (64, 2, 16))
    found = planned_step.kernels(1e12)
    assert set(found) == {
        f"{name}_{what}"
        for name in ("attention_forward", "attention", "matmul")
        for what in ("seconds", "fraction")
    }
    assert all(0 < found[f"{n}_fraction"] < 1 for n in ("attention", "matmul"))


def test_the_cases_are_configs_that_exist():
    for _, preset, changes in planned_step.CASES.values():
        config = planned_step.config_of(preset, changes)
        assert config.batch.size == 1 and config.preset == preset
        assert (config.optimizer.ema_decay == 0) == ("optimizer.masters" in changes)
