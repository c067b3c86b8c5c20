"""A fingerprint names weights, whatever order they come in."""

import numpy as np

from animatrix_jax.data.fingerprint import fingerprint


def test_a_fingerprint_names_weights_and_config():
    params = {"a": {"w": np.ones((2, 3), np.float32)}, "b": np.zeros(2)}
    same = {"b": np.zeros(2), "a": {"w": np.ones((2, 3), np.float32)}}
    assert fingerprint(params, {"x": 1}) == fingerprint(same, {"x": 1})
    others = [
        fingerprint(params, {"x": 2}),
        fingerprint(params | {"b": np.ones(2)}, {"x": 1}),
        fingerprint(params | {"b": np.zeros((2, 1))}, {"x": 1}),
        fingerprint(params | {"b": np.zeros(2, np.float32)}, {"x": 1}),
        fingerprint({"a": params["a"], "c": params["b"]}, {"x": 1}),
    ]
    assert len({fingerprint(params, {"x": 1}), *others}) == 6
