"""The transformer is Wan's: outputs and gradients of diffusers' model, same weights."""

import dataclasses

import jax
import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from flax import nnx, traverse_util
from jax import numpy as jnp

from animatrix_jax.models.config import DiTConfig
from animatrix_jax.models.dit import DiT, patch, unpatch
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.layers import MLP, gelu_tanh, scan_layers, stack

pytestmark = pytest.mark.usefixtures("quick_compile")

# Our modules by diffusers' names; a weight is a kernel, a norm's weight a scale.
MODULES = {
    "condition_embedder.time_embedder.linear_1": "time_embed/up",
    "condition_embedder.time_embedder.linear_2": "time_embed/down",
    "condition_embedder.time_proj": "time_modulation",
    "condition_embedder.text_embedder.linear_1": "text_embed/up",
    "condition_embedder.text_embedder.linear_2": "text_embed/down",
    "condition_embedder.image_embedder.norm1": "image_embed/norm_in",
    "condition_embedder.image_embedder.ff.net.0.proj": "image_embed/mlp/up",
    "condition_embedder.image_embedder.ff.net.2": "image_embed/mlp/down",
    "condition_embedder.image_embedder.norm2": "image_embed/norm_out",
    "patch_embedding": "patch_embed",
    "proj_out": "head",
    "attn1.to_q": "self_attention/q",
    "attn1.to_k": "self_attention/k",
    "attn1.to_v": "self_attention/v",
    "attn1.to_out.0": "self_attention/out",
    "attn1.norm_q": "self_attention/q_norm",
    "attn1.norm_k": "self_attention/k_norm",
    "attn2.to_q": "cross_attention/q",
    "attn2.to_k": "cross_attention/k",
    "attn2.to_v": "cross_attention/v",
    "attn2.to_out.0": "cross_attention/out",
    "attn2.norm_q": "cross_attention/q_norm",
    "attn2.norm_k": "cross_attention/k_norm",
    "attn2.add_k_proj": "cross_attention/image_k",
    "attn2.add_v_proj": "cross_attention/image_v",
    "attn2.norm_added_k": "cross_attention/image_k_norm",
    "norm2": "cross_norm",
    "ffn.net.0.proj": "ffn/up",
    "ffn.net.2": "ffn/down",
}


def from_diffusers(tensors):
    """Our parameters (or gradients) from diffusers'."""
    flat, stacked = {}, {}
    for name, value in tensors.items():
        layer = None
        if name.startswith("blocks."):
            _, layer, name = name.split(".", 2)
        if name == "scale_shift_table":
            path = "head_modulation" if layer is None else "modulation"
            value = value[0]
        else:
            module, kind = name.rsplit(".", 1)
            path = MODULES[module]
            if kind == "weight" and value.ndim == 1:
                kind = "scale"
            elif kind == "weight":
                kind = "kernel"
                if value.ndim == 5:
                    value = value.transpose(0, 2, 3, 4, 1).reshape(len(value), -1)
                value = value.T
            path = f"{path}/{kind}"
        if layer is None:
            flat[path] = value
        else:
            stacked.setdefault(f"blocks/{path}", {})[int(layer)] = value
    for path, layers in stacked.items():
        flat[path] = np.stack([layers[i] for i in range(len(layers))])
    return traverse_util.unflatten_dict(flat, sep="/")


def relative_error(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


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
    per_frame: bool = False
    gradients: bool = True


CASES = {
    "text": Case(heads=3, head_dim=20, latents=(3, 6, 4, 4)),
    "one sample": Case(
        heads=2, head_dim=16, latents=(5, 2, 8, 3), batch=1, text=13, gradients=False
    ),
    "per token time": Case(heads=2, head_dim=12, latents=(3, 4, 6, 5), per_frame=True),
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


def reference_of(case):
    """diffusers' model with every weight random, and a config of ours for it."""
    dim, text_dim, ffn_dim = case.heads * case.head_dim, 10, 31
    image_dim = None if case.image is None else 14
    channels = case.latents[-1]
    model = WanTransformer3DModel(
        patch_size=case.patch,
        num_attention_heads=case.heads,
        attention_head_dim=case.head_dim,
        in_channels=channels,
        out_channels=case.out_channels or channels,
        text_dim=text_dim,
        freq_dim=32,
        ffn_dim=ffn_dim,
        num_layers=case.layers,
        image_dim=image_dim,
        added_kv_proj_dim=None if image_dim is None else dim,
        rope_max_seq_len=32,
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            norm = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(noise * 0.1 + 1 if norm else noise * 0.15)
    config = DiTConfig(
        dim=dim,
        ffn_dim=ffn_dim,
        num_heads=case.heads,
        num_layers=case.layers,
        in_channels=channels,
        out_channels=case.out_channels or channels,
        patch=case.patch,
        freq_dim=32,
        text_dim=text_dim,
        image_dim=image_dim,
        rope_max_positions=32,
        tag_cross_attention=False,
        tag_adaln=False,
    )
    return model, config


@pytest.mark.parametrize("name", CASES)
def test_equals_diffusers(name):
    case = CASES[name]
    model, config = reference_of(case)
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    t, h, w, c = case.latents
    xt = normal(case.batch, t, h, w, c)
    text = normal(case.batch, case.text, config.text_dim)
    image = None if case.image is None else normal(case.batch, case.image, 14)
    d_out = normal(case.batch, t, h, w, config.out_channels)
    sigma = random.random((case.batch, t) if case.per_frame else case.batch)
    sigma = sigma.astype(np.float32)
    timestep = 1000 * sigma
    if case.per_frame:
        sigma[:, 0], timestep[:, 0] = 0, 0
        timestep = np.repeat(timestep, h // 2 * w // 2, axis=1)

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
    params = from_diffusers({k: v.detach().numpy() for k, v in named.items()})
    expected_gradients = from_diffusers({k: v.grad.numpy() for k, v in named.items()})

    def loss(params):
        out = bind(lambda rngs: DiT(config, rngs=rngs), params)(
            xt=jnp.asarray(xt),
            sigma=jnp.asarray(sigma),
            text=jnp.asarray(text),
            image=None if image is None else jnp.asarray(image),
        )
        return (out * d_out).sum(), out

    if not case.gradients:
        _, out = jax.jit(loss)(params)
        assert relative_error(out, expected.detach().numpy()) <= 1e-5
        return
    gradients, out = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert relative_error(out, expected.detach().numpy()) <= 1e-5
    flat = traverse_util.flatten_dict(gradients)
    # A key's bias moves all scores of a query alike, so but for the norm its gradient is
    # zero, and what either side computes there is rounding: hence the floor.
    floor = 1e-6 * max(np.abs(leaf).max() for leaf in flat.values())
    for path, theirs in traverse_util.flatten_dict(expected_gradients).items():
        difference = np.abs(flat[path] - theirs).max()
        assert difference <= max(1e-3 * np.abs(theirs).max(), floor), path


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


def run(config, params, xt, sigma, **options):
    """The velocity and the hidden tokens, compiled."""
    text = jax.random.normal(jax.random.key(3), (len(xt), 5, 8))

    @jax.jit
    def apply(params, xt, sigma):
        dit = bind(lambda rngs: DiT(config, rngs=rngs), params)
        return dit(xt, sigma, text), dit.hidden(xt, sigma, text, **options).tokens

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


@pytest.mark.parametrize("remat", ["none", "block", "dots"])
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


def test_one_noise_level_a_frame_equals_one_a_sample(params, xt, exact):
    by_frame, _ = run(CONFIG, params, xt, jnp.repeat(SIGMA[:, None], 2, axis=1))
    np.testing.assert_allclose(exact[0], by_frame, atol=1e-6)


def test_depth_stops_early(params, xt):
    _, early = run(CONFIG, params, xt, SIGMA, depth=2)
    cut = jax.tree.map(lambda leaf: leaf[:2], params["blocks"])
    config = dataclasses.replace(CONFIG, num_layers=2)
    _, short = run(config, params | {"blocks": cut}, xt, SIGMA)
    np.testing.assert_array_equal(early, short)


def test_patches_round_trip():
    x = jnp.arange(2 * 4 * 6 * 4 * 3.0).reshape(2, 4, 6, 4, 3)
    rows = patch(x, (2, 3, 1))
    assert rows.shape == (2, 2 * 2 * 4, 2 * 3 * 3)
    np.testing.assert_array_equal(unpatch(rows, (2, 2, 4), (2, 3, 1)), x)


@pytest.mark.parametrize(
    "shape,sigma,message",
    [
        ((1, 2, 4, 4, 3), (1,), "expected 4 input channels, got 3"),
        ((1, 2, 5, 4, 4), (1,), "do not divide into patches"),
        ((1, 2, 4, 4, 4), (1, 3), "3 noise levels for 2 latent frames"),
    ],
)
def test_wrong_shapes_are_named(params, shape, sigma, message):
    dit = bind(lambda rngs: DiT(CONFIG, rngs=rngs), params)
    with pytest.raises(ValueError, match=message):
        dit.hidden(jnp.zeros(shape), jnp.zeros(sigma), jnp.zeros((1, 5, 8)))
