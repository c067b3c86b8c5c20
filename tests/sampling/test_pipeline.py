"""The pipeline on a tiny random model: what depends on what, and what is refused."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from tiny_model import write_model

from animatrix_jax.errors import UserError
from animatrix_jax.models.functional import bind
from animatrix_jax.models.vae import VAE
from animatrix_jax.sampling.guidance import GuidanceConfig
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.programs import Program
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.sampling.sampler import SamplerConfig

RUN = ("motion.motion_style=run", "camera.camera_motion=pan_left")
WALK = ("motion.motion_style=walk", "camera.camera_motion=pan_left")


def _latents(pipeline, tags=RUN, text="a girl runs", **options):
    got = pipeline.sample_latents_for([tags], [text], **{"seed": 0, **options})
    assert got.shape[1:] == (3, 8, 8, 4) and np.isfinite(got).all()
    return got


def _differ(a, b):
    return float(np.abs(a - b).max()) > 1e-3


def test_generates_clips_of_the_models_size(pipeline):
    videos = pipeline.generate(GenerateRequest(prompt="a girl runs", tags=RUN, num=2))
    assert videos.shape == (2, 5, 16, 16, 3) and videos.dtype == np.uint8
    assert _differ(videos[0].astype(float), videos[1].astype(float))


def test_a_clip_depends_on_seed_and_index_not_on_its_company(pipeline):
    asked = {"tags": [RUN, WALK, RUN], "texts": ["a girl runs", "rain", "a girl runs"]}
    # Two turns of two; the second is filled up with its own last clip.
    made = []
    in_turns = dataclasses.replace(pipeline, max_batch=2).sample_latents_for(
        **asked, seed=5, progress=made.append
    )
    assert in_turns.shape == (3, 3, 8, 8, 4) and made == [2, 1]
    at_once = pipeline.sample_latents_for(**asked, seed=5)
    np.testing.assert_allclose(in_turns, at_once, atol=2e-3)
    np.testing.assert_allclose(in_turns[:1], _latents(pipeline, seed=5), atol=2e-3)
    assert _differ(in_turns[0], in_turns[2])
    assert _differ(_latents(pipeline, seed=6), in_turns[:1])


def test_same_request_gives_the_same_bits(pipeline):
    np.testing.assert_array_equal(_latents(pipeline), _latents(pipeline))


@pytest.mark.parametrize("order", ["text_first", "tag_first"])
def test_text_and_tags_count(pipeline, order):
    config = pipeline.sampler_config(GenerateRequest(order=order))
    base = _latents(pipeline, config=config)
    assert _differ(_latents(pipeline, tags=WALK, config=config), base)
    assert _differ(_latents(pipeline, tags=(), config=config), base)
    assert _differ(_latents(pipeline, text="a boy jumps", config=config), base)


def test_negative_prompt_counts_and_an_empty_one_is_null_text(pipeline):
    base = _latents(pipeline)
    assert _differ(_latents(pipeline, negative_prompt="rain at night"), base)
    np.testing.assert_array_equal(_latents(pipeline, negative_prompt=""), base)


def test_without_guidance_no_text_no_tags_is_the_null_branch(pipeline):
    plain = SamplerConfig(steps=3, guidance=GuidanceConfig(text=1.0, tag=1.0))
    null = SamplerConfig(steps=3, guidance=GuidanceConfig(text=0.0, tag=0.0))
    np.testing.assert_allclose(
        _latents(pipeline, tags=(), text="", config=plain),
        _latents(pipeline, config=null),
        atol=1e-4,
    )


def test_the_solver_is_the_one_asked_for(pipeline):
    config = pipeline.sampler_config(GenerateRequest(solver="unipc"))
    assert config.solver == "unipc"
    assert _differ(_latents(pipeline, config=config), _latents(pipeline))


def test_image_is_the_first_latent_frame(pipeline):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    first = pipeline.encode_frames(image[None, None])
    assert first.shape == (1, 1, 8, 8, 4)
    latents = _latents(pipeline, given=pipeline.given(image[None]))
    np.testing.assert_array_equal(latents[:, 0], first[:, 0])
    assert _differ(latents[:, 1:], _latents(pipeline)[:, 1:])
    videos = pipeline.generate(
        GenerateRequest(prompt="a girl runs", tags=RUN, image=image)
    )
    np.testing.assert_array_equal(videos, pipeline.decode(latents))


def test_latents_are_normalised_and_decode_undoes_it(pipeline):
    """Decoding normalised latents of a still picture equals decoding raw ones."""
    image = np.random.default_rng(1).integers(0, 256, (1, 1, 16, 16, 3), np.uint8)

    @jax.jit
    def raw_and_decoded(params, video):
        vae = bind(lambda rngs: VAE(pipeline.preset.vae, rngs=rngs), params)
        raw = vae.encode(video).mean
        return raw, vae.decode(raw)

    raw, decoded = raw_and_decoded(
        pipeline.params["vae"], np.float32(image) / 127.5 - 1.0
    )
    latents = pipeline.encode_frames(image)
    mean, std = np.asarray([0.1, -0.1, 0.0, 0.2]), np.asarray([0.5, 1.0, 2.0, 1.0])
    np.testing.assert_allclose(latents, (raw - mean) / std, atol=1e-4)
    expected = (np.asarray(decoded) + 1.0) * 127.5
    assert np.abs(pipeline.decode(latents) - expected).max() <= 0.51


def test_frames_choose_the_length(pipeline):
    assert pipeline.latent_shape() == (3, 8, 8, 4)
    assert [pipeline.latent_shape(n)[0] for n in (1, 3, 21)] == [1, 2, 11]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (GenerateRequest(frames=6), "multiple of 2, got 6"),
        (GenerateRequest(num=0), "at least 1, got 0"),
        (GenerateRequest(steps=0), "at least 1, got 0"),
        (GenerateRequest(order="tags"), "text_first, tag_first, got 'tags'"),
        (GenerateRequest(solver="heun"), "unipc, got 'heun'"),
        (GenerateRequest(tags=("camera.camera_motion=pan_lft",)), "pan_left"),
        (GenerateRequest(image=np.zeros((8, 8, 3), np.uint8)), r"\(16, 16, 3\)"),
    ],
)
def test_impossible_requests_are_one_line(pipeline, request_, message):
    with pytest.raises(UserError, match=message) as caught:
        pipeline.generate(request_)
    assert "\n" not in str(caught.value)


def test_missing_model_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no checkpoint .*nowhere"):
        Pipeline.load(str(tmp_path / "nowhere"))


def test_compiles_once_for_each_shape(pipeline):
    phases = collections.Counter()

    @contextlib.contextmanager
    def phase(name):
        phases[name] += 1
        yield

    watched = dataclasses.replace(pipeline, phase=phase)
    request = GenerateRequest(prompt="a boy waves", num=2)
    watched.generate(request)
    phases.clear()
    other = dataclasses.replace(
        request, prompt="rain", seed=9, tags=RUN, guidance_text=4.0, guidance_tag=3.0
    )
    watched.generate(other)
    assert phases["compile"] == 0 and phases["sample"] == 1


def test_other_generator_weights_are_used(pipeline):
    doubled = jax.tree.map(lambda leaf: 2.0 * leaf, pipeline.params["generator"])
    other = pipeline.with_networks({"generator": doubled})
    assert _differ(_latents(other), _latents(pipeline))


def test_sampling_imports_no_tensorflow_and_no_torch():
    code = (
        "import sys, animatrix_jax.sampling.pipeline, animatrix_jax.sampling.validation;"
        "print([m for m in ('tensorflow', 'torch', 'clu') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_program_compiles_once_for_each_shape_and_static():
    phases = []

    def phase(name):
        phases.append(name)
        return contextlib.nullcontext()

    double = Program(lambda static, params, x: static * x)
    for static, size in [(2, 3), (2, 3), (2, 4), (5, 3), (5, 3)]:
        got = double(static, {}, np.ones(size, np.float32), name="run", phase=phase)
        np.testing.assert_array_equal(got, np.full(size, static))
    assert phases == [
        "compile",
        "run",
        "run",
        "compile",
        "run",
        "compile",
        "run",
        "run",
    ]


def test_a_bf16_model_keeps_its_blocks_in_bf16_and_its_clips(pipeline):
    """The blocks would cast their matrices themselves."""
    dit = dataclasses.replace(pipeline.preset.dit, dtype="bfloat16")
    wide = dataclasses.replace(
        pipeline, preset=dataclasses.replace(pipeline.preset, dit=dit)
    )
    narrow = wide.on_devices(1)
    kinds = {
        leaf.dtype.name for leaf in jax.tree.leaves(narrow.params["generator"]["dit"])
    }
    assert kinds == {"float32", "bfloat16"}
    np.testing.assert_array_equal(_latents(narrow), _latents(wide))


def test_several_devices_sample_what_one_does(tmp_path):
    """In a process of its own, since device counts are fixed at start-up."""
    script = pathlib.Path(__file__).parent / "sample_over_devices.py"
    done = subprocess.run(
        [sys.executable, script, write_model(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["devices"] == 4
    assert told["latents"] < 2e-3  # as between batches of other sizes, above
    assert told["pixels"] <= 1
    assert told["held"] < 0.5, "kernels are split; norms and tables are not"
    assert told["refusal"] == "expected 0 to 4 devices, got 5"
