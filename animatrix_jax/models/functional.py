"""NNX modules used functionally: parameters are plain nested dicts of arrays.

Everything above `models/` (objectives, training, sampling, checkpoints) moves parameters
as pure nested dicts and never holds a live module. A `build` function names a module
completely: `build(rngs) -> nnx.Module`.

    params = init_params(build, key)          # allocate
    shapes = jax.eval_shape(lambda k: init_params(build, k), key)
    module = bind(build, params)              # allocates nothing
"""

from collections.abc import Callable
from typing import Any

from flax import nnx, traverse_util
from jaxtyping import Array

Params = dict[str, Any]
Build = Callable[[nnx.Rngs], nnx.Module]


def init_params(build: Build, key: Array) -> Params:
    """Initial parameters of `build`'s module, as a pure nested dict; jit-able."""
    return _pure(nnx.state(build(nnx.Rngs(key)), nnx.Param))


def bind(build: Build, params: Params) -> Any:
    """The module of `build` with its parameters taken from `params`.

    Raises:
      ValueError: if a parameter is missing or unknown.
    """
    abstract = nnx.eval_shape(lambda: build(nnx.Rngs(0)))
    graphdef, state, rest = nnx.split(abstract, nnx.Param, ...)
    given = traverse_util.flatten_dict(params)
    paths = {tuple(map(str, path)): path for path, _ in nnx.to_flat_state(state)}
    if paths.keys() != given.keys():
        missing = ["/".join(path) for path in sorted(paths.keys() - given.keys())]
        unknown = ["/".join(path) for path in sorted(given.keys() - paths.keys())]
        raise ValueError(
            f"parameters do not fit: missing {missing[:3]}, unknown {unknown[:3]}"
        )
    flat = {paths[path]: value for path, value in given.items()}
    nnx.replace_by_pure_dict(state, traverse_util.unflatten_dict(flat))
    return nnx.merge(graphdef, state, rest)


def _pure(state: nnx.State) -> Params:
    """Nested dict with string keys throughout: a checkpoint's tree has no integers."""
    flat = {
        tuple(map(str, path)): variable.get_value()
        for path, variable in nnx.to_flat_state(state)
    }
    return traverse_util.unflatten_dict(flat)
