"""A real run over three buckets: every program is compiled before the first step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs import Killed, run

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data.buckets import budget_of, make_buckets
from animatrix_jax.data.pipeline import Batcher, DataConfig, make_batches
from animatrix_jax.data.sources import CelSource
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training.stage import Stage, StepShapes
from animatrix_jax.training.validate import Validation

CUT = {"stride": (1, 4, 4), "patch": (1, 1, 1)}
ENTRIES = ((3, 16, 16), (2, 16, 32), (1, 16, 16))


class Brightness(Stage):
    """How bright a clip is, from its first pixels: the data is real, the model is not."""

    name = "toy"

    def __init__(self, steps: int):
        budget = budget_of((3, 16, 16), clips=4, **CUT)
        buckets = make_buckets(ENTRIES, budget=budget, multiple=2, **CUT)
        self.config = DataConfig(
            batch_size=4, steps=steps, fields=("media",), buckets=buckets, workers=0
        )
        self.shaped = [
            CelSource(
                CelWorld(
                    size=8,
                    frames=max(b.frames, 2),
                    height=b.height,
                    width=b.width,
                    still=b.is_image,
                )
            )
            for b in buckets
        ]
        self.logged, self.traced = 0, []

    def init(self, key):
        return {"vae": {"kernel": 0.1 * jax.random.normal(key, (3, 1))}}

    def initial(self):
        return None

    def frozen(self):
        return {}

    def step_shapes(self):
        first, *others = (
            {
                "video": jax.ShapeDtypeStruct(
                    (b.size, b.frames, b.height, b.width, 3), np.uint8
                )
            }
            for b in self.config.buckets
        )
        return StepShapes(frozen={}, batch=first, others=tuple(others))

    def loss(self, params, frozen, batch, key):
        self.traced.append((self.logged, batch["video"].shape))
        pixels = jnp.asarray(batch["video"], jnp.float32) / 255
        found = pixels[:, 0].mean((1, 2)) @ params["vae"]["kernel"]
        return jnp.mean(jnp.square(found[:, 0] - pixels.mean((1, 2, 3, 4)))), {}

    def batches(self):
        return make_batches(None, self.config, shaped=self.shaped)

    def held_out(self):
        held_out = dataclasses.replace(self.config, seed=9)
        return [Batcher(None, held_out, shaped=self.shaped)(0)]

    def counts(self):
        self.logged += 1  # once after every step that is logged
        return {}

    def finish(self, params, folder):
        pass


class Killable(Brightness):
    def __init__(self, steps: int, at: int):
        super().__init__(steps)
        self.at = at

    def batches(self):
        made = []

        def die(batch):
            made.append(batch)
            if len(made) > self.at:
                raise Killed
            return batch

        return super().batches().map(die)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The stage of a run of 20 steps, its summary, and when programs were compiled."""
    stage, compiled = Brightness(20), []
    event = "/jax/core/compile/backend_compile_duration"

    def listen(name: str, seconds: float, **_):
        if name == event:
            compiled.append(stage.logged)

    jax.monitoring.register_event_duration_secs_listener(listen)
    workdir = tmp_path_factory.mktemp("buckets")
    summary = run(workdir, stage, steps=20, log_every=1, checkpoint_every=20)
    return stage, summary, list(compiled)


def test_one_program_a_bucket_and_all_before_the_first_step(whole):
    stage, _, compiled = whole
    sizes = [(b.size, b.frames, b.height, b.width, 3) for b in stage.config.buckets]
    assert sizes == [(4, 3, 16, 16, 3), (2, 2, 16, 32, 3), (12, 1, 16, 16, 3)]
    drawn = {
        len(Batcher(None, stage.config, shaped=stage.shaped).draw(s)) for s in range(20)
    }
    assert drawn == {4, 2, 12}  # the steps were of all three
    held_out = stage.held_out()[0]["video"].shape
    steps = [shape for _, shape in stage.traced]
    steps.remove(held_out)  # traced for the validation too
    assert sorted(steps) == sorted(sizes)
    assert {logged for logged, _ in stage.traced} == {0}
    assert compiled and set(compiled) == {0}


def test_a_run_over_buckets_that_is_killed_goes_on_exactly(whole, tmp_path):
    options = {"steps": 20, "log_every": 1, "checkpoint_every": 5}
    with pytest.raises(Killed):
        run(tmp_path, Killable(20, at=13), **options)
    resumed = run(tmp_path, Brightness(20), **options)
    assert resumed["params_digest"] == whole[1]["params_digest"]


def test_each_shape_has_a_validation_loss_of_its_own():
    stage = Brightness(20)
    by_shape = {}
    for step in range(20):
        batch = Batcher(None, stage.config, shaped=stage.shaped)(step)
        by_shape.setdefault(batch["video"].shape, batch)
    stage.held_out = lambda: list(by_shape.values())
    params = stage.init(jax.random.key(0))
    found = Validation(stage, make_mesh(MeshConfig()), 0)(params, {})
    shapes = {"3x16x16", "2x16x32", "1x16x16"}
    assert found.keys() == {"validation_loss"} | {
        f"validation_loss_{shape}" for shape in shapes
    }
    each = [found[f"validation_loss_{shape}"] for shape in shapes]
    assert found["validation_loss"] == pytest.approx(np.mean(each))
    assert len(set(each)) == 3
