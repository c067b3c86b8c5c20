"""Random draws that are the same on every machine.

The root of Cel World: each clip, palette or background asks a :class:`Draws` for its
numbers. NumPy promises the raw stream of a bit generator (Philox, Salmon et al. 2011)
for ever, and promises nothing for its distributions, so the conversions are our own
and use only exact arithmetic: a uniform is ``(raw >> 11) * 2**-53``.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
_BLOCK = 64


class Draws:
    """A stream of draws named by a seed and a path of strings and integers.

    Two streams with another seed or path are independent; the same name always gives
    the same stream. A ``child`` does not advance its parent, so adding draws in one
    place never changes what another place draws.
    """

    def __init__(self, seed: int, *path: int | str):
        self.seed = int(seed)
        self.path = path
        self._bits: np.random.Philox | None = None
        self._buffer: list[int] = []

    def child(self, *path: int | str) -> "Draws":
        """A fresh stream below this one, at its start."""
        return Draws(self.seed, *self.path, *path)

    def _make(self) -> np.random.Philox:
        """The generator, made when it is first needed: many streams are only names."""
        name = "/".join([str(self.seed), *(str(step) for step in self.path)])
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        return np.random.Philox(key=int.from_bytes(digest, "little"))

    def raw(self) -> int:
        """The next 64 random bits."""
        if not self._buffer:
            if self._bits is None:
                self._bits = self._make()
            self._buffer = self._bits.random_raw(_BLOCK).tolist()[::-1]
        return self._buffer.pop()

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A float in [low, high)."""
        raw = self._buffer.pop() if self._buffer else self.raw()
        return low + (high - low) * ((raw >> 11) * 2.0**-53)

    def uniforms(self, count: int) -> list[float]:
        """The first ``count`` floats of a fresh stream, as ``uniform`` would give them.

        Raises:
          ValueError: for a stream that has been drawn from.
        """
        if self._bits is not None:
            raise ValueError("expected a fresh stream, got one already drawn from")
        self._bits = self._make()
        return ((self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53).tolist()

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high)."""
        return low + (self.raw() * (high - low) >> 64)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def sign(self) -> int:
        """-1 or 1."""
        return 1 if self.raw() >> 63 else -1

    def choice(
        self, options: Sequence[T], weights: Sequence[int | float] | None = None
    ) -> T:
        """One of the options, by weight where weights are given."""
        if weights is None:
            return options[self.integer(0, len(options))]
        mark = (self.raw() >> 11) * 2.0**-53 * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            mark -= weight
            if mark < 0:
                return option
        return options[-1]

    def weighted(self, table: dict[T, int | float]) -> T:
        """One key of a table of weights."""
        return self.choice(list(table), list(table.values()))

    def sample(self, options: Sequence[Any], count: int) -> list[Any]:
        """``count`` different options, in drawn order."""
        left = list(options)
        return [left.pop(self.integer(0, len(left))) for _ in range(count)]
