"""The causal VAE against diffusers' AutoencoderKLWan, and its own properties."""

import dataclasses

import jax
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from jax import numpy as jnp

from animatrix_jax.models import vae_layers
from animatrix_jax.models.config import VAEConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.vae import VAE, Gaussian

WAN21 = VAEConfig(
    latent_channels=5,
    base_dim=6,
    dim_mult=(1, 2, 3, 3),
    num_res_blocks=2,
    downsample=("spatial", "spacetime", "spacetime"),
)
WAN22 = VAEConfig(
    latent_channels=6,
    base_dim=4,
    decoder_dim=6,
    dim_mult=(1, 2, 2),
    num_res_blocks=1,
    downsample=("spacetime", "spacetime"),
    patch=2,
    residual=True,
)
# Every kind of halving that ours has and Wan's has not.
SMALL = VAEConfig(
    latent_channels=4,
    base_dim=4,
    dim_mult=(1, 2, 2),
    num_res_blocks=1,
    downsample=("spacetime", "time"),
    patch=2,
)
SIZES = {"wan21": (16, 24), "wan22": (16, 8), "small": (8, 12)}
CONFIGS = {"wan21": WAN21, "wan22": WAN22, "small": SMALL}


def reference(config: VAEConfig) -> AutoencoderKLWan:
    """diffusers' model of `config` with random weights, biases and gains too."""
    torch.manual_seed(0)
    channels = 3 * config.patch**2
    model = AutoencoderKLWan(
        base_dim=config.base_dim,
        decoder_base_dim=config.decoder_dim,
        z_dim=config.latent_channels,
        dim_mult=list(config.dim_mult),
        num_res_blocks=config.num_res_blocks,
        temperal_downsample=[kind == "spacetime" for kind in config.downsample],
        latents_mean=[0.0] * config.latent_channels,
        latents_std=[1.0] * config.latent_channels,
        is_residual=config.residual,
        in_channels=channels,
        out_channels=channels,
        patch_size=config.patch if config.patch > 1 else None,
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def from_reference(model: AutoencoderKLWan, config: VAEConfig) -> dict:
    """Our parameters from diffusers' state."""
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    taken = set()

    def affine(name: str) -> dict:
        taken.update({f"{name}.weight", f"{name}.bias"})
        weight = state[f"{name}.weight"]
        if weight.shape[2:] in ((1, 1, 1), (1, 1)):
            kernel = weight.reshape(weight.shape[:2]).T
        elif weight.shape[3:] == (1, 1):
            kernel = weight[..., 0, 0].transpose(2, 1, 0)
        else:
            kernel = np.moveaxis(weight, (0, 1), (-1, -2))
        return {"kernel": kernel, "bias": state[f"{name}.bias"]}

    def gain(name: str) -> dict:
        taken.add(f"{name}.gamma")
        return {"scale": state[f"{name}.gamma"].ravel()}

    def block(name: str) -> dict:
        tree = {f"norm{i}": gain(f"{name}.norm{i}") for i in (1, 2)}
        tree |= {f"conv{i}": affine(f"{name}.conv{i}") for i in (1, 2)}
        if f"{name}.conv_shortcut.weight" in state:
            tree["shortcut"] = affine(f"{name}.conv_shortcut")
        return tree

    def resampler(name: str) -> dict:
        tree = {"resample": affine(f"{name}.resample.1")}
        if f"{name}.time_conv.weight" in state:
            tree["time_conv"] = affine(f"{name}.time_conv")
        return tree

    def coder(name: str, stages: dict) -> dict:
        mid = f"{name}.mid_block"
        return {
            "conv_in": affine(f"{name}.conv_in"),
            "stages": stages,
            "mid": {
                "block1": block(f"{mid}.resnets.0"),
                "block2": block(f"{mid}.resnets.1"),
                "attention": {
                    "norm": gain(f"{mid}.attentions.0.norm"),
                    "to_qkv": affine(f"{mid}.attentions.0.to_qkv"),
                    "proj": affine(f"{mid}.attentions.0.proj"),
                },
            },
            "norm_out": gain(f"{name}.norm_out"),
            "conv_out": affine(f"{name}.conv_out"),
        }

    count, last = config.num_res_blocks, len(config.dim_mult) - 1
    down, up = {}, {}
    for i in range(last + 1):
        # Wan 2.1 counts blocks and downsamplers in one flat list.
        nested = f"encoder.down_blocks.{i}"
        flat = [f"encoder.down_blocks.{i * (count + 1) + j}" for j in range(count + 1)]
        if config.residual:
            flat = [f"{nested}.resnets.{j}" for j in range(count)]
            flat.append(f"{nested}.downsampler")
        down[str(i)] = {"blocks": {str(j): block(flat[j]) for j in range(count)}}
        name = f"decoder.up_blocks.{i}"
        up[str(i)] = {
            "blocks": {str(j): block(f"{name}.resnets.{j}") for j in range(count + 1)}
        }
        if i < last:
            down[str(i)]["downsampler"] = resampler(flat[-1])
            upsampler = "upsampler" if config.residual else "upsamplers.0"
            up[str(i)]["upsampler"] = resampler(f"{name}.{upsampler}")
    params = {
        "encoder": coder("encoder", down),
        "decoder": coder("decoder", up),
        "quant_conv": affine("quant_conv"),
        "post_quant_conv": affine("post_quant_conv"),
    }
    assert taken == state.keys()
    return jax.tree.map(jnp.asarray, params)


class Model:
    """A config with weights, its functions compiled."""

    def __init__(self, config: VAEConfig, params: dict):
        self.config, self.params = config, params

        def build(rngs):
            return VAE(config, rngs=rngs)

        def method(name):
            def call(params, *args, chunk=None):
                return getattr(bind(build, params), name)(*args, chunk=chunk)

            compiled = jax.jit(call, static_argnames="chunk")
            return lambda *args, **kwargs: compiled(params, *args, **kwargs)

        self.encode, self.decode = method("encode"), method("decode")
        self.decode_unclipped = method("decode_unclipped")
        self.bound = bind(build, params)


@pytest.fixture(scope="module", params=["wan21", "wan22"])
def pair(request):
    config = CONFIGS[request.param]
    model = reference(config)
    return Model(config, from_reference(model, config)), model, SIZES[request.param]


@pytest.fixture(scope="module", params=["wan21", "wan22", "small"])
def ours(request):
    config = CONFIGS[request.param]
    return Model(config, random_params(config)), SIZES[request.param]


def shapes(config: VAEConfig) -> dict:
    """The parameters, without their values."""
    return jax.eval_shape(
        lambda key: init_params(lambda rngs: VAE(config, rngs=rngs), key),
        jax.random.key(0),
    )


def random_params(config: VAEConfig) -> dict:
    """Values for them, of the size that initialisation has, none of them zero."""
    rng = np.random.default_rng(3)

    def draw(path, leaf):
        kind = path[-1].key
        deviation = np.prod(leaf.shape[:-1]) ** -0.5 if kind == "kernel" else 0.05
        values = (kind == "scale") + deviation * rng.standard_normal(leaf.shape)
        return jnp.asarray(values, jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes(config))


def noise(*shape: int) -> np.ndarray:
    """In [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def relative_error(ours, theirs) -> float:
    """Of channels-last against torch's channels-first."""
    theirs = np.moveaxis(theirs.numpy(), 1, -1)
    assert ours.shape == theirs.shape
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("frames", [1, 5, 9, 17])
def test_encode_equals_diffusers(pair, frames):
    model, theirs, size = pair
    video = noise(2, frames, *size, 3)
    with torch.no_grad():
        expected = theirs.encode(torch.tensor(np.moveaxis(video, -1, 1))).latent_dist
    gaussian = model.encode(video)
    assert relative_error(gaussian.mean, expected.mean) <= 1e-5
    assert relative_error(gaussian.logvar, expected.logvar) <= 1e-5


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_decode_equals_diffusers(pair, frames):
    model, theirs, (height, width) = pair
    _, rows, columns = model.config.stride
    latents = noise(
        2, frames, height // rows, width // columns, model.config.latent_channels
    )
    with torch.no_grad():
        expected = theirs.decode(torch.tensor(np.moveaxis(latents, -1, 1))).sample
    assert expected.abs().min() < 1  # not all of it is clipped
    assert relative_error(model.decode(latents), expected) <= 1e-5


def test_shapes_follow_the_stride(ours):
    model, (height, width) = ours
    time, rows, columns = model.config.stride
    gaussian = model.encode(noise(1, 1 + 2 * time, height, width, 3))
    expected = (1, 3, height // rows, width // columns, model.config.latent_channels)
    assert gaussian.mean.shape == gaussian.logvar.shape == expected
    video = model.decode(gaussian.mode)
    assert video.shape == (1, 1 + 2 * time, height, width, 3)


@pytest.mark.parametrize("chunk", [1, 2])
def test_chunks_equal_the_whole(ours, chunk):
    """Four or five latent frames: with chunks of two, one is left over."""
    model, (height, width) = ours
    video = noise(1, 17, height, width, 3)
    whole, parts = model.encode(video), model.encode(video, chunk=chunk)
    np.testing.assert_allclose(parts.mean, whole.mean, atol=2e-6)
    np.testing.assert_allclose(parts.logvar, whole.logvar, atol=2e-6)
    expected = model.decode_unclipped(whole.mean)
    decoded = model.decode_unclipped(whole.mean, chunk=chunk)
    np.testing.assert_allclose(decoded, expected, atol=2e-6)


def test_the_past_does_not_see_the_future(ours):
    model, (height, width) = ours
    time = model.config.stride[0]
    video = noise(1, 1 + 3 * time, height, width, 3)
    changed = video.copy()
    changed[:, 1 + 2 * time :] *= -1
    before, after = model.encode(video).mean, model.encode(changed).mean
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3] - after[:, 3]).max() > 1e-4
    latents = np.asarray(before)
    other = latents.copy()
    other[:, 2:] *= -1
    one, two = model.decode_unclipped(latents), model.decode_unclipped(other)
    np.testing.assert_array_equal(one[:, : 1 + time], two[:, : 1 + time])
    assert np.abs(one[:, 1 + time :] - two[:, 1 + time :]).max() > 1e-4


def test_memory_of_chunks_does_not_grow_with_length():
    """Beyond the clip itself, decoding 33 frames takes what decoding 9 takes."""
    config = dataclasses.replace(SMALL, base_dim=8)

    def build(rngs):
        return VAE(config, rngs=rngs)

    params = shapes(config)

    def temporaries(frames: int, chunk: int | None) -> int:
        latents = jax.ShapeDtypeStruct((1, frames, 16, 16, 4), jnp.float32)
        decode = jax.jit(lambda p, z: bind(build, p).decode(z, chunk=chunk))
        memory = decode.lower(params, latents).compile().memory_analysis()
        pixels = memory.output_size_in_bytes
        return max(memory.temp_size_in_bytes - 2 * pixels, 1)

    assert temporaries(33, 1) <= 1.1 * temporaries(9, 1)
    assert temporaries(33, None) > 2 * temporaries(9, None)


def test_convolution_by_taps_is_the_convolution():
    """Both forms, value and gradients: each machine compiles only one of them."""
    x, kernel = jnp.asarray(noise(2, 5, 4, 6, 3)), jnp.asarray(noise(3, 3, 3, 3, 5))
    weight = jnp.asarray(noise(2, 3, 4, 6, 5))

    def run(conv):
        def loss(x, kernel):
            return (conv(x, kernel) * weight).sum()

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(x, kernel)

    expected = run(vae_layers.conv_3d)
    for conv in (vae_layers.conv_by_taps, vae_layers.causal_conv):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
            run(conv),
            expected,
        )


def test_gradients_reach_every_parameter_and_are_finite(ours):
    """Also where a whole frame is zero, whose norm has no derivative."""
    model, (height, width) = ours
    video = noise(1, 9, height, width, 3)
    video[:, 0] = 0

    @jax.jit
    def gradients(params):
        def loss(params):
            vae = bind(lambda rngs: VAE(model.config, rngs=rngs), params)
            gaussian = vae.encode(video)
            latents = gaussian.sample(jax.random.key(0))
            return jnp.abs(vae.decode_unclipped(latents) - video).mean()

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(model.params)):
        assert jnp.isfinite(leaf).all(), path
        assert jnp.abs(leaf).max() > 0, path


def test_normalize_takes_the_statistics_out():
    config = dataclasses.replace(
        SMALL, latents_mean=(1.0, 0.0, -2.0, 3.0), latents_std=(2.0, 1.0, 0.5, 4.0)
    )
    vae = Model(config, shapes(config)).bound
    raw = jnp.asarray(noise(1, 2, 3, 3, 4)) * 2 + jnp.array([1.0, 0.0, -2.0, 3.0])
    normal = vae.normalize(raw)
    np.testing.assert_allclose(normal[..., 3], (raw[..., 3] - 3) / 4, rtol=1e-6)
    np.testing.assert_allclose(vae.denormalize(normal), raw, rtol=1e-5, atol=1e-6)


def test_gaussian_samples_have_its_moments():
    mean = jnp.array([-1.0, 2.0]) * jnp.ones((1, 64, 8, 8, 2))
    gaussian = Gaussian(mean=mean, logvar=jnp.full_like(mean, 2 * np.log(0.5)))
    drawn = np.asarray(gaussian.sample(jax.random.key(0)))
    np.testing.assert_allclose(drawn.mean((0, 1, 2, 3)), [-1, 2], atol=0.03)
    np.testing.assert_allclose(drawn.std((0, 1, 2, 3)), 0.5, atol=0.03)
    np.testing.assert_array_equal(gaussian.mode, mean)


@pytest.mark.parametrize("shape", [(4, 8, 12), (5, 9, 12), (5, 8, 10)])
def test_a_clip_that_does_not_divide_is_refused(shape):
    vae = Model(SMALL, shapes(SMALL)).bound
    with pytest.raises(ValueError, match=r"expected 1 \+ 4k frames"):
        vae.encode(jnp.zeros((1, *shape, 3)))
