"""The transformer is Wan's: outputs and gradients of diffusers' model, same weights."""

import dataclasses

import jax
import numpy as np
import pytest
import torch
from flax import nnx
from jax import numpy as jnp

from animatrix_jax.convert import wan
from animatrix_jax.convert.source import flat_shapes
from animatrix_jax.models import dit as dit_lib
from animatrix_jax.models.config import DiTConfig
from animatrix_jax.models.dit import DiT, patch, unpatch
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.layers import MLP, gelu_tanh
from animatrix_jax.models.stacking import scan_layers, stack
from benchmarks import references
from benchmarks.references import relative_error

pytestmark = pytest.mark.usefixtures("quick_compile")


def from_diffusers(tensors, config):
    """Our parameters (or gradients) from diffusers'."""
    shapes = flat_shapes(lambda rngs: DiT(config, rngs=rngs))
    return references.ours(wan.diffusers_table(config), tensors, shapes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    heads: int
    head_dim: int
    layers: int = 2
    latents: tuple[int, ...]  # t h w c
    out_channels: int | None = None
    patch: tuple[int, int, int] = (1, 2, 2)
    batch: int = 2
    text: int = 7
    image: int | None = None  # patches
    clean: bool = False  # the first frame is
    gradients: bool = True


CASES = {
    "text": Case(heads=3, head_dim=20, latents=(3, 6, 4, 4)),
    "one sample": Case(
        heads=2, head_dim=16, latents=(5, 2, 8, 3), batch=1, text=13, gradients=False
    ),
    "clean frame": Case(heads=2, head_dim=12, latents=(3, 4, 6, 5), clean=True),
    "concat": Case(
        heads=1, head_dim=28, latents=(2, 4, 4, 9), out_channels=4, gradients=False
    ),
    "patch": Case(
        heads=2, head_dim=14, latents=(4, 6, 3, 4), patch=(2, 3, 1), gradients=False
    ),
    # diffusers takes the last 512 tokens of the context for the text.
    "image": Case(
        heads=2,
        head_dim=16,
        layers=1,
        latents=(1, 4, 4, 9),
        out_channels=4,
        text=512,
        image=11,
    ),
}


def config_of(case):
    dim, channels = case.heads * case.head_dim, case.latents[-1]
    return DiTConfig(
        dim=dim,
        ffn_dim=31,
        num_heads=case.heads,
        num_layers=case.layers,
        in_channels=channels,
        out_channels=case.out_channels or channels,
        patch=case.patch,
        freq_dim=32,
        text_dim=10,
        image_dim=None if case.image is None else 14,
        rope_max_positions=32,
        tag_cross_attention=False,
        tag_adaln=False,
    )


@pytest.mark.parametrize("name", CASES)
def test_equals_diffusers(name):
    case = CASES[name]
    config = config_of(case)
    model = references.transformer(config)
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    t, h, w, c = case.latents
    xt = normal(case.batch, t, h, w, c)
    text = normal(case.batch, case.text, config.text_dim)
    image = None if case.image is None else normal(case.batch, case.image, 14)
    d_out = normal(case.batch, t, h, w, config.out_channels)
    sigma = random.random(case.batch).astype(np.float32)
    timestep, clean = 1000 * sigma, None
    if case.clean:
        clean = np.arange(t) == 0
        timestep = np.repeat(timestep[:, None] * ~clean, h // 2 * w // 2, axis=1)
        clean = jnp.asarray(np.tile(clean, (case.batch, 1)))

    def to_torch(x):
        return None if x is None else torch.from_numpy(x)

    expected = model(
        torch.from_numpy(xt).permute(0, 4, 1, 2, 3),
        to_torch(timestep),
        to_torch(text),
        encoder_hidden_states_image=to_torch(image),
    ).sample.permute(0, 2, 3, 4, 1)
    (expected * torch.from_numpy(d_out)).sum().backward()
    named = dict(model.named_parameters())
    params = from_diffusers(named, config)
    gradients_of = {name: parameter.grad for name, parameter in named.items()}
    expected_gradients = from_diffusers(gradients_of, config)

    def loss(params):
        out = bind(lambda rngs: DiT(config, rngs=rngs), params)(
            xt=jnp.asarray(xt),
            sigma=jnp.asarray(sigma),
            text=jnp.asarray(text),
            clean=clean,
            image=None if image is None else jnp.asarray(image),
        )
        return (out * d_out).sum(), out

    if not case.gradients:
        _, out = jax.jit(loss)(params)
        assert relative_error(out, expected.detach().numpy()) <= 1e-5
        return
    gradients, out = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert relative_error(out, expected.detach().numpy()) <= 1e-5
    assert references.gradient_error(gradients, expected_gradients) <= 1e-3


CONFIG = DiTConfig(
    dim=24,
    ffn_dim=40,
    num_heads=2,
    num_layers=3,
    in_channels=4,
    out_channels=4,
    text_dim=8,
    freq_dim=16,
    tag_cross_attention=False,
    tag_adaln=False,
)


def run(config, params, xt, sigma, *, depth=None, **options):
    """The velocity and the hidden tokens, compiled."""
    text = jax.random.normal(jax.random.key(3), (len(xt), 5, 8))

    @jax.jit
    def apply(params, xt, sigma):
        dit = bind(lambda rngs: DiT(config, rngs=rngs), params)
        hidden = dit.hidden(xt, sigma, text, **(options | {"depth": depth}))
        return dit(xt, sigma, text, **options), hidden.tokens

    return apply(params, xt, sigma)


@pytest.fixture(scope="module")
def params():
    params = jax.jit(lambda key: init_params(lambda rngs: DiT(CONFIG, rngs=rngs), key))(
        jax.random.key(0, impl="rbg")
    )
    head = params["head"]["kernel"]
    assert not head.any(), "the head starts at zero"
    head = 0.1 * jax.random.normal(jax.random.key(1), head.shape)
    return params | {"head": params["head"] | {"kernel": head}}


@pytest.fixture(scope="module")
def xt():
    return jax.random.normal(jax.random.key(2), (2, 2, 4, 4, 4))


def test_layers_are_drawn_apart(params):
    kernel = params["blocks"]["ffn"]["up"]["kernel"]
    assert kernel.shape == (3, 24, 40)
    assert np.abs(kernel[0] - kernel[1]).min() > 0


@pytest.mark.parametrize("remat", ["block", "dots"])
def test_remat_changes_memory_and_not_gradients(remat):
    layers = stack(
        lambda rngs: MLP(8, 16, 8, activation=gelu_tanh, rngs=rngs),
        3,
        rngs=nnx.Rngs(0),
    )

    def gradient(remat):
        def loss(x):
            run = scan_layers(lambda layer, x: layer(x), layers, x, remat=remat)
            return jnp.square(run).sum()

        compiled = jax.jit(jax.grad(loss)).lower(x).compile()
        return compiled(x), compiled.memory_analysis().temp_size_in_bytes

    x = jax.random.normal(jax.random.key(2), (64, 8))
    (plain, plain_bytes), (again, again_bytes) = gradient("none"), gradient(remat)
    np.testing.assert_allclose(again, plain, atol=1e-5)
    assert again_bytes < plain_bytes


@pytest.mark.parametrize("remat", ["none", "block", "attention", "dots", "offload"])
def test_config_decides_on_remat(params, xt, remat):
    config = dataclasses.replace(CONFIG, remat=remat)
    dit = bind(lambda rngs: DiT(config, rngs=rngs), params)
    text = jnp.zeros((2, 5, 8))
    program = str(jax.make_jaxpr(lambda xt: dit(xt, SIGMA, text))(xt))
    assert ("checkpoint" in program or "remat" in program) == (remat != "none")


SIGMA = jnp.array([0.2, 0.9])


@pytest.fixture(scope="module")
def exact(params, xt):
    return run(CONFIG, params, xt, SIGMA)


def test_bfloat16_is_near_fp32(params, xt, exact):
    config = dataclasses.replace(CONFIG, dtype="bfloat16")
    velocity, tokens = run(config, params, xt, SIGMA)
    assert tokens.dtype == jnp.bfloat16
    assert velocity.dtype == jnp.float32
    assert 0 < relative_error(velocity, exact[0]) < 0.05


def test_with_no_frame_clean_all_are_at_the_noise_level(params, xt, exact):
    velocity, _ = run(CONFIG, params, xt, SIGMA, clean=jnp.zeros((2, 2), bool))
    np.testing.assert_allclose(exact[0], velocity, atol=1e-6)


def test_tokens_padded_to_whole_blocks_change_nothing(params, xt, exact, monkeypatch):
    """As a TPU's kernel has them padded; also beside a clean frame."""
    clean = jnp.array([[True, False], [False, False]])
    expected = run(CONFIG, params, xt, SIGMA, clean=clean)
    monkeypatch.setattr(dit_lib, "whole_blocks", lambda tokens, _: tokens + 5)
    velocity, tokens = run(CONFIG, params, xt, SIGMA)
    np.testing.assert_allclose(velocity, exact[0], atol=1e-6)
    np.testing.assert_allclose(tokens[:, :-5], exact[1], atol=2e-6)
    velocity, _ = run(CONFIG, params, xt, SIGMA, clean=clean)
    np.testing.assert_allclose(velocity, expected[0], atol=1e-6)


def test_depth_stops_early(params, xt):
    _, early = run(CONFIG, params, xt, SIGMA, depth=2)
    cut = jax.tree.map(lambda leaf: leaf[:2], params["blocks"])
    config = dataclasses.replace(CONFIG, num_layers=2)
    _, short = run(config, params | {"blocks": cut}, xt, SIGMA)
    np.testing.assert_array_equal(early, short)


@pytest.mark.parametrize("absolute", [False, True])
def test_where_all_patches_are_alike_only_absolute_positions_tell_them_apart(
    params, xt, absolute
):
    config = dataclasses.replace(CONFIG, absolute_positions=absolute)
    _, tokens = run(config, params, jnp.full_like(xt, 0.3), SIGMA)
    first = jnp.broadcast_to(tokens[:, :1], tokens.shape)
    apart = jnp.abs(tokens - first)[:, 1:].max(axis=-1)
    assert (apart > 0.1).all() if absolute else (apart < 1e-5).all()


def test_patches_round_trip():
    x = jnp.arange(2 * 4 * 6 * 4 * 3.0).reshape(2, 4, 6, 4, 3)
    rows = patch(x, (2, 3, 1))
    assert rows.shape == (2, 2 * 2 * 4, 2 * 3 * 3)
    np.testing.assert_array_equal(unpatch(rows, (2, 2, 4), (2, 3, 1)), x)


@pytest.mark.parametrize(
    "shape,clean,message",
    [
        ((1, 2, 4, 4, 3), (1, 2), "expected 4 input channels, got 3"),
        ((1, 2, 5, 4, 4), (1, 2), "do not divide into patches"),
        ((1, 2, 4, 4, 4), (1, 3), r"expected clean of shape \(1, 2\).*got \(1, 3\)"),
    ],
)
def test_wrong_shapes_are_named(params, shape, clean, message):
    dit = bind(lambda rngs: DiT(CONFIG, rngs=rngs), params)
    with pytest.raises(ValueError, match=message):
        text, clean = jnp.zeros((1, 5, 8)), jnp.zeros(clean, bool)
        dit.hidden(jnp.zeros(shape), jnp.zeros(1), text, clean=clean)
