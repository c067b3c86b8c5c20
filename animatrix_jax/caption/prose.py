"""Prose as tokens and back: `summary <extra_id_0> description </s>`."""

import re
from collections.abc import Collection, Sequence

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from animatrix_jax.caption.model import Writer
from animatrix_jax.data.tokenizer import EOS, PAD, Tokenizer, Tokens
from animatrix_jax.knowledge.mentions import find_mentions, replace
from animatrix_jax.knowledge.tags import Tag, field_of
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models import t5_decoding

_SENTENCE = re.compile(r"[^\s.][^.]*\.?")
_GONE = "\0"
# What a sentence cannot do without, said of any clip.
_NEUTRAL = {
    ("motion.motion_style", "sentence"): "is seen",
    ("motion.timing", "sentence"): "animated",
    ("style.background", "name"): "background",
}
# Where a phrase was: with the comma or conjunction that bound it to its neighbours.
_SEAMS = tuple(
    (re.compile(pattern), left)
    for pattern, left in (
        (r"\0(?:,| and| while) ", ""),
        (r"(?:,| and| while)? ?\0", ""),
    )
)
# "The moment is marked", "She moves": what still has to say something of the clip.
_UNFINISHED = re.compile(
    r"(?:\w+ ){1,2}(?:is|are|plays|moves)(?: all)?(?: (?!seen)\w+)?", re.IGNORECASE
)


def encode_prose(
    summaries: Sequence[str],
    descriptions: Sequence[str],
    *,
    tokenizer: Tokenizer,
    length: int,
) -> Tokens:
    """Ids of both texts of each clip; what is too long loses its end and keeps `</s>`."""
    mark = tokenizer.sentinel(0)
    tokens = np.full((len(summaries), length), PAD, np.int32)
    first = tokenizer.encode(list(summaries), length)
    second = tokenizer.encode(list(descriptions), length)
    for i, row in enumerate(tokens):
        told = first.tokens[i][first.mask[i]][:-1]
        more = second.tokens[i][second.mask[i]][:-1]
        ids = np.concatenate([told, [mark], more])[: length - 1]
        row[: len(ids) + 1] = [*ids, EOS]
    return Tokens(tokens=tokens, mask=tokens != PAD)


def decode_prose(
    tokens: Int[np.ndarray, " n"], *, tokenizer: Tokenizer
) -> tuple[str, str]:
    """Summary and description; a text without the mark is all summary."""
    ids = [int(token) for token in tokens]
    if EOS in ids:
        ids = ids[: ids.index(EOS)]
    mark = tokenizer.sentinel(0)
    at = ids.index(mark) if mark in ids else len(ids)
    parts = (ids[:at], [i for i in ids[at:] if i != mark])
    summary, description = (tokenizer.decode(part).strip() for part in parts)
    return summary, description


def silenced(text: str, claimed: Collection[Tag]) -> str:
    """The text without what it says of tags that are not claimed.

    A writer that is not told of a field guesses, and now and then it writes another value
    than it was told. Phrases go, and sentences of which nothing is left; a person who
    `talks` is only `seen`.
    """
    taxonomy = load_taxonomy()
    every = taxonomy.values_by_tag.keys()
    sentences = []
    for sentence in _SENTENCE.findall(text):
        clauses = []
        for clause in sentence.removesuffix(".").split("; "):
            mentions = find_mentions(clause, every, taxonomy)
            guessed = [m for m in mentions if m.tag not in claimed]
            for mention in reversed(guessed):
                wording = _NEUTRAL.get((field_of(mention.tag), mention.form), _GONE)
                clause = replace(clause, mention, wording)
            for pattern, left in _SEAMS:
                clause = pattern.sub(left, clause)
            if clause.strip() and not (guessed and _UNFINISHED.fullmatch(clause)):
                clauses.append(clause)
        if clauses:
            whole = "; ".join(clauses).strip()
            ends = "." if sentence.endswith(".") else ""
            sentences.append(f"{whole[0].upper()}{whole[1:]}{ends}")
    return " ".join(sentences)


def shifted(tokens: Int[Array | np.ndarray, "b n"]) -> Int[Array, "b n"]:
    """What the decoder reads: `<pad>`, as in T5, then all tokens but the last."""
    start = jnp.full((tokens.shape[0], 1), PAD, jnp.int32)
    return jnp.concatenate([start, jnp.asarray(tokens)[:, :-1]], axis=1)


def write(
    writer: Writer,
    source: Float[Array, "b m d"],
    *,
    length: int,
    key: Array | None = None,
    temperature: float | Float[Array, ""] = 1.0,
) -> Int[Array, "b n"]:
    """Tokens of each clip up to `</s>`: the likeliest, or with a `key` drawn."""
    count = source.shape[0]
    seen = jnp.ones(source.shape[:2], bool)
    state = t5_decoding.start(writer.decoder, source, seen, length=length)
    tokens = jnp.full((count, length), PAD, jnp.int32)

    def going(carry):
        state, _, last, _ = carry
        return (state.position < length) & jnp.any(last != EOS)

    def body(carry):
        state, tokens, last, key = carry
        at = state.position
        x = writer.embedding[...][jnp.where(at == 0, PAD, last)]
        logits, state = t5_decoding.step(writer.decoder, state, x)
        logits = logits.at[:, PAD].set(-jnp.inf)
        if key is None:
            chosen = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        else:
            key, now = jax.random.split(key)
            chosen = jax.random.categorical(now, logits / temperature)
            chosen = chosen.astype(jnp.int32)
        ended = (last == EOS) & (at > 0)
        tokens = tokens.at[:, at].set(jnp.where(ended, PAD, chosen))
        return state, tokens, jnp.where(ended, EOS, chosen), key

    first = jnp.full((count,), PAD, jnp.int32)
    return lax.while_loop(going, body, (state, tokens, first, key))[1]
