"""Near-duplicates: clips that show the same, in another size, encoding or file.

    signature   pHash of 5 frames, evenly spread: the 64 lowest frequencies of a 32 x 32
                picture's DCT, each above or below their median
    distance    mean Hamming distance of the frames, of 64 bits
    keys        each frame's 64 bits in 4 bands of 16: clips are compared only with those
                that share a band of a frame, so the work is not the square of their count.
                Two clips 3 bits apart share one for certain, 6 bits apart by 0.97 (of 20
                bands, of which one without a flip is needed)

Clips are taken from the best down (labelled, then the most pixels, the longest, the
sharpest, the smallest id): one that is within `near` of a clip that is kept is its
duplicate. So each names a clip that is kept and that it is really near to, and what is
kept does not depend on the order in which anything ran.
"""

import collections
import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8

FRAMES = 5
_BANDS = 4
Id = TypeVar("Id", bound=Hashable)
Signature = tuple[int, ...]


def phash(grey: UInt8[np.ndarray, "h w"]) -> int:
    """64 bits of a picture's coarse structure."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def signature(grey: UInt8[np.ndarray, "t h w"]) -> Signature:
    """pHashes of FRAMES of the frames, evenly spread."""
    places = (np.arange(FRAMES) + 0.5) * len(grey) / FRAMES
    return tuple(phash(grey[int(place)]) for place in places)


def distance(first: Signature, second: Signature) -> float:
    """Mean Hamming distance, of 64 bits."""
    flips = sum((a ^ b).bit_count() for a, b in zip(first, second, strict=True))
    return flips / len(first)


def keys(bits: Signature) -> list[int]:
    """What a clip is compared under."""
    width = 64 // _BANDS
    return [
        (frame * _BANDS + band) << width
        | (value >> (band * width)) & ((1 << width) - 1)
        for frame, value in enumerate(bits)
        for band in range(_BANDS)
    ]


def pairs(
    clips: Sequence[tuple[str, Signature]], *, near: float
) -> Iterator[tuple[str, str]]:
    """Pairs of ids within `near`, of clips that share a key.

    Of clips with one signature, each is paired with the smallest id alone, which stands
    for them all among the others: a still that comes a thousand times makes a thousand
    pairs, not a million.
    """
    groups: dict[Signature, list[str]] = collections.defaultdict(list)
    for name, bits in sorted(clips):
        if not groups[bits] or groups[bits][-1] != name:
            groups[bits].append(name)
    for names in groups.values():
        yield from ((names[0], name) for name in names[1:])
    table = np.array(list(groups), np.uint64).reshape(len(groups), -1)
    first = [names[0] for names in groups.values()]
    for place in range(len(table) - 1):
        flips = np.bitwise_count(table[place] ^ table[place + 1 :]).sum(axis=1)
        for other in np.flatnonzero(flips <= near * table.shape[1]):
            yield first[place], first[place + 1 + int(other)]


def choose(
    found: Iterable[tuple[str, str]],
    clips: Mapping[str, tuple[Signature, Any]],
) -> dict[str, str]:
    """Each duplicate with the clip that it duplicates, which is kept.

    Args:
      found: pairs from `pairs`.
      clips: the signature and the rank of every clip that is in a pair, the best first
        when sorted.
    """
    # All of one signature share their neighbours.
    same: dict[Signature, list[str]] = collections.defaultdict(list)
    for name, (bits, _) in clips.items():
        same[bits].append(name)
    near: dict[Signature, set[Signature]] = collections.defaultdict(set)
    for first, second in found:
        a, b = clips[first][0], clips[second][0]
        near[a].add(b)
        near[b].add(a)
    kept: dict[Signature, str] = {}
    duplicates: dict[str, str] = {}
    for name in sorted(clips, key=lambda name: (clips[name][1], name)):
        bits = clips[name][0]
        standing = [kept[o] for o in itertools.chain([bits], near[bits]) if o in kept]
        if standing:
            nearest = min(standing, key=lambda o: (clips[o][1], o))
            duplicates[name] = nearest
        else:
            kept[bits] = name
    return duplicates
