"""The networks: size, what they may not see, and that together starts as the experts."""

import jax
import numpy as np
import pytest

from animatrix_jax.caption.model import AniCaption, CaptionConfig, Looked
from animatrix_jax.caption.prose import shifted, write
from animatrix_jax.caption.stages import blank
from animatrix_jax.models.functional import bind, init_params

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def model(tiny):
    """The tiny model's builder and parameters, and sights of noise."""

    def build(rngs):
        return AniCaption(tiny, writes=True, rngs=rngs)

    params = jax.jit(lambda key: init_params(build, key))(jax.random.key(0))
    rng = np.random.default_rng(0)
    # What adds nothing at first adds something here.
    out = params["reader"]["eyes"]["patches"]["out"]
    out["kernel"] = 0.1 * rng.normal(size=out["kernel"].shape).astype(np.float32)
    sights = blank(tiny, 2)
    for name, value in sights.items():
        if value.dtype == np.uint8:
            sights[name] = rng.integers(0, 256, value.shape, dtype=np.uint8)
        elif value.dtype != np.bool_:
            sights[name] = rng.normal(size=value.shape).astype(value.dtype)
    sights["seen"][0, :5], sights["seen"][1] = True, True

    @jax.jit
    def run(params, sights, tags):
        net = bind(build, params)
        looked = Looked.of(sights)
        apart = net.reader(looked, together=False)
        reading = net.reader(looked, together=True)
        source = net.writer.source(reading, tags)
        tokens = write(net.writer, source, length=12)
        every = tokens >= 0
        logits = net.writer(source, shifted(tokens), every)
        return apart, reading, tokens, logits

    tags = np.zeros((2, len(tiny.tags)), bool)
    tags[:, 3] = True
    return lambda sights=sights, tags=tags: run(params, sights, tags), sights


def test_the_shipped_size():
    config = CaptionConfig()
    shapes = jax.eval_shape(
        lambda key: init_params(
            lambda rngs: AniCaption(config, writes=True, rngs=rngs), key
        ),
        jax.random.key(0),
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert 2_500_000 < count < 3_500_000


def test_every_leaf_has_its_place(tiny):
    from animatrix_jax.parallel.sharding import partition_spec, path_name

    shapes = jax.eval_shape(
        lambda key: init_params(
            lambda rngs: AniCaption(tiny, writes=True, rngs=rngs), key
        ),
        jax.random.key(0),
    )
    for owner in ("caption", "reference/caption"):
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
            spec = partition_spec(f"{owner}/{path_name(path)}", leaf.ndim)
            assert not any(spec), path  # whole on every device


def test_every_field_is_read(tiny, model):
    run, _ = model
    _, reading, _, _ = run()
    assert reading.logits.shape == (2, len(tiny.tags))
    assert reading.shown.shape == (2, len(tiny.fields))


def test_padding_is_not_seen(model):
    run, sights = model
    before = run()[1].logits[0]
    junk = {name: value.copy() for name, value in sights.items()}
    junk["motion"][0, 5:] = 3.0
    junk["thumbs"][0, 5:] = 7
    np.testing.assert_allclose(run(junk)[1].logits[0], before, atol=1e-5)
    junk["motion"][0, 2] += 3.0
    assert np.abs(run(junk)[1].logits[0] - before).max() > 1e-3


def test_together_starts_as_the_experts(model):
    apart, reading, _, _ = model[0]()
    np.testing.assert_allclose(apart.logits, reading.logits, atol=1e-5)


def test_what_is_written_is_the_likeliest_token_by_token(model):
    _, _, tokens, logits = model[0]()
    tokens, best = np.asarray(tokens), np.asarray(logits)[..., 1:].argmax(-1) + 1
    written = np.cumsum(tokens == 1, axis=1) - (tokens == 1) == 0  # up to </s>
    np.testing.assert_array_equal(tokens[written], best[written])


def test_the_writer_hears_the_tags(tiny, model):
    run, sights = model
    other = np.zeros((2, len(tiny.tags)), bool)
    other[:, 7] = True
    assert np.abs(run()[3][:, 0] - run(sights, other)[3][:, 0]).max() > 1e-3
