"""Span corruption, by which a small T5 learns to read (Raffel et al. 2020, 3.1.4).

    text     a girl runs across the roof at dusk </s>
    inputs   a girl <0> across the roof <1> </s>
    targets  <0> runs <1> at dusk </s>

A share `density` of the tokens is hidden, in spans of `mean_span` on average. The number
of spans is fixed by the length; where they fall is drawn: hidden and kept tokens are each
cut into as many parts, uniformly among all ways to cut, and laid in turn, kept first, so
that the first token is always kept and the last one always hidden, as in T5.

    loss = mean over target tokens of -log softmax(logits)[target]
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpanCorruptionConfig:
    """How much is hidden, and the ids that stand for it.

    Attributes:
      density: share of the tokens that is hidden.
      mean_span: mean length of a hidden span.
      first_sentinel: id of the first span's sentinel; each further one has the id below.
      num_sentinels: how many there are.
      eos: id that ends a text.
      pad: id after it; also what the decoder starts from.
    """

    first_sentinel: int
    num_sentinels: int = 32
    density: float = 0.15
    mean_span: float = 3.0
    eos: int = 1
    pad: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spans:
    """One text, corrupted: what is read and what is to be said, both ending in </s>."""

    inputs: Int[np.ndarray, " n"]
    targets: Int[np.ndarray, " m"]


def hidden_mask(
    length: int, *, rng: np.random.Generator, config: SpanCorruptionConfig
) -> Bool[np.ndarray, " n"]:
    """True where a text of `length` tokens, without its </s>, is hidden.

    The first token never is; of a text with fewer than two, nothing is.
    """
    if length < 2:
        return np.zeros(length, bool)
    hidden = min(max(round(length * config.density), 1), length - 1)
    most = min(hidden, length - hidden, config.num_sentinels)
    spans = min(max(round(hidden / config.mean_span), 1), most)
    kept_parts = _parts(length - hidden, spans, rng)
    hidden_parts = _parts(hidden, spans, rng)
    lengths = np.stack([kept_parts, hidden_parts], axis=1).ravel()
    return np.repeat(np.tile([False, True], spans), lengths)


def corrupt_spans(
    tokens: Int[np.ndarray, " n"],
    *,
    rng: np.random.Generator,
    config: SpanCorruptionConfig,
) -> Spans:
    """Hides spans of one text, given without its </s> and without padding."""
    mask = hidden_mask(len(tokens), rng=rng, config=config)
    return Spans(
        inputs=_replace(tokens, mask, config), targets=_replace(tokens, ~mask, config)
    )


def corrupt_batch(
    tokens: Int[np.ndarray, "b s"],
    mask: Bool[np.ndarray, "b s"],
    *,
    rng: np.random.Generator,
    config: SpanCorruptionConfig,
) -> dict[str, np.ndarray]:
    """A batch for `models.t5.T5`, of shapes that depend on `tokens`' alone.

    Args:
      tokens: texts that end in </s>, then padded.
      mask: True on the text, its </s> included.

    Returns:
      `text_tokens`, `text_mask` [b s]; `decoder_tokens`, `targets`, `target_mask` [b n],
      the decoder's tokens being the targets one later.
    """
    length = tokens.shape[1]
    rows = [
        corrupt_spans(row[kept & (row != config.eos)], rng=rng, config=config)
        for row, kept in zip(tokens, mask, strict=True)
    ]
    target_length = targets_length(length, config)
    text, text_mask = _pad([row.inputs for row in rows], length, config.pad)
    targets, target_mask = _pad(
        [row.targets for row in rows], target_length, config.pad
    )
    start = np.full((len(rows), 1), config.pad, np.int32)
    return {
        "text_tokens": text,
        "text_mask": text_mask,
        "decoder_tokens": np.concatenate([start, targets[:, :-1]], axis=1),
        "targets": targets,
        "target_mask": target_mask,
    }


def targets_length(length: int, config: SpanCorruptionConfig) -> int:
    """Most target tokens of a text of `length` tokens, its </s> included."""
    hidden = max(round((length - 1) * config.density), 1)
    spans = min(max(round(hidden / config.mean_span), 1), config.num_sentinels)
    return hidden + spans + 1


def span_corruption_loss(
    logits: Float[Array, "b n v"],
    targets: Int[Array, "b n"],
    mask: Bool[Array, "b n"],
) -> dict[str, Float[Array, ""]]:
    """Cross-entropy in nats a token under "loss", and the share of "accuracy"."""
    logits = logits.astype(jnp.float32)
    log_probabilities = jax.nn.log_softmax(logits, axis=-1)
    chosen = jnp.take_along_axis(log_probabilities, targets[..., None], axis=-1)
    right = jnp.argmax(logits, axis=-1) == targets
    count = jnp.maximum(mask.sum(), 1)
    return {
        "loss": -jnp.where(mask, chosen[..., 0], 0.0).sum() / count,
        "accuracy": (mask & right).sum() / count,
    }


def _parts(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """`total` cut into `parts` lengths of 1 or more, every way equally likely."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def _replace(
    tokens: np.ndarray, mask: np.ndarray, config: SpanCorruptionConfig
) -> np.ndarray:
    """Each run where `mask` holds becomes one sentinel, in order; then </s>."""
    starts = mask & ~np.concatenate([[False], mask[:-1]])
    sentinels = config.first_sentinel + 1 - np.cumsum(starts)
    replaced = np.where(starts, sentinels, tokens)[~mask | starts]
    return np.append(replaced, config.eos).astype(np.int32)


def _pad(
    rows: list[np.ndarray], length: int, pad: int
) -> tuple[np.ndarray, np.ndarray]:
    padded = np.full((len(rows), length), pad, np.int32)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    mask = np.arange(length) < np.array([len(row) for row in rows])[:, None]
    return padded, mask
