"""What all the evidence of a clip's frames says together: a small network, learnt.

Flow alone cannot tell a figure from rain before it, or a drawing that was changed a
little from a codec's noise. The network sees, of each pair of frames, the cells of
`matching.py` and what the rules of `layers.py` make of them,

    cells [s h w c] --conv, conv, conv; pool--> [s k] --conv over time--> z, a, b  [s]

and says how likely the figure is drawn anew (z, a logit), and by how much the rules miss:

    m_t = (m'_t + e) exp(a_t) - e        d_t = (d'_t + e) exp(b_t) - e

for the rules' m', d'; both corrections are bounded. A pair that shows the same picture
has none of them. The cadence is the likeliest exposure sheet: with s_t = 1 where a sheet
has a new drawing, a sheet's log-likelihood is sum over t of s_t z_t up to a constant, and
a cadence's is the log of the sum over its sheets and phases.

`forward` is written for NumPy and JAX alike: stage `measures` (training/stages/
measures.py) trains it on Cel World, where all of this is known, and `measure` reads with
the weights beside this file, on one core and without JAX.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float32

from animatrix_jax.data.measures.layers import CameraResidual, Layers, middle_weight
from animatrix_jax.data.measures.matching import Matches

WEIGHTS = pathlib.Path(__file__).parent / "readout.npz"
CADENCES = ("ones", "twos", "threes", "fours_plus", "modulated", "held")
CHANNELS, GLOBALS = 13, 11
_CONVS = ((CHANNELS, 16, 2), (16, 32, 2), (32, 32, 1))
_WIDTH, _DILATIONS = 64, (1, 2, 4)
_LOUDEST, _MOST = 6.0, 3.0
FLOOR = 1e-3  # e, frame heights per frame
# What changes its sign in a mirror: the first of both flows, and of the ground's numbers.
_MIRRORED_CELLS, _MIRRORED_PAIRS = (0, 2), (0, 3, 4)
_PARTS, _WHOLE = 6, 0.9
_PERIODS = {"twos": (2,), "threes": (3,), "fours_plus": (4, 5, 6)}

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the network sees of each pair of frames.

    Attributes:
      cells: flow (2), flow beside the ground's (2), structure, change, matched, grounded,
        unexplained by the ground and by the better plane, slope, and where the cell is.
      pairs: the ground's motion (6), how well it fits, whether the pictures are the same,
        the rules' m' and d', and the unexplained change of the middle.
      motion, deformation: the rules' own, frame heights per frame.
      same: pairs that show the same picture.
    """

    cells: Float32[np.ndarray, "s h w 13"]
    pairs: Float32[np.ndarray, "s 11"]
    motion: Float32[np.ndarray, " s"]
    deformation: Float32[np.ndarray, " s"]
    same: Float32[np.ndarray, " s"]


def evidence(matches: Matches, residual: CameraResidual, layers: Layers) -> Evidence:
    """What there is to see in the pairs of a clip, on scales that a network likes."""
    flow, ground = matches.flow, matches.ground_flow
    shape = flow.shape[1:3]
    middle = middle_weight(*shape)
    columns = (
        *np.moveaxis(_root(flow), -1, 0),
        *np.moveaxis(_root(flow - ground), -1, 0),
        matches.structure,
        _levels(matches.change),
        matches.matched,
        matches.grounded,
        _levels(matches.unexplained),
        _levels(residual.unexplained),
        _levels(matches.slope),
        np.broadcast_to(middle, flow.shape[:3]),
        np.broadcast_to(_edge(*shape), flow.shape[:3]),
    )
    left = residual.unexplained.reshape(len(matches), -1) @ middle.ravel()
    pairs = np.concatenate(
        [
            _root(matches.ground.reshape(len(matches), -1)),
            np.stack(
                [
                    matches.fit,
                    matches.same,
                    np.log(layers.motion + FLOOR) + 5.0,
                    np.log(layers.deformation + FLOOR) + 5.0,
                    _levels(left / middle.sum()),
                ],
                axis=1,
            ),
        ],
        axis=1,
    )
    return Evidence(
        cells=np.stack(columns, axis=-1).astype(np.float32),
        pairs=pairs.astype(np.float32),
        motion=layers.motion.astype(np.float32),
        deformation=layers.deformation.astype(np.float32),
        same=matches.same.astype(np.float32),
    )


def _root(x: np.ndarray) -> np.ndarray:
    """Roots with their sign: small motions are many, and large ones no outliers."""
    return 4.0 * np.sign(x) * np.sqrt(np.abs(x))


def _levels(x: np.ndarray) -> np.ndarray:
    return 0.5 * np.log1p(x)


def _edge(rows: int, columns: int) -> np.ndarray:
    """1 in the middle of the frame, 0 at its edges."""
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    return 2.0 * np.minimum.reduce([y, x, rows - y, columns - x]) / rows


# The network.


def init(rng: np.random.Generator) -> Params:
    """Fresh parameters: the rules as they are, and no say on cadence."""

    def layer(inputs: int, outputs: int, scale: float = 1.4) -> Params:
        kernel = rng.standard_normal((inputs, outputs)) * scale / np.sqrt(inputs)
        return {"kernel": np.float32(kernel), "bias": np.zeros(outputs, np.float32)}

    params = {f"cells{n}": layer(9 * i, o) for n, (i, o, _) in enumerate(_CONVS)}
    params["where"] = layer(_CONVS[-1][1], 1)
    params["pair"] = layer(3 * _CONVS[-1][1] + GLOBALS, _WIDTH)
    for n in range(len(_DILATIONS)):
        params[f"time{n}"] = layer(5 * _WIDTH, _WIDTH, scale=0.7)
    params["say"] = layer(_WIDTH, 3, scale=0.0)
    params["cadence"] = {
        "scale": np.full(1, -1.0, np.float32),
        "bias": np.zeros(len(CADENCES), np.float32),
    }
    return params


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """Of each pair, batch axes first: z, and the logarithms of m_t + e and d_t + e."""

    new: Any
    motion: Any
    deformation: Any


def forward(params: Params, seen: dict[str, Any], xp: Any = np) -> Said:
    """The network on pairs of frames.

    Args:
      params: of `init`.
      seen: the arrays of `Evidence` by name, with one batch axis before.
      xp: the module whose arrays they are, NumPy or jax.numpy.
    """
    cells = seen["cells"]
    batch, pairs = cells.shape[:2]
    x = cells.reshape(-1, *cells.shape[2:])
    for n, (inputs, outputs, stride) in enumerate(_CONVS):
        y = _dense(params[f"cells{n}"], _patches(x, stride, xp))
        x = xp.maximum(y, 0.0) + (x if inputs == outputs else 0.0)
    x = x.reshape(len(x), -1, x.shape[-1])
    where = _dense(params["where"], x)
    where = xp.exp(where - where.max(axis=1, keepdims=True))
    where = where / where.sum(axis=1, keepdims=True)
    pooled = [x.mean(axis=1), x.max(axis=1), (x * where).sum(axis=1)]
    x = xp.concatenate(pooled, axis=-1).reshape(batch, pairs, -1)
    x = xp.concatenate([x, seen["pairs"]], axis=-1)
    x = xp.maximum(_dense(params["pair"], x), 0.0)
    for n, dilation in enumerate(_DILATIONS):
        y = _dense(params[f"time{n}"], _moments(x, dilation, xp))
        x = x + xp.maximum(y, 0.0)
    said = _dense(params["say"], x)
    new = _LOUDEST * xp.tanh(said[..., 0] / _LOUDEST)
    more, bent = (_MOST * xp.tanh(said[..., n] / _MOST) for n in (1, 2))
    return Said(
        new=new * (1.0 - seen["same"]) - _LOUDEST * seen["same"],
        motion=xp.log(seen["motion"] + FLOOR) + more,
        deformation=xp.log(seen["deformation"] + FLOOR) + bent,
    )


def mirrored(seen: dict[str, Any]) -> dict[str, Any]:
    """The evidence of the same clips in a mirror, whatever axes are before."""
    cells, pairs = seen["cells"][..., ::-1, :].copy(), seen["pairs"].copy()
    cells[..., _MIRRORED_CELLS] *= -1.0
    pairs[..., _MIRRORED_PAIRS] *= -1.0
    return seen | {"cells": cells, "pairs": pairs}


def clip_means(said: Said, same: Any, xp: Any = np) -> tuple[Any, Any]:
    """m(x) and d(x) of clips [b] from their pairs [b s]."""
    moves = 1.0 - same
    motion = xp.maximum(xp.exp(said.motion) - FLOOR, 0.0) * moves
    bent = xp.maximum(xp.exp(said.deformation) - FLOOR, 0.0) * moves
    return motion.mean(axis=-1), xp.sqrt((bent**2).mean(axis=-1) + 1e-12)


def cadence_logits(params: Params, new: Any, xp: Any = np) -> Any:
    """Log-odds [b k] of each of `CADENCES` by z [b s].

    An even sheet may also hold its drawing before or after some stretch: action pauses.
    """
    pairs = new.shape[-1]
    scale = xp.log1p(xp.exp(params["cadence"]["scale"]))
    windows, priors = exposed_stretches(pairs)
    found = []
    for name in CADENCES:
        sheets = exposure_sheets(name, pairs)
        score = scale * (new @ sheets.T)
        if name in ("ones", *_PERIODS):
            beats = new[:, None] * sheets
            score = scale * (beats @ windows.T) + priors
            score = score.reshape(len(new), -1)
        top = score.max(axis=-1, keepdims=True)
        total = xp.log(xp.exp(score - top).sum(axis=-1)) + top[..., 0]
        found.append(total - float(np.log(len(sheets))))
    return xp.stack(found, axis=-1) + params["cadence"]["bias"]


@functools.lru_cache(maxsize=64)
def exposed_stretches(
    pairs: int,
) -> tuple[Float32[np.ndarray, "w s"], Float32[np.ndarray, " w"]]:
    """Stretches in which a figure moves, and the logarithm of how likely each is: the
    whole more often than all others, which begin and end at sixths; or none."""
    edges = np.round(np.linspace(0, pairs, _PARTS + 1)).astype(int)
    times = np.arange(pairs)
    windows = [
        (times >= edges[i]) & (times < edges[j])
        for i in range(_PARTS)
        for j in range(i + 1, _PARTS + 1)
        if (i, j) != (0, _PARTS)
    ]
    windows.append(np.zeros(pairs, bool))
    priors = np.full(len(windows) + 1, np.log((1 - _WHOLE) / len(windows)))
    priors[0] = np.log(_WHOLE)
    whole = np.array([np.ones(pairs), *windows], np.float32)
    return whole, priors.astype(np.float32)


@functools.lru_cache(maxsize=512)
def exposure_sheets(cadence: str, pairs: int) -> Float32[np.ndarray, "n s"]:
    """The sheets of a cadence: 1 for pairs of frames between which a drawing changes."""
    times = np.arange(1, pairs + 1)
    match cadence:
        case "held":
            sheets = [np.zeros(pairs)]
        case "ones":
            sheets = [np.ones(pairs)]
        case "modulated":
            # Ones in the middle, slower at both ends, each end in any phase.
            sheets = [
                np.where(
                    times <= first,
                    times % rate == begins,
                    (times <= last) | (times % rate == ends),
                )
                for rate in (2, 3)
                for first in np.unique(np.round(pairs * np.array([0.2, 0.3, 0.4])))
                for last in np.unique(np.round(pairs * np.array([0.6, 0.7, 0.8])))
                for begins in range(rate)
                for ends in range(rate)
            ]
        case _:
            sheets = [
                times % period == phase
                for period in _PERIODS[cadence]
                for phase in range(period)
            ]
    return np.unique(np.array(sheets, np.float32), axis=0)


def _dense(layer: Params, x: Any) -> Any:
    return x @ layer["kernel"] + layer["bias"]


def _patches(x: Any, stride: int, xp: Any) -> Any:
    """[n h w c] to the 3 x 3 neighbourhoods [n h' w' 9c] of every `stride`-th place."""
    height, width = x.shape[1:3]
    x = xp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [
        x[:, i : i + height : stride, j : j + width : stride]
        for i in range(3)
        for j in range(3)
    ]
    return xp.concatenate(shifts, axis=-1)


def _moments(x: Any, dilation: int, xp: Any) -> Any:
    """[b s k] to [b s 5k]: five moments around each, the ends repeated."""
    pairs, far = x.shape[1], 2 * dilation
    x = xp.pad(x, ((0, 0), (far, far), (0, 0)), mode="edge")
    shifts = [x[:, n * dilation : n * dilation + pairs] for n in range(5)]
    return xp.concatenate(shifts, axis=-1)


# Reading.


@functools.lru_cache(maxsize=1)
def packaged() -> Params:
    """The weights beside this file."""
    return load(WEIGHTS)


def save(path: pathlib.Path, params: Params) -> None:
    """Writes parameters in half precision."""
    flat = {
        f"{layer}.{name}": np.asarray(value).astype(np.float16)
        for layer, values in params.items()
        for name, value in values.items()
    }
    np.savez_compressed(path, **flat)


def load(path: pathlib.Path) -> Params:
    """Reads what `save` wrote."""
    params: Params = {}
    with np.load(path, allow_pickle=False) as kept:
        for key in kept.files:
            layer, _, name = key.partition(".")
            params.setdefault(layer, {})[name] = kept[key].astype(np.float32)
    return params


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readout:
    """m(x), d(x), a value of motion.timing, and the share of pairs with no new drawing."""

    motion: float
    deformation: float
    cadence: str
    repeated: float


_LONGEST = 48


def read(found: Evidence, params: Params) -> Readout:
    """The measures of a clip, seen as it is and in a mirror, for which all of them are the
    same; the parts of a long one may be on other phases."""
    seen = {
        field.name: getattr(found, field.name)[None]
        for field in dataclasses.fields(found)
    }
    both = [dataclasses.asdict(forward(params, s)) for s in (seen, mirrored(seen))]
    said = Said(**{name: 0.5 * (both[0][name] + both[1][name]) for name in both[0]})
    motion, deformation = clip_means(said, seen["same"])
    parts = np.array_split(said.new, max(1, -(-said.new.shape[1] // _LONGEST)), axis=1)
    logits = sum(cadence_logits(params, part)[0] for part in parts)
    return Readout(
        motion=float(motion[0]),
        deformation=float(deformation[0]) if deformation[0] > 2e-6 else 0.0,
        cadence=CADENCES[int(np.argmax(logits))],
        repeated=float((said.new[0] < 0).mean()),
    )
