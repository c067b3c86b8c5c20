"""A SentencePiece model as the text of a `tokenizer.json`, as T5's is converted.

T5, mT5 and umT5 come with `spiece.model` (`sentencepiece.model` from T5X): pieces with
their log probabilities, and the table of characters that are folded first. Reference:
transformers' `T5Tokenizer`, whose habit it is, and so Wan's, to give <unk> for what the
vocabulary lacks even where the model could spell it in bytes.
"""

import pathlib

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from animatrix_jax.errors import UserError

# Values of the protocol buffer's enums.
_UNIGRAM, _CONTROL, _USER_DEFINED = 1, 3, 4


def read_spiece(path: pathlib.Path) -> str:
    """The JSON text of the tokenizer in a SentencePiece model.

    Raises:
      UserError: if it cannot be read, or is no Unigram model.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(f"{path} is not a SentencePiece model: {error}") from error
    if not proto.pieces or proto.trainer_spec.model_type != _UNIGRAM:
        raise UserError(f"{path} is not a SentencePiece model of the Unigram kind")
    model = tokenizers.Tokenizer(
        models.Unigram(
            [(piece.piece, piece.score) for piece in proto.pieces],
            unk_id=proto.trainer_spec.unk_id,
            byte_fallback=False,
        )
    )
    if proto.normalizer_spec.precompiled_charsmap:
        model.normalizer = normalizers.Precompiled(
            proto.normalizer_spec.precompiled_charsmap
        )
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), metaspace]
    )
    model.decoder = decoders.Metaspace(prepend_scheme="always")
    for kind, special in ((_CONTROL, True), (_USER_DEFINED, False)):
        model.add_tokens(
            [
                tokenizers.AddedToken(piece.piece, special=special, normalized=False)
                for piece in proto.pieces
                if piece.type == kind
            ]
        )
    return model.to_str()
