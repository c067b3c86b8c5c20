"""The analytic FLOPs of a generator against XLA's count of the same program, unrolled."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from animatrix_jax.models.conditioning import Conditioning
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.generator import Generator
from animatrix_jax.models.presets import preset
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.planning import flops

TAGS, BATCH = 8, 2


@pytest.fixture(scope="module")
def model():
    """Wide enough that products are nearly all; small enough to stay unrolled."""
    base = preset("pico")
    dit = dataclasses.replace(
        base.dit,
        dim=256,
        ffn_dim=1024,
        num_heads=4,
        num_layers=2,
        attention="plain",
        absolute_positions=False,
    )
    return dataclasses.replace(base, dit=dit, frames=33, height=64, width=64)


def xla_flops(fn, *shapes):
    return jax.jit(fn).lower(*shapes).cost_analysis()["flops"]


def shape(*dims, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(dims, dtype)


def generator(model):
    """The velocity's squared sum of parameters and latents, and shapes for both."""

    def build(rngs):
        return Generator(model.dit, model.tags, rngs=rngs)

    params = jax.eval_shape(lambda key: init_params(build, key), jax.random.key(0))
    conditioning = Conditioning(
        text=shape(BATCH, model.text_length, model.dit.text_dim),
        tag_fields=shape(BATCH, TAGS, dtype=jnp.int32),
        tag_values=shape(BATCH, TAGS, dtype=jnp.int32),
        tag_mask=shape(BATCH, TAGS, dtype=jnp.bool_),
        clean=shape(BATCH, model.latent_shape[0], dtype=jnp.bool_),
    )

    def loss(params, xt, sigma, conditioning):
        return jnp.sum(jnp.square(bind(build, params)(xt, sigma, conditioning)))

    xt = shape(BATCH, *model.latent_shape)
    return loss, (params, xt, shape(BATCH), conditioning)


def turned(model):
    """Rotary positions are turned by a product with [e e], of queries and of keys: work
    of this program, and none of the model's."""
    dit, once = model.dit, flops.forward(model, max_tags=TAGS)
    return BATCH * dit.num_layers * 2 * 2 * once.tokens * dit.dim * dit.head_dim


def test_forward_within_two_percent_of_xla(model):
    loss, shapes = generator(model)
    ours = BATCH * flops.forward(model, max_tags=TAGS).total + turned(model)
    assert ours == pytest.approx(xla_flops(loss, *shapes), rel=0.02)


def test_a_training_step_within_three_percent_of_xla(model):
    loss, shapes = generator(model)
    ours = flops.train_step(flops.forward(model, max_tags=TAGS), BATCH)
    ours += 2 * turned(model)  # backward once: the turning has no parameters
    assert ours == pytest.approx(xla_flops(jax.grad(loss), *shapes), rel=0.03)


def test_text_tower_within_three_percent_of_xla(model):
    config = dataclasses.replace(model.text, d_model=128, d_kv=32, d_ff=512)

    def build(rngs):
        return T5Encoder(config, rngs=rngs)

    params = jax.eval_shape(lambda key: init_params(build, key), jax.random.key(0))

    def run(params, tokens, mask):
        return bind(build, params)(tokens, mask)

    length = 64
    counted = xla_flops(
        run, params, shape(1, length, dtype=jnp.int32), shape(1, length, dtype=bool)
    )
    # A lookup and elementwise work are XLA's alone.
    assert flops.text_tower(config, length) == pytest.approx(counted, rel=0.05)


def test_the_14b_at_720p_has_the_published_tokens_and_work():
    """75,600 tokens; the nearest peer publishes 36.0 s on 4 v5p chips at 29.6% of peak."""
    once = flops.forward(preset("wan21_14b"), max_tags=48)
    assert once.tokens == 75_600
    published = 36.0 * 4 * 459e12 * 0.296
    assert flops.train_step(once, 1) == pytest.approx(published, rel=0.1)


@pytest.mark.parametrize(
    "remat,again",
    [
        ("none", 0),
        ("dots", 0),
        ("attention", "products"),
        ("block", "blocks"),
        ("offload", "blocks"),
    ],
)
def test_recomputed(model, remat, again):
    once = flops.forward(model, max_tags=TAGS)
    expected = {
        0: 0,
        "products": once.products,
        "blocks": once.blocks,
    }[again]
    assert flops.recomputed(once, 3, remat) == 3 * expected
