"""Safetensors files, read without loading them and written a block at a time.

    {"name": LazyArray, ...}  <-->  one file, or shards with their index

Reading maps the file: what is read of a tensor lies in the page cache, not in memory of
ours. The format is 8 bytes of header length, the header as JSON, then the tensors.
"""

import json
import pathlib
import struct
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from animatrix_jax.errors import UserError
from animatrix_jax.training.lazy import LazyArray, lazy

SHARD_BYTES = 5 << 30
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle")

_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def refuse_pickle(path: pathlib.Path) -> None:
    """Does nothing, but for a file that a pickle's suffix names.

    Raises:
      UserError: with how to save the file anew.
    """
    if path.suffix in PICKLES:
        safe = path.with_suffix(".safetensors").name
        raise UserError(
            f"{path} is a pickle, which can run code and is never read here; if you "
            "trust who made it, save it anew: python -c 'import torch, "
            "safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in "
            f'torch.load("{path.name}", weights_only=True).items()}}, "{safe}")\''
        )


def read_folder(folder: pathlib.Path) -> dict[str, LazyArray]:
    """The tensors of a folder's one safetensors file, or of its shards.

    Raises:
      UserError: if there is none, a shard is missing, or a file is not whole.
    """
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if len(indices) > 1:
        raise UserError(f"{folder} has several indices of shards: {_names(indices)}")
    if indices:
        return _read_shards(folder, indices[0])
    files = sorted(folder.glob("*.safetensors"))
    if len(files) == 1:
        return read_file(files[0])
    if files:
        raise UserError(
            f"{folder} has {len(files)} safetensors files and no index to join them: "
            f"{_names(files)}"
        )
    for path in sorted(folder.iterdir()):
        refuse_pickle(path)
    raise UserError(f"{folder} has no safetensors file")


def read_file(path: pathlib.Path) -> dict[str, LazyArray]:
    """The tensors of one file.

    Raises:
      UserError: if the file is not whole, or holds what is no float.
    """
    try:
        with safetensors.safe_open(path, framework="numpy"):
            pass  # the library checks that header and length agree
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
    except Exception as error:
        raise UserError(
            f"cannot read {path}: {error}; is the download complete?"
        ) from error
    header.pop("__metadata__", None)
    odd = sorted({v["dtype"] for v in header.values()} - _DTYPES.keys())
    if odd:
        raise UserError(
            f"{path} holds {', '.join(odd)}; expected one of {', '.join(_DTYPES)}"
        )
    if not header:
        return {}
    data = np.memmap(path, np.uint8, mode="r", offset=8 + length)
    return {name: lazy(_view(data, entry)) for name, entry in header.items()}


def write_folder(
    folder: pathlib.Path,
    stem: str,
    tensors: Mapping[str, LazyArray],
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes `stem.safetensors`, or shards of it and their index, in a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, LazyArray]] = [{}]
    held = 0
    for name, tensor in tensors.items():
        if held and held + tensor.nbytes > shard_bytes:
            shards.append({})
            held = 0
        shards[-1][name] = tensor
        held += tensor.nbytes
    if len(shards) == 1:
        write_file(folder / f"{stem}.safetensors", shards[0])
        return
    places = {}
    for i, shard in enumerate(shards):
        file = f"{stem}-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / file, shard)
        places |= dict.fromkeys(shard, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    write_json(folder / f"{stem}.safetensors.index.json", index)


def write_file(path: pathlib.Path, tensors: Mapping[str, LazyArray]) -> None:
    """Writes one file, in the order given."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, start + tensor.nbytes],
        }
        start += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            for index in tensor.blocks():
                block = np.ascontiguousarray(tensor[index])
                file.write(block.view(np.uint8).data if block.size else b"")


def write_json(path: pathlib.Path, value: Any) -> None:
    """A value as readable JSON."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
      UserError: if it is missing, or no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object")
    return value


def _read_shards(folder: pathlib.Path, index: pathlib.Path) -> dict[str, LazyArray]:
    places = read_json(index).get("weight_map", {})
    files = sorted(set(places.values()))
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} lacks shards that {index.name} names: {missing}")
    tensors: dict[str, LazyArray] = {}
    for file in files:
        held = read_file(folder / file)
        listed = {name for name, place in places.items() if place == file}
        if listed != held.keys():
            odd = ", ".join(sorted(listed ^ held.keys()))
            raise UserError(f"{folder / file} and {index.name} disagree on {odd}")
        tensors |= held
    return {name: tensors[name] for name in places}


def _view(data: np.ndarray, entry: Mapping[str, Any]) -> np.ndarray:
    first, last = entry["data_offsets"]
    return data[first:last].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _names(paths: list[pathlib.Path]) -> str:
    return ", ".join(path.name for path in paths)
