"""Confidence that means what it says: per field, fitted on clips kept for nothing else.

    p      softmax or sigmoid of logits / T_f            T_f: least -log p of the truth
           softmax of logits / T_f - tau log m           m: mean p of a value, tau: best F1
    c'     sigma(shown) p(reading)                       several values: product over them
    c      sigma(a_f logit(c') + b_f)                    least -log of "the reading is right"

(Guo et al. 2017; Menon et al. 2021, arXiv 2007.07314; Platt 1999.) The second line is of
single values: what is read often is read a little less often, so that rare values are not
left out of the mean over values that F1 is. A reading is right if the clip states the field and exactly
its values were read; one of a field that the clip does not state is wrong. The last line
mends what the product cannot know, that values of a field go together or exclude each
other; a prior holds (a, b) near (1, 0). The expected calibration error is over all clips
and fields at once, in 15 bins of equal width: sum of a bin's share times its
|mean confidence - share right|.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from animatrix_jax.objectives.fields import FieldTable

_TEMPERATURES = np.exp(np.linspace(-1.6, 1.6, 65))
_TAUS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
_PRIOR = 4.0
_BINS = 15
_EDGE = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """The numbers of each field that was calibrated, by key; others are never claimed.

    Attributes:
      temperature: T_f.
      lean: tau log m of each value of a field; a field that is not there has none.
      slope, offset: a_f and b_f.
    """

    temperature: Mapping[str, float]
    slope: Mapping[str, float]
    offset: Mapping[str, float]
    lean: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it knows of."""
        return tuple(self.temperature)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readings:
    """What is read of clips: values, and each field's confidence.

    Attributes:
      values: the reading of every field, whatever its confidence.
      probability: of each value, by temperature and lean.
      confidence: that a field's reading is right; 0 for fields not calibrated.
    """

    values: Bool[np.ndarray, "n v"]
    probability: Float[np.ndarray, "n v"]
    confidence: Float[np.ndarray, "n f"]


def uncalibrated(fields: Sequence[str]) -> Calibration:
    """Takes the network at its word."""
    return Calibration(
        temperature=dict.fromkeys(fields, 1.0),
        slope=dict.fromkeys(fields, 1.0),
        offset=dict.fromkeys(fields, 0.0),
    )


def fit(
    logits: Float[np.ndarray, "n v"],
    shown: Float[np.ndarray, "n f"],
    truth: Bool[np.ndarray, "n v"],
    *,
    table: FieldTable,
    fields: Sequence[str],
) -> Calibration:
    """The calibration of `fields` on clips of known truth."""
    temperature, cooled, known = {}, {}, {}
    for key in fields:
        place = table.fields.index(key)
        member = table.membership[place]
        z, y = logits[:, member].astype(np.float64), truth[:, member]
        stated = y.any(axis=1)
        multiple = bool(table.multiple[place])
        losses = [
            _loss(z[stated] / t, y[stated], multiple=multiple) for t in _TEMPERATURES
        ]
        temperature[key] = float(_TEMPERATURES[int(np.argmin(losses))])
        cooled[key], known[key] = z / temperature[key], y
    lean = _lean(
        {k: z for k, z in cooled.items() if not table.multiple[table.fields.index(k)]},
        known,
    )
    slope, offset = {}, {}
    for key, z in cooled.items():
        place, y = table.fields.index(key), known[key]
        multiple = bool(table.multiple[place])
        read, _, p = _read(z - np.array(lean.get(key, 0.0)), multiple=multiple)
        right = y.any(axis=1) & (read == y).all(axis=1)
        raw = p * _sigmoid(shown[:, place].astype(np.float64))
        slope[key], offset[key] = _platt(raw, right)
    return Calibration(temperature=temperature, slope=slope, offset=offset, lean=lean)


def read(
    logits: Float[np.ndarray, "n v"],
    shown: Float[np.ndarray, "n f"],
    *,
    table: FieldTable,
    calibration: Calibration,
) -> Readings:
    """The reading of each field, the likeliest after the lean, with its confidence."""
    values = np.zeros(logits.shape, bool)
    probability = np.zeros(logits.shape)
    confidence = np.zeros(shown.shape)
    for place, key in enumerate(table.fields):
        if key not in calibration.temperature:
            continue
        member = table.membership[place]
        z = logits[:, member].astype(np.float64) / calibration.temperature[key]
        z = z - np.array(calibration.lean.get(key, 0.0))
        found, each, p = _read(z, multiple=bool(table.multiple[place]))
        values[:, member], probability[:, member] = found, each
        raw = p * _sigmoid(shown[:, place].astype(np.float64))
        line = calibration.slope[key] * _logit(raw) + calibration.offset[key]
        confidence[:, place] = _sigmoid(line)
    return Readings(values=values, probability=probability, confidence=confidence)


def right(
    values: Bool[np.ndarray, "n v"],
    truth: Bool[np.ndarray, "n v"],
    *,
    table: FieldTable,
) -> Bool[np.ndarray, "n f"]:
    """Whether the clip states a field and exactly its values were read."""
    found = np.zeros((len(values), len(table.fields)), bool)
    for place, member in enumerate(table.membership):
        same = (values[:, member] == truth[:, member]).all(axis=1)
        found[:, place] = same & truth[:, member].any(axis=1)
    return found


def expected_calibration_error(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]
) -> float:
    """See the module's docstring."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    error = 0.0
    for b in range(_BINS):
        inside = bins == b
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            error += inside.mean() * gap
    return float(error)


def macro_f1(read: Bool[np.ndarray, "n v"], truth: Bool[np.ndarray, "n v"]) -> float:
    """Mean over the values that some clip holds of 2 TP / (2 TP + FP + FN)."""
    held = truth.any(axis=0)
    both = (read & truth).sum(axis=0)[held]
    either = read.sum(axis=0)[held] + truth.sum(axis=0)[held]
    return float(np.mean(2.0 * both / either))


def _lean(
    cooled: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]
) -> dict[str, list[float]]:
    """tau log m of each field of one value, by the tau that reads all of them best."""
    logs, scores = {}, np.zeros(len(_TAUS))
    for key, z in cooled.items():
        stated = known[key].any(axis=1)
        if not stated.any():
            continue
        z, y = z[stated], known[key][stated]
        log = np.log(_read(z, multiple=False)[1].mean(axis=0) + _EDGE)
        # A value that no clip holds is not rare, but unknown: it gains nothing.
        held = y.any(axis=0)
        logs[key] = log = np.where(held, log, log[held].max())
        scores += [
            macro_f1(_read(z - tau * log, multiple=False)[0], y) for tau in _TAUS
        ]
    tau = _TAUS[int(np.argmax(scores))]
    return {key: (tau * log).tolist() for key, log in logs.items()}


def _read(
    z: np.ndarray, *, multiple: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values read, each value's probability, and that of all being as read."""
    best = np.zeros(z.shape, bool)
    best[np.arange(len(z)), z.argmax(axis=1)] = True
    if not multiple:
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True)
        return best, p, p.max(axis=1)
    p = _sigmoid(z)
    above = z > 0
    found = np.where(above.any(axis=1, keepdims=True), above, best)
    return found, p, np.prod(np.where(found, p, 1.0 - p), axis=1)


def _loss(z: np.ndarray, y: np.ndarray, *, multiple: bool) -> float:
    if not len(z):
        return 0.0
    if multiple:
        return float(np.mean(np.sum(np.logaddexp(0.0, z) - y * z, axis=1)))
    top = z.max(axis=1)
    log_z = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return float(np.mean(log_z - (z * y).sum(axis=1)))


def _platt(p: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the logistic fit, by Newton's method, near (1, 0) by a prior."""
    x = np.stack([_logit(p), np.ones(len(p))], axis=1)
    w, start = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    for _ in range(30):
        q = _sigmoid(x @ w)
        gradient = x.T @ (q - right) + _PRIOR * (w - start)
        hessian = (x * (q * (1 - q))[:, None]).T @ x + _PRIOR * np.eye(2)
        w = w - np.linalg.solve(hessian, gradient)
    return float(max(w[0], 0.05)), float(w[1])


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return np.log(p / (1 - p))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))
