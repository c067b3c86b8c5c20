"""The causal VAE against diffusers' AutoencoderKLWan, and its own properties."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import scipy.fft
import torch
from diffusers import AutoencoderKLWan
from jax import numpy as jnp

from animatrix_jax.convert.source import flat_shapes
from animatrix_jax.convert.vae import diffusers_table
from animatrix_jax.models import vae as vae_module
from animatrix_jax.models import vae_layers
from animatrix_jax.models.config import VAEConfig
from animatrix_jax.models.functional import bind, init_params
from animatrix_jax.models.vae import VAE, Gaussian
from benchmarks import references

WAN21, WAN22 = references.VAE21, references.VAE22
# All that our small ones have and Wan's have not.
SMALL = VAEConfig(
    latent_channels=4,
    base_dim=4,
    dim_mult=(1, 2, 2),
    num_res_blocks=1,
    downsample=("spacetime", "time"),
    patch=2,
    residual=True,
    norm="none",
)
# The forms differ in what they compute, not in how fast.
COMPILE_FAST = {"xla_backend_optimization_level": 0}
SIZES = {"wan21": (16, 24), "wan22": (16, 8), "small": (8, 12)}
CONFIGS = {"wan21": WAN21, "wan22": WAN22, "small": SMALL}


class Model:
    """A config with weights, its functions compiled (without regard for speed)."""

    def __init__(self, config: VAEConfig, params: dict, size: tuple[int, int]):
        self.config, self.params, self.size = config, params, size
        _, rows, columns = config.stride
        self.latent_size = (size[0] // rows, size[1] // columns)
        self.encode, self.decode, self.decode_unclipped = (
            self._method(name) for name in ("encode", "decode", "decode_unclipped")
        )

    def bind(self, params: dict) -> VAE:
        return bind(lambda rngs: VAE(self.config, rngs=rngs), params)

    def _method(self, name: str):
        def call(params, *args, chunk=None):
            return getattr(self.bind(params), name)(*args, chunk=chunk)

        compiled = jax.jit(call, static_argnames="chunk", compiler_options=COMPILE_FAST)
        return lambda *args, **kwargs: compiled(self.params, *args, **kwargs)

    def video(self, frames: int) -> np.ndarray:
        return noise(2, frames, *self.size, 3)

    def latents(self, frames: int) -> np.ndarray:
        return noise(2, frames, *self.latent_size, self.config.latent_channels)


@functools.cache
def wan(name: str) -> tuple[Model, AutoencoderKLWan]:
    """One of Wan's forms, and diffusers' model with the same weights."""
    config = CONFIGS[name]
    theirs = references.vae(config)
    table, tensors = diffusers_table(config), theirs.state_dict()
    params = references.ours(table, tensors, flat_shapes(lambda r: VAE(config, rngs=r)))
    return Model(config, params, SIZES[name]), theirs


@functools.cache
def small() -> Model:
    return Model(SMALL, random_params(SMALL), SIZES["small"])


@pytest.fixture(params=["wan21", "wan22"])
def pair(request):
    return wan(request.param)


@pytest.fixture(params=["wan21", "wan22", "small"])
def ours(request):
    return small() if request.param == "small" else wan(request.param)[0]


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
    return references.relative_error(ours, np.moveaxis(theirs.numpy(), 1, -1))


def test_encode_equals_diffusers(pair):
    """A shorter clip's latents are the longer one's first, so one run serves four."""
    model, theirs = pair
    video = model.video(17)
    gaussian = model.encode(video)
    for frames in (1, 5, 9, 17):
        clip = torch.tensor(np.moveaxis(video[:, :frames], -1, 1))
        with torch.no_grad():
            expected = theirs.encode(clip).latent_dist
        latents = 1 + (frames - 1) // 4
        assert relative_error(gaussian.mean[:, :latents], expected.mean) <= 1e-5
        assert relative_error(gaussian.logvar[:, :latents], expected.logvar) <= 1e-5


def test_decode_equals_diffusers(pair):
    model, theirs = pair
    latents = model.latents(5)
    video = model.decode(latents)
    for frames in (1, 2, 3, 5):
        clip = torch.tensor(np.moveaxis(latents[:, :frames], -1, 1))
        with torch.no_grad():
            expected = theirs.decode(clip).sample
        assert expected.abs().median() < 1  # most of it is not clipped
        assert relative_error(video[:, : 4 * frames - 3], expected) <= 1e-5


def test_an_image_is_a_clip_of_one_frame():
    model = small()
    image, latent = model.video(17)[:, :1], model.latents(5)[:, :1]
    np.testing.assert_allclose(
        model.encode(image).mean, model.encode(model.video(17)).mean[:, :1], atol=1e-5
    )
    np.testing.assert_allclose(
        model.decode(latent), model.decode(model.latents(5))[:, :1], atol=1e-5
    )


def test_shapes_follow_the_stride(ours):
    assert ours.config.stride[0] == 4
    gaussian = ours.encode(ours.video(17))
    expected = (2, 5, *ours.latent_size, ours.config.latent_channels)
    assert gaussian.mean.shape == gaussian.logvar.shape == expected
    assert ours.decode(ours.latents(5)).shape == (2, 17, *ours.size, 3)


@pytest.mark.parametrize("form", ["wan22", "small"])
def test_chunks_equal_the_whole(form):
    """Of five latent frames, in chunks of two: two chunks, and one frame left over."""
    ours = small() if form == "small" else wan(form)[0]
    whole, parts = (ours.encode(ours.video(17), chunk=chunk) for chunk in (None, 2))
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-5)
    np.testing.assert_allclose(parts.logvar, whole.logvar, atol=1e-5)
    latents = ours.latents(5)
    np.testing.assert_allclose(
        ours.decode(latents, chunk=2), ours.decode(latents), atol=1e-5
    )


def test_the_past_does_not_see_the_future(ours):
    video = ours.video(17)
    changed = video.copy()
    changed[:, 9:] *= -1
    before, after = ours.encode(video).mean, ours.encode(changed).mean
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3] - after[:, 3]).max() > 1e-4
    latents = ours.latents(5)
    other = latents.copy()
    other[:, 2:] *= -1
    one, two = ours.decode(latents), ours.decode(other)
    np.testing.assert_array_equal(one[:, :5], two[:, :5])
    assert np.abs(one[:, 5:] - two[:, 5:]).max() > 1e-4


def test_only_the_result_is_clipped():
    params = random_params(SMALL)
    params["decoder"]["conv_out"]["bias"] = jnp.full(12, 0.95)
    model = Model(SMALL, params, SIZES["small"])
    latents = model.latents(1)
    free = model.decode_unclipped(latents)
    assert np.abs(free).max() > 1
    np.testing.assert_allclose(model.decode(latents), np.clip(free, -1, 1), atol=1e-6)


def pixel_programs(config: VAEConfig):
    """The two functions between uint8 pixels and normalised latents, not yet compiled."""
    return {
        name: jax.jit(
            lambda params, x, name=name: getattr(
                bind(lambda rngs: VAE(config, rngs=rngs), params), name
            )(x),
            compiler_options=COMPILE_FAST,
        )
        for name in ("encode_pixels", "decode_pixels")
    }


@pytest.mark.parametrize("name", ["encode_pixels", "decode_pixels"])
def test_memory_does_not_grow_with_length(name, monkeypatch):
    """Beyond the clip and its latents; a long clip is coded in chunks unasked."""
    config = dataclasses.replace(SMALL, base_dim=8, first_std=(2.0,) * 4)

    def temporaries(latents: int) -> int:
        given = {
            "encode_pixels": ((1, 4 * latents - 3, 32, 32, 3), jnp.uint8),
            "decode_pixels": ((1, latents, 8, 8, 4), jnp.float32),
        }[name]
        program = pixel_programs(config)[name]
        lowered = program.lower(shapes(config), jax.ShapeDtypeStruct(*given))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    monkeypatch.setattr(vae_module, "_CHUNK_PIXELS", 2 * 4 * 32 * 32)
    few, many = temporaries(9), temporaries(65)
    assert many <= 1.01 * few
    monkeypatch.setattr(vae_module, "_CHUNK_PIXELS", 2**30)
    assert temporaries(65) > 8 * many


def test_pixels_and_normalised_latents_in_chunks_and_whole(monkeypatch):
    """The first frame's statistics are of the clip's, not of each chunk's."""
    config = dataclasses.replace(
        SMALL, latents_std=(2.0,) * 4, first_mean=(1.0,) * 4, first_std=(4.0,) * 4
    )
    model = small()
    vae = Model(config, model.params, model.size).bind(model.params)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 17, 8, 12, 3), np.uint8)

    def run():
        programs = pixel_programs(config)
        latents = programs["encode_pixels"](model.params, pixels)
        video = programs["decode_pixels"](model.params, latents)
        return np.asarray(latents), np.asarray(video).astype(int)

    assert vae.chunk_length(17, 8, 12) is None
    latents, video = run()
    raw = model.encode(np.asarray(vae_module.signed(jnp.asarray(pixels)))).mode
    np.testing.assert_allclose(latents, vae.normalize(raw), atol=1e-5)
    decoded = (
        np.asarray(model.decode(vae.denormalize(jnp.asarray(latents)))) + 1
    ) * 127.5
    assert np.abs(video - decoded).max() <= 0.501
    monkeypatch.setattr(vae_module, "_CHUNK_PIXELS", 2 * 4 * 8 * 12)
    assert vae.chunk_length(17, 8, 12) == 2
    in_chunks, same_video = run()
    np.testing.assert_allclose(in_chunks, latents, atol=1e-5)
    # Where a value lies on the edge between two, either is right.
    assert np.abs(same_video - video).max() <= 1
    assert (same_video != video).mean() < 1e-3


def test_only_long_clips_are_cut():
    """Every default clip of our own sizes is coded at once; Wan's frame by frame."""
    vae = small().bind(small().params)
    assert vae.chunk_length(17, 32, 32) is vae.chunk_length(33, 64, 64) is None
    assert vae.chunk_length(1025, 32, 32) == 64
    assert vae.chunk_length(81, 480, 832) == vae.chunk_length(81, 720, 1280) == 1


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


def test_gradients_reach_every_parameter_and_are_finite():
    """Also where a whole frame is zero, whose norm has no derivative."""
    model = small()
    video = model.video(9)
    video[:, 0] = 0
    video = jnp.asarray(video)

    @functools.partial(jax.jit, compiler_options=COMPILE_FAST)
    def gradients(params):
        def loss(params):
            vae = model.bind(params)
            latents = vae.encode(video).sample(jax.random.key(0))
            return jnp.abs(vae.decode_unclipped(latents) - video).mean()

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(model.params)):
        assert jnp.isfinite(leaf).all(), path
        assert jnp.abs(leaf).max() > 0, path


def test_initial_weights_keep_the_variance():
    """Every kernel is drawn, none like another, uniform with variance 1 / fan in."""
    init = jax.jit(lambda key: init_params(lambda rngs: VAE(SMALL, rngs=rngs), key))
    params = init(jax.random.key(0))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kernels = [np.asarray(leaf) for path, leaf in leaves if path[-1].key == "kernel"]
    scaled = [kernel * (kernel.size / kernel.shape[-1]) ** 0.5 for kernel in kernels]
    for kernel in scaled:
        assert np.abs(kernel).max() <= 3**0.5
    assert np.concatenate([k.ravel() for k in scaled]).std() == pytest.approx(
        1, abs=0.02
    )
    assert len({kernel.ravel()[0].item() for kernel in kernels}) == len(kernels)
    again = init(jax.random.key(1))
    other = again["encoder"]["conv_in"]["kernel"]
    assert np.abs(params["encoder"]["conv_in"]["kernel"] - other).max() > 0


def test_normalize_takes_the_statistics_out():
    config = dataclasses.replace(
        SMALL, latents_mean=(1.0, 0.0, -2.0, 3.0), latents_std=(2.0, 1.0, 0.5, 4.0)
    )
    model = Model(config, shapes(config), SIZES["small"])
    vae = model.bind(model.params)
    raw = jnp.asarray(noise(1, 2, 3, 3, 4)) * 2 + jnp.array([1.0, 0.0, -2.0, 3.0])
    normal = vae.normalize(raw)
    np.testing.assert_allclose(normal[..., 3], (raw[..., 3] - 3) / 4, rtol=1e-6)
    np.testing.assert_allclose(vae.denormalize(normal), raw, rtol=1e-5, atol=1e-6)


def test_the_first_frame_may_have_statistics_of_its_own():
    config = dataclasses.replace(
        SMALL, latents_std=(2.0,) * 4, first_mean=(1.0,) * 4, first_std=(4.0,) * 4
    )
    model = Model(config, shapes(config), SIZES["small"])
    vae = model.bind(model.params)
    raw = jnp.asarray(noise(1, 3, 2, 2, 4))
    normal = vae.normalize(raw)
    np.testing.assert_allclose(normal[:, 0], (raw[:, 0] - 1) / 4, rtol=1e-6)
    np.testing.assert_allclose(normal[:, 1:], raw[:, 1:] / 2, rtol=1e-6)
    np.testing.assert_allclose(vae.denormalize(normal), raw, rtol=1e-5, atol=1e-6)
    # An image is a clip of one frame.
    np.testing.assert_array_equal(vae.normalize(raw[:, :1]), normal[:, :1])


def test_tilt_sets_coarse_above_fine_and_comes_back():
    tilt = 1.0
    config = dataclasses.replace(SMALL, tilt=tilt)
    model = Model(config, shapes(config), SIZES["small"])
    vae = model.bind(model.params)
    raw = jnp.asarray(noise(2, 3, 4, 6, 4))
    normal = vae.normalize(raw)
    np.testing.assert_allclose(vae.denormalize(normal), raw, rtol=1e-4, atol=1e-5)
    found, plain = (scipy.fft.dctn(x, axes=(2, 3)) for x in (normal, raw))
    gain = (1 + np.arange(4)[:, None] ** 2 + np.arange(6) ** 2) ** (-tilt / 2)
    np.testing.assert_allclose(found, plain * gain[..., None], rtol=1e-3, atol=1e-3)


def test_gaussian_samples_have_its_moments():
    mean = jnp.array([-1.0, 2.0]) * jnp.ones((1, 64, 8, 8, 2))
    gaussian = Gaussian(mean=mean, logvar=jnp.full_like(mean, 2 * np.log(0.5)))
    drawn = np.asarray(gaussian.sample(jax.random.key(0)))
    np.testing.assert_allclose(drawn.mean((0, 1, 2, 3)), [-1, 2], atol=0.03)
    np.testing.assert_allclose(drawn.std((0, 1, 2, 3)), 0.5, atol=0.03)
    np.testing.assert_array_equal(gaussian.mode, mean)


@pytest.mark.parametrize("shape", [(4, 8, 12), (5, 9, 12), (5, 8, 10)])
def test_a_clip_that_does_not_divide_is_refused(shape):
    vae = Model(SMALL, shapes(SMALL), SIZES["small"]).bind(shapes(SMALL))
    with pytest.raises(ValueError, match=r"expected 1 \+ 4k frames"):
        vae.encode(jnp.zeros((1, *shape, 3)))
