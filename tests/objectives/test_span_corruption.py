"""Span corruption: nothing is lost, the shares are as asked, and the loss is right."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animatrix_jax.objectives.span_corruption import (
    SpanCorruptionConfig,
    corrupt_batch,
    corrupt_spans,
    hidden_mask,
    span_corruption_loss,
    targets_length,
)

CONFIG = SpanCorruptionConfig(first_sentinel=99, num_sentinels=8)


def text(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, 90, length).astype(np.int32)


def restore_spans(spans, config):
    """The text that `corrupt_spans` was given: `targets` laid into `inputs`."""
    lowest = config.first_sentinel - config.num_sentinels
    inputs = [int(token) for token in spans.inputs[:-1]]
    said: dict[int, list[int]] = {}
    sentinel = None
    for token in map(int, spans.targets[:-1]):
        if lowest < token <= config.first_sentinel:
            sentinel = token
            said[sentinel] = []
        elif sentinel is not None:
            said[sentinel].append(token)
    restored = [part for token in inputs for part in said.get(token, [token])]
    return np.array(restored, np.int32)


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, 200), seed=st.integers(0, 1000))
def test_targets_laid_into_inputs_give_the_text(length, seed):
    tokens = text(length, seed)
    spans = corrupt_spans(tokens, rng=np.random.default_rng(seed), config=CONFIG)
    np.testing.assert_array_equal(restore_spans(spans, CONFIG), tokens)
    assert spans.inputs[-1] == spans.targets[-1] == CONFIG.eos
    # Both have the same sentinels, counting down from the first.
    for ids in (spans.inputs, spans.targets):
        found = [token for token in ids.tolist() if token > 91]
        assert found == list(range(99, 99 - len(found), -1))


def test_as_much_is_hidden_as_was_asked():
    rng = np.random.default_rng(0)
    config = SpanCorruptionConfig(first_sentinel=999, num_sentinels=100)
    masks = np.stack([hidden_mask(400, rng=rng, config=config) for _ in range(200)])
    assert (masks.sum(1) == 60).all()
    starts = (masks & ~np.roll(masks, 1, axis=1)).sum(1)
    assert (starts == 20).all()
    # Away from both ends every place is hidden about as often.
    share = masks[:, 20:-20].mean(0).reshape(-1, 20).mean(1)
    np.testing.assert_allclose(share, 0.15, atol=0.04)


def test_the_same_generator_gives_the_same_spans():
    tokens = text(40, 1)
    one, two, other = (
        corrupt_spans(tokens, rng=np.random.default_rng(seed), config=CONFIG).inputs
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, two)
    assert one.shape != other.shape or (one != other).any()


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 23), min_size=1, max_size=4))
def test_batches_have_one_shape_and_lose_nothing(lengths):
    tokens = np.zeros((len(lengths), 24), np.int32)
    for row, length in enumerate(lengths):
        tokens[row, : length + 1] = [*text(length, row), CONFIG.eos]
    mask = np.arange(24) <= np.array(lengths)[:, None]
    batch = corrupt_batch(tokens, mask, rng=np.random.default_rng(0), config=CONFIG)
    n = targets_length(24, CONFIG)
    assert batch["text_tokens"].shape == batch["text_mask"].shape == tokens.shape
    for name in ("decoder_tokens", "targets", "target_mask"):
        assert batch[name].shape == (len(lengths), n)
    assert (batch["decoder_tokens"][:, 0] == CONFIG.pad).all()
    np.testing.assert_array_equal(
        batch["decoder_tokens"][:, 1:], batch["targets"][:, :-1]
    )
    # Each row ends in </s> just where its mask does.
    for ids, kept in (("text_tokens", "text_mask"), ("targets", "target_mask")):
        ends = batch[kept].sum(1) - 1
        assert (batch[ids][np.arange(len(lengths)), ends] == CONFIG.eos).all()
        assert (batch[ids][~batch[kept]] == CONFIG.pad).all()


def test_the_loss_is_the_cross_entropy_of_what_is_not_padded():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((2, 5, 7)).astype(np.float32)
    targets = rng.integers(0, 7, (2, 5))
    mask = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], bool)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = np.take_along_axis(probabilities, targets[..., None], -1)[..., 0]
    result = span_corruption_loss(
        jnp.asarray(logits), jnp.asarray(targets), jnp.asarray(mask)
    )
    assert float(result["loss"]) == pytest.approx(
        -np.log(chosen[mask]).mean(), rel=1e-5
    )
    right = (logits.argmax(-1) == targets)[mask].mean()
    assert float(result["accuracy"]) == pytest.approx(right)


def test_the_loss_of_a_sure_and_right_answer_is_zero():
    targets = jnp.array([[3, 1, 0]])
    logits = 50.0 * (targets[..., None] == jnp.arange(5))
    result = span_corruption_loss(logits, targets, targets > 0)
    assert float(result["loss"]) < 1e-6
    assert float(result["accuracy"]) == 1
