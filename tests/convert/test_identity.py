"""With Wan's weights and no tags, the generator is Wan; zero tag deltas change nothing."""

import dataclasses

import jax
import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from jax import numpy as jnp

from animatrix_jax.knowledge.encoding import encode_tags
from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import bind
from animatrix_jax.models.generator import Generator
from animatrix_jax.training.weights import load_component
from benchmarks.references import relative_error

TAGS = ("motion.motion_style=run", "camera.camera_motion=pan_left")


@pytest.fixture(scope="module")
def params(converted):
    return load_component(str(converted), "generator").params


@pytest.fixture(scope="module")
def inputs(tiny):
    random = np.random.default_rng(0)
    xt = random.standard_normal((2, 3, 4, 6, 4)).astype(np.float32)
    text = random.standard_normal((2, 9, tiny.dit.text_dim)).astype(np.float32)
    return xt, np.array([0.3, 0.8], np.float32), text


def velocity(config, tags, params, inputs, tagged=()):
    xt, sigma, text = inputs
    ids = [encode_tags(tagged)] * len(xt)
    conditioning = Conditioning(
        text=jnp.asarray(text),
        tag_fields=jnp.asarray(np.stack([row.fields for row in ids])),
        tag_values=jnp.asarray(np.stack([row.values for row in ids])),
        tag_mask=jnp.asarray(np.stack([row.mask for row in ids])),
    )

    @jax.jit
    def run(params):
        generator = bind(lambda rngs: Generator(config, tags, rngs=rngs), params)
        return generator(jnp.asarray(xt), jnp.asarray(sigma), conditioning)

    return np.asarray(run(params))


def test_without_tags_the_output_is_wans(tiny, pipeline_folder, params, inputs):
    xt, sigma, text = inputs
    model = WanTransformer3DModel.from_pretrained(
        pipeline_folder / "transformer", dtype=torch.float32
    )
    with torch.no_grad():
        expected = model(
            torch.from_numpy(xt).permute(0, 4, 1, 2, 3),
            torch.from_numpy(1000 * sigma),
            torch.from_numpy(text),
        ).sample.permute(0, 2, 3, 4, 1)
    ours = velocity(tiny.dit, tiny.tags, params, inputs)
    assert relative_error(ours, expected.numpy()) <= 1e-5
    # And to the bit that of the network without any tag path.
    off = dataclasses.replace(tiny.dit, tag_adaln=False, tag_cross_attention=False)
    bare = velocity(off, None, {"dit": params["dit"]}, inputs)
    np.testing.assert_array_equal(ours, bare)


def test_adaln_deltas_at_their_start_change_nothing(tiny, params, inputs):
    """Also where tags are given: they enter by cross-attention alone at first."""
    assert not params["tags"]["modulation"]["expand"].any()
    assert not params["tags"]["text_type"].any()
    config = dataclasses.replace(tiny.dit, tag_cross_attention=False)
    kept = {name: params["tags"][name] for name in ("encoder", "modulation")}
    only = {"dit": params["dit"], "tags": kept}
    given = velocity(config, tiny.tags, only, inputs, TAGS)
    none = velocity(config, tiny.tags, only, inputs)
    np.testing.assert_array_equal(given, none)
    both = velocity(tiny.dit, tiny.tags, params, inputs, TAGS)
    assert np.abs(both - none).max() > 1e-4
