"""Fields: what is stated, what counts as read, and what a loss may see."""

import jax
import jax.numpy as jnp
import numpy as np

from animatrix_jax.evaluation.instruments import agreement_with, drawn_fields, truth_of
from animatrix_jax.knowledge.taxonomy import load_taxonomy
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


def test_of_a_field_without_a_known_value_none_is_read():
    logits = np.full((1, TAXONOMY.num_values), -np.inf, np.float32)
    logits[0, value("motion.timing=twos")] = 1.0
    read = np.asarray(predict(logits, table=TABLE))
    assert np.flatnonzero(read[0]).tolist() == [value("motion.timing=twos")]


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
