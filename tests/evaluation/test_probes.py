"""The probe: what counts as read, what a loss may see, and that it can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from animatrix_jax.evaluation.instruments import agreement_with, drawn_fields, truth_of
from animatrix_jax.evaluation.probes import Probe, ProbeConfig
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.objectives.fields import (
    field_agreement,
    field_loss,
    predict,
    stated_fields,
    truth_matrix,
)

TAXONOMY = load_taxonomy()
TABLE = drawn_fields()
TAGS = (
    ("camera.camera_motion=pan_left", "camera.camera_motion=shake"),
    ("camera.camera_motion=fix", "motion.timing=twos", "vfx.impact=none"),
    (),
)
CONFIG = ProbeConfig(
    num_values=TAXONOMY.num_values, frames=5, height=16, width=16, dim=24, num_layers=1
)


def value(tag):
    return TAXONOMY.values_by_tag[tag][1].index


def test_the_table_is_the_taxonomy():
    for field, member in zip(TABLE.fields, TABLE.membership):
        assert member.sum() == len(TAXONOMY.field(field).values)
    assert TABLE.membership.sum(axis=0).max() == 1
    camera = TABLE.fields.index("camera.camera_motion")
    assert TABLE.multiple[camera] and not TABLE.multiple[0]


def test_truth_and_stated_fields():
    truth = truth_of(TAGS)
    assert truth.sum(axis=1).tolist() == [2, 3, 0]
    assert truth[0, value("camera.camera_motion=shake")]
    stated = stated_fields(jnp.asarray(truth), table=TABLE)
    assert stated.sum(axis=1).tolist() == [1, 3, 0]
    masked = truth_matrix(np.array([[3, 4]]), np.array([[True, False]]), num_values=10)
    assert np.flatnonzero(masked[0]).tolist() == [3]


def test_prediction_and_agreement():
    logits = np.full((1, TAXONOMY.num_values), -4.0, np.float32)
    logits[0, value("motion.timing=twos")] = -1.0  # best, though below one half
    logits[0, value("camera.camera_motion=pan_left")] = 2.0
    logits[0, value("camera.camera_motion=shake")] = 1.0
    logits[0, value("vfx.impact=flash")] = -1.0
    read = np.asarray(predict(logits, table=TABLE))
    assert read[0, value("motion.timing=twos")]
    assert read[0, value("camera.camera_motion=shake")]
    assert read[0, value("vfx.impact=flash")]
    truth = truth_of(
        [("motion.timing=twos", "camera.camera_motion=pan_left", "vfx.impact=none")]
    )
    found = dict(zip(TABLE.fields, agreement_with(read, truth, table=TABLE)[0]))
    assert found["motion.timing"] == 1.0
    assert found["camera.camera_motion"] == 0.5  # one of the two that were read
    assert found["vfx.impact"] == 0.0
    assert np.isnan(found["style.palette"])  # nobody asked


def test_perfect_logits_have_no_loss_and_full_agreement():
    truth = jnp.asarray(truth_of(TAGS))
    terms = field_loss(jnp.where(truth, 30.0, -30.0), truth, table=TABLE)
    assert float(terms.loss) < 1e-6
    assert float(terms.accuracy) == 1.0
    agreement = field_agreement(truth, truth, table=TABLE)
    assert float(agreement.max()) == 1.0


def test_fields_that_are_not_stated_get_no_gradient():
    truth = jnp.asarray(truth_of(TAGS))
    gradient = jax.grad(lambda x: field_loss(x, truth, table=TABLE).loss)(
        jnp.zeros(truth.shape)
    )
    touched = np.asarray(jnp.abs(gradient) > 0)
    stated = np.asarray(stated_fields(truth, table=TABLE))
    assert np.array_equal(touched, stated @ TABLE.membership)


def build(rngs):
    return Probe(CONFIG, rngs=rngs)


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(lambda key: init_params(build, key), jax.random.key(0))
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        # As an initialiser would, with no program to compile.
        if path[-1].key == "scale":
            return np.ones(leaf.shape, np.float32)
        width = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else np.inf
        return rng.normal(0, width**-0.5, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def test_size_is_checked(params):
    probe = bind(build, params)
    with pytest.raises(ValueError, match="5 x 16 x 16 x 3, got 5 x 16 x 8 x 3"):
        probe(np.zeros((1, 5, 16, 8, 3), np.uint8))


def test_the_shipped_size_is_small():
    config = ProbeConfig(num_values=TAXONOMY.num_values)
    shapes = jax.eval_shape(
        lambda key: init_params(lambda rngs: Probe(config, rngs=rngs), key),
        jax.random.key(0),
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert 200_000 < count < 500_000


def test_it_learns_which_way_a_square_goes(params):
    """Direction and palette of a moving square, on clips it has not seen."""
    rng = np.random.default_rng(0)
    names = ("camera.camera_motion=pan_left", "camera.camera_motion=pan_right")

    def clips(count):
        videos = np.zeros((count, 5, 16, 16, 3), np.uint8)
        tags = []
        for i in range(count):
            right, row = int(rng.integers(2)), int(rng.integers(12))
            bright = int(rng.integers(2))
            for t in range(5):
                x = 2 * t if right else 12 - 2 * t
                videos[i, t, row : row + 4, x : x + 4] = 250 if bright else 60
            palette = "vivid" if bright else "low_key"
            tags.append((names[right], f"style.palette={palette}"))
        return videos, truth_of(tags)

    optimizer = optax.adam(3e-3)

    def loss(params, videos, truth):
        probe = bind(build, params)
        return field_loss(probe(videos).logits, truth, table=TABLE)

    @jax.jit
    def step(params, state, videos, truth):
        grads = jax.grad(lambda p: loss(p, videos, truth).loss)(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(80):
        params, state = step(params, state, *clips(16))
    terms = jax.jit(loss)(params, *clips(32))
    assert float(terms.accuracy) > 0.9
