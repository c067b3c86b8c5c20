"""Text to token ids: a SentencePiece-like Unigram model, in T5's layout.

    text  --clean_text-->  --Unigram-->  ids </s> <pad> ...

Ids 0, 1 and 2 are <pad>, </s> and <unk>; the sentinels of span corruption are the last,
<extra_id_0> being the very last, as in T5. What the vocabulary of one trained here lacks
is spelled in bytes, so any script and any emoji comes through whole. A tokenizer is one
`tokenizer.json` of Hugging Face's `tokenizers`, or a SentencePiece model (`spiece.py`);
umT5's own loads as well as one trained here. Reference: diffusers' `WanPipeline`.
"""

import collections
import dataclasses
import html
import os
import pathlib
from collections.abc import Iterable, Sequence

import ftfy
import numpy as np
import tokenizers
from jaxtyping import Bool, Int32
from tokenizers import decoders, models, normalizers, pre_tokenizers

from animatrix_jax.data.spiece import read_spiece
from animatrix_jax.data.unigram import learn_pieces
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing

PAD, EOS, UNKNOWN = 0, 1, 2
NUM_SENTINELS = 32
_SPECIAL = ("<pad>", "</s>", "<unk>")
# What a folder's tokenizer is called: by Hugging Face, by its older releases, by T5X.
_FILES = ("tokenizer.json", "spiece.model", "sentencepiece.model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokens:
    """Padded token ids; `mask` is True on the text and its </s>."""

    tokens: Int32[np.ndarray, "b s"]
    mask: Bool[np.ndarray, "b s"]


class Tokenizer:
    """Token ids of texts. Safe to hand to worker processes."""

    def __init__(self, definition: str):
        """Args: definition: the JSON text of a tokenizer.json."""
        self._definition = definition
        self._model = tokenizers.Tokenizer.from_str(definition)
        self._model.no_padding()
        self._model.no_truncation()
        self.vocab_size = self._model.get_vocab_size()
        self._eos = self._model.token_to_id("</s>")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Tokenizer":
        """The tokenizer of a tokenizer.json, or of a SentencePiece model (*.model).

        Raises:
          UserError: if it cannot be read, or does not have T5's <pad> and </s>.
        """
        path = pathlib.Path(path)
        if path.suffix == ".model":
            tokenizer = cls(read_spiece(path))
        else:
            try:
                tokenizer = cls(path.read_text(encoding="utf-8"))
            except Exception as error:  # the library raises plain Exceptions
                raise UserError(
                    f"{path} is not a tokenizer.json of Hugging Face: {error}"
                ) from error
        if tokenizer._eos is None:
            raise UserError(f"the tokenizer {path} has no token </s>")
        if tokenizer._model.token_to_id("<pad>") != PAD:
            raise UserError(f"the tokenizer {path} has no <pad> of id {PAD}, as T5's")
        return tokenizer

    def __reduce__(self):
        return type(self), (self._definition,)

    def encode(self, texts: Sequence[str], length: int) -> Tokens:
        """Ids of each text, cleaned, then </s>, then padding; a text too long keeps its
        </s>."""
        tokens = np.full((len(texts), length), PAD, np.int32)
        mask = np.zeros((len(texts), length), bool)
        cleaned = [clean_text(text) for text in texts]
        encoded = self._model.encode_batch(cleaned, add_special_tokens=False)
        for row, (ids, text) in enumerate(zip(tokens, encoded, strict=True)):
            kept = text.ids[: length - 1]
            ids[: len(kept) + 1] = [*kept, self._eos]
            mask[row, : len(kept) + 1] = True
        return Tokens(tokens=tokens, mask=mask)

    def decode(self, tokens: Sequence[int] | Int32[np.ndarray, " s"]) -> str:
        """The text of ids; padding and </s> are left out."""
        return self._model.decode([int(token) for token in tokens])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as a tokenizer.json, in one move."""
        _write(pathlib.Path(path), self._definition)

    def sentinel(self, index: int) -> int:
        """The id of the span corruption's sentinel `index`.

        Raises:
          ValueError: if the vocabulary has none of that number.
        """
        token = self._model.token_to_id(f"<extra_id_{index}>")
        if token is None:
            raise ValueError(f"the vocabulary has no sentinel {index}")
        return token


def clean_text(text: str) -> str:
    """The text without mojibake, HTML entities (escaped once or twice) or runs of blanks."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


def find_tokenizer(folder: pathlib.Path) -> pathlib.Path | None:
    """The tokenizer's file in a model's folder, or in its `tokenizer` as diffusers has it."""
    paths = [
        place / name for place in (folder, folder / "tokenizer") for name in _FILES
    ]
    return next((path for path in paths if path.is_file()), None)


def train_tokenizer(
    corpus: Iterable[str], vocab_size: int, path: str | os.PathLike[str]
) -> Tokenizer:
    """Trains on texts, writes `path` in one move, and gives the tokenizer.

    The same corpus gives the same file. Special tokens, 256 bytes and the sentinels are
    part of `vocab_size`; a corpus too small for the rest is filled up with unused ids, so
    that the size is what was asked for.

    Raises:
      ValueError: if `vocab_size` leaves no room for pieces.
    """
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    fixed = len(_SPECIAL) + len(byte_pieces) + NUM_SENTINELS
    if vocab_size <= fixed:
        raise ValueError(f"expected a vocabulary over {fixed}, got {vocab_size}")
    learner = tokenizers.Tokenizer(models.Unigram())
    _prepare(learner)
    pieces = learn_pieces(_count_words(corpus, learner), vocab_size - fixed)
    unused = vocab_size - fixed - len(pieces)
    lowest = min((score for _, score in pieces), default=0.0) - 10.0
    vocabulary = [
        *((token, 0.0) for token in _SPECIAL),
        *((token, lowest) for token in byte_pieces),
        *pieces,
        *((f"<unused_{i}>", lowest) for i in range(unused)),
        *((f"<extra_id_{i}>", 0.0) for i in reversed(range(NUM_SENTINELS))),
    ]
    model = tokenizers.Tokenizer(
        models.Unigram(vocabulary, unk_id=UNKNOWN, byte_fallback=True)
    )
    _prepare(model)
    model.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")]
    )
    sentinels = [f"<extra_id_{i}>" for i in range(NUM_SENTINELS)]
    model.add_special_tokens([*_SPECIAL, *sentinels])
    definition = model.to_str(pretty=True)
    _write(pathlib.Path(path), definition)
    return Tokenizer(definition)


def _count_words(corpus: Iterable[str], model: tokenizers.Tokenizer) -> dict[str, int]:
    """How often each word occurs, as the model's own first steps cut the text."""
    counts: collections.Counter[str] = collections.Counter()
    for text in corpus:
        normal = model.normalizer.normalize_str(text)
        words = model.pre_tokenizer.pre_tokenize_str(normal)
        counts.update(word for word, _ in words)
    return counts


def _prepare(model: tokenizers.Tokenizer) -> None:
    """Compatibility forms folded and blanks joined, as SentencePiece does."""
    model.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
