"""T5X checkpoint folders: their tensors by name, read through TensorStore, and the config.

    checkpoint_1000000/
      checkpoint                                       msgpack; not read
      target.encoder.layers_0.mlp.wi_0.kernel/         a zarr array: .zarray and chunks
      state.param_states...                            the optimizer's; not read

Where layers are scanned, `target.encoder.encoder.mlp.wi_0.kernel` holds those of all
layers, side by side on its second axis; it is taken apart into `encoder.layers_0...`.
A T5X folder has no config: it follows from the shapes.
"""

import math
import pathlib
import re
from collections.abc import Mapping

import numpy as np
import tensorstore

from animatrix_jax.errors import UserError
from animatrix_jax.models.config import T5Config
from animatrix_jax.training.lazy import Index, LazyArray

_TARGET = "target."
_SCANNED = re.compile(r"(encoder|decoder)\.\1\.")
_SCAN_AXIS = 1


def is_t5x(folder: pathlib.Path) -> bool:
    """Whether a folder is a T5X checkpoint."""
    return any(path.is_dir() for path in folder.glob(f"{_TARGET}*"))


def read_t5x(folder: pathlib.Path) -> dict[str, LazyArray]:
    """The parameters, by their names without `target.`, a layer at a time.

    Raises:
      UserError: if an array cannot be opened.
    """
    tensors = {}
    for path in sorted(folder.glob(f"{_TARGET}*")):
        name, array = path.name.removeprefix(_TARGET), _open(path)
        if not _SCANNED.match(name):
            tensors[name] = array
            continue
        for layer in range(array.shape[_SCAN_AXIS]):
            each = _SCANNED.sub(rf"\1.layers_{layer}.", name)
            tensors[each] = _layer(array, layer)
    return tensors


def config_of(tensors: Mapping[str, LazyArray], *, source: str) -> T5Config:
    """The network whose parameters these are.

    Raises:
      UserError: if a tensor is missing that it follows from.
    """

    def shape(name: str) -> tuple[int, ...]:
        if name not in tensors:
            raise UserError(
                f"{source} is not a T5 1.1, mT5 or umT5 of T5X: missing {name}"
            )
        return tensors[name].shape

    every = "encoder.layers_0.relpos_bias.rel_embedding" in tensors
    bias = "encoder.layers_0.relpos_bias" if every else "encoder.relpos_bias"
    vocab_size, d_model = shape("token_embedder.embedding")
    num_heads, buckets = shape(f"{bias}.rel_embedding")
    query = shape("encoder.layers_0.attention.query.kernel")
    depths = {
        stack: len({_depth(name) for name in tensors if name.startswith(stack)})
        for stack in ("encoder.layers_", "decoder.layers_")
    }
    return T5Config(
        vocab_size=vocab_size,
        d_model=d_model,
        d_kv=int(np.prod(query[1:])) // num_heads,
        d_ff=shape("encoder.layers_0.mlp.wi_0.kernel")[-1],
        num_heads=num_heads,
        num_layers=depths["encoder.layers_"],
        num_decoder_layers=depths["decoder.layers_"],
        relative_buckets=buckets,
        bias_every_layer=every,
    )


def has_split_heads(tensors: Mapping[str, LazyArray]) -> bool:
    """Whether the heads have an axis of their own in the attention's kernels."""
    return tensors["encoder.layers_0.attention.query.kernel"].ndim == 3


def _depth(name: str) -> str:
    return name.split(".")[1]


def _open(path: pathlib.Path) -> LazyArray:
    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": f"{path.absolute()}/"},
    }
    try:
        store = tensorstore.open(spec, open=True, read=True).result()
    except Exception as error:
        raise UserError(f"cannot read the zarr array {path}: {error}") from error

    chunks = store.chunk_layout.read_chunk.shape or ()  # None of a scalar
    whole = math.prod(
        -(-size // chunk) for size, chunk in zip(store.shape, chunks, strict=True)
    )
    held = sum(file.is_file() and file.name[0] != "." for file in path.rglob("*"))
    if held != whole:  # zarr reads zeros where a chunk is not there
        raise UserError(f"{path} has {held} of its {whole} chunks")

    def read(index: Index) -> np.ndarray:
        try:
            return np.asarray(store[index].read().result())
        except Exception as error:
            raise UserError(f"cannot read the zarr array {path}: {error}") from error

    dtype = np.dtype(store.dtype.numpy_dtype)
    return LazyArray(shape=tuple(store.shape), dtype=dtype, read=read)


def _layer(array: LazyArray, layer: int) -> LazyArray:
    before, after = array.shape[:_SCAN_AXIS], array.shape[_SCAN_AXIS + 1 :]

    def read(index: Index) -> np.ndarray:
        return array[(*index[:_SCAN_AXIS], layer, *index[_SCAN_AXIS:])]

    return LazyArray(shape=(*before, *after), dtype=array.dtype, read=read)
