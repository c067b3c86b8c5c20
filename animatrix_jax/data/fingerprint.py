"""What names weights: whoever keeps what a network made says of which network it is."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np


def fingerprint(params: Any, config: Any = None) -> str:
    """The sha256 of parameters: every leaf by its path, then the config.

    Args:
      params: a nested dict of arrays.
      config: a dataclass, or anything that JSON takes; None for weights alone.
    """
    digest = hashlib.sha256()
    for path, leaf in _leaves(params, ""):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{path}:{array.dtype}:{array.shape}\n".encode())
        digest.update(array.tobytes())
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key in sorted(tree, key=str):
            yield from _leaves(tree[key], f"{path}/{key}")
    else:
        yield path, tree
